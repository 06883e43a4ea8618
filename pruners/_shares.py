"""The largest share that one input channel contributes to what a neuron sums up."""

from collections.abc import Iterator
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

_MOST = 2**22
"""Entries that are looked at in one go."""

_ZERO = 1e-30
"""Sums up to this are zero; only so small that one over it times a weight stays finite."""


def largest_shares(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Per input channel (n,): its largest share in the sum of any output, over examples, places and kernel entries.

    The share of entry w of a filter at input a is |w| |a| / sum of |w| |a|, where the sum goes over the entries with
    the sign of w at inputs with the sign of a: positive and negative parts are looked at apart. 0 / 0 is 0; biases do
    not count.

    Args:
        layer: A convolution, plain or transposed, or a linear layer.
        inputs: What it reads, (examples, ...).
    """
    shares = inputs.new_zeros(inputs.shape[-1 if isinstance(layer, nn.Linear) else 1])
    for columns, weight in _products(layer, inputs):
        for signs in _signs(columns):
            for signed in _signs(weight):
                best = _largest(signed.flatten(2), signs.flatten(2)).unflatten(1, weight.shape[2:])
                shares = torch.maximum(shares, best.amax(2).flatten())
    return shares


def _signs(values: Tensor) -> Iterator[Tensor]:
    for signed in (values, -values):
        if not bool((signed <= 0).all()):  # also with NaN
            yield signed.clamp_min(0)


def _largest(weight: Tensor, columns: Tensor) -> Tensor:
    """Largest share of each entry (groups, n); weight (groups, outputs, n) and columns (places, groups, n) are >= 0."""
    largest = weight.new_zeros(weight.shape[0], weight.shape[2])
    outputs = max(1, min(weight.shape[1], _MOST // largest.numel()))
    for rows in columns.split(max(1, _MOST // (largest.numel() * outputs))):
        best = torch.zeros_like(rows)
        for part in weight.split(outputs, dim=1):
            sums = torch.einsum("pgn,gon->pgo", rows, part)
            per_sum = torch.where(sums <= _ZERO, 0.0, 1 / sums.clamp_min(_ZERO))
            best = torch.maximum(best, (part * per_sum.unsqueeze(3)).amax(2))
        largest = torch.maximum(largest, (best * rows).amax(0))
    return largest


def _products(layer: nn.Module, inputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """`layer` as a product: columns (places, groups, inputs, kernel) and weight (groups, outputs, inputs, kernel)."""
    weight = grouped_weight(layer)
    if not isinstance(layer, _ConvNd):
        yield inputs.reshape(-1, 1, inputs.shape[-1], 1), weight
        return
    each = prod(inputs.shape[1:]) * weight.shape[3]
    for part in inputs.split(max(1, 4 * _MOST // each)):
        spatial = len(layer.kernel_size)
        by_place = windows(layer, part).flatten(2 + spatial).flatten(2, 1 + spatial).transpose(1, 2)
        yield by_place.flatten(0, 1).unflatten(1, (layer.groups, -1)), weight


def grouped_weight(layer: nn.Module) -> Tensor:
    """The weight as what stands under the kernel is multiplied by it: (groups, outputs, inputs, kernel)."""
    weight = layer.get_parameter("weight").detach()
    if not isinstance(layer, _ConvNd):
        return weight[None, :, :, None]
    grouped: Tensor = weight.flatten(2).unflatten(0, (layer.groups, -1))
    if layer.transposed:
        grouped = grouped.transpose(1, 2).flip(3)
    return grouped


def windows(layer: _ConvNd, inputs: Tensor) -> Tensor:
    """What stands under the kernel at every place: (examples, channels, places..., kernel...), not copied for each."""
    unfolded = _spread(layer, inputs) if layer.transposed else _padded(layer, inputs)
    strides = [1] * len(layer.kernel_size) if layer.transposed else layer.stride
    for axis, (size, gap, step) in enumerate(zip(layer.kernel_size, layer.dilation, strides, strict=True)):
        unfolded = unfolded.unfold(2 + axis, gap * (size - 1) + 1, step)[..., ::gap]
    return unfolded


def _padded(layer: _ConvNd, inputs: Tensor) -> Tensor:
    if layer.padding == "same":
        reach = [gap * (size - 1) for gap, size in zip(layer.dilation, layer.kernel_size, strict=True)]
        pairs = [(each // 2, each - each // 2) for each in reach]
    else:
        pairs = [(0, 0) if isinstance(each, str) else (each, each) for each in layer.padding]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return F.pad(inputs, [side for pair in reversed(pairs[: len(layer.kernel_size)]) for side in pair], mode)


def _spread(layer: _ConvNd, inputs: Tensor) -> Tensor:
    # a transposed convolution is a convolution, mirrored, of its inputs with zeros between them
    shape = [(size - 1) * step + 1 for size, step in zip(inputs.shape[2:], layer.stride, strict=True)]
    wide = inputs.new_zeros(*inputs.shape[:2], *shape)
    wide[tuple(slice(None, None, step) for step in (1, 1, *layer.stride))] = inputs
    reach = [gap * (size - 1) for gap, size in zip(layer.dilation, layer.kernel_size, strict=True)]
    cuts = [int(cut) for cut in layer.padding]
    pads = [(far - cut, far - cut + more) for far, cut, more in zip(reach, cuts, layer.output_padding, strict=True)]
    return F.pad(wide, [side for pair in reversed(pads) for side in pair])
