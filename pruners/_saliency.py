"""Balanced training batches and loss gradients, for methods that prune at initialisation."""

from collections.abc import Mapping, Sequence
from itertools import chain, islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.layers import BATCH_NORMS
from neuralnets.losses import criterion
from pruners._base import Context
from pruners._data import examples

Batch = tuple[Tensor, Tensor]


def balanced(network: nn.Module, context: Context, *, per_class: int, batch_size: int) -> list[Batch]:
    """The first `per_class` training examples of every class, in even batches of at most `batch_size`.

    Where the right answers are no classes of images: the first ten times as many.

    The training set is gone through until every class is complete, or to its end.

    Args:
        network: In float32; how many classes there are is read off its outputs.
        context: With training examples.
        per_class: At least 1.
        batch_size: At least 1.

    Raises:
        ValueError: There is no data, or its labels do not fit the network.
    """
    if context.batches is None:
        raise ValueError("expected training examples to prune by, got none: give data that has a training split")
    batches = iter(context.batches())
    first = [*islice(batches, 1)]
    if first and not _are_class_numbers(first[0][1]):
        return _even(examples(context, 10 * per_class), batch_size)
    with torch.no_grad():
        logits = network(torch.zeros(context.example.shape, device=context.example.device))
    if not (isinstance(logits, Tensor) and logits.dim() == 2):
        raise ValueError("expected a network that returns logits (images, classes), got other outputs")
    classes = logits.shape[1]
    room = torch.full((classes,), per_class, device=logits.device)
    taken: list[Batch] = []
    for images, labels in chain(first, batches):
        if len(labels) and int(labels.max()) >= classes:
            raise ValueError(f"expected labels below {classes}, as many as the network has, got {int(labels.max())}")
        one_hot = F.one_hot(labels, classes)
        place = one_hot.cumsum(0).gather(1, labels[:, None]).squeeze(1)
        take = place <= room[labels]
        taken.append((images[take], labels[take]))
        room = room - one_hot[take].sum(0)
        if not bool(room.any()):
            break
    return _even(taken, batch_size)


def _are_class_numbers(truths: Tensor) -> bool:
    return truths.dim() == 1 and not truths.is_floating_point()


def _even(taken: Sequence[Batch], batch_size: int) -> list[Batch]:
    joined = [torch.cat(parts) for parts in zip(*taken, strict=True)]
    if not joined or not len(joined[1]):
        raise ValueError("expected at least one training example to prune by, got none")
    # even parts: a last batch of one would have no batch statistics
    parts = -(-len(joined[1]) // batch_size)
    return list(zip(joined[0].tensor_split(parts), joined[1].tensor_split(parts), strict=True))


def use_batch_statistics(network: nn.Module) -> None:
    """Let batch normalisation use the mean and variance of the batch; dropout stays as it is. Changes `network`."""
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            module.train()


def loss_slopes(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    batch: Batch,
    *,
    temperature: float = 1.0,
    differentiable: bool = False,
) -> Sequence[Tensor]:
    """The gradient of the summed loss by each of `weights`; where logits are judged, of them over `temperature`."""
    images, labels = batch
    outputs = network(images)
    total = criterion(outputs if labels.is_floating_point() else outputs / temperature, labels, reduction="sum")
    return torch.autograd.grad(
        total, list(weights.values()), create_graph=differentiable, allow_unused=True, materialize_grads=True
    )
