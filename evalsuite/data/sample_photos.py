"""Two photos that come with scikit-learn, cut into patches: super-resolution without a download."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from typing_extensions import override

from evalsuite.data._source import ReadLater
from evalsuite.data.super_resolution import FACTOR
from evalsuite.errors import UsageError

if TYPE_CHECKING:
    pass

SIZE = 16


@final
@dataclass(frozen=True, kw_only=True)
class SamplePhotos(ReadLater):
    """Patches of a photo of a temple are trained on, those of a photo of a flower are held out (640 x 427 pixels each).

    Small images are made from them as of `super-resolution:PATH`.

    Attributes:
        factor: How many times as many pixels a side of the answer has, at least 2; 2 unless it is said.
        size: Height and width of the small image, in pixels, 16 unless it is said; patches have `factor` times as many.
    """

    factor: int | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        factor, size = self.scale
        if factor < 2 or not 1 <= size * factor <= 427:
            raise UsageError(f"expected factor >= 2 and patches of 1 to 427 pixels, got {factor} x {size}")

    @property
    def scale(self) -> tuple[int, int]:
        """Factor and size."""
        return FACTOR if self.factor is None else self.factor, SIZE if self.size is None else self.size

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
