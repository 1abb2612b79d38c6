"""Who may do what, and who did: tenants, users, roles, credentials and the audit log."""
