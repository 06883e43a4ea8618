"""Measure: the certified radius that is missing, as a loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import PREDICTION, uniform
from evalsuite.measures._draws import average
from evalsuite.measures._wrong import right


@final
@dataclass(frozen=True, kw_only=True)
class LostRadius(Measure):
    """1 - min(radius, scale) / scale of rightly classified examples, 1 of all others.

    With no radius above `scale` it is 1 - ACR / scale, where ACR is the average certified radius of Zhai et al. 2020
    (arXiv:2001.02378), section 4, so a margin of 0.005 at the default scale is one of 0.005 in radius. Unlike certified
    accuracy it needs no radius to be chosen: it is the area under the curve of certified accuracy.

    Attributes:
        scale: L2 radius from which nothing more is gained, in units of the image's range [0, 1]; above 0.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION, uniform("radius"))
    title: ClassVar[str] = "lost certified radius"

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"expected scale > 0, got {self.scale}")

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        del readings
        return Paired(child=self._lost(child, truth), parent=self._lost(parent, truth))

    def _lost(self, stored: Stored, truth: Annotations) -> Losses:
        radius = np.where(right(stored, truth.labels, {}), stored.columns["radius"].astype(np.float64), 0.0)
        return average(1 - np.minimum(radius, self.scale) / self.scale)
