"""Mean over the random draws of an example: one loss an example."""

import numpy as np

from evalsuite.measures._base import Column, Losses


def average(values: Column) -> Losses:
    """The mean over draws, shape (n,), of values of shape (n,) or (n, draws)."""
    return np.asarray(values.mean(axis=tuple(range(1, values.ndim))), dtype=np.float64)
