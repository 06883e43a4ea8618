"""Finds prunable weights that no forward pass uses, such as those of a head for training."""

from collections.abc import Iterator

from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.forward_pass import multiplications
from neuralnets.probes import noise, ramp
from neuralnets.weights import leave_out, prunable


def unused_weights(network: nn.Module, example: Tensor) -> frozenset[str]:
    """Names of the prunable weights that no forward pass in evaluation mode uses.

    One image is tried, and where that leaves weights unused eight others: which expert a mixture asks may depend on
    them.

    Args:
        network: Not changed.
        example: (1, c, h, w) of images, of which only shape and device matter; inputs of whole numbers are taken as
            they are.
    """
    model = copied(network)
    unused = set(prunable(model))
    for inputs in _probes(model, example):
        if not unused:
            break
        unused -= multiplications(model, inputs).used
    return frozenset(unused)


def without_unused(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy of `network` of which `prunable` lists only weights that a forward pass uses; see `unused_weights`."""
    marked = copied(network)
    leave_out(marked, unused_weights(network, example))
    return marked


def _probes(network: nn.Module, example: Tensor) -> Iterator[Tensor]:
    if not example.is_floating_point():
        yield example
        return
    kind = next(network.parameters()).dtype
    for images in (ramp, noise):
        yield images(example.shape[1:], example.device).to(kind)
