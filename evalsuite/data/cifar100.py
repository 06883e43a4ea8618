"""CIFAR-100 with its 100 fine classes (Krizhevsky 2009)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from evalsuite.data._source import Source, TrainingAdvice

if TYPE_CHECKING:
    from evalsuite.data._base import Dataset
# mean and standard deviation of the 50 000 training images
_STATISTICS = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)


@final
@dataclass(frozen=True, kw_only=True)
class Cifar100(Source):
    """50 000 and 10 000 photos of 100 kinds of things, 3 x 32 x 32."""

    advice: ClassVar[TrainingAdvice] = TrainingAdvice(
        # the field's custom for images of that size
        mirrored=True,
        schedule={"epochs": 30, "batch_size": 128, "learning_rate": 0.2, "shift": 4},
    )

    @override
    def load(self) -> "Dataset":
        from torchvision import datasets

        from evalsuite.data._cifar import read

        return read(datasets.CIFAR100, "CIFAR-100", "cifar100", _STATISTICS)

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
