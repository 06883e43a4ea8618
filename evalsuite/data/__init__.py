"""Data sets: fixed, ordered examples with images in [0, 1]."""
