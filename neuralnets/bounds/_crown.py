"""CROWN and CROWN-IBP: linear bounds propagated backwards to the input."""

from torch import Tensor, nn

from neuralnets.bounds._graph import Graph
from neuralnets.bounds._lowest import as_box, both_sides, by_class, lowest, margins
from neuralnets.bounds._region import Box, Region
from neuralnets.bounds._tape import Tape
from neuralnets.bounds._tighten import tightened
from neuralnets.bounds._trace import tape
from neuralnets.precision import full_float32


@full_float32()
def crown_ibp(network: nn.Module | Graph, region: Region) -> Box:
    """A box that holds all outputs: intervals before the ReLUs, then lines from the output back to the input.

    Zhang et al. 2020, arXiv:1906.06316, section 3.2. Where the interval bound of an output is better, it is given.

    Args:
        network: As for `interval`; puts out (n, outputs).
        region: Of n examples; on the network's device and of its type.

    Returns:
        (n, outputs), differentiable in parameters and region.

    Raises:
        ValueError: As `trace`.
    """
    return _outputs(tape(network, region))


@full_float32()
def crown(network: nn.Module | Graph, region: Region) -> Box:
    """A box that holds all outputs: lines from the output, and before that from every ReLU, back to the input.

    Zhang et al. 2018, arXiv:1811.00866, with the adaptive slopes of section 3.3. Lines are taken back only for those
    ReLUs whose sign the intervals leave open, and the better of the two bounds is kept. Arguments, result and errors
    are those of `crown_ibp`; the cost is that of a backward pass per open ReLU.
    """
    return _outputs(tightened(tape(network, region)))


@full_float32()
def crown_ibp_margins(network: nn.Module | Graph, region: Region, labels: Tensor) -> Tensor:
    """As `interval_margins`, by the method of `crown_ibp`."""
    return _margins(tape(network, region), labels)


@full_float32()
def crown_margins(network: nn.Module | Graph, region: Region, labels: Tensor) -> Tensor:
    """As `interval_margins`, by the method of `crown`."""
    return _margins(tightened(tape(network, region)), labels)


def _outputs(passed: Tape) -> Box:
    around = passed.regions[-1].box
    lines = both_sides(around.low)
    box = as_box(lowest(passed.steps, passed.regions, lines), around.low)
    return Box(low=box.low.maximum(around.low), high=box.high.minimum(around.high))


def _margins(passed: Tape, labels: Tensor) -> Tensor:
    lines = margins(labels, passed.regions[-1].box.low)
    around = lowest(passed.steps, passed.regions, lines, through_relus=False)
    return by_class(lowest(passed.steps, passed.regions, lines).maximum(around), passed.regions[-1].box.low)
