"""Shot noise: Poisson(c x) / c, the graininess of counting photons."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import pdtr, pdtrik
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._levels import levels, truncated
from evalsuite.randomness import uniform

_PHOTONS: Final[Table[int]] = {
    32: (500, 250, 100, 75, 50),
    64: (250, 100, 50, 30, 15),
    224: (60, 25, 12, 5, 3),
    299: (50, 20, 10, 5, 3),
}


@final
@dataclass(frozen=True, kw_only=True)
class ShotNoise(Corruption):
    """Poisson noise (Hendrycks and Dietterich 2019, section 3).

    Drawn by inverting the distribution function, so one uniform number decides one count on any device.

    Attributes:
        severity: 1 to 5; a white pixel counts 500 down to 50 photons at 32 px and 60 down to 3 at 224 px.
    """

    group: ClassVar[str] = "noise"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        photons = constants(_PHOTONS, self.severity, images.shape)
        draws = uniform(keys.to(images.device), images.shape[1:], dtype=torch.float64)
        return truncated(_counts(levels(images), draws, photons) / photons)


def _counts(level: Tensor, draws: Tensor, photons: int) -> Tensor:
    """Poisson counts of mean photons * level / 255: the smallest k with P(X <= k) > draw."""
    table = torch.from_numpy(_distribution(photons)).to(level.device)
    # row r holds r + P(X <= k), so that all 256 rows are one increasing sequence and one search serves them all;
    # next to 255 float64 has 45 binary places, and a draw that rounded up to 1 would end in the next row
    place = torch.searchsorted(table.flatten(), level + draws.clamp(max=1 - 2.0**-45), right=True)
    return place - level.long() * table.shape[1]


@lru_cache(maxsize=8)
def _distribution(photons: int) -> NDArray[np.float64]:
    most = int(pdtrik(1 - 2.0**-46, photons)) + 3
    level = np.arange(256)[:, None]
    below: NDArray[np.float64] = np.asarray(pdtr(np.arange(most)[None], level / 255 * photons), np.float64)
    # less than 2^-46 lies beyond the last column: no draw is that near to 1
    below[:, -1] = 1.0
    return level + below
