"""The contract of a problem: right answers, the loss of an output, and what is recorded of an example."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from torch import Tensor, nn
from typing_extensions import override

Column = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Observations = Mapping[str, Column]
"""Columns by name; the first axis of each is the example. `prediction` is the class a network chose (-1: abstained)."""


@final
@dataclass(frozen=True, kw_only=True)
class Guess:
    """The best constant answer: a baseline that takes no network.

    Attributes:
        words: In a few words, e.g. "always 'cat'".
        answer: Images (n, c, h, w) to outputs, as a network gives them.
    """

    words: str
    answer: nn.Module


@final
class Constant(nn.Module):
    """Gives the same outputs for every image."""

    outputs: Tensor

    def __init__(self, outputs: Tensor) -> None:
        """Keeps `outputs`, for one image."""
        nn.Module.__init__(self)
        self.register_buffer("outputs", outputs)

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.outputs.to(images.device).expand(len(images), *self.outputs.shape)


@dataclass(frozen=True, kw_only=True)
class Problem(ABC):
    """A kind of prediction. Subclasses are frozen keyword-only dataclasses; fields are facts of the data.

    Attributes:
        title: What a reader sees, e.g. "semantic segmentation".
        version: Raised whenever what is observed would change; part of the examples' ids, with the fields.
        measures: What is read off observations unless told otherwise; the first tells how well a network does.
        score_title: What one minus the mean loss is called.
        logits: Whether outputs tell classes apart along their second axis, (n, classes, ...); else they are numbers.
        views: Whether an image that is shifted or mirrored has the same right answer.
        aligned: Whether the right answer has pixels that stand where those of the image stand.
    """

    title: ClassVar[str]
    version: ClassVar[int] = 1
    measures: ClassVar[tuple[str, ...]]
    score_title: ClassVar[str]
    logits: ClassVar[bool] = False
    views: ClassVar[bool] = False
    aligned: ClassVar[bool] = False

    @abstractmethod
    def outputs(self, classes: int, shape: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape of a network's outputs for one image.

        Args:
            classes: As many names as the data set has for its outputs.
            shape: (channels, height, width) of the image.
        """

    @abstractmethod
    def guess(self, truths: Tensor, classes: Sequence[str]) -> Guess:
        """The best answer that takes no network.

        Args:
            truths: (n, ...), right answers to some of the examples, as of `losses`.
            classes: As many names as the data set has for a network's outputs.
        """

    @abstractmethod
    def losses(self, outputs: Tensor, truths: Tensor) -> Tensor:
        """How wrong each output is, (n,), in [0, 1].

        Args:
            outputs: (n, ...), each of the shape that `outputs` gives.
            truths: (n, ...): the right answers.
        """

    @abstractmethod
    def observe(self, outputs: Tensor, truths: Tensor) -> Observations:
        """What is written down of each example; arguments as of `losses`.

        The columns `probabilities` (n, classes), `map` (n, pixels) and `values` (n, numbers) are for comparisons with
        the parent (`ComparesToParent.compare`) and not stored.
        """
