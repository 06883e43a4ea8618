"""Inputs of a run: the parent and its data, read together, and what was understood of them."""
