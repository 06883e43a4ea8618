"""Reads Fashion-MNIST by torchvision's class, or the files of Debian's package."""

from pathlib import Path

from torchvision import datasets

from evalsuite.data._base import Dataset
from evalsuite.data._idx import read_idx
from evalsuite.data._torchvision import Archive, Split, dataset, download, on_disk
from evalsuite.data.fashion_mnist import FashionMnist

_PARTS = tuple(f"{split}-{part}-ubyte" for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1"))


def read(source: FashionMnist) -> Dataset:
    """Training and held-out examples."""
    archive = Archive(title="Fashion-MNIST", files=tuple(f"FashionMNIST/raw/{part}" for part in _PARTS), read=_read)
    return dataset("fashion-mnist", on_disk(archive) or _packaged(source.package) or download(archive))


def _packaged(package: Path) -> tuple[Split, Split] | None:
    if not all((package / f"{part}.gz").is_file() for part in _PARTS):
        return None
    return _unpacked(package, "train"), _unpacked(package, "t10k")


def _unpacked(package: Path, split: str) -> Split:
    images = read_idx(package / f"{split}-images-idx3-ubyte.gz", axes=3)
    labels = read_idx(package / f"{split}-labels-idx1-ubyte.gz", axes=1)
    return Split(images=images.unsqueeze(1), labels=labels.long(), classes=datasets.FashionMNIST.classes)


def _read(root: Path, *, train: bool, download: bool) -> Split:
    published = datasets.FashionMNIST(root, train=train, download=download)
    return Split(images=published.data.unsqueeze(1), labels=published.targets, classes=published.classes)
