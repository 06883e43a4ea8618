"""Measure: how much noisier an image comes out than it should, by its peak signal-to-noise ratio."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Losses, ReadColumn, Stored
from evalsuite.measures._columns import uniform
from evalsuite.measures._draws import average
from evalsuite.measures._per_network import PerNetworkMeasure


@final
@dataclass(frozen=True, kw_only=True)
class Psnr(PerNetworkMeasure):
    """One minus the peak signal-to-noise ratio over `top`, cut to [0, 1]: a margin of 0.005 is a quarter of a dB.

    Attributes:
        top: dB that count as no loss, above 0; rounding to 8 bits alone leaves about 59 dB.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("psnr", 10.0, 60.0),)
    title: ClassVar[str] = "1 - PSNR / 50 dB"
    required: ClassVar[bool] = True

    top: float = 50.0

    def __post_init__(self) -> None:
        if not self.top > 0:
            raise ValueError(f"expected top to be above 0, got {self.top}")

    @override
    def losses(self, stored: Stored) -> Losses:
        return average(1.0 - np.clip(stored.columns["psnr"].astype(np.float64) / self.top, 0.0, 1.0))
