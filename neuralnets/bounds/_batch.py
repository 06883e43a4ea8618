"""Freezes batch norms at the statistics of one batch, for bounds while a network is trained."""

from dataclasses import replace

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neuralnets.bounds._graph import Graph
from neuralnets.bounds._layers import Statistics
from neuralnets.forward_hooks import attached


def at_batch(graph: Graph, images: Tensor) -> tuple[Graph, Tensor]:
    """The network as it treats this batch, and what it puts out.

    One ordinary forward pass, in whatever mode the network is in. Batch norms in training mode update their running
    statistics, as ever, and the mean and variance of `images` before each of them go into the graph, with their
    gradients; the other batch norms stay at their running statistics. So bounds around `images` are those of the
    function that the pass has just computed (as in auto_LiRPA; Shi et al. 2021, arXiv:2103.17268).

    Args:
        graph: Of a network none of whose batch norms is called twice.
        images: (n, ...).
    """
    statistics: dict[str, Statistics] = {}
    names = {module: name for name, module in graph.network.named_modules()}

    def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if module.training:
            (x,) = inputs
            axes = [0, *range(2, x.ndim)]
            statistics[names[module]] = (x.mean(axes), x.var(axes, correction=0))

    handles = [module.register_forward_pre_hook(note) for module in names if isinstance(module, _BatchNorm)]
    with attached(handles):
        outputs: Tensor = graph.network(images)
    return replace(graph, statistics=statistics), outputs
