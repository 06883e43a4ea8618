"""Reads MNIST by torchvision's class."""

from pathlib import Path

from torchvision import datasets

from evalsuite.data._base import Dataset
from evalsuite.data._source import Source
from evalsuite.data._torchvision import Archive, Split, dataset, download, on_disk

_FILES = tuple(
    f"MNIST/raw/{split}-{part}-ubyte" for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1")
)


def read(_source: Source) -> Dataset:
    """Training and held-out examples."""
    archive = Archive(title="MNIST", files=_FILES, read=_read)
    return dataset("mnist", on_disk(archive) or download(archive))


def _read(root: Path, *, train: bool, download: bool) -> Split:
    split = datasets.MNIST(root, train=train, download=download)
    return Split(images=split.data.unsqueeze(1), labels=split.targets, classes=[str(digit) for digit in range(10)])
