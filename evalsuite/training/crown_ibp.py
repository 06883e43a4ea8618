"""Certified training with CROWN-IBP: linear bounds while the ball is small, interval bounds once it has grown."""

from dataclasses import dataclass, replace
from typing import final

from torch import Tensor
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.training._bounded import Bounded
from neuralnets import bounds


@final
@dataclass(frozen=True, kw_only=True)
class CrownIbp(Bounded):
    """Margins (1 - b) IBP + b CROWN-IBP, with b from 1 to `beta` while the radius grows.

    Zhang et al. 2020 (arXiv:1906.06316), section 3.2. Linear bounds are tighter and harder to train through in the end,
    so they lead the way and intervals take over. Where the interval bound of a margin is the better one it stands in
    for the linear one. A step with linear bounds costs classes - 1 times that of intervals, and more.

    Attributes:
        beta: What linear bounds count once the radius has grown, in [0, 1].
    """

    beta: float = 0.0

    @override
    def __post_init__(self) -> None:
        Bounded.__post_init__(self)
        if not 0 <= self.beta <= 1:
            raise UsageError(f"expected beta to be in [0, 1], got {self.beta}")

    @override
    def scheduled_at(self, done: float) -> "CrownIbp":
        return replace(Bounded.scheduled_at(self, done), beta=1 - self.grown(done) * (1 - self.beta))

    @override
    def margins(self, graph: bounds.Graph, ball: bounds.Box, labels: Tensor) -> Tensor:
        if self.beta == 0:
            return bounds.interval_margins(graph, ball, labels)
        linear = bounds.crown_ibp_margins(graph, ball, labels)
        if self.beta == 1:
            return linear
        return (1 - self.beta) * bounds.interval_margins(graph, ball, labels) + self.beta * linear
