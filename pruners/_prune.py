"""Prunes a network to a ratio in one call."""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from neuralnets.weights import prunable
from pruners._base import Context, Pruner, Train, pruned_copy
from pruners._schedule import keep_for
from pruners._use import without_unused


def prune(
    network: nn.Module,
    pruner: Pruner,
    ratio: float,
    *,
    example: Tensor,
    seed: int = 0,
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]] | None = None,
    train: Train | None = None,
) -> nn.Module:
    """A copy of `network` without the share `ratio` of its prunable parameters.

        smaller = prune(network, FilterNorm(), 0.5, example=torch.zeros(1, 3, 32, 32))

    Args:
        network: Not changed.
        pruner: The method.
        ratio: In [0, 1), of all prunable weights that a forward pass uses; those that are zero already count as
            removed, and those of layers that are not used stay as they are.
        example: One input of the network's shape, on its device.
        seed: Every random choice is derived from it.
        batches: Training batches (images, labels), anew at each call, for methods that look at data.
        train: Trains a copy of a network, for methods that train; `sgd` gives one.

    Raises:
        ValueError: More than `ratio` is gone already, or the method cannot be applied to this network.
    """
    network = without_unused(network, example)
    total = sum(weight.numel() for weight in prunable(network).values())
    context = Context(example=example, seed=seed, batches=batches, train=train)
    return pruned_copy(pruner, network, keep=keep_for(total, ratio), context=context)
