"""The share of pixels whose class is wrong."""

from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from evalsuite.measures._alone import Alone
from evalsuite.measures._base import Losses, Stored
from evalsuite.measures._draws import average


@final
@dataclass(frozen=True, kw_only=True)
class PixelError(Alone):
    """One minus the pixel accuracy of an image; pixels that are not judged count neither way.

    Dominated by large classes, the background above all: `iou` is not.
    """

    needs: ClassVar[tuple[str, ...]] = ("pixel_error",)
    title: ClassVar[str] = "pixels wrong"

    @override
    def losses(self, stored: Stored) -> Losses:
        return average(stored.own["pixel_error"])
