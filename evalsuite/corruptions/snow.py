"""Snow: blown flakes in front of a whitened image."""

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, final

import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants, length_scale
from evalsuite.corruptions._levels import gray, levels, truncated
from evalsuite.corruptions._motion import motion
from evalsuite.corruptions._zoom import clipped_zoom
from evalsuite.randomness import fold, normal, uniform


class _Flakes(NamedTuple):
    mean: float
    deviation: float
    zoom: float
    threshold: float
    radius: float
    sigma: float
    kept: float


_32: Final = (
    _Flakes(0.1, 0.2, 1, 0.6, 8, 3, 0.95),
    _Flakes(0.1, 0.2, 1, 0.5, 10, 4, 0.9),
    _Flakes(0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    _Flakes(0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    _Flakes(0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
)
_64: Final = tuple(row._replace(kept=kept) for row, kept in zip(_32, (0.8, 0.8, 0.7, 0.65, 0.6), strict=True))
_224: Final = (
    _Flakes(0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    _Flakes(0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    _Flakes(0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    _Flakes(0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    _Flakes(0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
_FLAKES: Final[Table[_Flakes]] = {32: _32, 64: _64, 224: _224, 299: _224}


@final
@dataclass(frozen=True, kw_only=True)
class Snow(Corruption):
    """Thresholded noise, enlarged and smeared downwards, added together with its half turn (section 3).

    Attributes:
        severity: 1 to 5; flakes are 1 to 2.25 px at 32 px and 2 to 4.5 px at 224 px. Not monotone in difficulty.
    """

    group: ClassVar[str] = "weather"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        flakes = constants(_FLAKES, self.severity, images.shape)
        height, width = images.shape[-2:]
        layer = _layer(keys.to(images.device), height, width, flakes, length_scale(images.shape))
        # the published generator whitens in float32
        values = levels(images).div_(255).float()
        white = torch.maximum(values, gray(values) * 1.5 + 0.5)
        whitened = flakes.kept * values + (1 - flakes.kept) * white
        return truncated(whitened.double() + layer + layer.flip(2, 3))


def _layer(keys: Tensor, height: int, width: int, flakes: _Flakes, scale: float) -> Tensor:
    """The falling snow, (n, 1, height, width), float64 in [0, 1]."""
    noise = normal(fold(keys, 0), (1, height, width)).double() * flakes.deviation + flakes.mean
    # a flake is never smaller than a pixel
    grown = clipped_zoom(noise, max(1.0, flakes.zoom * scale))
    grown.masked_fill_(grown < flakes.threshold, 0.0)
    angles = uniform(fold(keys, 1), (), dtype=torch.float64) * 90 - 135
    bright = grown.clamp_(0, 1).mul_(255).floor_()
    return motion(bright, angles, flakes.radius * scale, flakes.sigma * scale) / 255
