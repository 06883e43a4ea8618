"""Evaluation mode for a while: networks are looked at as they will be used, and left in the mode in which they were."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Inside, `networks` are in evaluation mode; afterwards every module is in the mode in which it was.

    Batch-norm statistics are left alone, and dropout is off.
    """
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        for network in networks:
            network.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
