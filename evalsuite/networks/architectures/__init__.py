"""Networks by name: built-in architectures, those of other libraries, and users' own."""
