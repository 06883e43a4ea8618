"""Results to pages and files: a pure function of the store."""
