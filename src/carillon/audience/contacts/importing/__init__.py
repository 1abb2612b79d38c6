"""The import of contacts: from the rows of a file to contacts, identities and consents, resumable at every batch."""
