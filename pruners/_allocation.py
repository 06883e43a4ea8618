"""How many weights each layer keeps of a common budget.

- "global": scores are compared over all layers.
- "uniform": every layer keeps the same fraction.
- "lamp": scores are compared over all layers as shares of what stands above them in their layer (Lee et al. 2021,
  arXiv:2010.07611, equation 2): s_i^2 / sum of s_j^2 over all j with s_j >= s_i. No layer is emptied.
- "erk": a layer keeps a fraction in proportion to (sum of its dimensions) / (their product), at most 1: Erdős-Rényi
  kernels (Evci et al. 2020, arXiv:1911.11134, section 3).
- "flops": scores are compared over all layers per multiplication that the weight costs, so that what runs at many
  positions goes first.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from pruners._base import Scores
from pruners._masks import Masks, keep_global, keep_layerwise
from pruners._positions import positions

Allocation = Literal["global", "uniform", "lamp", "erk", "flops"]


def allocate(
    allocation: Allocation, scores: Scores, keep: int, alive: Mapping[str, Tensor], network: nn.Module, example: Tensor
) -> Masks:
    """Masks with exactly `keep` survivors in all.

    Args:
        allocation: The rule.
        scores: Of every prunable parameter; not negative for "lamp" and "flops".
        keep: In 0, ..., number of True entries of `alive`.
        alive: Entries that may stay.
        network: What is pruned; only shapes matter.
        example: (1, c, h, w), only its shape and device matter.

    Raises:
        ValueError: A score is NaN, `keep` is out of range, or the rule does not take such scores.
    """
    match allocation:
        case "global":
            return keep_global(scores, keep, alive)
        case "uniform":
            return keep_layerwise(scores, keep, alive)
        case "lamp":
            return keep_global({name: _lamp(s, alive[name], name) for name, s in scores.items()}, keep, alive)
        case "erk":
            return _erk(scores, keep, alive)
        case "flops":
            costs = positions(network, example)
            per_use = {name: _positive(s, alive[name], name) / max(1, costs[name]) for name, s in scores.items()}
            return keep_global(per_use, keep, alive)


def _positive(scores: Tensor, alive: Tensor, name: str) -> Tensor:
    if bool((scores[alive] < 0).any()):
        raise ValueError(f"expected scores >= 0 to share a budget out by, got negative ones for {name}")
    return scores.double()


def _lamp(scores: Tensor, alive: Tensor, name: str) -> Tensor:
    # float64: the sums of a large layer's smallest squares would drown in float32
    squares = _positive(scores, alive, name)[alive].square()
    order = squares.argsort(stable=True)
    ascending = squares[order]
    above = ascending.flip(0).cumsum(0).flip(0)
    shares = torch.zeros(scores.shape, dtype=torch.float64, device=scores.device)
    found = torch.empty_like(squares)
    found[order] = torch.where(above > 0, ascending / above, 0.0)
    shares[alive] = found
    return shares


def _erk(scores: Scores, keep: int, alive: Mapping[str, Tensor]) -> Masks:
    sizes = {name: int(mask.sum()) for name, mask in alive.items()}
    weights = {name: sum(score.shape) / score.numel() for name, score in scores.items()}
    counts = _apportioned(keep, {name: weights[name] * scores[name].numel() for name in scores}, sizes)
    masks: Masks = {}
    for name, score in scores.items():
        masks |= keep_global({name: score}, counts[name], alive)
    return masks


def _apportioned(keep: int, shares: Mapping[str, float], most: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers that add up to `keep`, in proportion to `shares` but at most `most`.

    Raises:
        ValueError: `most` do not add up to `keep`.
    """
    if not 0 <= keep <= sum(most.values()):
        raise ValueError(f"expected 0 <= keep <= {sum(most.values())}, the entries alive, got {keep}")
    full: set[str] = set()
    while True:  # layers that would get more than they have are full; the others share the rest
        rest = keep - sum(most[name] for name in full)
        scale = rest / max(sum(share for name, share in shares.items() if name not in full), 1e-300)
        over = {name for name, share in shares.items() if name not in full and share * scale > most[name]}
        if not over:
            break
        full |= over
    exact = {name: float(most[name]) if name in full else share * scale for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    short = keep - sum(counts.values())
    by_remainder = sorted(counts, key=lambda name: counts[name] - exact[name])
    for name in [name for name in by_remainder if counts[name] < most[name]][:short]:
        counts[name] += 1
    return counts
