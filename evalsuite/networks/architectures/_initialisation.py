"""Draws initial weights by He's rule, from a random state of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Runs the body with torch's CPU random state set from `seed`, and puts the old state back."""
    with torch.random.fork_rng(devices=[]):
        torch.random.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        yield


def he(network: nn.Module) -> nn.Module:
    """Draws every convolution anew from N(0, 2 / (kernel area * filters)), biases 0; gives `network` back.

    He et al. 2015, arXiv:1502.01852, equation 14: the form that keeps the variance of gradients. Linear layers and
    normalisations keep torch's own initialisation.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
