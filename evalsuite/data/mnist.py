"""MNIST (LeCun, Bottou, Bengio and Haffner 1998)."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from torchvision import datasets
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data._torchvision import Archive, Split, dataset, download, on_disk
from evalsuite.parts.data_files import archive_files

_FILES = tuple(
    f"MNIST/raw/{split}-{part}-ubyte" for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1")
)


@final
@dataclass(frozen=True, kw_only=True)
class Mnist(Source):
    """60 000 and 10 000 handwritten digits, 1 x 28 x 28."""

    @override
    def load(self) -> Dataset:
        archive = Archive(title="MNIST", files=_FILES, read=_read)
        return dataset("mnist", on_disk(archive) or download(archive))

    @override
    def files(self) -> tuple[Path, ...]:
        return archive_files("MNIST/raw")


def _read(root: Path, *, train: bool, download: bool) -> Split:
    split = datasets.MNIST(root, train=train, download=download)
    return Split(images=split.data.unsqueeze(1), labels=split.targets, classes=[str(digit) for digit in range(10)])
