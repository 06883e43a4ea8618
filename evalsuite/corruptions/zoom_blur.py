"""Zoom blur: the image averaged with its own enlargements, as when the camera moves towards the scene."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._levels import levels, truncated
from evalsuite.corruptions._zoom import clipped_zoom

_SMALL: Final = ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01))
_LARGE: Final = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
_STOP_AND_STEP: Final[Table[tuple[float, float]]] = {32: _SMALL, 64: _SMALL, 224: _LARGE, 299: _LARGE}


@final
@dataclass(frozen=True, kw_only=True)
class ZoomBlur(Corruption):
    """Mean of the image and its zooms by 1, 1 + step, ... (Hendrycks and Dietterich 2019, section 3).

    Attributes:
        severity: 1 to 5; the largest zoom is 1.06 to 1.25 at 32 px and 1.11 to 1.30 at 224 px.
    """

    group: ClassVar[str] = "blur"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        factors = _factors(*constants(_STOP_AND_STEP, self.severity, images.shape))
        # the published generator sums in float32, and so do we
        values = levels(images).div_(255).float()
        zooms = torch.zeros_like(values)
        for factor in factors:
            zooms += clipped_zoom(values, factor).float()
        return truncated((values + zooms) / (len(factors) + 1))


def _factors(stop: float, step: float) -> tuple[float, ...]:
    """The zooms from 1 up to `stop`, which rounding in `arange` includes at some severities and not at others."""
    return tuple(np.arange(1, stop, step).tolist())
