"""Random pruning: the control that every criterion has to beat."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.weights import prunable
from pruners._base import Context, Scores
from pruners._weight_pruner import WeightPruner


@final
@dataclass(frozen=True, kw_only=True)
class Random(WeightPruner):
    """Keeps weights drawn uniformly at random.

    Every weight draws its score from (seed, parameter name, position), whatever else stands in the network: for one
    seed, what survives a smaller `keep` also survives a larger one, and the order of the modules does not matter.

    Example:
        >>> from pruners import Random, prune, remaining
        >>> sparse = prune(network, Random(), 0.5, example=images[:1], seed=1)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    when: ClassVar[Literal["at any time"]] = "at any time"
    criterion: ClassVar[str] = "a draw"
    paper: ClassVar[str] = "the control of every study"
    nested: ClassVar[bool] = True

    @override
    def score(self, network: nn.Module, context: Context) -> Scores:
        return {name: _draw(weight, context.seed, name) for name, weight in prunable(network).items()}


def _draw(weight: Tensor, seed: int, name: str) -> Tensor:
    # drawn on the CPU: every device gets the same numbers
    digest = hashlib.blake2b(f"{seed}\x1f{name}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
    return torch.rand(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
