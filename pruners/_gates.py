"""Multiplicative gates on channels, at the inputs of every layer that reads them.

With a gate at 0 the network computes what is left of it without the channel, wherever activation, normalisation or
pooling stand in between; so the gradient at 1 says, to first order, what removing the channel does to the loss.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from neuralnets.forward_hooks import attached
from neuralnets.losses import criterion
from pruners._channels import ChannelGroup


@contextmanager
def gated(network: nn.Module, groups: Sequence[ChannelGroup], gates: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the layers that read channel k of group j see it times gates[j][:, k].

    Args:
        network: Its outputs change inside; nothing else does.
        groups: Groups of channels.
        gates: Per group (examples or 1, size).

    Raises:
        ValueError: On the way through the network: there are gates per example, and a layer does not get one row per
            example.
    """
    handles = []
    for group, gate in zip(groups, gates, strict=True):
        for side in group.sides:
            if side.direction == "in":
                layer = network.get_submodule(side.layer)
                handles.append(layer.register_forward_pre_hook(_multiplier(side.channels, gate)))
    with attached(handles):
        yield


def gate_gradients(
    network: nn.Module, groups: Sequence[ChannelGroup], images: Tensor, labels: Tensor, *, at: float = 1.0
) -> tuple[Tensor, ...]:
    """Derivatives of each example's loss by the gates: per group (examples, size).

    One forward and one backward pass for all channels and examples. `network` is in eval mode, so that no example
    sees another.

    Args:
        network: Not changed.
        groups: Groups of channels; channels of other groups are not gated.
        images: (examples, c, h, w).
        labels: Right answers, (examples, ...).
        at: Where all gates stand.
    """
    gates = [torch.full((len(images), group.size), at, device=images.device, requires_grad=True) for group in groups]
    with gated(network, groups, gates):
        total = criterion(network(images), labels, reduction="sum")
    return torch.autograd.grad(total, gates)


def _multiplier(channels: Tensor, gate: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def multiply(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        index = channels.to(gate.device)
        # positions of no channel of the group are seen as they are
        factors = torch.where(index >= 0, gate[:, index.clamp_min(0)], 1.0)
        values = inputs[0]
        if len(factors) not in (1, len(values)):
            raise ValueError(
                f"expected one row per example at {type(layer).__name__}, got {len(values)} rows for {len(factors)}"
            )
        if isinstance(layer, nn.Linear):
            shape = (len(factors), *[1] * (values.dim() - 2), -1)
        else:
            shape = (len(factors), -1, *[1] * (values.dim() - 2))
        return (values * factors.view(shape).to(values.dtype), *inputs[1:])

    return multiply
