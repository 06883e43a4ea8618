"""CIFAR-100 with its 100 fine classes (Krizhevsky 2009)."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from torchvision import datasets
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data._cifar import cifar
from evalsuite.data._torchvision import dataset, download, on_disk

# mean and standard deviation of the 50 000 training images
_STATISTICS = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)


@final
@dataclass(frozen=True, kw_only=True)
class Cifar100(Source):
    """50 000 and 10 000 photos of 100 kinds of things, 3 x 32 x 32."""

    @override
    def load(self) -> Dataset:
        archive = cifar(datasets.CIFAR100, "CIFAR-100")
        return dataset("cifar100", on_disk(archive) or download(archive), _STATISTICS)

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
