"""Measures a network's training accuracy for given numbers of weights per layer, without any retraining.

Within a layer the largest weights stay, so that a number says which. Batch-norm statistics stay as they are.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.weights import prunable
from pruners._masks import Masks, keep_global, nonzero


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Layers:
    """The layers of a network and the order in which each loses its weights.

    Attributes:
        names: Of the prunable parameters that have weights left.
        ranks: Per layer, in the shape of the parameter: how many weights are larger in absolute value; of equal ones
            the first counts as larger. Pruned weights stand behind all others.
        sizes: Per layer, how many weights are left; at least 1.
    """

    names: tuple[str, ...]
    ranks: tuple[Tensor, ...]
    sizes: tuple[int, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Accuracy and loss of a network on training examples.

    Attributes:
        accuracy: In percent.
        loss: Mean cross-entropy; infinite where an output is not a number.
    """

    accuracy: float
    loss: float

    @property
    def likelihood(self) -> float:
        """Geometric mean of the probabilities of the right classes, in percent."""
        return 100 * math.exp(-self.loss)


def read_layers(network: nn.Module) -> Layers:
    """The layers of `network` that have a weight left.

    Raises:
        ValueError: A weight is NaN.
    """
    weights = {name: weight.detach() for name, weight in prunable(network).items() if weight.any()}
    for name, weight in weights.items():
        if bool(weight.isnan().any()):
            raise ValueError(f"expected weights without NaN, got NaN in {name}")
    return Layers(
        names=tuple(weights),
        ranks=tuple(_ranks(weight.abs()) for weight in weights.values()),
        sizes=tuple(int(weight.count_nonzero()) for weight in weights.values()),
    )


def masks_for(network: nn.Module, layers: Layers, counts: Sequence[int]) -> Masks:
    """Masks under which each layer has the number of weights of `counts` left, the largest."""
    chosen = {name: rank < count for name, rank, count in zip(layers.names, layers.ranks, counts, strict=True)}
    return nonzero(network) | chosen


def to_budget(layers: Layers, densities: Sequence[float], keep: int) -> tuple[int, ...]:
    """Numbers of weights in proportion to size times density, at most the size, that add up to `keep`.

    The common factor is the one at which the rounded numbers add up (Webster's method). A layer is emptied only if
    `keep` is smaller than the number of layers, the smallest layers first.

    Args:
        layers: The layers.
        densities: Per layer, in [0, 1]; only their proportions matter.
        keep: In 1, ..., sum of the sizes.
    """
    priorities: dict[str, Tensor] = {}
    for name, rank, size, density in zip(layers.names, layers.ranks, layers.sizes, densities, strict=True):
        place = rank.double() + 0.5
        priorities[name] = torch.where(rank == 0, 1 - place / size, -place / (size * max(density, 1e-9)))
    alive = {name: rank < size for name, rank, size in zip(layers.names, layers.ranks, layers.sizes, strict=True)}
    return tuple(int(mask.sum()) for mask in keep_global(priorities, keep, alive).values())


def trial(
    network: nn.Module, layers: Layers, batches: Sequence[tuple[Tensor, Tensor]]
) -> Callable[[Sequence[int]], Outcome]:
    """A function from numbers of weights per layer to what the network that has only these makes of the examples.

    It takes one forward pass of all examples, four batches at once: without gradients these need less memory than
    training on one. Layers whose number is the same as in the call before are left alone.
    """
    if batches and (batches[0][1].dim() != 1 or batches[0][1].is_floating_point()):
        raise ValueError("expected one class an image to search layers by, got other right answers")
    fours = [batches[first : first + 4] for first in range(0, len(batches), 4)]
    joined = [(torch.cat([images for images, _ in four]), torch.cat([labels for _, labels in four])) for four in fours]
    with torch.inference_mode(mode=False), torch.no_grad():
        model = copied(network).float().eval()
        whole = [model.get_parameter(name).detach().clone() for name in layers.names]
    current = list(layers.sizes)

    def attempt(counts: Sequence[int]) -> Outcome:
        with torch.inference_mode(mode=False), torch.no_grad():
            for place, (name, count) in enumerate(zip(layers.names, counts, strict=True)):
                if count != current[place]:
                    rest = whole[place].masked_fill(layers.ranks[place] >= count, 0)
                    model.get_parameter(name).copy_(rest)
                    current[place] = count
            return _outcome(model, joined)

    return attempt


def _outcome(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> Outcome:
    right, loss, count = 0.0, 0.0, 0
    for images, labels in batches:
        logits = model(images)
        right += float((logits.argmax(1) == labels).sum())
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        count += len(labels)
    return Outcome(accuracy=100 * right / count, loss=math.inf if math.isnan(loss) else loss / count)


def _ranks(sizes: Tensor) -> Tensor:
    order = sizes.flatten().argsort(descending=True, stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device)
    return ranks.view(sizes.shape)
