"""The gate: a policy and results give a verdict and an exit code."""
