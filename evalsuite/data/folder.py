"""A folder of photos: one folder a class, as ImageNet is kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from typing_extensions import override

from evalsuite.data._class_order import Order
from evalsuite.data._preparation import CROP, Alpha, Interpolation, Orientation, Preparation, Wanted
from evalsuite.data._source import ReadLater
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.files.trees import tree

if TYPE_CHECKING:
    from evalsuite.data._base import Dataset


@final
@dataclass(frozen=True, kw_only=True)
class Folder(ReadLater):
    """PATH/train and PATH/test (or PATH/val), or PATH itself as held-out examples; in each, one folder a class.

    Folders whose names are whole numbers are numbered by them, others in the order of their names, as torchvision's
    ImageFolder does. Images are read when asked for. Photos that all have the size are taken as they are; of others
    the shorter side is resized to `size` divided by `crop` and the centre cut out.

    Attributes:
        path: The folder.
        size: Height and width of an image, in pixels; else the network's, else that of the photos if they share one.
        channels: 3 (RGB) or 1 (luminance).
        crop: The share of the resized shorter side that the centre keeps; else what the network is used to, else 7/8
            (224 of 256 pixels: Krizhevsky et al. 2012).
        interpolation: How photos are resized, with antialiasing; else what the network is used to, else bilinear.
        order: Of classes: by the text of their folders' names, or by the numbers in them.
        classes: A text file that names the classes in the order of their numbers, one a line.
        scale: The value that is white in photos of more than 8 bits a channel, where their type does not say it.
        alpha: What becomes of a transparency channel: drop shows the colours below it.
        orientation: Whether photos are turned as the camera's EXIF entry says.
        frames: Of files that hold several frames the first is taken.
    """

    path: Path
    size: int | None = None
    channels: int = 3
    crop: float | None = None
    interpolation: Interpolation | None = None
    order: Order | None = None
    classes: str | None = None
    scale: float | None = None
    alpha: Alpha | None = None
    orientation: Orientation | None = None
    frames: Literal["first"] | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise UsageError(f"expected size to be at least 1, got {self.size}")
        if self.channels not in {1, 3}:
            raise UsageError(f"expected channels to be 1 or 3, got {self.channels}")
        if self.order is not None and self.classes is not None:
            raise UsageError("expected one of ?order= and ?classes=, got both")
        Preparation(crop=CROP if self.crop is None else self.crop, scale=self.scale)  # which checks their ranges

    @override
    def load_for(self, network: Wanted) -> "Dataset":
        return self._read(network)

    @override
    def files(self) -> tuple[Path, ...]:
        listed = (expanded(self.classes),) if self.classes else ()
        return (*listed, *tree(expanded(self.path)))
