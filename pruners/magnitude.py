"""Magnitude pruning: the smallest weights go."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import nn
from typing_extensions import override

from pruners._base import Context, Pruner
from pruners._masks import apply_masks, keep_global, keep_layerwise, nonzero
from pruners._weights import check_keep, prunable


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(Pruner):
    """Keeps the weights that are largest in absolute value; needs no data.

    Han et al. 2015 (arXiv:1506.02626). With `scope="global"` this is weight thresholding, WT, of Lost in Pruning
    (Liebenwein et al. 2021, arXiv:2103.03014). What survives a smaller `keep` also survives a larger one.

    Attributes:
        scope: "global" compares weights over all layers; "layerwise" prunes the same fraction of every layer.
    """

    structure: ClassVar[str] = "weights"
    scope: Literal["global", "layerwise"] = "global"

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        scores = {name: weight.detach().abs() for name, weight in prunable(network).items()}
        choose = keep_global if self.scope == "global" else keep_layerwise
        return apply_masks(network, choose(scores, keep, nonzero(network)))
