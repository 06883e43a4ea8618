"""Street View House Numbers, the cropped digits (Netzer et al. 2011)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from evalsuite.data._source import ReadLater, TrainingAdvice

if TYPE_CHECKING:
    pass


@final
@dataclass(frozen=True, kw_only=True)
class Svhn(ReadLater):
    """73 257 and 26 032 photos of digits, 3 x 32 x 32; class 0 is the digit 0."""

    advice: ClassVar[TrainingAdvice] = TrainingAdvice(
        # the field's custom for images of that size
        mirrored=False,
        schedule={"epochs": 12, "batch_size": 128, "learning_rate": 0.2, "shift": 4},
    )

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
