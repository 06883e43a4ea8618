"""Independent noise on every pixel: the noise of Lost in Pruning (Liebenwein et al. 2021), section 4, and Gaussian."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.data._base import Batch
from evalsuite.randomness import keys, normal, uniform
from evalsuite.tasks._abilities import ComparesToParent
from evalsuite.tasks._base import Domain, Observations, Task, TaskOutput
from evalsuite.tasks._predict import predict
from evalsuite.units import check_range


@final
@dataclass(frozen=True, kw_only=True)
class Noise(Task, ComparesToParent):
    """Adds independent noise to every pixel and channel.

    Levels of one distribution share their draws, scaled: a network's curve over levels is smooth in the level.

    Attributes:
        distribution: "uniform": U[-level, level], as in the paper; "gaussian": N(0, level²).
        level: In units of the image's range [0, 1], > 0. The paper's epsilon is in units after normalisation: divide
            by the data set's standard deviation to compare.
        draws: Draws of noise per example, >= 1; the paper takes 100.
        clip: Whether noisy images are cut to [0, 1]. The paper does not.
    """

    version: ClassVar[int] = 3
    path: ClassVar[tuple[str, ...]] = ("distribution", "level")
    of_classes: ClassVar[bool] = False
    usage: ClassVar[tuple[str, ...]] = ("noise/uniform/0.1", "noise/gaussian/0.1?draws=10")

    distribution: Literal["uniform", "gaussian"] = "uniform"
    level: float = 0.1
    draws: int = 1
    clip: bool = False

    def __post_init__(self) -> None:
        check_range("level", self.level)
        if self.draws < 1:
            raise ValueError(f"expected draws >= 1, got {self.draws}")

    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        drawn = [self._noisy(shard, seed, draw) for draw in range(self.draws)]
        outputs = [predict(networks, images, shard) for images in drawn]
        if self.draws == 1:
            return TaskOutput(networks=outputs[0], pictures=drawn[0].clamp(0, 1))
        joined = tuple(_stack([output[k] for output in outputs]) for k in range(len(networks)))
        return TaskOutput(networks=joined, pictures=drawn[0].clamp(0, 1))

    @override
    def forward_passes(self, domain: Domain | None = None) -> float:
        del domain
        return float(self.draws)

    @override
    def title(self) -> str:
        return f"{self.distribution} noise, level {self.level:g}"

    def _noisy(self, shard: Batch, seed: int, draw: int) -> Tensor:
        stream = keys(seed, f"noise/{self.distribution}", shard.ids, draw).to(shard.images.device)
        shape = shard.images.shape[1:]
        field = normal(stream, shape) if self.distribution == "gaussian" else uniform(stream, shape) * 2 - 1
        images = shard.images + self.level * field
        return images.clamp(0, 1) if self.clip else images


def _stack(draws: Sequence[Observations]) -> Observations:
    return {column: np.stack([draw[column] for draw in draws], axis=1) for column in draws[0]}
