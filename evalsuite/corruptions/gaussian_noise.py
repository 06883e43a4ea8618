"""Gaussian noise: x + N(0, sigma^2), as in low light."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._levels import levels, truncated
from evalsuite.randomness import normal

_SIGMA: Final[Table[float]] = {
    32: (0.04, 0.06, 0.08, 0.09, 0.10),
    64: (0.04, 0.08, 0.12, 0.15, 0.18),
    224: (0.08, 0.12, 0.18, 0.26, 0.38),
    299: (0.09, 0.13, 0.19, 0.27, 0.40),
}


@final
@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Corruption):
    """Independent Gaussian noise on every channel of every pixel (Hendrycks and Dietterich 2019, section 3).

    Attributes:
        severity: 1 to 5; sigma is 0.04 to 0.10 at 32 px and 0.08 to 0.38 at 224 px, on the scale where white is 1.
    """

    group: ClassVar[str] = "noise"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        sigma = constants(_SIGMA, self.severity, images.shape)
        noise = normal(keys.to(images.device), images.shape[1:])
        return truncated(levels(images) / 255 + noise.double() * sigma)
