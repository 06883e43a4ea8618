"""The plasma fractal of fog: diamond-square on a torus (Fournier, Fussell and Carpenter 1982)."""

import torch
from torch import Tensor

from evalsuite.randomness import fold, uniform


def plasma(keys: Tensor, side: int, decay: float) -> Tensor:
    """One height map per key, (n, side, side), float64, from 0 to 1.

    Args:
        keys: (n,), int64.
        side: A power of two.
        decay: What the wobble is divided by at each finer level; larger is smoother. The published recurrence adds
            wobble * U(-wobble, wobble), starting at 100, so the amplitude falls with the square of `decay`.
    """
    heights = torch.zeros(len(keys), side, side, dtype=torch.float64, device=keys.device)
    wobble, step, level = 100.0, side, 0
    while step >= 2:
        half, cells = step // 2, side // step
        noise = uniform(fold(keys, level), (3, cells, cells), dtype=torch.float64).mul_(2).sub_(1).mul_(wobble * wobble)
        corners = heights[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        centres = (pairs + pairs.roll(-1, 2)) / 4 + noise[:, 0]
        heights[:, half::step, half::step] = centres
        upper = (centres + centres.roll(1, 1)) + (corners + corners.roll(-1, 2))
        heights[:, ::step, half::step] = upper / 4 + noise[:, 1]
        lefts = (centres + centres.roll(1, 2)) + (corners + corners.roll(-1, 1))
        heights[:, half::step, ::step] = lefts / 4 + noise[:, 2]
        step, wobble, level = half, wobble / decay, level + 1
    heights -= heights.amin((1, 2), keepdim=True)
    # a map of one pixel has no range
    return heights / heights.amax((1, 2), keepdim=True).clamp_(min=torch.finfo(torch.float64).tiny)
