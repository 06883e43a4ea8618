"""Common corruptions as batched tensor functions."""
