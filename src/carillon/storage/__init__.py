"""PostgreSQL (embedded or external), transactions under row-level security, blobs and encrypted secrets."""
