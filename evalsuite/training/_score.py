"""Scores a network on a test set: one minus the mean loss."""

import torch
from torch import nn

from evalsuite.data import Examples
from evalsuite.errors import UsageError
from neuralnets.modes import evaluating


def score(network: nn.Module, examples: Examples, *, device: torch.device, batch_size: int = 128) -> float:
    """One minus the mean loss that the problem has, in [0, 1]: of classes the accuracy.

    Args:
        network: On `device`; its training or evaluation mode is put back afterwards.
        examples: At least one.
        device: Where the images go.
        batch_size: Images per forward pass.
    """
    if not len(examples):
        raise UsageError("expected at least one example, got none")
    missed = 0.0
    with evaluating(network), torch.inference_mode():
        for index in torch.arange(len(examples)).split(batch_size):
            outputs = network(examples.pixels(index).to(device))
            missed += float(examples.problem.losses(outputs, examples.truths(index).to(device)).sum())
    return (len(examples) - missed) / len(examples)
