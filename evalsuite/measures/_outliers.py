"""Shares of examples and of outliers that pass at each threshold: what outlier detection is measured by."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from evalsuite.measures._base import Annotations, Losses, Stored, WeightedStatistic, Weights
from evalsuite.measures._ranked import owners, ranked

Score = Literal["confidence", "energy", "knn"]
Reading = Callable[[Losses, Losses], Losses]
"""From the shares of examples and of outliers with at least each distinct score, both (resamples, 1 + levels) and 0
first, to figures (resamples,)."""


def detection(child: Stored, parent: Stored, truth: Annotations, score: Score, read: Reading) -> WeightedStatistic:
    """What `read` makes of the examples and outliers that pass; a larger score speaks for an example."""
    of_child, of_parent = (_figure(stored, score, read) for stored in (child, parent))
    return WeightedStatistic(n=len(truth.labels), child=of_child, parent=of_parent)


def _figure(stored: Stored, score: Score, read: Reading) -> Callable[[Weights], Losses]:
    inside, outside = (stored.columns[column].astype(np.float64) for column in (score, f"out_{score}"))
    order = ranked(
        -np.concatenate([inside.ravel(), outside.ravel()]), np.concatenate([owners(inside), owners(outside)])
    )
    examples = np.repeat([1.0, 0.0], [inside.size, outside.size])

    def figure(weights: Weights) -> Losses:
        of_examples, of_outliers = order.sums(weights, examples, 1 - examples)
        return read(of_examples / of_examples[:, -1:], of_outliers / of_outliers[:, -1:])

    return figure
