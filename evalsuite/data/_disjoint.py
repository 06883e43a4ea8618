"""Finds images that stand in training and held-out examples, or more than once among the latter."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor

from evalsuite.data._base import Examples
from evalsuite.errors import RefusedInputError, UsageError


@runtime_checkable
class Files(Protocol):
    """Images that are read from files when needed: too dear to decode all of them for a comparison."""

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
        return _positions_in(*_file_digests(_paths(train, train.images), _paths(test, test.images)))
    if is_table(train):
        return _positions_in(train.ids, test.ids)
    return _positions_in(train.image_ids, test.image_ids)


@final
@dataclass(frozen=True, kw_only=True)
class Folded:
    """Examples of which none stands twice.

    Attributes:
        examples: Those that are left, in their order.
        duplicates: How many are not: their image and their answer stand before them.
        contradictory: How many of those that are left have the image of another, with another answer.
    """

    examples: Examples
    duplicates: int = 0
    contradictory: int = 0


def fold(examples: Examples) -> Folded:
    """Leave out what stands before with the same image and answer: it is no further observation.

    Images are the same as of `shared`. Rows of a table are kept: two patients may share all measurements.

    Raises:
        RefusedInputError: A file cannot be read.
    """
    if is_table(examples):
        return Folded(examples=examples)
    contents = _contents(examples)
    places: dict[str, list[int]] = {}
    for place, content in enumerate(contents):
        if content:
            places.setdefault(content, []).append(place)
    alike = sorted(place for group in places.values() if len(group) > 1 for place in group)
    if not alike:
        return Folded(examples=examples)
    # right answers may have to be read from files: only of images that stand more than once
    pairs = [(contents[place], answer) for place, answer in zip(alike, examples.select(alike).answers, strict=True)]
    first = {pair: place for place, pair in zip(reversed(alike), reversed(pairs), strict=True)}
    dropped = {place for place, pair in zip(alike, pairs, strict=True) if first[pair] != place}
    answers: dict[str, int] = {}
    for content, _ in first:
        answers[content] = answers.get(content, 0) + 1
    return Folded(
        examples=examples.select([place for place in range(len(examples)) if place not in dropped]),
        duplicates=len(dropped),
        contradictory=sum(count for count in answers.values() if count > 1),
    )


def is_table(examples: Examples) -> bool:
    """Whether examples are rows of a table: images of one pixel."""
    return max(examples.pixels([0]).shape[2:]) == 1


def check_disjoint(train: Examples, test: Examples) -> None:
    """Make sure that no held-out image stands in the training examples.

    Raises:
        UsageError: Some do; the first of them are told.
    """
    twins = shared(train, test).tolist()
    if twins:
        first = ", ".join(str(i) for i in twins[:5]) + (", ..." if len(twins) > 5 else "")
        raise UsageError(
            f"expected held-out examples that are not in the training examples, got {len(twins)} that are "
            f"(at positions {first}): a network must not be judged on what it was trained on"
        )


def _positions_in(train: Sequence[str], test: Sequence[str]) -> Tensor:
    digests = set(train) - {""}
    return torch.tensor([i for i, digest in enumerate(test) if digest in digests], dtype=torch.int64)


def _paths(examples: Examples, images: Files) -> list[str]:
    return [images.paths[i] for i in examples.positions.tolist()]


def _contents(examples: Examples) -> Sequence[str]:
    """What tells an image from others, of files byte by byte; empty where no other file has its size."""
    # small images of a super-resolution are made from photos, which need not be decoded either
    images = getattr(examples.images, "large", examples.images)
    return _file_digests(_paths(examples, images))[0] if isinstance(images, Files) else examples.image_ids


def _file_digests(*groups: Sequence[str]) -> tuple[list[str], ...]:
    """Digests of files, empty where no other file, of another group if there are several, has the same size."""
    sizes = [[_size(path) for path in paths] for paths in groups]
    if len(groups) == 1:
        counts = Counter(sizes[0])
        shared_sizes = {size for size, count in counts.items() if count > 1}
    else:
        shared_sizes = set.intersection(*map(set, sizes))
    return tuple(
        [_file_digest(p) if size in shared_sizes else "" for p, size in zip(paths, its_sizes, strict=True)]
        for paths, its_sizes in zip(groups, sizes, strict=True)
    )


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError) as error:
        raise RefusedInputError(f"expected a file that can be read, got {path} ({error})") from error


def _file_digest(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RefusedInputError(f"expected a file that can be read, got {path} ({error.strerror})") from error
