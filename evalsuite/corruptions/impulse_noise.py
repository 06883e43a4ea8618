"""Impulse noise: salt and pepper, the colour analogue of dead pixels."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._levels import from_levels, levels
from evalsuite.randomness import uniform

_AMOUNT: Final[Table[float]] = {
    32: (0.01, 0.02, 0.03, 0.05, 0.07),
    64: (0.01, 0.02, 0.05, 0.08, 0.14),
    224: (0.03, 0.06, 0.09, 0.17, 0.27),
    299: (0.04, 0.07, 0.10, 0.18, 0.28),
}


@final
@dataclass(frozen=True, kw_only=True)
class ImpulseNoise(Corruption):
    """Each channel of each pixel is replaced on its own, half of the time by 1 and half by 0 (section 3).

    Attributes:
        severity: 1 to 5; the share replaced is 0.01 to 0.07 at 32 px and 0.03 to 0.27 at 224 px.
    """

    group: ClassVar[str] = "noise"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        amount = constants(_AMOUNT, self.severity, images.shape)
        draws = uniform(keys.to(images.device), images.shape[1:], dtype=torch.float64)
        values = levels(images)
        values.masked_fill_(draws < amount, 0.0).masked_fill_(draws < amount / 2, 255.0)
        return from_levels(values)
