"""Base class of most weight pruners: score every weight, share the budget out over the layers, mask."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import nn
from typing_extensions import override

from neuralnets.weights import check_keep
from pruners._allocation import Allocation, allocate
from pruners._base import Context, Pruner, Scores
from pruners._masks import apply_masks, nonzero


@dataclass(frozen=True, kw_only=True)
class WeightPruner(Pruner):
    """A weight pruner that is defined by a score.

    Attributes:
        allocation: How the budget is shared out over the layers, see `pruners._allocation`.

    Example:
        >>> from pruners import WeightPruner, prunable, prune, remaining
        >>> class Signed(WeightPruner):
        ...     def score(self, network, context):
        ...         return {name: weight.detach() for name, weight in prunable(network).items()}
        >>> remaining(prune(network, Signed(), 0.9, example=images[:1]))
        68
    """

    structure: ClassVar[Literal["weights", "channels"]] = "weights"
    allocation: Allocation = "global"

    @abstractmethod
    def score(self, network: nn.Module, context: Context) -> Scores:
        """Of every prunable parameter the score of every entry; larger stays longer. `network` is not changed."""

    @override
    @final
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        scores = self.score(network, context)
        return apply_masks(network, allocate(self.allocation, scores, keep, nonzero(network), network, context.example))
