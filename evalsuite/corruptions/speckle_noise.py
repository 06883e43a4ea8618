"""Speckle noise: x + x N(0, sigma^2), noise in proportion to brightness."""

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
    32: (0.06, 0.10, 0.12, 0.16, 0.20),
    64: (0.15, 0.20, 0.25, 0.30, 0.35),
    224: (0.15, 0.20, 0.35, 0.45, 0.60),
    299: (0.16, 0.21, 0.36, 0.46, 0.61),
}


@final
@dataclass(frozen=True, kw_only=True)
class SpeckleNoise(Corruption):
    """Multiplicative Gaussian noise (Hendrycks and Dietterich 2019, appendix B: validation corruptions).

    Attributes:
        severity: 1 to 5; sigma is 0.06 to 0.20 at 32 px and 0.15 to 0.60 at 224 px, relative to the pixel.
    """

    group: ClassVar[str] = "extra"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        sigma = constants(_SIGMA, self.severity, images.shape)
        noise = normal(keys.to(images.device), images.shape[1:]).double() * sigma
        values = levels(images) / 255
        return truncated(values + values * noise)
