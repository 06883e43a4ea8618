"""Excess error: how much more a shift costs a pruned network than its parent, and how that grows with the ratio.

Lost in Pruning (Liebenwein et al. 2021), section 5.3, with one change: seeds are resampled whole, since the points of
one prune-retrain cascade depend on each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def excess_error(*, shifted: Array, nominal: Array, parent_shifted: Array, parent_nominal: Array) -> Array:
    """(err on shifted - err on nominal) of each network, minus the same of its parent; positive: it suffers more.

    Args:
        shifted: (networks, shifted tasks), mean losses.
        nominal: (networks, nominal tasks).
        parent_shifted: (shifted tasks,).
        parent_nominal: (nominal tasks,).

    Returns:
        (networks,), each group of tasks averaged with equal weight.
    """
    excess = shifted.mean(axis=1) - nominal.mean(axis=1)
    return np.asarray(excess - (parent_shifted.mean() - parent_nominal.mean()))


def standard_error(parts: Sequence[Array]) -> float:
    """Of a sum of means: the square root of the sum of variance / n over independent samples.

    Args:
        parts: Samples (n,), n >= 2. In each stands what an example adds to the excess error, over all tasks that it
            was asked under, so that what these have in common counts; samples of other examples are independent.

    Raises:
        ValueError: There is no sample, or one of fewer than two examples.
    """
    if not parts or min(map(len, parts)) < 2:
        raise ValueError(f"expected samples of two or more examples, got {[len(part) for part in parts]}")
    return float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)))


@final
@dataclass(frozen=True, kw_only=True)
class Regression:
    """Least squares through the origin: excess error = slope * prune ratio.

    At ratio x the line is slope * x and its band reaches from slope_low * x to slope_high * x.

    Attributes:
        slope: Excess error per unit of prune ratio.
        slope_low: Lower end of the percentile band; None where there is one seed, and nothing to resample.
        slope_high: Upper end.
    """

    slope: float
    slope_low: float | None
    slope_high: float | None


def regress(
    ratios: Array,
    excess: Array,
    seeds: npt.NDArray[np.int64],
    *,
    generator: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Regression:
    """Regress excess error on prune ratio, with a bootstrap band that resamples whole seeds.

    Args:
        ratios: (points,), prune ratios.
        excess: (points,), excess errors.
        seeds: (points,), the seed of each point's cascade.
        generator: Draws the resamples.
        confidence: Of the pointwise percentile band, in (0, 1).
        resamples: Number of them, >= 1.

    Raises:
        ValueError: Shapes differ, or no ratio is above 0.
    """
    if not ratios.shape == excess.shape == seeds.shape or ratios.ndim != 1:
        raise ValueError(f"expected one shape (points,), got {ratios.shape}, {excess.shape} and {seeds.shape}")
    if not (ratios > 0).any():
        raise ValueError("expected a ratio above 0, got none")
    names, which = np.unique(seeds, return_inverse=True)
    # a slope is a quotient of sums over points, so a resample of seeds is a resample of each seed's two sums
    products = np.bincount(which, weights=ratios * excess)
    squares = np.bincount(which, weights=ratios**2)
    slope = float(products.sum() / squares.sum())
    if len(names) == 1:
        return Regression(slope=slope, slope_low=None, slope_high=None)
    drawn = generator.integers(len(names), size=(resamples, len(names)))
    total = squares[drawn].sum(axis=1)
    slopes = products[drawn].sum(axis=1)[total > 0] / total[total > 0]
    low, high = np.quantile(slopes, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Regression(slope=slope, slope_low=float(low), slope_high=float(high))
