"""Measure: how much less alike two images look than they should, by structural similarity."""

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
class Ssim(PerNetworkMeasure):
    """(1 - SSIM) / 2, in [0, 1], of the structural similarity of Wang et al. 2004 (IEEE TIP 13), equation 13.

    As they have it: a Gaussian window of 11 pixels and standard deviation 1.5, K1 = 0.01, K2 = 0.03, the mean over all
    places where the window fits and over channels. Smaller images have none.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("ssim", -1.0, 1.0),)
    title: ClassVar[str] = "(1 - SSIM) / 2"

    @override
    def losses(self, stored: Stored) -> Losses:
        return average(np.clip((1.0 - stored.columns["ssim"].astype(np.float64)) / 2, 0.0, 1.0))
