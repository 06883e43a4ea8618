"""Names of parts: the grammar of what is typed, the registry of what can be named, and imports by name."""
