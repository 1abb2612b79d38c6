"""Sign-in, sessions, the second factor, and the authenticator of every request."""
