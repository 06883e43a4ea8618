"""Interval bound propagation (Gowal et al. 2018, arXiv:1810.12715): boxes, layer by layer."""

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from neuralnets.bounds._affine import Scaling
from neuralnets.bounds._graph import Graph
from neuralnets.bounds._lowest import by_class, lowest, margins
from neuralnets.bounds._region import Box, Region
from neuralnets.bounds._relu import Relu
from neuralnets.bounds._trace import tape
from neuralnets.precision import full_float32


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Preactivation:
    """Bounds on the input of one ReLU.

    Attributes:
        name: Of the module that calls it.
        low: (n, *shape).
        high: (n, *shape).
        gamma: (c,), the weight of the batch norm directly before it, or None.
    """

    name: str
    low: Tensor
    high: Tensor
    gamma: Tensor | None


@full_float32()
def interval(network: nn.Module | Graph, region: Region) -> Box:
    """A box that holds all outputs.

    Args:
        network: Best a graph if it is used again: tracing costs a few milliseconds and a forward pass.
        region: Of n examples; on the network's device and of its type.

    Returns:
        (n, ...), differentiable in parameters and region.

    Raises:
        ValueError: As `trace`.
    """
    return tape(network, region).regions[-1].box


@full_float32()
def interval_margins(network: nn.Module | Graph, region: Region, labels: Tensor) -> Tensor:
    """Lower bounds of y_label - y_j for all other classes j, in increasing order, with the last layers merged in.

    Args:
        network: As for `interval`; puts out (n, classes).
        region: Of n examples.
        labels: (n,), int64.

    Returns:
        (n, classes - 1), differentiable. Certified is where all are above 0.

    Raises:
        ValueError: As `trace`.
    """
    passed = tape(network, region)
    lines = margins(labels, passed.regions[-1].box.low)
    return by_class(lowest(passed.steps, passed.regions, lines, through_relus=False), passed.regions[-1].box.low)


@full_float32()
def preactivations(network: nn.Module | Graph, region: Region) -> tuple[Preactivation, ...]:
    """Interval bounds before every ReLU, in the order of the forward pass; differentiable.

    Raises:
        ValueError: As `trace`.
    """
    passed = tape(network, region)
    intervals = []
    for step in passed.steps:
        if isinstance(step.operation, Relu):
            (source,) = step.inputs
            before = passed.steps[source - 1].operation if source else None
            gamma = before.gamma if isinstance(before, Scaling) else None
            box = passed.regions[source].box
            intervals.append(Preactivation(name=step.name, low=box.low, high=box.high, gamma=gamma))
    return tuple(intervals)
