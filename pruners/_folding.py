"""Finds the batch normalisation behind each layer, and folds it into the layer's filters."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.layers import LAYERS, NORMS
from pruners._channels import ChannelGroup, Side, filters


def norms_behind(network: nn.Module, example: Tensor) -> dict[str, str]:
    """Layer → the normalisation that reads exactly what the layer puts out, for every layer that has one.

    Args:
        network: Not changed; it is run once, in eval mode.
        example: (1, c, h, w), only its shape and device matter.
    """
    model = copied(network).eval()
    outputs: dict[int, tuple[str, Tensor, int]] = {}
    norms: dict[str, str] = {}

    def note(name: str, output: Tensor) -> None:
        # the tensor is held, so that its identity is not given to another one
        outputs[id(output)] = (name, output, output._version)  # noqa: SLF001 - an activation in place raises it

    def look(name: str, inputs: Tensor) -> None:
        layer, _, version = outputs.get(id(inputs), ("", inputs, -1))
        if version == inputs._version:  # noqa: SLF001
            norms[layer] = name

    for name, module in model.named_modules():
        if isinstance(module, LAYERS):
            module.register_forward_hook(lambda _, __, output, name=name: note(name, output))
        if isinstance(module, NORMS):
            module.register_forward_pre_hook(lambda _, inputs, name=name: look(name, inputs[0]))
    dtype = next(model.parameters()).dtype
    with torch.inference_mode(mode=False), torch.no_grad():
        model(torch.zeros(example.shape, device=example.device, dtype=dtype))
    return norms


def folded_filters(network: nn.Module, group: ChannelGroup, behind: Mapping[str, str]) -> Tensor:
    """The channels as points (size, d), float64, on the CPU: all filters that produce a channel, and its bias.

    Normalisation directly behind a filter is folded into it. Where others follow later (in front of an activation that
    reads a concatenation or a residual sum), the one that enlarges the channel most is. Normalisation that takes its
    statistics from its input counts with its gamma and beta only.

    Args:
        network: Not changed.
        group: The channels.
        behind: From `norms_behind`.
    """
    parts = []
    bias = torch.zeros(group.size, dtype=torch.float64)
    folded = set()
    for side in group.sides:
        for weights, channels in filters(network, replace(group, sides=(side,))):
            layer = network.get_submodule(side.layer)
            rows, constants = weights.double().cpu(), _vector(layer, "bias", 0.0, len(weights))
            if side.layer in behind:
                folded.add(behind[side.layer])
                scale, shift = _affine(network.get_submodule(behind[side.layer]))
                rows, constants = rows * scale.unsqueeze(1), constants * scale + shift
            inside = channels >= 0
            bias.index_add_(0, channels[inside], constants[inside])
            parts.append(_by_channel(rows[inside], channels[inside], group.size))
    points = torch.cat([*parts, bias.unsqueeze(1)], dim=1)
    later = [side for side in group.sides if side.layer not in folded and _is_norm(network, side)]
    return points if not later else _enlarged(points, network, later)


def _is_norm(network: nn.Module, side: Side) -> bool:
    return isinstance(network.get_submodule(side.layer), NORMS)


def _by_channel(rows: Tensor, channels: Tensor, size: int) -> Tensor:
    """Rows (n, e) of the same channel side by side: (size, most rows of a channel * e), filled up with zeros."""
    order = channels.argsort(stable=True)
    counts = torch.bincount(channels, minlength=size)
    starts = counts.cumsum(0) - counts
    number = torch.arange(len(order)) - starts[channels[order]]
    table = torch.zeros(size, int(counts.max()), rows.shape[1], dtype=rows.dtype)
    table[channels[order], number] = rows[order]
    return table.flatten(1)


def _enlarged(points: Tensor, network: nn.Module, later: list[Side]) -> Tensor:
    scales, shifts = torch.zeros(2, len(later), len(points), dtype=torch.float64)
    for number, side in enumerate(later):
        scale, shift = _affine(network.get_submodule(side.layer))
        inside = side.channels >= 0
        scales[number, side.channels[inside]] = scale[inside]
        shifts[number, side.channels[inside]] = shift[inside]
    most = scales.abs().argmax(0, keepdim=True)
    scale, shift = scales.gather(0, most).squeeze(0), shifts.gather(0, most).squeeze(0)
    enlarged: Tensor = points * scale.unsqueeze(1)
    enlarged[:, -1] += shift
    return enlarged


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Scale and shift (n,), float64, on the CPU, by which a normalisation changes what comes in."""
    size = int(norm.num_features)  # type: ignore[arg-type]
    gamma, beta = _vector(norm, "weight", 1.0, size), _vector(norm, "bias", 0.0, size)
    if getattr(norm, "running_var", None) is None:
        return gamma, beta
    deviation = (_vector(norm, "running_var", 1.0, size) + float(norm.eps)).sqrt()  # type: ignore[arg-type]
    return gamma / deviation, beta - gamma * _vector(norm, "running_mean", 0.0, size) / deviation


def _vector(layer: nn.Module, name: str, default: float, size: int) -> Tensor:
    tensor = getattr(layer, name)
    if tensor is None:
        return torch.full((size,), default, dtype=torch.float64)
    vector: Tensor = tensor.detach().double().cpu()
    return vector
