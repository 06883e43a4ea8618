"""The share of pixels whose class is wrong."""

from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from evalsuite.measures._base import Losses, ReadColumn, Stored
from evalsuite.measures._columns import uniform
from evalsuite.measures._draws import average
from evalsuite.measures._per_network import PerNetworkMeasure


@final
@dataclass(frozen=True, kw_only=True)
class PixelError(PerNetworkMeasure):
    """One minus the pixel accuracy of an image; pixels that are not judged count neither way.

    Dominated by large classes, the background above all: `iou` is not.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("pixel_error"),)
    title: ClassVar[str] = "pixels wrong"

    @override
    def losses(self, stored: Stored) -> Losses:
        return average(stored.columns["pixel_error"])
