"""The prune-retrain cascade: prune, retrain, prune further (Lost in Pruning, Liebenwein et al. 2021, algorithm 1)."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from pruners._base import Context, Pruner
from pruners._weights import prunable, remaining


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """One network of the family.

    Attributes:
        target_ratio: What was asked for.
        prune_ratio: Share of the parent's prunable parameters that are gone, counted.
        network: Retrained, or recalibrated.
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
    rewind_to: Mapping[str, Tensor] | None = None,
    one_shot: bool = False,
    start: Sequence[nn.Module] = (),
) -> Iterator[Step]:
    """Prune `parent` to increasing ratios; yields each network as soon as it is made.

    Scores are computed anew at every step, on the network as it then stands. Learning-rate rewinding is retraining with
    the whole schedule again, from the trained weights (Renda, Frankle and Carbin 2020): it asks for nothing here.

    Args:
        parent: Not changed.
        pruner: The method.
        ratios: Target prune ratios in (0, 1), increasing, relative to the parent's prunable parameters.
        context: What the pruner may look at.
        retrain: (pruned network, step) → retrained network whose zeros are still zeros (`hold_zeros`).
        recalibrate: What is done with a network that is not retrained: batch-norm statistics are measured again.
        rewind_to: Early weights by name, which surviving weights take before retraining (weight rewinding, Frankle et
            al. 2020); only for pruners of weights.
        one_shot: Every network is pruned from `parent` instead of from the one before.
        start: The networks of the first steps, where they are there already; they are not yielded.

    Raises:
        ValueError: Ratios out of range or order, early weights that do not fit, or whole channels that are too coarse
            for the ratios asked.
    """
    _check(pruner, ratios, rewind_to)
    total = remaining(parent)
    before, reached = (start[-1], _ratio(start[-1], total)) if start else (parent, 0.0)
    for step in range(len(start), len(ratios)):
        keep = keep_for(total, ratios[step])
        pruned = pruner(parent if one_shot else before, keep=keep, context=context)
        if rewind_to is not None:
            pruned = rewound(pruned, rewind_to)
        if retrain is not None:
            pruned = retrain(pruned, step)
        elif recalibrate is not None:
            pruned = recalibrate(pruned)
        ratio = _ratio(pruned, total)
        if ratio <= reached:
            raise ValueError(
                f"expected a prune ratio above {reached:.4f} for the target {ratios[step]:g}, got {ratio:.4f}"
            )
        before, reached = pruned, ratio
        yield Step(target_ratio=ratios[step], prune_ratio=ratio, network=pruned)


def keep_for(total: int, ratio: float) -> int:
    """How many of `total` prunable parameters are left at a prune ratio; at least 1.

    Raises:
        ValueError: `ratio` is not in [0, 1).
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"expected 0 <= ratio < 1, got {ratio}")
    return max(1, round((1 - ratio) * total))


def hold_zeros(network: nn.Module) -> Callable[[nn.Module], None]:
    """What keeps weights that are zero in `network` at zero, in a copy of it that is trained.

    Call the result with the copy after every optimiser step: momentum and weight decay move masked weights too.
    """
    gone = {name: weight.detach() == 0 for name, weight in prunable(network).items()}
    gone = {name: mask for name, mask in gone.items() if mask.any()}

    @torch.no_grad()
    def hold(copied: nn.Module) -> None:
        weights = prunable(copied)
        for name, mask in gone.items():
            weights[name].masked_fill_(mask, 0.0)

    return hold


def rewound(network: nn.Module, early: Mapping[str, Tensor]) -> nn.Module:
    """A copy of `network` with the tensors of `early`; prunable weights that are zero stay zero."""
    copied = copy.deepcopy(network)
    hold = hold_zeros(network)
    shapes = {name: tensor.shape for name, tensor in copied.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in early.items()}:
        raise ValueError("expected early weights of the same network, got tensors of other names or shapes")
    copied.load_state_dict(dict(early))
    hold(copied)
    return copied


def _ratio(network: nn.Module, total: int) -> float:
    return 1 - remaining(network) / total


def _check(pruner: Pruner, ratios: Sequence[float], rewind_to: Mapping[str, Tensor] | None) -> None:
    if not all(0 < ratio < 1 for ratio in ratios) or any(a >= b for a, b in pairwise(ratios)):
        raise ValueError(f"expected increasing ratios in (0, 1), got {list(ratios)}")
    if rewind_to is not None and pruner.structure != "weights":
        raise ValueError(f"expected a pruner of weights for weight rewinding, got {type(pruner).__name__}")
