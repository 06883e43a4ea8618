"""Importance sampling of a number of distinct items, with weights that leave every sum unbiased.

Drawing items with replacement, item j with probability p_j, until m distinct ones are found, and weighting each by its
number of hits over its expected number, is biased: when the drawing ends depends on what was drawn. The same draws in
continuous time are not. Item j arrives for the first time at E_j / p_j with E_j exponential; the m items that arrive
first are distributed as the first m distinct ones of the draws. Given the time t at which the first item that is left
out arrives, item j was in time with probability 1 - exp(-p_j t), and one over that is its weight (Cohen and Kaplan
2007, bottom-k sampling with rank conditioning). It is also the mean number of hits of what was hit at all, over the
expected number p_j t: the weight of drawing with replacement with one source of noise less.
"""

import torch
from torch import Tensor


def arrivals(importance: Tensor, generator: torch.Generator) -> Tensor:
    """When each item arrives for the first time, (n,), float64; never (infinity) where its importance is 0.

    Args:
        importance: (n,), at least 0, of any scale, on the CPU.
        generator: On the CPU.
    """
    draws = torch.empty(len(importance), dtype=torch.float64).exponential_(generator=generator)
    return torch.where(importance > 0, draws / importance, torch.inf)


def places(times: Tensor) -> Tensor:
    """(n,): how many items arrive no earlier; n for the first, 1 for the last."""
    order = times.argsort(stable=True)
    ranks = torch.empty_like(times)
    ranks[order] = torch.arange(len(times), 0, -1, dtype=times.dtype)
    return ranks


def unbiased_weights(importance: Tensor, times: Tensor, stays: Tensor) -> Tensor:
    """What each item that stays is to be multiplied by, (n,), float64, at least 1.

    The expectation of (weight if the item stays, else 0) is 1 for every item whose importance is not 0.

    Args:
        importance: As given to `arrivals`.
        times: As returned by it.
        stays: (n,), bool: those that arrive first.
    """
    if bool(stays.all()):
        return torch.ones_like(times)
    share = -torch.expm1(-importance * times[~stays].min())
    return torch.where(share > 0, 1 / share, 1.0)
