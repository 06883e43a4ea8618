"""Tango's score interval for the difference of two paired proportions.

T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
Statistics in Medicine 17 (1998), 891-908. Recommended for paired binary data by Fagerland, Lydersen and Laake 2014.

Counts: of n pairs, n10 have loss 1 in the first member only (the network fails, its parent does not) and n01 in the
second only. The difference is (n10 - n01) / n.
"""

import math

from evalsuite.statistics._interval import Interval, normal_quantile, one_sided

_HALVINGS = 60  # from a bracket of at most 2 to the last bit


def upper(n10: int, n01: int, n: int, *, confidence: float) -> float:
    """One-sided upper confidence bound of the difference, in [-1, 1].

    The largest difference that the score test does not reject at level 1 - confidence. Without discordant pairs
    it is z² / (n + z²).

    Raises:
        ValueError: Counts are negative, more pairs are discordant than there are, or confidence is not in (0.5, 1).
    """
    _check(n10, n01, n)
    z = normal_quantile(confidence)
    low, high = (n10 - n01) / n, 1.0
    # halving needs nothing but the sign: at the estimate itself score and variance can both be 0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if n * middle - (n10 - n01) >= z * math.sqrt(_variance(n10, n01, n, middle)):
            high = middle
        else:
            low = middle
    return high


def lower(n10: int, n01: int, n: int, *, confidence: float) -> float:
    """One-sided lower confidence bound of the difference: `upper` with the members of the pair exchanged."""
    return -upper(n01, n10, n, confidence=confidence)


def interval(n10: int, n01: int, n: int, *, confidence: float) -> Interval:
    """Two-sided confidence interval of the difference."""
    side = one_sided(confidence)
    return Interval(low=lower(n10, n01, n, confidence=side), high=upper(n10, n01, n, confidence=side))


def score(n10: int, n01: int, n: int, difference: float) -> float:
    """Tango's statistic for the hypothesis that the true difference is `difference`; standard normal under it.

    Positive where the observed difference is larger. With every count multiplied by k it grows by sqrt(k).
    """
    _check(n10, n01, n)
    distance = n10 - n01 - n * difference
    spread = math.sqrt(_variance(n10, n01, n, difference))
    if spread == 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / spread


def _variance(n10: int, n01: int, n: int, difference: float) -> float:
    """Variance of n10 - n01 at the maximum-likelihood estimate under the hypothesis: n (2 q01 + d (1 - d)).

    q01 is the larger root of 2n q² + b q - n01 d (1 - d) = 0 with b = (2n - n10 + n01) d - n10 - n01.
    """
    b = (2 * n - n10 + n01) * difference - n10 - n01
    c = n01 * difference * (1 - difference)
    root = math.sqrt(max(b * b + 8 * n * c, 0.0))
    return max((root - b) / 2 + n * difference * (1 - difference), 0.0)


def _check(n10: int, n01: int, n: int) -> None:
    if n10 < 0 or n01 < 0 or n < 1 or n10 + n01 > n:
        raise ValueError(f"expected n10 >= 0, n01 >= 0 and n10 + n01 <= n, n >= 1, got {n10}, {n01} and {n}")
