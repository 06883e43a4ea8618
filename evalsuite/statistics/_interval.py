"""What every interval of this folder returns, and what every confidence is checked against."""

from dataclasses import dataclass
from typing import final

from scipy.special import ndtri


@final
@dataclass(frozen=True, kw_only=True)
class Interval:
    """A two-sided confidence interval; each side errs with at most half the error."""

    low: float
    high: float


def normal_quantile(confidence: float) -> float:
    """The standard normal quantile, > 0.

    Raises:
        ValueError: `confidence` is not in (0.5, 1).
    """
    check_confidence(confidence)
    return float(ndtri(confidence))


def check_confidence(confidence: float) -> None:
    """Raises ValueError unless 0.5 < `confidence` < 1."""
    if not 0.5 < confidence < 1:
        raise ValueError(f"expected 0.5 < confidence < 1, got {confidence}")


def one_sided(confidence: float) -> float:
    """The confidence that each side of a two-sided interval has to have."""
    return (1 + confidence) / 2
