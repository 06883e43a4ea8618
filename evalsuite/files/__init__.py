"""Files and paths: written whole or not at all, read within limits."""
