"""Rules by which the layers of a network share a budget of weights.

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
            # a fraction in proportion to sum / product is a number in proportion to the sum
            return keep_layerwise(scores, keep, alive, {name: float(sum(s.shape)) for name, s in scores.items()})
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
    share = torch.empty_like(squares)
    share[order] = torch.where(above == 0, 0.0, ascending / above)
    shares[alive] = share
    return shares
