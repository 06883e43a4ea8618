"""Reads the activations of a network's neurons for a batch, with gradients, and leaves the network unchanged."""

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn
from torch.func import functional_call

from neuralnets.forward_hooks import attached
from neuralnets.layers import LAYERS


@final
@dataclass(frozen=True, kw_only=True)
class Neurons:
    """Activations of a network's neurons for a batch.

    Attributes:
        hidden: What convolutions and linear layers read, behind activation, normalisation and pooling, in the order of
            the forward pass: (n, ...) each. What the first layer reads, the input, is left out, and what several
            layers read is there once.
        logits: (n, classes).
    """

    hidden: tuple[Tensor, ...]
    logits: Tensor


def neurons(network: nn.Module, images: Tensor) -> Neurons:
    """One forward pass of `network`, in the mode in which it is.

    Buffers are lent as copies: batch-norm statistics stay where they are, whatever the mode.
    """
    read: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not any(inputs[0] is other for other in read):
            read.append(inputs[0])

    handles = [layer.register_forward_pre_hook(note) for layer in network.modules() if isinstance(layer, LAYERS)]
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with attached(handles):
        logits: Tensor = functional_call(network, buffers, (images,))
    return Neurons(hidden=tuple(read[1:]), logits=logits)
