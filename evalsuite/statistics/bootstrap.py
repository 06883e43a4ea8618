"""Figures that are no means: a network beside its parent by the paired bootstrap over examples.

B. Efron, "Better bootstrap confidence intervals", JASA 82 (1987), 171-185: the bias-corrected and accelerated (BCa)
percentiles. Both networks meet the same resamples, so what they share cancels out of the difference.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from evalsuite.statistics._interval import Interval, check_confidence, one_sided
from evalsuite.statistics.compare import Comparison, Verdict, decided

Figures = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]
Weighted = Callable[[Weights], Figures]

RESAMPLES = 1000
_GROUPS = 200  # of the jackknife: more say no more about the skewness
_ENTRIES = 1 << 16  # of the weights at once: what fits into the cache is several times faster
_SAME = 1e-12


class Sampled(Protocol):
    """A figure of a network and of its parent as functions of the weights of the examples, as a statistic returns it.

    Both take weights (resamples, n) and give figures (resamples,).
    """

    @property
    def n(self) -> int:
        """Number of examples."""

    @property
    def child(self) -> Weighted:
        """The network's figure."""

    @property
    def parent(self) -> Weighted:
        """The parent's figure."""

    @property
    def child_excess(self) -> float:
        """How much too high the network's figure may come out in the mean, >= 0."""

    @property
    def parent_excess(self) -> float:
        """The same of the parent's."""


@final
@dataclass(frozen=True, kw_only=True)
class Spread:
    """What resampling says about one figure.

    Attributes:
        estimate: The figure itself.
        resampled: (resamples,), the figure of each resample.
        left_out: (groups,), the figure without each group of examples.
        excess: How much too high the figure may come out in the mean, >= 0.
    """

    estimate: float
    resampled: Figures
    left_out: Figures
    excess: float = 0.0


def compare_sampled(sampled: Sampled, *, margin: float, confidence: float, top: float = 1.0) -> Comparison:
    """Decide whether the network's figure is within `margin` of its parent's: `compare_spreads` of both."""
    child = spread(sampled.child, sampled.n, excess=sampled.child_excess)
    parent = spread(sampled.parent, sampled.n, excess=sampled.parent_excess)
    return compare_spreads(child, parent, n=sampled.n, margin=margin, confidence=confidence, top=top)


def spread(figure: Weighted, n: int, *, excess: float = 0.0) -> Spread:
    """A figure of n examples under 1000 resamples, the same for all figures of n examples, and in a jackknife.

    Raises:
        ValueError: No examples.
    """
    if n < 1:
        raise ValueError(f"expected n >= 1, got {n}")
    return Spread(
        estimate=float(figure(np.ones((1, n)))[0]),
        resampled=_chunked(figure, _drawn(n)),
        left_out=_chunked(figure, _without(n)),
        excess=excess,
    )


def compare_spreads(
    child: Spread, parent: Spread, *, n: int, margin: float, confidence: float, top: float = 1.0
) -> Comparison:
    """Decide whether a network's figure is within `margin` of its parent's.

    Each bound is the farther of the percentile and the BCa percentile, moved by what a figure may be too high. A
    bootstrap cannot see what no example shows: a share 1 - (1 - confidence)^(1/n) of all data may behave in another way
    than each of n examples, so that no bound is drawn closer than that share times the unit of the figure. The bounds
    hold for large n; `docs/statistics.md` says how well they held where the truth was known.

    Args:
        child: The network's figure, >= 0, lower is better.
        parent: The parent's, under the same resamples.
        n: Number of examples.
        margin: The largest difference that counts as commensurate, > -1.
        confidence: Of each one-sided bound of the difference, and of the two-sided interval; in (0.5, 1).
        top: The largest value that the figure can have.

    Raises:
        ValueError: A figure that is not finite, or margin or confidence out of range.
    """
    if not -1 < margin < math.inf:
        raise ValueError(f"expected margin > -1, got {margin}")
    check_confidence(confidence)
    if not (np.isfinite(child.resampled).all() and np.isfinite(parent.resampled).all()):
        raise ValueError("expected figures that are finite under all weights, got others")
    change = Spread(
        estimate=child.estimate - parent.estimate,
        resampled=child.resampled - parent.resampled,
        left_out=child.left_out - parent.left_out,
    )
    unseen = -math.expm1(math.log1p(-confidence) / n)
    bounds = _bounds(change, confidence, unseen, (child.excess, parent.excess))
    interval = _bounds(child, one_sided(confidence), unseen, (child.excess, 0.0))
    gap = margin - change.estimate
    width = bounds.high - change.estimate if gap > 0 else change.estimate - bounds.low
    growth = (width / gap) ** 2 if abs(gap) > _SAME else math.inf
    comparison = Comparison(
        n=n,
        loss=child.estimate,
        low=max(interval.low, 0.0),
        high=min(interval.high, top),
        parent_loss=parent.estimate,
        difference=change.estimate,
        difference_low=max(bounds.low, -top),
        difference_high=min(bounds.high, top),
        verdict=Verdict.INCONCLUSIVE,
        # as for means, the width shrinks with the square root of the number of examples
        settles_at=math.ceil(n * growth) if math.isfinite(growth) else None,
    )
    return decided([comparison], margin, n)


def bca(spread: Spread, probability: float) -> float:
    """The quantile of the bootstrap at which the true figure lies above with `probability`, Efron's equation 3.8.

    Where nothing varies, or all resamples lie on one side of the estimate, it is the plain percentile.
    """
    below = (spread.resampled < spread.estimate).mean() + (spread.resampled == spread.estimate).mean() / 2
    if not 0 < below < 1:
        return float(np.quantile(spread.resampled, probability))
    bias = ndtri(below)
    tilt = bias + ndtri(probability)
    away = spread.left_out.mean() - spread.left_out
    squares = float((away**2).sum())
    acceleration = float((away**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    if acceleration * tilt >= 1:
        return float(np.quantile(spread.resampled, probability))
    return float(np.quantile(spread.resampled, ndtr(bias + tilt / (1 - acceleration * tilt))))


def _bounds(spread: Spread, confidence: float, unseen: float, excess: tuple[float, float]) -> Interval:
    low, high = np.quantile(spread.resampled, [1 - confidence, confidence])
    return Interval(
        low=min(float(low), bca(spread, 1 - confidence), spread.estimate - unseen) - excess[0],
        high=max(float(high), bca(spread, confidence), spread.estimate + unseen) + excess[1],
    )


def _chunked(figure: Weighted, counts: npt.NDArray[np.uint16]) -> Figures:
    rows = max(1, _ENTRIES // counts.shape[1])
    parts = [figure(counts[k : k + rows].astype(np.float64)) for k in range(0, len(counts), rows)]
    return np.concatenate(parts)


@lru_cache(maxsize=2)
def _drawn(n: int) -> npt.NDArray[np.uint16]:
    """How often each example stands in each resample; the same for all figures of n examples."""
    picks = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    return np.stack([np.bincount(row, minlength=n) for row in picks]).astype(np.uint16)


@lru_cache(maxsize=2)
def _without(n: int) -> npt.NDArray[np.uint16]:
    """Weights that leave out one group of examples at a time; groups are drawn, since examples may be sorted."""
    groups = min(n, _GROUPS)
    member = np.random.default_rng(0).permutation(n) % groups
    kept = (member != np.arange(groups)[:, None]).astype(np.uint16)
    return kept if groups > 1 else np.ones((1, n), np.uint16)
