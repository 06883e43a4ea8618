"""Brightness: a constant added to the value of every pixel, as daylight varies."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._hsv import to_hsv, to_rgb
from evalsuite.corruptions._levels import levels, truncated

_LARGE: Final = (0.1, 0.2, 0.3, 0.4, 0.5)
_SHIFT: Final[Table[float]] = {32: (0.05, 0.1, 0.15, 0.2, 0.3), 64: _LARGE, 224: _LARGE, 299: _LARGE}


@final
@dataclass(frozen=True, kw_only=True)
class Brightness(Corruption):
    """Value raised in HSV, hue and saturation kept; a gray image is its own value (section 3).

    Attributes:
        severity: 1 to 5; the shift is 0.05 to 0.3 at 32 px and 0.1 to 0.5 at 224 px, on the scale where white is 1.
    """

    group: ClassVar[str] = "weather"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        shift = constants(_SHIFT, self.severity, images.shape)
        values = levels(images) / 255
        if images.shape[1] == 1:
            return truncated(values + shift)
        hue, saturation, value = to_hsv(values)
        return truncated(to_rgb(hue, saturation, (value + shift).clamp_(0, 1)))
