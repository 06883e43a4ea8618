"""Gaps between confidence and accuracy over bins of equal mass, and what chance alone adds to them."""

from collections.abc import Mapping
from typing import final

import numpy as np
from scipy.special import ndtr

from evalsuite.measures._base import Annotations, Losses, Stored, Weights
from evalsuite.measures._ranked import owners, ranked
from evalsuite.measures._wrong import right


@final
class CalibrationGaps:
    """Right or wrong minus confidence, in order of confidence."""

    def __init__(self, stored: Stored, truth: Annotations, readings: Mapping[str, float], bins: int) -> None:
        confidence = stored.columns["confidence"].astype(np.float64)
        self._gap = (right(stored, truth.labels, readings) - confidence).ravel()
        self._order = ranked(confidence.ravel(), owners(confidence))
        self._edges = np.linspace(0.0, 1.0, bins + 1)
        self._n = len(confidence)

    def figure(self, weights: Weights) -> Losses:
        """The mean absolute gap over bins."""
        mass, gaps = self._order.sums(weights, np.ones_like(self._gap), self._gap)
        # a bin's edge cuts the example on which it falls: sums in between are interpolated
        cut = np.stack([np.interp(self._edges * m[-1], m, g) for m, g in zip(mass, gaps, strict=True)])
        return np.asarray(np.abs(np.diff(cut, axis=1)).sum(axis=1) / mass[:, -1])

    def excess(self) -> float:
        """How much chance alone may add: a gap g that is seen with error s has the mean size s k(g / s), not g.

        k(t) - t, with k the mean of the folded normal, is largest where there is no gap. What is seen is itself too
        large, by about s: what is allowed for is the excess of a gap that is smaller by s.
        """
        ones = np.ones((1, self._n))
        mass, gaps, squares = self._order.sums(ones, np.ones_like(self._gap), self._gap, self._gap**2)
        at = self._edges * mass[0, -1]
        m, g, q = (np.diff(np.interp(at, mass[0], sums[0])) for sums in (mass, gaps, squares))
        mean = g / m
        # several draws of one example are no further examples
        error = np.sqrt(np.maximum(q / m - mean**2, 0.0) / (self._n / len(m)))
        size = np.maximum(np.abs(mean) - error, 0.0)
        t = np.divide(size, error, out=np.zeros_like(size), where=error > 0)
        folded = np.sqrt(2 / np.pi) * np.exp(-(t**2) / 2) + t * (1 - 2 * ndtr(-t))
        return float((error * (folded - t)).mean())
