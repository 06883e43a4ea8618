"""The share of pixels whose class is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, Measure, Paired, Stored
from evalsuite.measures._draws import average


@final
@dataclass(frozen=True, kw_only=True)
class PixelError(Measure):
    """One minus the pixel accuracy of an image; pixels that are not judged count neither way.

    Dominated by large classes, the background above all: `iou` is not.
    """

    needs: ClassVar[tuple[str, ...]] = ("pixel_error",)
    title: ClassVar[str] = "pixels wrong"

    @override
    def __call__(self, child: Stored, parent: Stored, known: Annotations, readings: Mapping[str, float]) -> Paired:
        del known, readings
        return Paired(child=_losses(child), parent=_losses(parent))


def _losses(stored: Stored) -> Losses:
    return average(stored.own["pixel_error"])
