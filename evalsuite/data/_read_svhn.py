"""Reads SVHN by torchvision's class."""

from pathlib import Path

import torch
from torchvision import datasets

from evalsuite.data._base import Dataset
from evalsuite.data._source import Source
from evalsuite.data._torchvision import Archive, Split, dataset, download, on_disk


def read(_source: Source) -> Dataset:
    """Training and held-out examples."""
    archive = Archive(title="SVHN", files=("train_32x32.mat", "test_32x32.mat"), read=_read)
    return dataset("svhn", on_disk(archive) or download(archive))


def _read(root: Path, *, train: bool, download: bool) -> Split:
    published = datasets.SVHN(root, split="train" if train else "test", download=download)
    images = torch.from_numpy(published.data).contiguous()
    return Split(images=images, labels=torch.from_numpy(published.labels), classes=[str(digit) for digit in range(10)])
