"""Confidence intervals for a single proportion: the share of examples with loss 1."""

import math

from scipy.special import betaincinv

from evalsuite.statistics._interval import Interval, check_confidence, normal_quantile, one_sided


def clopper_pearson(successes: int, n: int, *, confidence: float) -> Interval:
    """The exact interval of Clopper and Pearson 1934: covers with at least `confidence` for every n.

    Raises:
        ValueError: `successes` is not in 0, ..., n, n is 0, or confidence is not in (0.5, 1).
    """
    _check(successes, n)
    check_confidence(confidence)
    tail = 1 - one_sided(confidence)
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return Interval(low=low, high=high)


def wilson(successes: int, n: int, *, confidence: float) -> Interval:
    """The score interval of Wilson 1927: covers with `confidence` on average over proportions, not for each.

    Raises:
        ValueError: As `clopper_pearson`.
    """
    _check(successes, n)
    z = normal_quantile(one_sided(confidence))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at the ends the formula gives 0 and 1 but for rounding
    low = centre - half if successes else 0.0
    high = centre + half if successes < n else 1.0
    return Interval(low=low, high=high)


def _check(successes: int, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n and n >= 1, got {successes} and {n}")
