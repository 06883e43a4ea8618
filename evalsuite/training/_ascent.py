"""The inner maximisation of adversarial training: signed gradient steps in an L-infinity ball, batch by batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


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


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Inside, `network` is in evaluation mode; after, every module is in the mode in which it was.

    So an attack meets the network that will be used, and leaves batch-norm statistics alone.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield network
    finally:
        for module, mode in modes:
            module.training = mode


def _within(moved: Tensor, images: Tensor, eps: float) -> Tensor:
    return torch.minimum(torch.maximum(moved.detach(), images - eps), images + eps).clamp(0, 1)
