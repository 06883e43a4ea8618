"""CIFAR-10 (Krizhevsky 2009)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from evalsuite.data._source import Source, TrainingAdvice

if TYPE_CHECKING:
    from evalsuite.data._base import Dataset
# mean and standard deviation of the 50 000 training images
_STATISTICS = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@final
@dataclass(frozen=True, kw_only=True)
class Cifar10(Source):
    """50 000 and 10 000 photos of ten kinds of things, 3 x 32 x 32."""

    advice: ClassVar[TrainingAdvice] = TrainingAdvice(
        # the field's custom for images of that size
        mirrored=True,
        schedule={"epochs": 30, "batch_size": 128, "learning_rate": 0.2, "shift": 4},
    )

    @override
    def load(self) -> "Dataset":
        from torchvision import datasets

        from evalsuite.data._cifar import read

        return read(datasets.CIFAR10, "CIFAR-10", "cifar10", _STATISTICS)

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
