"""What a network costs, counted from its tensors: parameters, multiplications, bytes."""

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn

from evalsuite.networks._effective import named_tensors
from evalsuite.networks._packed import CONVOLUTIONS, megabytes, weight_and_bias

_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED: Final = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_WEIGHTED: Final = (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear)


@final
@dataclass(frozen=True, kw_only=True)
class Cost:
    """Counts for one network and one image.

    Attributes:
        parameters: Numbers in all parameters, shared ones once.
        nonzero: Those that are not exactly zero.
        prunable: Weights of convolutions and linear layers, `in_proj_weight` of nn.MultiheadAttention; no biases, no
            normalisations, no embeddings.
        prunable_nonzero: Those that are not exactly zero.
        flops: Multiply-accumulates with a weight that is not zero: nonzero weights times output positions, over
            prunable weights, as in Lost in Pruning. Products of activations with each other (attention) are not
            counted. Multiplications that a mask leaves out are only saved by hardware that skips zeros.
        dense_flops: The same with all weights: what is computed today.
        megabytes: Parameters and buffers, 10^6 bytes.
    """

    parameters: int
    nonzero: int
    prunable: int
    prunable_nonzero: int
    flops: int
    dense_flops: int
    megabytes: float


def cost(network: nn.Module, shape: tuple[int, int, int]) -> Cost:
    """Counts on one blank image of `shape` (channels, height, width); masks of torch.nn.utils.prune count as zeros."""
    named = dict(named_tensors(network))
    buffers = {name for name, _ in network.named_buffers()}
    parameters = [tensor for name, tensor in named.items() if name not in buffers] + _in_packed(network)
    # the sources are kept beside, so that no id is given twice
    found = {id(source): (source, weight) for module in network.modules() for source, weight in _weights(module)}
    weights = [weight for _, weight in found.values()]
    flops, dense_flops = _flops(network, shape)
    return Cost(
        parameters=sum(tensor.numel() for tensor in parameters),
        nonzero=sum(_nonzero(tensor) for tensor in parameters),
        prunable=sum(weight.numel() for weight in weights),
        prunable_nonzero=sum(_nonzero(weight) for weight in weights),
        flops=flops,
        dense_flops=dense_flops,
        megabytes=sum(tensor.numel() * tensor.element_size() for tensor in named.values()) / 1e6 + megabytes(network),
    )


def _weights(module: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """(what identifies a shared weight, the weight as it is used) of one module."""
    if isinstance(module, _WEIGHTED):
        masked = dict(module.named_parameters(recurse=False)).get("weight_orig")
        return [(module.weight if masked is None else masked, module.weight.detach())]
    if (quantised := weight_and_bias(module)) is not None:
        return [(quantised[0], quantised[0])]
    if isinstance(module, nn.MultiheadAttention):
        projections: tuple[Tensor | None, ...] = (
            module.in_proj_weight,
            module.q_proj_weight,
            module.k_proj_weight,
            module.v_proj_weight,
        )
        return [(weight, weight.detach()) for weight in projections if weight is not None]
    return []


def _in_packed(network: nn.Module) -> list[Tensor]:
    found = [both for module in network.modules() if (both := weight_and_bias(module)) is not None]
    return [tensor for both in found for tensor in both if tensor is not None]


def _flops(network: nn.Module, shape: tuple[int, int, int]) -> tuple[int, int]:
    counted: list[tuple[int, int]] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, object]) -> None:
        positions = _positions(module, inputs, output[0] if isinstance(output, tuple) else output)
        weights = [weight for _, weight in _weights(module)]
        if isinstance(module, nn.MultiheadAttention):
            # it reads out_proj's weight without calling out_proj, so no hook sees that
            weights.append(module.out_proj.weight)
        counted.extend((_nonzero(weight) * positions, weight.numel() * positions) for weight in weights)

    handles = [m.register_forward_hook(count) for m in network.modules() if _weights(m)]
    modes = {module: module.training for module in network.modules()}
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, *shape, device=device))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    return sum(own for own, _ in counted), sum(dense for _, dense in counted)


def _positions(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    """At how many places each weight is used for one image."""
    if isinstance(module, (*_CONVOLUTIONS, *CONVOLUTIONS)):
        return output[0, 0].numel()
    if isinstance(module, _TRANSPOSED):
        return inputs[0][0, 0].numel()
    return output.numel() // output.shape[-1]


def _nonzero(tensor: Tensor) -> int:
    return int(torch.count_nonzero(tensor))
