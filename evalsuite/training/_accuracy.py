"""Plain accuracy: the one number that test sets are usually boiled down to."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from evalsuite.data import Examples
from evalsuite.errors import UsageError


def accuracy(network: nn.Module, examples: Examples, *, device: torch.device, batch_size: int = 128) -> float:
    """The share of `examples`, in [0, 1], whose class is the network's largest logit.

    Args:
        network: On `device`; its training or evaluation mode is put back afterwards.
        examples: At least one.
        device: Where the images go.
        batch_size: Images per forward pass.
    """
    if not len(examples):
        raise UsageError("expected at least one example, got none")
    right = 0
    with evaluating(network), torch.inference_mode():
        for index in torch.arange(len(examples)).split(batch_size):
            logits = network(examples.pixels(index).to(device))
            right += int((logits.argmax(1).cpu() == examples.labels[index]).sum())
    return right / len(examples)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode; afterwards every module is in the mode that it was in."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
