"""What the store holds, read: comparisons, claims and what else is seen in observations; no network is run."""
