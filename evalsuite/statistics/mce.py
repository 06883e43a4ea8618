"""Mean corruption error and its relative form (Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4).

CE_c = sum_s E(s, c) / sum_s E_base(s, c) and relative CE_c = sum_s (E(s, c) - E_clean) / sum_s (E_base(s, c) -
E_base_clean); their means over the corruptions c. Ratios are taken corruption by corruption, then averaged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from evalsuite.statistics._interval import one_sided
from evalsuite.statistics.bootstrap import Weighted, bca, spread

Array = npt.NDArray[np.float64]

ALEXNET: Final[Mapping[str, tuple[float, float, float, float, float]]] = {
    "gaussian_noise": (0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
    "shot_noise": (0.71224, 0.85108, 0.93574, 0.98182, 0.99146),
    "impulse_noise": (0.78374, 0.89808, 0.94870, 0.98720, 0.99548),
    "defocus_blur": (0.65624, 0.73202, 0.85036, 0.91364, 0.94714),
    "glass_blur": (0.64308, 0.75054, 0.88806, 0.91622, 0.93344),
    "motion_blur": (0.58430, 0.70048, 0.82108, 0.89750, 0.92638),
    "zoom_blur": (0.70008, 0.76992, 0.80784, 0.84198, 0.87198),
    "snow": (0.71726, 0.88392, 0.86468, 0.91870, 0.94952),
    "frost": (0.61390, 0.79734, 0.88790, 0.89942, 0.93430),
    "fog": (0.67474, 0.76050, 0.84378, 0.87260, 0.94500),
    "brightness": (0.45140, 0.48502, 0.54048, 0.62166, 0.72440),
    "contrast": (0.64548, 0.76150, 0.88874, 0.97760, 0.99270),
    "elastic_transform": (0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
    "pixelate": (0.52218, 0.54620, 0.73728, 0.87092, 0.91262),
    "jpeg_compression": (0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
}
"""Errors of torchvision's AlexNet on ImageNet-C by severity, as the authors publish them."""
ALEXNET_CLEAN: Final = 0.43478
"""Its error on ImageNet's validation images: 1 less the 56.522 % that `AlexNet_Weights.IMAGENET1K_V1` documents as its
accuracy. The authors took these weights."""
_NOTHING: Final = 1e-9  # a sum of losses that is 0 but for rounding


@final
@dataclass(frozen=True, kw_only=True)
class Errors:
    """Losses of one network, example by example, in [0, 1].

    Attributes:
        corrupted: (corruptions, n), each the mean over the severities; the same examples under all corruptions.
        clean: (n,), on the same examples as they are; None where that is not known.
    """

    corrupted: Array
    clean: Array | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Published:
    """Error rates of a network that is not at hand.

    Attributes:
        corrupted: (corruptions,), each the mean over the severities.
        clean: On images as they are.
    """

    corrupted: Array
    clean: float


@final
@dataclass(frozen=True, kw_only=True)
class CorruptionError:
    """A mean corruption error, 1 where the network is as good as the baseline, and its two-sided interval.

    Attributes:
        n: Number of examples.
        value: The error itself.
        low: BCa percentiles of a bootstrap that draws examples with all their corruptions, for network and baseline.
        high: Likewise.
    """

    n: int
    value: float
    low: float
    high: float


def mean_corruption_error(errors: Errors, baseline: Errors | Published, *, confidence: float) -> CorruptionError | None:
    """mCE; None where the baseline errs so rarely that the ratio to it is not defined in every resample."""
    base = baseline.corrupted if isinstance(baseline, Errors) else baseline.corrupted[:, None]
    return _mean_ratio(errors.corrupted, base, confidence)


def relative_mean_corruption_error(
    errors: Errors, baseline: Errors | Published, *, confidence: float
) -> CorruptionError | None:
    """Relative mCE; None where clean losses are missing, or a corruption need not cost the baseline anything."""
    if errors.clean is None or baseline.clean is None:
        return None
    if isinstance(baseline, Errors):
        base = baseline.corrupted - baseline.clean
    else:
        base = (baseline.corrupted - baseline.clean)[:, None]
    return _mean_ratio(errors.corrupted - errors.clean, base, confidence)


def _mean_ratio(above: Array, below: Array, confidence: float) -> CorruptionError | None:
    n = above.shape[1]
    if not n or below.shape not in {above.shape, (len(above), 1)}:
        raise ValueError(f"expected losses of the same n >= 1 examples, got {above.shape} and {below.shape}")
    below = np.broadcast_to(below, above.shape)
    # a resample in which the baseline loses nothing says that the ratio has no upper end
    least = spread(_least(below), n)
    if min(least.estimate, least.resampled.min(), least.left_out.min()) <= _NOTHING:
        return None
    interval = spread(_ratios(above, below), n)
    side = one_sided(confidence)
    return CorruptionError(n=n, value=interval.estimate, low=bca(interval, 1 - side), high=bca(interval, side))


def _ratios(above: Array, below: Array) -> Weighted:
    def figure(weights: Array) -> Array:
        ratios: Array = ((weights @ above.T) / (weights @ below.T)).mean(axis=1)
        return ratios

    return figure


def _least(below: Array) -> Weighted:
    def figure(weights: Array) -> Array:
        least: Array = (weights @ below.T).min(axis=1)
        return least

    return figure
