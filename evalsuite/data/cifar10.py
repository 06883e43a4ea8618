"""CIFAR-10 (Krizhevsky 2009)."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from torchvision import datasets
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data._cifar import cifar
from evalsuite.data._torchvision import dataset, download, on_disk

# mean and standard deviation of the 50 000 training images
_STATISTICS = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@final
@dataclass(frozen=True, kw_only=True)
class Cifar10(Source):
    """50 000 and 10 000 photos of ten kinds of things, 3 x 32 x 32."""

    @override
    def load(self) -> Dataset:
        archive = cifar(datasets.CIFAR10, "CIFAR-10")
        return dataset("cifar10", on_disk(archive) or download(archive), _STATISTICS)

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
