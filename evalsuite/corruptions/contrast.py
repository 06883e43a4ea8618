"""Contrast: every pixel drawn towards the mean of its image."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._levels import levels, truncated

_LARGE: Final = (0.4, 0.3, 0.2, 0.1, 0.05)
_FACTOR: Final[Table[float]] = {32: (0.75, 0.5, 0.4, 0.3, 0.15), 64: _LARGE, 224: _LARGE, 299: _LARGE}


@final
@dataclass(frozen=True, kw_only=True)
class Contrast(Corruption):
    """(x - mean) * factor + mean, with the mean of each image and channel (section 3).

    Attributes:
        severity: 1 to 5; the factor is 0.75 to 0.15 at 32 px and 0.4 to 0.05 at 224 px.
    """

    group: ClassVar[str] = "digital"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        factor = constants(_FACTOR, self.severity, images.shape)
        values = levels(images)
        # sums of whole levels are exact, so the mean does not depend on the order in which a device adds
        mean = values.sum((2, 3), keepdim=True) / (values.shape[2] * values.shape[3]) / 255
        return truncated((values / 255 - mean) * factor + mean)
