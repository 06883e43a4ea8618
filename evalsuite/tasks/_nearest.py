"""How far an image is from what the network was trained on, as the network sees it."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

_AT_ONCE = 2**24
"""Distances in memory."""


def distances(features: Tensor, bank: Tensor, k: int) -> Tensor:
    """Distance of each of `features` (n, width) to the k-th nearest of `bank` (m, width), all scaled to length 1: (n,).

    Sun et al. 2022 (arXiv:2204.06507), section 3, whose score is its negative; in [0, 2]. Features that are all 0 stay
    0. Searched exhaustively, and told in double precision: by inner products, small distances would be lost in single.

    Args:
        features: Of the images.
        bank: Of training examples.
        k: In 1, ..., m.
    """
    directions = normalize(bank.double(), dim=1)
    parts = normalize(features.double(), dim=1).split(max(1, _AT_ONCE // len(bank)))
    return torch.cat([_distances(part, directions, k) for part in parts])


def _distances(features: Tensor, bank: Tensor, k: int) -> Tensor:
    squares = (features.square().sum(1)[:, None] + bank.square().sum(1) - 2 * features @ bank.T).clamp(min=0)
    return squares.topk(k, dim=1, largest=False).values.amax(1).sqrt()
