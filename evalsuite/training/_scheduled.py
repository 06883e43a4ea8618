"""Base class of most recipes: learning rate up and down once, shifted and mirrored images; losses differ."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

from torch import Generator, Tensor
from typing_extensions import override

from evalsuite.data import TrainingAdvice
from evalsuite.errors import UsageError
from evalsuite.parts.names import part_kind
from evalsuite.training._augment import flip_together, shift_and_flip
from evalsuite.training._base import Recipe, with_overrides


@dataclass(frozen=True, kw_only=True)
class Scheduled(Recipe):
    """Nesterov's momentum; linear warm-up, then a cosine to 0 (Goyal et al. 2017; Loshchilov and Hutter 2017).

    Attributes:
        times: How many times as long as the plain recipe it trains.
        warm_up: Share of all steps in which the learning rate grows linearly to its highest, in [0, 1].
        shift: Pixels by which images are padded before a random cut-out, at least 0; not where answers are pixels.
        flip: Whether half of the images are mirrored, and answers that are pixels with them; False is safe for every
            data set.
    """

    times: ClassVar[int] = 1

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
    @final
    def augment_together(self, images: Tensor, truths: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return flip_together(images, truths, generator) if self.flip else (images, truths)

    @override
    @final
    def prescribed(self, *, architecture: str, advice: TrainingAdvice) -> Self:
        del architecture
        if not advice.schedule:
            return self
        changes = {"flip": bool(advice.mirrored), **advice.schedule, **advice.recipes.get(part_kind(self), {})}
        published = replace(self, **changes)  # type: ignore[arg-type]
        return with_overrides(self, replace(published, epochs=self.times * published.epochs))
