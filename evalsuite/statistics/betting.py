"""Confidence bounds for the mean of bounded values, by betting; no assumption beyond the bounds.

I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024), 1-27
(arXiv:2010.09686, 2020): the capital process of theorem 3, one-sided, with the predictable plug-in bets for a fixed
number of values. Valid at every n, not only for large ones.

A gambler bets that the mean is smaller than m; if the true mean is m, the stakes are fair, and by Ville's
inequality the capital ever reaches 1 / alpha with probability at most alpha. Every m at which it does is given up.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from evalsuite.statistics._interval import Interval, check_confidence, one_sided

Values = npt.NDArray[np.float64]

_TRUNCATION = 0.75  # the most that one bet may lose; 1/2 or 3/4 in the paper


def upper(values: Values, *, confidence: float, support: tuple[float, float] = (0.0, 1.0)) -> float:
    """One-sided upper confidence bound of the mean.

    Args:
        values: (n,), n >= 1, within `support`. The bound depends on their order, which must not depend on the values
            (data sorted by class have to be shuffled first).
        confidence: In (0.5, 1).
        support: Smallest and largest possible value.

    Raises:
        ValueError: No values, values outside the support, or confidence not in (0.5, 1).
    """
    check_confidence(confidence)
    low, high = support
    if values.ndim != 1 or len(values) == 0 or not ((values >= low) & (values <= high)).all():
        raise ValueError(f"expected one or more values in [{low:g}, {high:g}], got shape {values.shape}")
    unit = (values - low) / (high - low)
    goal = -math.log1p(-confidence)
    bets = _bets(unit, goal)

    def gain(mean: float) -> float:
        most = _TRUNCATION / (1 - mean) if mean < 1 else math.inf
        capital = np.log1p(np.minimum(bets, most) * (mean - unit)).cumsum()
        return float(capital.max()) - goal

    # the capital grows with the mean that is bet against, whatever the values: one crossing, or none
    bound = float(brentq(gain, 0.0, 1.0, xtol=1e-13)) if gain(1.0) > 0 else 1.0
    return low + bound * (high - low)


def lower(values: Values, *, confidence: float, support: tuple[float, float] = (0.0, 1.0)) -> float:
    """One-sided lower confidence bound of the mean: `upper` of the values with their sign changed."""
    return -upper(-values, confidence=confidence, support=(-support[1], -support[0]))


def interval(values: Values, *, confidence: float, support: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """Two-sided confidence interval of the mean."""
    side = one_sided(confidence)
    return Interval(
        low=lower(values, confidence=side, support=support), high=upper(values, confidence=side, support=support)
    )


def _bets(unit: Values, goal: float) -> Values:
    """Bets before truncation: sqrt(2 log(1 / alpha) / (n variance)), the variance from the values before each bet."""
    n = len(unit)
    count = np.arange(2, n + 2)
    mean = (0.5 + unit.cumsum()) / count
    variance = (0.25 + ((unit - mean) ** 2).cumsum()) / count
    before = np.concatenate([[0.25], variance[:-1]])
    return np.sqrt(2 * goal / (n * before))
