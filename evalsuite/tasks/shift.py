"""Data of another origin than the training data: published corrupted sets, new test sets, folders of photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, final, get_args

import numpy as np
from torch import nn
from typing_extensions import override

from evalsuite.corruptions import SETS
from evalsuite.data._base import Batch, Dataset, Examples
from evalsuite.data._class_folders import class_folders
from evalsuite.data._disjoint import fold
from evalsuite.data._stack import stacked
from evalsuite.data.npz import Npz
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.files.trees import tree
from evalsuite.tasks._abilities import ComparesToParent, OwnExamples
from evalsuite.tasks._base import Observations, Task, TaskOutput
from evalsuite.tasks._predict import predict

Layout = Literal["cifar-c", "imagenet-c", "cifar-10.1", "npz", "folder"]
_SEVERITIES = 5
_CORRUPTED = frozenset({"cifar-c", "imagenet-c"})
_FOLDERS = frozenset({"imagenet-c", "folder"})
_OF_ONE_LABEL = frozenset({"truth", "squares"})


@final
@dataclass(frozen=True, kw_only=True)
class Shift(Task, OwnExamples, ComparesToParent):
    """Asks for the class of every example of a set on disk, as the set is.

    `shift/cifar-c/fog/3?at=data/CIFAR-10-C`, `shift/cifar-c/common/1-5?at=data/CIFAR-10-C`,
    `shift/imagenet-c/fog/3?at=data/imagenet-c`, `shift/cifar-10.1?at=data`, `shift/npz?at=night.npz`,
    `shift/folder?at=data/imagenetv2`, `shift/folder?at=data/objectnet/images&classes=overlap.json&border=2`.

    Files are read by plain code: robustbench's loaders download into fixed places and read whole files, and
    torchvision has none for these sets but that for folders, which is used.

    Attributes:
        layout: How the set is kept. `cifar-c` (Hendrycks and Dietterich 2019, arXiv:1903.12261): FOLDER/fog.npy with
            5 x n images, severity 1 first, and FOLDER/labels.npy. `imagenet-c`: FOLDER/fog/3/CLASS/PHOTO.
            `cifar-10.1` (Recht et al. 2018, arXiv:1806.00451): FOLDER/cifar10.1_v6_data.npy and ..._labels.npy.
            `npz`: arrays x_test and y_test in FILE. `folder`: FOLDER/CLASS/PHOTO, as ImageNet-V2 and ObjectNet are.
        corruption: Of `cifar-c` and `imagenet-c`: the file or folder.
        severity: Likewise: 1 to 5.
        at: Path of the folder or file; the character & cannot stand in it.
        release: Of `cifar-10.1`: "v6", or "v4", which is larger.
        classes: Of folders: a file that says which folder is which class, where names do not; see
            `evalsuite.data._class_folders`. Folders that it leaves out are left out, and of several classes of a
            folder any is accepted: so the 113 classes that ObjectNet shares with ImageNet are had.
        border: Of folders: pixels that are cut off at each side of a photo first; ObjectNet's photos have a red frame.
    """

    version: ClassVar[int] = 2
    path: ClassVar[tuple[str, ...]] = ("layout", "corruption", "severity")
    location_fields: ClassVar[frozenset[str]] = frozenset(
        {"layout", "corruption", "severity", "at", "release", "classes", "border"}
    )
    usage: ClassVar[tuple[str, ...]] = (
        "shift/cifar-c/fog/3?at=CIFAR-10-C",
        "shift/imagenet-c/fog/3?at=DIR",
        "shift/cifar-10.1?at=DIR",
        "shift/folder?at=DIR",
        "shift/npz?at=FILE",
    )

    layout: Layout
    corruption: str | None = None
    severity: int | None = None
    at: str = ""
    release: Literal["v4", "v6"] = "v6"
    classes: str | None = None
    border: int = 0

    def __post_init__(self) -> None:
        if self.layout not in get_args(Layout):
            raise ValueError(f"expected layout to be one of {', '.join(get_args(Layout))}, got {self.layout!r}")
        if not self.at or "&" in self.at:
            raise ValueError(f"expected at=PATH, where the set is kept, without &, got {self.at!r}")
        if self.layout in _CORRUPTED and (self.corruption is None or self.severity is None):
            raise ValueError(f"expected shift/{self.layout}/CORRUPTION/SEVERITY?at=FOLDER, got no severity")
        if self.layout not in _CORRUPTED and self.corruption is not None:
            raise ValueError(f"expected shift/{self.layout}?at=PATH, got the corruption {self.corruption!r}")
        if self.severity is not None and not 1 <= self.severity <= _SEVERITIES:
            raise ValueError(f"expected severity to be from 1 to {_SEVERITIES}, got {self.severity}")
        if self.layout not in _FOLDERS and (self.classes is not None or self.border):
            raise ValueError(f"expected classes and border for folders only, got them for {self.layout}")
        if self.border < 0:
            raise ValueError(f"expected border to be at least 0, got {self.border}")

    @override
    def examples(self, dataset: Dataset) -> Examples:
        return fold(self._read(dataset)).examples

    def _read(self, dataset: Dataset) -> Examples:
        root = self._root()
        match self.layout:
            case "npz":
                return self._archived(root, dataset)
            case "cifar-c" | "cifar-10.1":
                images, labels = self._arrays(root)
                if self.severity is None:
                    return stacked(images, labels)
                return stacked(images, labels, part=self.severity - 1, parts=_SEVERITIES)
            case "imagenet-c" | "folder":
                mapping = None if self.classes is None else expanded(self.classes)
                return class_folders(
                    root,
                    dataset.classes,
                    dataset.shape,
                    mapping=mapping,
                    border=self.border,
                    preparation=dataset.preparation,
                )

    @override
    def files(self) -> Sequence[Path]:
        root = self._root()
        if self.layout == "npz":
            return (root,)
        if self.layout not in _FOLDERS:
            return self._arrays(root)
        mapping = [] if self.classes is None else [expanded(self.classes)]
        return [*mapping, *tree(root)]

    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        del seed  # nothing is random here
        outputs = predict(networks, shard.images, shard)
        if shard.accepted is not None:
            outputs = tuple(_any_accepted(each, shard) for each in outputs)
        return TaskOutput(networks=outputs, pictures=shard.images)

    @override
    def title(self) -> str:
        match self.layout:
            case "cifar-c" | "imagenet-c":
                return f"{str(self.corruption).replace('_', ' ')}, severity {self.severity}, as published"
            case "cifar-10.1":
                return f"CIFAR-10.1 {self.release}"
            case "npz" | "folder":
                return f"shifted data {Path(self.at).stem}"

    @classmethod
    @override
    def choices(cls, field: str, which: str) -> tuple[str, ...]:
        if field == "severity":
            return tuple("12345") if which == "all" else ()
        return SETS[which] if field == "corruption" else ()

    def _root(self) -> Path:
        root = expanded(self.at)
        if not root.exists():
            raise UsageError(f"shift/{self.layout}: expected the set's path in at=, got {self.at!r}, nothing there")
        if self.layout != "imagenet-c":
            return root
        folder = root / str(self.corruption) / str(self.severity)
        if not folder.is_dir():
            there = ", ".join(sorted(entry.name for entry in root.iterdir() if entry.is_dir())) or "no folder"
            raise UsageError(f"expected the folder {folder} with one folder a class, got {there} in {root}")
        return folder

    def _archived(self, root: Path, dataset: Dataset) -> Examples:
        archive = Npz(path=root).load()
        named = not all(name.isdecimal() for name in archive.classes)
        if named and archive.classes != dataset.classes:
            raise UsageError(
                f"expected the classes in {root} to be those of {dataset.name} "
                f"({', '.join(dataset.classes[:5])}, ...), got {', '.join(archive.classes[:5])}, ..."
            )
        return archive.test

    def _arrays(self, root: Path) -> tuple[Path, Path]:
        if self.layout == "cifar-c":
            return root / f"{self.corruption}.npy", root / "labels.npy"
        return root / f"cifar10.1_{self.release}_data.npy", root / f"cifar10.1_{self.release}_labels.npy"


def _any_accepted(output: Observations, shard: Batch) -> Observations:
    """A prediction of another accepted class counts as the label; what is said of one label alone is left out."""
    assert shard.accepted is not None  # noqa: S101 - checked by the caller
    right = (output["prediction"][:, None] == shard.accepted.cpu().numpy()).any(1)
    prediction = np.where(right, shard.labels.cpu().numpy(), output["prediction"]).astype(np.int32)
    return {
        **{column: values for column, values in output.items() if column not in _OF_ONE_LABEL},
        "prediction": prediction,
    }
