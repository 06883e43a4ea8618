"""Pascal VOC's segmentation challenge, and data kept in its folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from typing_extensions import override

from evalsuite.data._source import ReadLater
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.files.trees import tree

if TYPE_CHECKING:
    pass

NO_CLASS = 255
"""Value of pixels in masks that belong to no class."""


@final
@dataclass(frozen=True, kw_only=True)
class Voc(ReadLater):
    """PATH/VOCdevkit/VOC{year}: JPEGImages, SegmentationClass, ImageSets/Segmentation (Everingham et al. 2010).

    Networks are trained on `train` and judged on `val`. The shorter side of an image is resized to `size` and the
    centre cut out; masks likewise, without blending classes. Pixels of the void class (255) are not judged.

    Attributes:
        path: The folder that holds VOCdevkit.
        year: Of the challenge, 2007 to 2012.
        size: Height and width after cropping, in pixels; 256 unless it is said.
        classes: As many as masks have, the background included: 21 of the challenge; others for data of one's own.
    """

    path: Path
    year: Literal["2007", "2008", "2009", "2010", "2011", "2012"] = "2012"
    size: int | None = None
    classes: int = 21

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise UsageError(f"expected size to be at least 1, got {self.size}")
        if not 2 <= self.classes <= NO_CLASS:
            raise UsageError(f"expected classes from 2 to {NO_CLASS}, got {self.classes}")

    @override
    def files(self) -> tuple[Path, ...]:
        return tree(expanded(self.path) / "VOCdevkit" / f"VOC{self.year}")
