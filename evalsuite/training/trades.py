"""TRADES: cross-entropy on the images, and a penalty on other outputs nearby."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.training._pgd_steps import ascend
from evalsuite.training._scheduled import Scheduled
from neuralnets.modes import evaluating

_NUDGE = 0.001


@final
@dataclass(frozen=True, kw_only=True)
class Trades(Scheduled):
    """min E [CE(f(x), y) + beta max KL(f(x) || f(x'))] over |x' - x| <= eps in every pixel.

    Zhang et al. 2019 (arXiv:1901.08573), for several classes, with beta = 1 / lambda; defaults are the authors' for
    CIFAR-10. As in their code, the attack is on the network in evaluation mode, starts 0.001 N(0, 1) beside the image,
    and x and x' go through the network in training mode one after the other. The accuracy that is told is that on x.

    Attributes:
        beta: What robustness counts, at least 0; 1 / lambda of the paper.
        eps: Radius of the L-infinity ball, in units of the image's range [0, 1], above 0.
        steps: Gradient steps, at least 1.
        step: Length of a step as a share of eps, above 0.
    """

    needs_class_labels: ClassVar[bool] = True

    beta: float = 6.0
    eps: float = 0.031
    steps: int = 10
    step: float = 0.007 / 0.031

    @override
    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not self.beta >= 0:
            raise UsageError(f"expected beta to be at least 0, got {self.beta}")
        if not 0 < self.eps <= 1:
            raise UsageError(f"expected eps to be in (0, 1], since images are in [0, 1], got {self.eps}")
        if self.steps < 1:
            raise UsageError(f"expected steps to be at least 1, got {self.steps}")
        if not self.step > 0:
            raise UsageError(f"expected step to be above 0, got {self.step}")

    @override
    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        moved = self.attacked(network, images, generator)
        logits: Tensor = network(images)
        apart = divergence(logits, network(moved)) / len(images)
        return F.cross_entropy(logits, labels) + self.beta * apart, logits

    def attacked(self, network: nn.Module, images: Tensor, generator: Generator) -> Tensor:
        """Images (n, c, h, w) in the ball at which the network says something else; see `loss`."""
        start = images + _NUDGE * torch.randn(images.shape, generator=generator).to(images.device)
        with evaluating(network):
            with torch.no_grad():
                logits = network(images)
            return ascend(
                lambda moved: divergence(logits, network(moved)),
                images,
                start,
                eps=self.eps,
                length=self.step * self.eps,
                steps=self.steps,
            )


def divergence(reference: Tensor, other: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the logits `other` (n, classes) from the logits `reference`, summed over n."""
    return F.kl_div(other.log_softmax(1), reference.log_softmax(1), reduction="sum", log_target=True)
