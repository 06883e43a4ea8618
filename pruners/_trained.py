"""Trains a copy of a network with a method's hook, and returns it in the form in which it came."""

import torch
from torch import nn

from neuralnets.copies import copied
from neuralnets.training_hook import Hook
from pruners._base import Context
from pruners._data import trainer


def trained(network: nn.Module, hook: Hook, context: Context) -> nn.Module:
    """A copy of `network` after the caller's training with `hook`; types, mode and flags are those of `network`.

    It is trained in float32, in which small steps are not lost and images come.

    Raises:
        ValueError: The context does not train.
    """
    train = trainer(context)
    with torch.inference_mode(mode=False), torch.enable_grad():
        student = train(copied(network).float(), hook)
        result = copied(network)
        result.load_state_dict(student.state_dict())
    return result
