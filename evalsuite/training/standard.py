"""The plain recipe: cross-entropy, one rise and fall of the learning rate, shifted and mirrored images."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Generator, Tensor
from typing_extensions import override

from evalsuite.training._augment import shift_and_flip
from evalsuite.training._base import Recipe, keeping


@final
@dataclass(frozen=True, kw_only=True)
class Standard(Recipe):
    """Nesterov's momentum; linear warm-up, then a cosine to 0 (Goyal et al. 2017; Loshchilov and Hutter 2017).

    Attributes:
        warm_up: Share of all steps in which the learning rate grows linearly to its highest, in [0, 1].
        shift: Pixels by which images are padded before a random cut-out, at least 0.
        flip: Whether half of the images are mirrored; False is safe for every data set.
    """

    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 0.2
    warm_up: float = 0.2
    shift: int = 2
    flip: bool = False

    @override
    def rate(self, step: int, steps_per_epoch: int) -> float:
        steps = self.epochs * steps_per_epoch
        rise = round(self.warm_up * steps)
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))

    @override
    def augment(self, images: Tensor, generator: Generator) -> Tensor:
        return shift_and_flip(images, generator, pixels=self.shift, flip=self.flip)

    @override
    def prescribed(self, *, architecture: str, data: str) -> "Standard":
        del architecture
        return keeping(self, _TRIED.get(data, self))


_TRIED: Mapping[str, Standard] = {
    "digits": Standard(epochs=20, batch_size=64, shift=1),
    "mnist": Standard(),
    "fashion-mnist": Standard(flip=True),
    "svhn": Standard(epochs=12, shift=4),
    "cifar10": Standard(epochs=30, shift=4, flip=True),
    "cifar100": Standard(epochs=30, shift=4, flip=True),
}
