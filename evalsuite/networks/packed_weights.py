"""Reads the packed weights of torch's quantised modules, which are neither parameters nor buffers."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.ao.nn import quantized

from evalsuite.errors import UsageError

CONVOLUTIONS = (quantized.Conv1d, quantized.Conv2d, quantized.Conv3d)
LINEAR = quantized.Linear


def packed(network: nn.Module) -> dict[str, Tensor]:
    """Everything in the state of `network` that is neither parameter nor buffer, as plain tensors by name.

    A quantised tensor becomes its integers, scales and zero points.

    Raises:
        UsageError: There is something from which no tensors can be read: two networks could not be told apart.
    """
    # shared ones under all of their names
    learnt, kept = network.named_parameters(remove_duplicate=False), network.named_buffers(remove_duplicate=False)
    registered = {name for name, _ in (*learnt, *kept)}
    state = network.state_dict()
    return {k: v for name, value in state.items() if name not in registered for k, v in _plain(name, value)}


def weight_and_bias(module: nn.Module) -> tuple[Tensor, Tensor | None] | None:
    """Weight and bias of a quantised convolution or linear layer, as the numbers that they stand for; else None."""
    if not isinstance(module, (*CONVOLUTIONS, LINEAR)):
        return None
    weight: Tensor = module.weight()  # type: ignore[no-untyped-call]
    bias: Tensor | None = module.bias()  # type: ignore[no-untyped-call]
    return weight.dequantize(), bias


def megabytes(network: nn.Module) -> float:
    """Of all that is packed, 10^6 bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in packed(network).values()) / 1e6


def _plain(name: str, value: object) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield from _numbers(name, value.detach()) if value.is_quantized else [(name, value.detach())]
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _plain(f"{name}.{key}", part)
    elif isinstance(value, str | bytes | int | float | bool | torch.dtype | None):
        yield f"{name}={value!r}", torch.empty(0)
    elif isinstance(value, Sequence):
        for k, part in enumerate(value):
            yield from _plain(f"{name}.{k}", part)
    else:
        raise UsageError(f"expected tensors in the state of the network, got {type(value).__name__} in {name!r}")


def _numbers(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield name, value.int_repr()
    if value.qscheme() in {torch.per_tensor_affine, torch.per_tensor_symmetric}:
        yield f"{name}.scale", torch.tensor([value.q_scale(), value.q_zero_point()], dtype=torch.float64)
    else:
        yield f"{name}.scales", value.q_per_channel_scales()
        yield f"{name}.zero_points", value.q_per_channel_zero_points()
