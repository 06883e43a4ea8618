"""Measures: stored observations to losses; one measure, one file."""
