"""Architectures, checkpoints, digests and costs."""
