"""Super-resolution of a folder of photos, which are made smaller and are the right answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from typing_extensions import override

from evalsuite.data._source import ReadLater
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.files.trees import tree

if TYPE_CHECKING:
    pass

FACTOR = 2
SIZE = 48


@final
@dataclass(frozen=True, kw_only=True)
class SuperResolutionPhotos(ReadLater):
    """PATH/train and PATH/test (or PATH/val), or PATH itself as held-out examples; photos lie in them directly.

    The centre of each photo is the right answer; the image that a network sees is made from it by bicubic
    interpolation with antialiasing, as DIV2K's small images are (Agustsson and Timofte 2017), in steps of 1/255.

    Attributes:
        path: The folder.
        factor: How many times as many pixels a side of the answer has, at least 2; 2 unless it is said.
        size: Height and width of the small image, in pixels; 48 unless it is said.
    """

    path: Path
    factor: int | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        check_enlargement(*self.scale)

    @property
    def scale(self) -> tuple[int, int]:
        """Factor and size."""
        return FACTOR if self.factor is None else self.factor, SIZE if self.size is None else self.size

    @override
    def files(self) -> tuple[Path, ...]:
        return tree(expanded(self.path))


def check_enlargement(factor: int, size: int) -> None:
    """Make sure that an image can be made larger.

    Raises:
        UsageError: It cannot.
    """
    if factor < 2 or size < 1:
        raise UsageError(f"expected factor >= 2 and size >= 1, got {factor} and {size}")
