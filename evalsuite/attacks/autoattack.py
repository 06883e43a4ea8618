"""AutoAttack through pyautoattack: the reference engine and oracle."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import nn
from typing_extensions import override

from evalsuite.attacks._base import Attack, Attacked, Budget, Norm
from evalsuite.attacks._stages import black_box, doubts, engine, run
from evalsuite.data._base import Batch


@final
@dataclass(frozen=True, kw_only=True)
class Autoattack(Attack):
    """APGD-CE, targeted APGD, targeted FAB and Square in turn (Croce and Hein 2020, arXiv:2003.01690).

    The result depends on the batch, since pyautoattack draws its random numbers batch by batch: the shard is the batch.
    With few classes see `evalsuite.attacks._stages.engine`.

    Attributes:
        version: "standard" (the protocol), "plus", or "rand" for randomised networks.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2", "l1")

    version: Literal["standard", "plus", "rand"] = "standard"

    @override
    def typical_steps(self) -> int:
        return 1200  # 3600 for an example that is never broken; about a third are, where an attack is worth its time

    @override
    def __call__(self, network: nn.Module, batch: Batch, budget: Budget, *, seed: int) -> Attacked:
        with torch.no_grad():
            classes = network(batch.images[:1]).shape[-1]
        attacks = engine(network, budget, classes, self.version, seed)
        broken = run(attacks, batch)
        return Attacked(
            images=broken.images,
            flags=doubts(network, batch, randomised=self.version == "rand"),
            black_box=black_box(attacks, broken),
        )
