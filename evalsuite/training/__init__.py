"""Recipes to train or retrain a network."""
