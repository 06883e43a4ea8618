"""The contract of a data set: fixed, ordered examples with images in [0, 1]."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evalsuite.data._preparation import TORCHVISION, Preparation
from evalsuite.errors import UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.problems import CLASSIFICATION, Problem


class Images(Protocol):
    """Anything that yields images by index: a tensor in memory, or files read when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Tensor:
        """Images (k, c, h, w) at the int64 positions `index` (k,): uint8 in 0..255, or float in [0, 1]."""


class Targets(Protocol):
    """Anything that yields right answers by index, as `Images` yields images."""

    def __getitem__(self, index: Tensor, /) -> Tensor:
        """Right answers (k, ...) at the int64 positions `index` (k,), in the type that the problem asks for."""


@final
@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some examples, in order.

    Attributes:
        images: (n, c, h, w), float32 in [0, 1].
        labels: (n,), int64.
        ids: One content digest per example; random draws and the store's addresses are derived from it.
        accepted: As of `Examples`.
        targets: (n, ...), as of `Examples`.
        problem: As of `Examples`.
    """

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    accepted: Tensor | None = None
    targets: Tensor | None = None
    problem: Problem = CLASSIFICATION

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def truths(self) -> Tensor:
        """The right answers, (n, ...)."""
        return self.labels if self.targets is None else self.targets

    def to(self, device: torch.device) -> "Batch":
        """The same examples on `device`."""
        accepted, targets = (None if column is None else column.to(device) for column in (self.accepted, self.targets))
        there = replace(self, images=self.images.to(device), labels=self.labels.to(device))
        return replace(there, accepted=accepted, targets=targets)


@final
@dataclass(frozen=True, kw_only=True)
class Examples:
    """A fixed, ordered set of examples.

    Attributes:
        images: Where the images come from.
        labels: (n,), int64, class numbers; 0 for all where the right answers are none.
        positions: (n,), int64, where in `images` each example stands.
        accepted: (n, k), int64, where several classes count as right: these, the label first, padded with the label.
            None where the label alone does.
        targets: Where the right answers come from that are no class numbers, by the position of their image; None
            where the label is the answer.
        problem: What is asked of the network.
    """

    images: Images
    labels: Tensor
    positions: Tensor
    accepted: Tensor | None = None
    targets: Targets | None = None
    problem: Problem = CLASSIFICATION

    @classmethod
    def from_labels(cls, images: Images, labels: Tensor) -> "Examples":
        """All of `images`, in their own order; `labels` are whole numbers of any type.

        Raises:
            UsageError: Labels are no whole numbers.
        """
        if labels.is_floating_point() and not bool((labels == labels.round()).all()):
            raise UsageError(f"expected labels to be whole numbers, got {labels[labels != labels.round()][0].item()}")
        return cls(images=images, labels=labels.long(), positions=torch.arange(len(labels)))

    @classmethod
    def from_targets(cls, problem: Problem, images: Images, targets: Targets) -> "Examples":
        """All of `images`, in their own order, with right answers that are no class numbers."""
        none, positions = torch.zeros(len(images), dtype=torch.int64), torch.arange(len(images))
        return cls(images=images, labels=none, positions=positions, targets=targets, problem=problem)

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor | Sequence[int]) -> "Examples":
        """The examples at `index`, in that order."""
        index = torch.as_tensor(index, dtype=torch.int64)
        accepted = None if self.accepted is None else self.accepted[index]
        return replace(self, labels=self.labels[index], positions=self.positions[index], accepted=accepted)

    def pixels(self, index: Tensor | Sequence[int]) -> Tensor:
        """Images at `index` as float32 in [0, 1], shape (k, c, h, w)."""
        return _scaled(self.images[self.positions[torch.as_tensor(index, dtype=torch.int64)]])

    def truths(self, index: Tensor | Sequence[int]) -> Tensor:
        """Right answers at `index`, (k, ...): class numbers, or targets as they are kept."""
        index = torch.as_tensor(index, dtype=torch.int64)
        return self.labels[index] if self.targets is None else self.targets[self.positions[index]]

    def batch(self, start: int, stop: int) -> Batch:
        """Examples start, ..., stop - 1 with their ids; reads no other image."""
        index = torch.arange(start, min(stop, len(self)))
        raw = self.images[self.positions[index]]
        chosen = self.select(index)
        targets = None if self.targets is None else self.truths(index)
        return Batch(
            images=_scaled(raw),
            labels=chosen.labels,
            ids=_joined(_digests(raw), chosen.answers if targets is None else self._written(targets)),
            accepted=chosen.accepted,
            targets=targets,
            problem=self.problem,
        )

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """A digest of each example's pixels and its right answer (and what else is accepted), 16 hex digits."""
        return _joined(self.image_ids, self.answers)

    @property
    def answers(self) -> list[str]:
        """What counts as right for each example, as text: class numbers, or a digest of the target and what it is."""
        if self.targets is not None:
            chunks = torch.arange(len(self)).split(1024)
            return [text for chunk in chunks for text in self._written(self.truths(chunk))]
        if self.accepted is None:
            return [str(label) for label in self.labels.tolist()]
        return ["/".join(map(str, dict.fromkeys(row))) for row in self.accepted.tolist()]

    def _written(self, targets: Tensor) -> list[str]:
        # what is observed of an example depends on the facts of the problem too, such as its scale
        question = f"{self.problem!r} version {self.problem.version}"
        return [f"{_sha(row)} {question}" for row in targets.cpu().contiguous().numpy()]

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """A digest of each example's pixels alone: what must not stand in both training and held-out examples."""
        chunks = torch.arange(len(self)).split(1024)
        return tuple(digest for chunk in chunks for digest in _digests(self.images[self.positions[chunk]]))


def _scaled(raw: Tensor) -> Tensor:
    return raw.float() / 255 if raw.dtype == torch.uint8 else raw.float()


def _joined(image_ids: Sequence[str], answers: Sequence[str]) -> tuple[str, ...]:
    pairs = zip(image_ids, answers, strict=True)
    return tuple(hashlib.sha256(f"{image}/{answer}".encode()).hexdigest()[:16] for image, answer in pairs)


def _digests(raw: Tensor) -> list[str]:
    # 8-bit images read as float are hashed as what they are, each by itself: 8-bit
    if raw.dtype == torch.uint8:
        return [_sha(row) for row in raw.cpu().contiguous().numpy()]
    pixels = raw.float().cpu().contiguous()
    eight_bit = (pixels * 255).round()
    exact = (eight_bit / 255 == pixels).flatten(1).all(1).tolist()
    pairs = zip(exact, eight_bit.to(torch.uint8).numpy(), pixels.numpy(), strict=True)
    return [_sha(short if is_short else full) for is_short, short, full in pairs]


def _sha(row: npt.NDArray[np.generic]) -> str:
    return hashlib.sha256(row.data).hexdigest()[:16]


@final
@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Training and held-out examples of one problem.

    Attributes:
        name: As given on the command line, e.g. "fashion-mnist" or "folder:photos".
        classes: Names of the classes, in the order of their numbers; of a network's outputs, where these are none.
        shape: (channels, height, width) of every image.
        train: Examples for training, retraining and calibration; None where there are none.
        test: Held-out examples; nothing but the judge ever sees them.
        mean: Per-channel mean of the training images in [0, 1], for the network's own normalisation.
        std: Per-channel standard deviation, likewise.
        overlap: Held-out examples left out because their image stands in the training examples too.
        duplicates: Held-out examples left out because the same image with the same answer stands before them.
        preparation: How photos become images, for further photos to become images alike.
        interpretations: How the data were read: what was given, recorded, measured or assumed.
        counted: Whether nothing names the classes, so that `classes` holds the numbers 0, 1, 2, ... as text.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train: Examples | None
    test: Examples
    mean: tuple[float, ...]
    std: tuple[float, ...]
    overlap: int = 0
    duplicates: int = 0
    preparation: Preparation = TORCHVISION
    interpretations: tuple[Interpretation, ...] = ()
    counted: bool = False

    @property
    def problem(self) -> Problem:
        """What is asked of the network."""
        return self.test.problem

    @property
    def outputs(self) -> tuple[int, ...]:
        """The shape of a network's outputs for one image."""
        return self.problem.outputs(len(self.classes), self.shape)
