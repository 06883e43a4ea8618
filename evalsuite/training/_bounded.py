"""Base class of certified recipes: cross-entropy at the worst logits within bounds, on a ball that grows."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.training._scheduled import Scheduled
from neuralnets import bounds


@dataclass(frozen=True, kw_only=True)
class Bounded(Scheduled):
    """kappa CE(f(x), y) + (1 - kappa) CE(z, y), with z_y = 0 and z_j = -(lower bound of f_y - f_j) on a ball around x.

    CE(z, y) is at least the cross-entropy of every point of the ball. The ball is the L-infinity one, cut to [0, 1];
    batch norm is at the statistics of the clean batch, whose pass also gives f(x). In the course of training the
    radius grows linearly from 0 and kappa falls linearly from 1. The accuracy that is told is that on x.

    Attributes:
        eps: Radius once it has grown, in units of the image's range [0, 1], at least 0.
        kappa: What accuracy on x itself counts then, in [0, 1].
        start: Share of all steps before the radius starts to grow, in [0, 1].
        full: Share of all steps after which it has grown, in [start, 1].
    """

    needs_class_labels: ClassVar[bool] = True
    times: ClassVar[int] = 3  # the radius has to grow

    eps: float = 8 / 255
    kappa: float = 0.5
    start: float = 0.1
    full: float = 0.6

    @override
    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not 0 <= self.eps <= 1:
            raise UsageError(f"expected eps to be in [0, 1], since images are, got {self.eps}")
        if not 0 <= self.kappa <= 1:
            raise UsageError(f"expected kappa to be in [0, 1], got {self.kappa}")
        if not 0 <= self.start <= 1:
            raise UsageError(f"expected start to be in [0, 1], got {self.start}")
        if not self.start <= self.full <= 1:
            raise UsageError(f"expected full to be in [start, 1] = [{self.start}, 1], got {self.full}")

    @override
    def scheduled_at(self, done: float) -> Self:
        grown = self.grown(done)
        return replace(self, eps=grown * self.eps, kappa=1 - grown * (1 - self.kappa))

    @final
    def grown(self, done: float) -> float:
        """The radius as a share of `eps` when the share `done` of training is done."""
        if done < self.start:
            return 0.0
        return 1.0 if done >= self.full else (done - self.start) / (self.full - self.start)

    @override
    @final
    def prepare_network(self, network: nn.Module, images: Tensor) -> nn.Module:
        return TracedNetwork(network, _graph(network, images))

    @override
    @final
    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        graph = network.graph if isinstance(network, TracedNetwork) else _graph(network, images)
        graph_at_batch, logits = bounds.at_batch(graph, images)
        clean = F.cross_entropy(logits, labels)
        if self.kappa == 1:
            return clean, logits
        low = self.margins(graph_at_batch, bounds.linf_ball(images, self.eps), labels)
        return self.kappa * clean + (1 - self.kappa) * worst_cross_entropy(low), logits

    @abstractmethod
    def margins(self, graph: bounds.Graph, ball: bounds.Box, labels: Tensor) -> Tensor:
        """Lower bounds (n, classes - 1) on `ball` of how far the label is ahead of every other class."""


@final
class TracedNetwork(nn.Module):
    """A network in training together with its graph: tracing costs as much as a step of a small network."""

    def __init__(self, network: nn.Module, graph: bounds.Graph) -> None:
        nn.Module.__init__(self)
        self.network, self.graph = network, graph

    @override
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


def worst_cross_entropy(margins: Tensor) -> Tensor:
    """The mean over n of the largest cross-entropy that margins (n, classes - 1) leave possible."""
    # the label's logit is 0, which only differences notice
    return torch.cat((margins.new_zeros(len(margins), 1), -margins), 1).logsumexp(1).mean()


def _graph(network: nn.Module, images: Tensor) -> bounds.Graph:
    try:
        return bounds.trace(network, images[:1])
    except ValueError as error:
        raise UsageError(f"no certified training of this network: {error}") from error
