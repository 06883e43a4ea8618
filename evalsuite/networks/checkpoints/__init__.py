"""Reads and writes checkpoint files, and loads their tensors into an architecture."""
