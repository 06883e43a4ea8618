"""Motion blur: the trail of a camera that moves while the shutter is open."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import NEXT_LEVEL, Table, check_severity, constants, length_scale
from evalsuite.corruptions._levels import from_levels, levels, raise_refusal, size
from evalsuite.corruptions._motion import motion, weights
from evalsuite.randomness import uniform

_RADIUS_AND_SIGMA: Final[Table[tuple[float, float]]] = {
    32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
    224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    299: ((12, 4), (17, 6), (17, 9), (17, 13), (22, 16)),
}


@final
@dataclass(frozen=True, kw_only=True)
class MotionBlur(Corruption):
    """ImageMagick's motion blur at a random angle within 45 degrees of the horizontal (section 3).

    Attributes:
        severity: 1 to 5; sigma of the one-sided trail is 1 to 2.5 px at 32 px and 3 to 15 px at 224 px.
    """

    group: ClassVar[str] = "blur"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        radius, sigma = self._radius_and_sigma(images.shape)
        angles = uniform(keys.to(images.device), (), dtype=torch.float64) * 90 - 45
        return from_levels(motion(levels(images), angles, radius, sigma))

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        radius, sigma = self._radius_and_sigma(shape)
        if 1 - float(weights(radius, sigma)[0]) >= NEXT_LEVEL:
            return None
        given = f"{size(shape)} (sigma {sigma:.3g} px)"
        return f"expected images on which the scaled trail reaches the next pixel, got {given}"

    def _radius_and_sigma(self, shape: tuple[int, ...]) -> tuple[float, float]:
        radius, sigma = constants(_RADIUS_AND_SIGMA, self.severity, shape)
        return radius * length_scale(shape), sigma * length_scale(shape)
