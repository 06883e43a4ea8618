"""Traces a network into its graph, and checks that the graph computes the same."""

import torch
from torch import Tensor, nn

from neuralnets.bounds._graph import Graph, read
from neuralnets.bounds._region import Box, Region
from neuralnets.bounds._tape import Tape, record
from neuralnets.bounds._value import NotUnderstoodError
from neuralnets.modes import evaluating


def trace(network: nn.Module, example: Tensor) -> Graph:
    """Takes `network` apart, and checks on `example` that the parts give what the network gives in evaluation mode.

    Modules with forward hooks are traced through their hooks, which are then called once with a symbolic tensor.

    Args:
        network: Takes `example`; in any mode. Not changed.
        example: (n, ...) with n >= 1, on the network's device and of its type, float32 or float64.

    Raises:
        ValueError: The network has a step for which there are no bounds; the step and what is accepted are named.
    """
    if example.dtype not in {torch.float32, torch.float64}:
        raise ValueError(f"expected float32 or float64 (in less, rounding outgrows bounds), got {example.dtype}")
    graph = read(network)
    with torch.no_grad(), evaluating(network):
        traced, expected = record(graph, Box(low=example, high=example)).regions[-1].box.centre, network(example)
    tolerance = torch.finfo(example.dtype).eps ** 0.5 * (1 + expected.abs().amax())
    # not "unless all are near": numbers that are not finite stay for those who use the bounds to see
    if traced.shape != expected.shape or bool(((traced - expected).abs() > tolerance).any()):
        raise NotUnderstoodError("expected a forward pass that can be traced, got other outputs from its trace")
    return graph


def tape(network: nn.Module | Graph, region: Region) -> Tape:
    """The pass of `region` through a network, traced before if it is not yet.

    Raises:
        ValueError: As `trace`.
    """
    return record(network if isinstance(network, Graph) else trace(network, region.box.low[:1]), region)
