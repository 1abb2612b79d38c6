"""Users: people, their memberships and invitations."""
