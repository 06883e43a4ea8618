"""Greedy allocation: again and again the layer is pruned further whose weights are cheapest."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import ClassVar, Literal, NamedTuple, final

from torch import nn
from typing_extensions import override

from neuralnets.weights import check_keep
from pruners._base import Context, Need, Pruner
from pruners._checks import check_at_least
from pruners._data import examples
from pruners._layer_trials import Outcome, masks_for, read_layers, trial
from pruners._masks import apply_masks


@final
@dataclass(frozen=True, kw_only=True)
class GreedyAllocation(Pruner):
    """Magnitude pruning whose layer ratios are found by a greedy search over training examples.

    In every step one layer loses `share` of its weights, the smallest: the one in which this raises the training loss
    the least per weight. As NetAdapt (Yang et al. 2018, arXiv:1804.03230, algorithm 1), with three deviations: single
    weights instead of filters; a price per weight, as layers lose different numbers; no fine-tuning in between. Layers
    are tried again only when they come first with the price they had: that is exact where prices only rise as the rest
    of the network is pruned. A layer's last weight goes only when no layer has more than one.

    Attributes:
        share: Of what is left of a layer, that goes in one step; in (0, 1).
        examples: Number of training examples that are looked at, at least 1.

    Example:
        >>> from pruners import GreedyAllocation, prune, remaining
        >>> sparse = prune(network, GreedyAllocation(examples=16), 0.5, example=images[:1], batches=batches)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    structure: ClassVar[Literal["weights"]] = "weights"
    criterion: ClassVar[str] = "absolute value, layer ratios by greedy search"
    needs: ClassVar[frozenset[Need]] = frozenset({"data"})
    paper: ClassVar[str] = "Yang et al. 2018, arXiv:1804.03230"
    share: float = 0.1
    examples: int = 256

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        if not 0 < self.share < 1:
            raise ValueError(f"expected 0 < share < 1, got {self.share}")
        check_at_least(1, examples=self.examples)

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        layers, batches = read_layers(network), examples(context, self.examples)
        counts = greedy_counts(trial(network, layers, batches), layers.sizes, keep, self.share)
        return apply_masks(network, masks_for(network, layers, counts))


def greedy_counts(
    attempt: Callable[[Sequence[int]], Outcome], sizes: Sequence[int], keep: int, share: float
) -> tuple[int, ...]:
    """Numbers of weights per layer that add up to `keep`.

    Args:
        attempt: What becomes of the examples with numbers of weights per layer.
        sizes: How many there are.
        keep: In 1, ..., their sum.
        share: Of what is left of a layer, that goes in one step.
    """
    counts, left = list(sizes), sum(sizes)
    if left == keep:
        return tuple(counts)
    loss = attempt(counts).loss

    def tried(layer: int) -> _Step:
        least = 1 if left > len(counts) else 0
        cut = min(max(1, round(share * counts[layer])), counts[layer] - least, left - keep)
        if cut <= 0:
            return _Step(held=1 if counts[layer] else 2, price=0, layer=layer, cut=0, loss=loss, left=left)
        after = attempt([count - cut * (place == layer) for place, count in enumerate(counts)]).loss
        price = (after - loss) / cut if math.isfinite(after) and math.isfinite(loss) else after
        return _Step(held=0, price=price, layer=layer, cut=cut, loss=after, left=left)

    steps = [tried(layer) for layer in range(len(counts))]
    heapify(steps)
    while left > keep:
        first = steps[0]
        if first.left != left:
            heapreplace(steps, tried(first.layer))
            continue
        counts[first.layer] -= first.cut
        left, loss = left - first.cut, first.loss
        # its next weights are dearer: nothing is known of them yet
        if left > keep:
            heapreplace(steps, tried(first.layer))
    return tuple(counts)


class _Step(NamedTuple):
    """The next weights that a layer would lose; ordered by what they cost.

    Attributes:
        held: 0 where weights can go, 1 where the last one is held back, 2 where none is left.
        price: What the loss rises by per weight; the loss itself where no difference can be told.
        layer: The layer.
        cut: How many weights would go.
        loss: The loss without them.
        left: How many weights all layers had when this was tried.
    """

    held: int
    price: float
    layer: int
    cut: int
    loss: float
    left: int
