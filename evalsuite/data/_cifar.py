"""Reads CIFAR-10 and CIFAR-100, whose files differ in their names only."""

from pathlib import Path

import torch
from torchvision import datasets

from evalsuite.data._base import Dataset
from evalsuite.data._torchvision import Archive, Split, dataset, download, on_disk


def read(
    kind: type[datasets.CIFAR10], title: str, name: str, statistics: tuple[tuple[float, ...], tuple[float, ...]]
) -> Dataset:
    """Training and held-out examples of torchvision's class `kind`; `statistics`: mean and deviation by channel."""
    archive = _archive(kind, title)
    return dataset(name, on_disk(archive) or download(archive), statistics)


def _archive(kind: type[datasets.CIFAR10], title: str) -> Archive:
    """What torchvision's class `kind` reads: checked by digest before it is unpickled."""
    names = [name for name, _ in (*kind.train_list, *kind.test_list)] + [kind.meta["filename"]]

    def read_split(root: Path, *, train: bool, download: bool) -> Split:
        published = kind(root, train=train, download=download)
        images = torch.from_numpy(published.data).permute(0, 3, 1, 2).contiguous()
        return Split(images=images, labels=torch.tensor(published.targets), classes=published.classes)

    return Archive(title=title, files=[f"{kind.base_folder}/{name}" for name in names], read=read_split)
