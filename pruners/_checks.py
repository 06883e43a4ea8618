"""Checks of hyperparameters."""


def check_at_least(least: int, **values: float) -> None:
    """Raise ValueError for the first of `values`, by name, that is below `least` or not a number."""
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"expected {name} >= {least}, got {value}")
