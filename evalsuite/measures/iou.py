"""Measure: one minus intersection over union, image by image."""

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
class Iou(PerNetworkMeasure):
    """One minus the intersection over union of an image, averaged over the classes in it (Everingham et al. 2010).

    The mean over images, which can be compared in pairs; the figure of the literature, over all pixels of the data set,
    is `mean_iou`.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("iou"),)
    title: ClassVar[str] = "1 - IoU of an image"
    required: ClassVar[bool] = True

    @override
    def losses(self, stored: Stored) -> Losses:
        return average(1.0 - stored.columns["iou"].astype(np.float64))
