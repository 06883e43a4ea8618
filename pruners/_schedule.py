"""The prune-retrain cascade: prune, retrain, prune further (Lost in Pruning, Liebenwein et al. 2021, algorithm 1)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.weights import leave_out, prunable, remaining
from pruners._base import Context, Pruner, pruned_copy
from pruners._budget import check_affordable, prune_to_cost
from pruners._use import unused_weights


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """One network of the cascade.

    Attributes:
        target_ratio: What was asked for: a share of the parent's prunable parameters, or of its cost.
        prune_ratio: Share of the parent's prunable parameters that are gone, counted.
        network: Retrained, or recalibrated.

    Example:
        >>> from pruners import Magnitude, cascade
        >>> steps = cascade(network, Magnitude(), [0.5, 0.9], context=context)
        >>> [(step.target_ratio, step.prune_ratio) for step in steps]
        [(0.5, 0.5), (0.9, 0.9)]
    """

    target_ratio: float
    prune_ratio: float
    network: nn.Module


def cascade(  # noqa: PLR0913 - one keyword a question
    parent: nn.Module,
    pruner: Pruner,
    ratios: Sequence[float],
    *,
    context: Context,
    retrain: Callable[[nn.Module, int], nn.Module] | None = None,
    recalibrate: Callable[[nn.Module], nn.Module] | None = None,
    cost: Callable[[nn.Module], float] | None = None,
    rewind_to: Mapping[str, Tensor] | None = None,
    one_shot: bool = False,
    start: Sequence[nn.Module | None] = (),
) -> Iterator[Step]:
    """Prune `parent` to increasing ratios; yields each network as soon as it is made.

    Weights that no forward pass uses stay as they are and do not count. A ratio beyond which the network before is
    already, `parent` included, and one that whole channels are too coarse to reach beyond it, are passed over: nothing
    is yielded for them, and nothing retrained.

    Scores are computed anew at every step, on the network as it then stands. Learning-rate rewinding is retraining with
    the whole schedule again, from the trained weights (Renda, Frankle and Carbin 2020): it asks for nothing here.

    Args:
        parent: Not changed.
        pruner: The method.
        ratios: Target prune ratios in (0, 1), increasing, relative to the number of the parent's prunable parameters,
            zeros included, also where channels are gone.
        context: What the pruner may look at.
        retrain: (pruned network, step) → retrained network whose zeros are still zeros (`hold_zeros`).
        recalibrate: What is done with a network that is not retrained: batch-norm statistics are measured again.
        cost: What a network costs; ratios are then shares of the parent's cost that are saved (`prune_to_cost`). First
            called when the first step is made.
        rewind_to: Early weights by name, which surviving weights take before retraining (weight rewinding, Frankle et
            al. 2020); only for pruners of weights.
        one_shot: Every network is pruned from `parent` instead of from the one before.
        start: The networks of the first steps, where they are there already, and None for ratios that were passed
            over; they are not yielded.

    Raises:
        ValueError: At once: ratios out of range or order, more networks at the start than ratios, rewinding with whole
            channels, or a cost for a method that trains. At its step: early weights that do not fit, weights that came
            back in retraining, or a cost that cannot be saved.
    """
    _check(pruner, ratios, rewind_to, start)
    unused = unused_weights(parent, context.example)
    marked = _without(parent, unused)
    total = sum(weight.numel() for weight in prunable(marked).values())
    cut = _cutter(parent, pruner, total, context, cost)

    def made(pruned: nn.Module, step: int) -> nn.Module:
        if rewind_to is not None:
            pruned = rewound(pruned, rewind_to)
        if retrain is None:
            return pruned if recalibrate is None else recalibrate(pruned)
        left = remaining(pruned)
        trained = retrain(pruned, step)
        if (back := remaining(trained) - left) > 0:
            raise ValueError(f"expected retraining to hold pruned weights at zero, got {back} back at step {step}")
        return trained

    def steps() -> Iterator[Step]:
        done = [network for network in start if network is not None]
        network = _without(done[-1], unused) if done else marked
        reached = _ratio(network, total)
        for step in range(len(start), len(ratios)):
            pruned = cut(marked if one_shot else network, ratios[step])
            if _ratio(pruned, total) <= reached:
                continue
            network = made(pruned, step)
            reached = _ratio(network, total)
            yield Step(target_ratio=ratios[step], prune_ratio=reached, network=network)

    return steps()


def _without(network: nn.Module, unused: frozenset[str]) -> nn.Module:
    marked = copied(network)
    leave_out(marked, unused)
    return marked


def keep_for(total: int, ratio: float) -> int:
    """How many of `total` prunable parameters are left at a prune ratio; at least 1.

    Raises:
        ValueError: `ratio` is not in [0, 1).
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"expected 0 <= ratio < 1, got {ratio}")
    return max(1, round((1 - ratio) * total))


def hold_zeros(network: nn.Module) -> Callable[[nn.Module], None]:
    """What keeps prunable weights that are zero in `network` at zero, in `network` itself or a copy that is trained.

    Call the result with the trained network after every optimiser step: momentum and weight decay move masked weights
    too.
    """
    gone = {name: weight.detach() == 0 for name, weight in prunable(network).items()}
    gone = {name: mask for name, mask in gone.items() if mask.any()}

    @torch.no_grad()
    def hold(trained: nn.Module) -> None:
        for name, mask in gone.items():
            weight = trained.get_parameter(name)
            weight.masked_fill_(mask.to(weight.device), 0)

    return hold


def rewound(network: nn.Module, early: Mapping[str, Tensor]) -> nn.Module:
    """A copy of `network` with the tensors of `early`, a whole state dict; prunable weights that are zero stay zero.

    Raises:
        ValueError: `early` is of another network, or zero where a weight survives, which would then count as pruned.
    """
    back = copied(network)
    shapes = {name: tensor.shape for name, tensor in back.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in early.items()}:
        raise ValueError("expected early weights of the same network, got tensors of other names or shapes")
    back.load_state_dict(dict(early))
    hold_zeros(network)(back)
    if (lost := remaining(network) - remaining(back)) > 0:
        raise ValueError(f"expected early weights other than zero for all that survive, got {lost} zeros")
    return back


def _cutter(
    parent: nn.Module, pruner: Pruner, total: int, context: Context, cost: Callable[[nn.Module], float] | None
) -> Callable[[nn.Module, float], nn.Module]:
    """(network, ratio) → pruned network; the ratio is that of the parent's `total` weights, or of its cost.

    A network that is beyond it already is given back as it is.
    """

    def cut(network: nn.Module, ratio: float) -> nn.Module:
        keep = keep_for(total, ratio)
        return network if keep >= remaining(network) else pruned_copy(pruner, network, keep=keep, context=context)

    if cost is None:
        return cut
    check_affordable(pruner)
    measure = cost
    whole = cache(lambda: measure(parent))
    return lambda network, ratio: prune_to_cost(pruner, network, ratio, measure=measure, context=context, whole=whole())


def _ratio(network: nn.Module, total: int) -> float:
    return 1 - remaining(network) / total


def _check(
    pruner: Pruner, ratios: Sequence[float], rewind_to: Mapping[str, Tensor] | None, start: Sequence[nn.Module | None]
) -> None:
    if not all(0 < ratio < 1 for ratio in ratios) or any(a >= b for a, b in pairwise(ratios)):
        raise ValueError(f"expected increasing ratios in (0, 1), got {list(ratios)}")
    if len(start) > len(ratios):
        raise ValueError(f"expected at most {len(ratios)} networks to start from, got {len(start)}")
    if rewind_to is not None and pruner.structure != "weights":
        raise ValueError(f"expected a pruner of weights for weight rewinding, got {type(pruner).__name__}")
