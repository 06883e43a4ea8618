"""Turns scores into masks with exactly the requested number of survivors, and applies them.

A threshold test (`score > t`) keeps none or all of a tie, so that a network with many equal scores ends with too few
or too many weights. Here ties are broken by position: of equal scores the one that stands first survives.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.weights import prunable
from pruners._base import Scores

Masks = dict[str, Tensor]
"""Parameter name → True where the entry survives, in the shape of the parameter."""


def nonzero(network: nn.Module) -> Masks:
    """Prunable entries that are not pruned yet."""
    return {name: weight.detach() != 0 for name, weight in prunable(network).items()}


def keep_global(scores: Scores, keep: int, alive: Mapping[str, Tensor]) -> Masks:
    """The `keep` largest scores over all layers together.

    Args:
        scores: Compared in float64; infinities are allowed.
        keep: At most the number of True entries of `alive`, so that no pruned entry ever comes back.
        alive: Entries that may be kept, by the same names.

    Raises:
        ValueError: A score of an alive entry is NaN, or `keep` is out of range.
    """
    flags = torch.cat([alive[name].flatten() for name in scores])
    largest = _largest(_alive_scores(scores, alive), keep)
    # where all are alive there is nothing to spread
    flags = largest if len(largest) == len(flags) else flags.masked_scatter(flags, largest)
    parts = flags.split([score.numel() for score in scores.values()])
    return {name: part.view_as(score) for (name, score), part in zip(scores.items(), parts, strict=True)}


def keep_layerwise(
    scores: Scores, keep: int, alive: Mapping[str, Tensor], shares: Mapping[str, float] | None = None
) -> Masks:
    """The largest scores of every layer, `keep` in all, the same fraction of what is alive in each layer.

    Fractions of a weight are rounded as in `even_priorities`: a layer is emptied only if `keep` is smaller than the
    number of layers, the smallest layers first. What survives a smaller `keep` also survives a larger one.

    Args:
        scores: Compared in float64, within a layer; infinities are allowed.
        keep: At most the number of True entries of `alive`.
        alive: Entries that may be kept, by the same names.
        shares: In what proportion the layers keep instead, each at least 1; a layer keeps at most what is alive, and
            the others share the rest in proportion.

    Raises:
        ValueError: As `keep_global`.
    """
    priorities = {name: torch.zeros_like(score, dtype=torch.float64) for name, score in scores.items()}
    for name, score in scores.items():
        left = _alive_scores({name: score}, alive)
        priorities[name][alive[name]] = even_priorities(left, len(left) if shares is None else shares[name])
    return keep_global(priorities, keep, alive)


def even_priorities(scores: Tensor, share: float | None = None) -> Tensor:
    """Priorities (n,), comparable between layers, that shrink all layers at one common fraction, best scores last.

    The t-th best of n gets -(t - 1/2) / share, share = n: taking the largest priorities of several layers rounds their
    common fraction to the nearest whole number (Webster's method of apportionment), and the numbers never shrink when
    one more may stay, which rounding by largest remainders does not promise (the Alabama paradox). The best of each
    layer comes before everything else, larger shares first.
    """
    count = len(scores)
    place = torch.empty(count, dtype=torch.float64, device=scores.device)
    order = scores.argsort(descending=True, stable=True)
    place[order] = torch.arange(count, dtype=torch.float64, device=scores.device)
    return torch.where(place == 0, 1.0, 0.0) - (place + 0.5) / (count if share is None else share)


def apply_masks(network: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """A deep copy of `network` with zeros where a mask is False; parameters without a mask stay as they are."""
    pruned = copied(network)
    weights = prunable(pruned)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return pruned


def _alive_scores(scores: Scores, alive: Mapping[str, Tensor]) -> Tensor:
    values = torch.cat([score.masked_select(alive[name]).double() for name, score in scores.items()])
    if bool(values.isnan().any()):
        name = next(name for name, score in scores.items() if score[alive[name]].isnan().any())
        raise ValueError(f"expected scores without NaN, got NaN for {name}")
    return values


def _largest(scores: Tensor, keep: int) -> Tensor:
    if not 0 <= keep <= len(scores):
        raise ValueError(f"expected 0 <= keep <= {len(scores)}, the entries alive, got {keep}")
    if keep == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = _smallest(scores, len(scores) - keep)
    above = scores > threshold
    ties = (scores == threshold).nonzero().squeeze(1)
    above[ties[: keep - int(above.sum())]] = True
    return above


def _smallest(scores: Tensor, place: int) -> float:
    """The score before which `place` others come in ascending order."""
    if scores.device.type == "cpu":
        # torch's kthvalue takes three to seven times as long for the same value
        return float(np.partition(scores.detach().numpy(), place)[place])
    return float(scores.kthvalue(place + 1).values)
