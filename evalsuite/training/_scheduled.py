"""What robust recipes share: one rise and fall of the learning rate, shifted and mirrored images; losses differ."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import final

from torch import Generator, Tensor, nn
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.training._augment import shift_and_flip
from evalsuite.training._base import Recipe


@dataclass(frozen=True, kw_only=True)
class Scheduled(Recipe):
    """The schedule and views of the standard recipe, so that what differs from it is the loss.

    Attributes:
        warm_up: Share of all steps in which the learning rate grows linearly to its highest, in [0, 1]; then a cosine
            to 0.
        shift: Pixels by which images are padded before a random cut-out, at least 0.
        flip: Whether half of the images are mirrored; False is safe for every data set.
    """

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 0.1
    warm_up: float = 0.2
    shift: int = 1
    flip: bool = False

    @override
    def __post_init__(self) -> None:
        Recipe.__post_init__(self)
        if not 0 <= self.warm_up <= 1:
            raise UsageError(f"expected warm_up to be in [0, 1], got {self.warm_up}")
        if self.shift < 0:
            raise UsageError(f"expected shift to be at least 0, got {self.shift}")

    @override
    @final
    def rate(self, step: int, steps_per_epoch: int) -> float:
        steps = self.epochs * steps_per_epoch
        rise = round(self.warm_up * steps)
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))

    @override
    @final
    def augment(self, images: Tensor, generator: Generator) -> Tensor:
        return shift_and_flip(images, generator, pixels=self.shift, flip=self.flip)

    @override
    @abstractmethod
    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """See `Recipe`."""
