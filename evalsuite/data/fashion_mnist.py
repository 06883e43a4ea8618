"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from torchvision import datasets
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data._idx import read_idx
from evalsuite.data._torchvision import Archive, Split, dataset, download, on_disk
from evalsuite.parts.data_files import FASHION_MNIST_PACKAGE, fashion_files

_PARTS = tuple(f"{split}-{part}-ubyte" for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1"))


@final
@dataclass(frozen=True, kw_only=True)
class FashionMnist(Source):
    """60 000 and 10 000 pictures of clothes, 1 x 28 x 28.

    Attributes:
        package: Where Debian's package dataset-fashion-mnist puts the compressed files; looked at before downloading.
    """

    package: Path = FASHION_MNIST_PACKAGE

    @override
    def load(self) -> Dataset:
        archive = Archive(title="Fashion-MNIST", files=tuple(f"FashionMNIST/raw/{part}" for part in _PARTS), read=_read)
        return dataset("fashion-mnist", on_disk(archive) or self._packaged() or download(archive))

    @override
    def files(self) -> tuple[Path, ...]:
        return fashion_files(str(self.package))

    def _packaged(self) -> tuple[Split, Split] | None:
        if not all((self.package / f"{part}.gz").is_file() for part in _PARTS):
            return None
        return self._unpacked("train"), self._unpacked("t10k")

    def _unpacked(self, split: str) -> Split:
        images = read_idx(self.package / f"{split}-images-idx3-ubyte.gz", axes=3)
        labels = read_idx(self.package / f"{split}-labels-idx1-ubyte.gz", axes=1)
        return Split(images=images.unsqueeze(1), labels=labels.long(), classes=datasets.FashionMNIST.classes)


def _read(root: Path, *, train: bool, download: bool) -> Split:
    published = datasets.FashionMNIST(root, train=train, download=download)
    return Split(images=published.data.unsqueeze(1), labels=published.targets, classes=published.classes)
