"""The analysis: stored observations to comparisons, claims and results; no network is run."""
