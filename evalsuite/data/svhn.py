"""Street View House Numbers, the cropped digits (Netzer et al. 2011)."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torchvision import datasets
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data._torchvision import Archive, Split, dataset, download, on_disk


@final
@dataclass(frozen=True, kw_only=True)
class Svhn(Source):
    """73 257 and 26 032 photos of digits, 3 x 32 x 32; class 0 is the digit 0."""

    @override
    def load(self) -> Dataset:
        archive = Archive(title="SVHN", files=("train_32x32.mat", "test_32x32.mat"), read=_read)
        return dataset("svhn", on_disk(archive) or download(archive))

    @override
    def files(self) -> tuple[Path, ...]:
        return ()


def _read(root: Path, *, train: bool, download: bool) -> Split:
    published = datasets.SVHN(root, split="train" if train else "test", download=download)
    images = torch.from_numpy(published.data).contiguous()
    return Split(images=images, labels=torch.from_numpy(published.labels), classes=[str(digit) for digit in range(10)])
