"""The Square attack alone: random search that needs no gradients, so nothing can hide from it by masking them."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import nn
from typing_extensions import override

from evalsuite.attacks._base import Attack, Attacked, Budget, Norm
from evalsuite.attacks._stages import engine, run
from evalsuite.data._base import Batch


@final
@dataclass(frozen=True, kw_only=True)
class Square(Attack):
    """Square Attack (Andriushchenko et al. 2020, arXiv:1912.00049) on the margin.

    A black-box attack asks the network for its outputs only: it is what is left for networks without gradients, such as
    quantised ones. The schedule of its squares is stretched to `queries`, as in the paper. The result depends on the
    batch, since random numbers are drawn batch by batch.

    Attributes:
        queries: Of the network per example, at most; at least 1.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2", "l1")
    gradients: ClassVar[bool] = False

    queries: int = 5000

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise ValueError(f"expected queries >= 1, got {self.queries}")

    @override
    def typical_steps(self) -> int:
        return self.queries // 4  # a query is a forward pass, a third of a gradient step; many examples break early

    @override
    def __call__(self, network: nn.Module, batch: Batch, budget: Budget, *, seed: int) -> Attacked:
        with torch.no_grad():
            classes = network(batch.images[:1]).shape[-1]
        attacks = engine(network, budget, classes, "standard", seed)
        attacks.attacks_to_run, attacks.square.n_queries, attacks.square.rescale_schedule = (
            ["square"],
            self.queries,
            True,
        )
        return Attacked(images=run(attacks, batch).images)
