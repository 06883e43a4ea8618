"""Prunes to a budget of multiplications or milliseconds instead of parameters, by bisection."""

from collections.abc import Callable
from typing import Final

from torch import nn

from neuralnets.copies import copied
from neuralnets.weights import remaining
from pruners._base import Context, Pruner, pruned_copy

_MASKED: Final = 0.8
"""A cost of which more than this share is left without a weight does not depend on masks, but for noise."""


def prune_to_cost(
    pruner: Pruner,
    network: nn.Module,
    target: float,
    *,
    measure: Callable[[nn.Module], float],
    context: Context,
    whole: float | None = None,
    calls: int = 12,
    tolerance: float = 0.002,
) -> nn.Module:
    """`network`, pruned so that the share `target` of the cost is saved, or a little more.

    Bisection over `keep`: the cost is taken to grow with the number of weights, up to noise. Of all networks that were
    tried, that one is handed out whose cost is the largest within the budget; a noisy cost is thus met up to its noise.

    Args:
        pruner: A method that does without training.
        network: Not changed.
        target: In (0, 1), of `whole`.
        measure: What a network costs, above 0: multiplications with weights that are not zero, milliseconds, ....
        context: What the pruner may look at.
        whole: The cost of which `target` is a share; by default that of `network`.
        calls: At most so often the pruner is called, at least 2.
        tolerance: A network within the budget by less than this share of `whole` is good enough, at least 0.

    Raises:
        ValueError: An argument is out of range, the method trains, or no pruning by it saves as much: masks, for one,
            save no time.
    """
    check_affordable(pruner)
    _check(target, calls, tolerance)
    before = measure(network)
    whole = before if whole is None else whole
    if not (before > 0 and whole > 0):
        raise ValueError(f"expected a cost above 0, got {before:g} of the network and {whole:g} of the whole")
    most = (1 - target) * whole
    if before <= most:
        return copied(network)
    few, many = 1, remaining(network)
    best = pruned_copy(pruner, network, keep=few, context=context)
    reached = measure(best)
    _check_falls(pruner, reached / whole, target)
    for _ in range(calls - 1):
        if many - few <= 1 or most - reached <= tolerance * whole:
            break
        keep = (few + many) // 2
        pruned = pruned_copy(pruner, network, keep=keep, context=context)
        cost = measure(pruned)
        few, many = (keep, many) if cost <= most else (few, keep)
        if reached < cost <= most:
            best, reached = pruned, cost
    return best


def check_affordable(pruner: Pruner) -> None:
    """Raise ValueError if the method trains: a search that prunes a dozen times would train a dozen times."""
    if "training" in pruner.needs:
        raise ValueError(
            f"expected a method that prunes without training for a budget that is searched, got"
            f" {type(pruner).__name__}: give its budget in parameters"
        )


def _check(target: float, calls: int, tolerance: float) -> None:
    if not 0 < target < 1:
        raise ValueError(f"expected 0 < target < 1, got {target}")
    if calls < 2:
        raise ValueError(f"expected calls >= 2, got {calls}")
    if not tolerance >= 0:
        raise ValueError(f"expected tolerance >= 0, got {tolerance}")


def _check_falls(pruner: Pruner, left: float, target: float) -> None:
    # the most that the method can remove tells at once what no search would find
    if pruner.structure == "weights" and left > _MASKED:
        raise ValueError(
            f"expected a cost that falls with the weights that are not zero, got {left:.1%} of it with a single weight"
            f" left: masks save no time, only a method that removes channels does"
        )
    if left > 1 - target:
        raise ValueError(
            f"expected a budget of at least {left:.1%} of the cost, the least that {type(pruner).__name__} can reach,"
            f" got {1 - target:.1%}"
        )
