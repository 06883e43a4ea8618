"""Projected gradient descent: a quick look, an upper bound on robust accuracy that is often far from tight."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from evalsuite.attacks._base import Attack, Attacked, Budget, Norm
from evalsuite.data._base import Batch
from evalsuite.problems import decided
from evalsuite.randomness import keys, normal, uniform


@final
@dataclass(frozen=True, kw_only=True)
class Pgd(Attack):
    """Ascends the cross-entropy inside the ball, from a random start (Madry et al. 2018, arXiv:1706.06083, eq. 2).

    An example leaves the batch as soon as it is misclassified.

    Attributes:
        steps: Gradient steps, >= 1.
        step: Length of a step as a share of eps; by default 2.5 / steps, as in the paper's section 5.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    steps: int = 20
    step: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"expected steps >= 1, got {self.steps}")

    @override
    def typical_steps(self) -> int:
        return self.steps

    @override
    def __call__(self, network: nn.Module, batch: Batch, budget: Budget, *, seed: int) -> Attacked:
        images, labels, norm, eps = batch.images, batch.labels, budget.norm, budget.eps
        stream = keys(seed, f"pgd/{norm}", batch.ids).to(images.device)
        length = eps * (self.step if self.step is not None else 2.5 / self.steps)
        attacked = images.clone()
        active = torch.arange(len(images), device=images.device)
        moved = _project(images + _start(stream, images.shape[1:], norm) * eps, images, norm, eps)
        for _ in range(self.steps):
            moved = moved.requires_grad_()
            logits = network(moved)
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels[active], reduction="sum"), moved)
            moved = moved.detach()
            attacked[active] = moved
            alive = decided(logits) == labels[active]
            active, moved, gradient = active[alive], moved[alive], gradient[alive]
            if not len(active):
                break
            moved = _project(moved + length * _steepest(gradient, norm), images[active], norm, eps)
        attacked[active] = moved
        return Attacked(images=attacked)


def _start(stream: Tensor, shape: Sequence[int], norm: Norm) -> Tensor:
    if norm == "linf":
        return uniform(stream, shape) * 2 - 1
    direction = normal(stream, shape)
    return direction / _length(direction)


def _steepest(gradient: Tensor, norm: Norm) -> Tensor:
    return gradient.sign() if norm == "linf" else gradient / _length(gradient)


def _project(moved: Tensor, images: Tensor, norm: Norm, eps: float) -> Tensor:
    if norm == "linf":
        return torch.minimum(torch.maximum(moved, images - eps), images + eps).clamp(0, 1)
    delta = moved - images
    # a point of the ball that is cut to [0, 1] stays in the ball: the image itself is in [0, 1]
    return (images + delta * (eps / _length(delta)).clamp(max=1)).clamp(0, 1)


def _length(x: Tensor) -> Tensor:
    length: Tensor = x.flatten(1).norm(dim=1)
    return length.clamp(min=1e-12)[:, None, None, None]
