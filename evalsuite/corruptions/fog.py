"""Fog: a plasma fractal mixed in."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants, length_scale, table_side
from evalsuite.corruptions._levels import levels, truncated
from evalsuite.corruptions._plasma import plasma

_AMOUNT_AND_DECAY: Final[Table[tuple[float, float]]] = {
    32: ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    64: ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
    224: ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    299: ((1.5, 2), (2, 2), (2.5, 1.8), (2.5, 1.6), (3, 1.5)),
}
_MAP_SIDE: Final = {32: 32, 64: 64, 224: 256, 299: 512}


@final
@dataclass(frozen=True, kw_only=True)
class Fog(Corruption):
    """(x + amount * plasma) * max / (max + amount), with the brightest level of the image as max (section 3).

    Attributes:
        severity: 1 to 5; the amount is 0.2 to 1.5 at 32 px and 1.5 to 3 at 224 px.
    """

    group: ClassVar[str] = "weather"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        amount, decay = constants(_AMOUNT_AND_DECAY, self.severity, images.shape)
        height, width = images.shape[-2:]
        fog = plasma(keys.to(images.device), _map_side(height, width), decay)[:, None, :height, :width]
        values = levels(images) / 255
        brightest = values.amax((1, 2, 3), keepdim=True)
        return truncated((values + amount * fog) * brightest / (brightest + amount))


def _map_side(height: int, width: int) -> int:
    """The published map scaled as lengths are, rounded up to a power of two that covers the image."""
    scaled = _MAP_SIDE[table_side((height, width))] * length_scale((height, width))
    # rounded to whole pixels first: 32 * (28 / 32) may come out above 28
    least = max(round(scaled), height, width)
    return 1 << (least - 1).bit_length()
