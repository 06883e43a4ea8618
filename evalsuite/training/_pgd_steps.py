"""Signed gradient steps in an L-infinity ball, batch by batch: the inner maximisation of adversarial training."""

from collections.abc import Callable

import torch
from torch import Tensor


def ascend(
    objective: Callable[[Tensor], Tensor], images: Tensor, start: Tensor, *, eps: float, length: float, steps: int
) -> Tensor:
    """Images within `eps` of `images` and in [0, 1], after `steps` steps from `start` up the objective, without graph.

    Madry et al. 2018 (arXiv:1706.06083), section 2.1. Costs one forward and one backward pass a step.

    Args:
        objective: (n, c, h, w) → scalar, a sum or mean over the batch.
        images: (n, c, h, w) in [0, 1]; not changed.
        start: Likewise; it is brought into the ball first.
        eps: Radius, at least 0.
        length: Of a step, in units of the image's range.
        steps: At least 0.
    """
    moved = _within(start, images, eps)
    for _ in range(steps):
        moved.requires_grad_()
        (gradient,) = torch.autograd.grad(objective(moved), moved)
        moved = _within(moved.detach() + length * gradient.sign(), images, eps)
    return moved


def _within(moved: Tensor, images: Tensor, eps: float) -> Tensor:
    return torch.minimum(torch.maximum(moved.detach(), images - eps), images + eps).clamp(0, 1)
