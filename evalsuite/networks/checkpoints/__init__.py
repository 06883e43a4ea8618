"""Checkpoint files: read, written, and poured into an architecture."""
