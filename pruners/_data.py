"""Reads training examples and the trainer out of a `Context`; makes copies of networks for scoring."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from neuralnets.copies import copied
from pruners._base import Context, Train


def examples(context: Context, count: int) -> list[tuple[Tensor, Tensor]]:
    """The first `count` training examples as batches (images, labels), fewer where there are not as many.

    Raises:
        ValueError: The context has no data, or no example.
    """
    if context.batches is None:
        raise ValueError("expected training examples to prune by, got none: give data that has a training split")
    taken: list[tuple[Tensor, Tensor]] = []
    for images, labels in context.batches():
        taken.append((images[:count], labels[:count]))
        count -= len(taken[-1][1])
        if count <= 0:
            break
    if not taken:
        raise ValueError("expected at least one training example to prune by, got none")
    return taken


def trainer(context: Context) -> Train:
    """How the context trains.

    Raises:
        ValueError: It does not.
    """
    if context.train is None:
        raise ValueError("expected a way to train, which this method prunes by, got none: give a training recipe")
    return context.train


@contextmanager
def scoring(network: nn.Module) -> Iterator[nn.Module]:
    """A copy of `network` to take gradients of, in float32 and eval mode; inside, gradients are on.

    In eval mode batch-norm statistics stay as they are and dropout is off: scores do not depend on the mode in which a
    network comes in, nor on the batch an example stands in.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        yield copied(network).float().eval().requires_grad_()
