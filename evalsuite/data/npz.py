"""One numpy archive with the arrays x_test and y_test and, where there are training examples, x_train and y_train."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from typing_extensions import override

from evalsuite.data._source import ReadLater
from evalsuite.errors import UsageError

if TYPE_CHECKING:
    pass


@final
@dataclass(frozen=True, kw_only=True)
class Npz(ReadLater):
    """Images n h w c, n c h w or n h w (one channel), uint8, float in [0, 1] or boolean; labels from 0.

    Labels are whole numbers, (n,) or (n, 1), or rows with a single one (one-hot). An array `classes` of strings may
    name the classes; without it there are as many as the highest label tells. Pickled objects are never read.

    Attributes:
        path: The file, as `numpy.savez` or `numpy.savez_compressed` writes it.
        scale: The value that is white; else 255 for uint8 and 1 for floats. Other whole numbers need it.
    """

    path: Path
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not self.scale > 0:
            raise UsageError(f"expected scale to be the value that is white, above 0, got {self.scale:g}")

    @override
    def files(self) -> tuple[Path, ...]:
        return (self.path.expanduser(),)
