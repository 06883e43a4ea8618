"""Magnitude pruning: the smallest weights go."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn
from typing_extensions import override

from neuralnets.weights import prunable
from pruners._base import Context, Scores
from pruners._weight_pruner import WeightPruner


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(WeightPruner):
    """Keeps the weights that are largest in absolute value; needs no data.

    Han et al. 2015 (arXiv:1506.02626). With `allocation="global"` this is weight thresholding, WT, of Lost in Pruning
    (Liebenwein et al. 2021, arXiv:2103.03014); with "lamp" it is LAMP (Lee et al. 2021, arXiv:2010.07611).

    Example:
        >>> from pruners import Magnitude, prune, remaining
        >>> sparse = prune(network, Magnitude(), 0.5, example=images[:1])
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    criterion: ClassVar[str] = "absolute value"
    paper: ClassVar[str] = "Han et al. 2015, arXiv:1506.02626"
    nested: ClassVar[bool] = True

    @override
    def score(self, network: nn.Module, context: Context) -> Scores:
        return {name: weight.detach().abs() for name, weight in prunable(network).items()}
