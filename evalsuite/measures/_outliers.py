"""Scores of examples and outliers in one order: what the figures of outlier detection share."""

from typing import Literal, final

import numpy as np
import numpy.typing as npt

from evalsuite.measures._base import Stored, Weights
from evalsuite.measures._ranked import owners, ranked

Score = Literal["confidence", "energy"]
COLUMNS = ("confidence", "energy", "out_confidence", "out_energy")


@final
class Detection:
    """Examples and outliers in decreasing order of a score; a larger score speaks for an example."""

    def __init__(self, stored: Stored, score: Score) -> None:
        inside, outside = (stored.own[column].astype(np.float64) for column in (score, f"out_{score}"))
        self._order = ranked(
            -np.concatenate([inside.ravel(), outside.ravel()]), np.concatenate([owners(inside), owners(outside)])
        )
        self._inside = np.repeat([1.0, 0.0], [inside.size, outside.size])

    def accepted(self, weights: Weights) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Shares of examples and of outliers with at least each distinct score: (resamples, 1 + levels), 0 first."""
        inside, outside = self._order.sums(weights, self._inside, 1 - self._inside)
        return inside / inside[:, -1:], outside / outside[:, -1:]
