"""Random pruning: the control that every criterion has to beat."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from pruners._base import Context, Pruner
from pruners._masks import apply_masks, keep_global, keep_layerwise, nonzero
from pruners._weights import check_keep, prunable


@final
@dataclass(frozen=True, kw_only=True)
class Random(Pruner):
    """Keeps weights drawn uniformly at random.

    Every weight draws its score from (seed, parameter name, position), whatever else stands in the network: for one
    seed, what survives a smaller `keep` also survives a larger one, and the order of the modules does not matter.

    Attributes:
        scope: "global" draws over all layers; "layerwise" prunes the same fraction of every layer.
    """

    structure: ClassVar[str] = "weights"
    scope: Literal["global", "layerwise"] = "global"

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        scores = {name: _draw(weight, context.seed, name) for name, weight in prunable(network).items()}
        choose = keep_global if self.scope == "global" else keep_layerwise
        return apply_masks(network, choose(scores, keep, nonzero(network)))


def _draw(weight: Tensor, seed: int, name: str) -> Tensor:
    # drawn on the CPU: every device gets the same numbers
    digest = hashlib.blake2b(f"{seed}\x1f{name}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
    return torch.rand(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
