"""Batched adversarial attacks."""
