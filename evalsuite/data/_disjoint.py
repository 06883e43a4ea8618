"""Training and held-out examples never mix: the same image in both is found, and can be left out."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from evalsuite.data._base import Examples
from evalsuite.errors import UsageError


@runtime_checkable
class Files(Protocol):
    """Images that are read from files when asked for: too dear to decode all of them for a comparison."""

    @property
    def paths(self) -> Sequence[str]:
        """One file per image."""


def shared(train: Examples, test: Examples) -> Tensor:
    """Where in `test` stand examples whose image is in `train` too: positions, int64 (k,), ascending.

    Images in memory are the same when their pixels are, whatever their labels; images on disk when their files are
    the same byte by byte, so that only files of equal size have to be read. Rows of a table, which are images of one
    pixel, are the same when their answers are too: other patients may share all measurements.
    """
    if isinstance(train.images, Files) and isinstance(test.images, Files):
        return _found(*_of_files(_paths(train, train.images), _paths(test, test.images)))
    if max(train.pixels([0]).shape[2:]) == 1:
        return _found(train.ids, test.ids)
    return _found(train.image_ids, test.image_ids)


def check_disjoint(train: Examples, test: Examples) -> None:
    """Make sure that no held-out image stands in the training examples.

    Raises:
        UsageError: Some do; the first of them are told.
    """
    found = shared(train, test).tolist()
    if found:
        first = ", ".join(str(i) for i in found[:5]) + (", ..." if len(found) > 5 else "")
        raise UsageError(
            f"expected held-out examples that are not in the training examples, got {len(found)} that are "
            f"(at positions {first}): a network must not be judged on what it was trained on"
        )


def _found(train: Sequence[str], test: Sequence[str]) -> Tensor:
    known = set(train) - {""}
    return torch.tensor([i for i, digest in enumerate(test) if digest in known], dtype=torch.int64)


def _paths(examples: Examples, images: Files) -> list[str]:
    return [images.paths[i] for i in examples.positions.tolist()]


def _of_files(train: Sequence[str], test: Sequence[str]) -> tuple[list[str], list[str]]:
    sizes = tuple([Path(p).stat().st_size for p in paths] for paths in (train, test))
    both = set(sizes[0]) & set(sizes[1])
    found = tuple(
        [_file_digest(p) if size in both else "" for p, size in zip(paths, its_sizes, strict=True)]
        for paths, its_sizes in zip((train, test), sizes, strict=True)
    )
    return found[0], found[1]


def _file_digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
