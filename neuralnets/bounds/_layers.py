"""Translates layers with weights, and ReLU, into operations with bounds."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from neuralnets.bounds._affine import Convolution, Linear, Scaling
from neuralnets.bounds._relu import Relu
from neuralnets.bounds._value import NotUnderstoodError, Pair, Understood, Value, constant, pair

Statistics = tuple[Tensor, Tensor]
"""Mean and biased variance, (c,) each."""


def linear(x: Value, /, weight: Tensor, bias: Tensor | None = None) -> Understood:
    """A linear layer."""
    return Linear(weight=constant(weight), bias=bias), (x,)


def conv2d(
    x: Value,
    /,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | Literal["valid", "same"] = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Understood:
    """A convolution, padded alike on both sides."""
    widths = pair(dilation)
    around = [widths[i] * (constant(weight).shape[2 + i] - 1) for i in (0, 1)]
    if padding == "same" and any(size % 2 for size in around):
        raise NotUnderstoodError("expected padding alike on both sides, got 'same' on an even kernel")
    same = {"same": (around[0] // 2, around[1] // 2), "valid": (0, 0)}
    convolution = Convolution(
        weight=weight,
        bias=bias,
        stride=pair(stride),
        padding=same[padding] if isinstance(padding, str) else pair(padding),
        dilation=widths,
        groups=groups,
    )
    return convolution, (x,)


def batch_norm(module: _BatchNorm, x: Value, statistics: Statistics | None) -> Understood:
    """A batch norm with its running statistics, or with other ones."""
    mean, variance = statistics or (module.running_mean, module.running_var)
    if mean is None or variance is None:
        raise NotUnderstoodError("expected batch norms that keep running statistics, got one that does not")
    gamma = module.weight if module.affine else torch.ones_like(mean)
    scale = gamma / (variance + module.eps).sqrt()
    shift = module.bias - mean * scale if module.affine else -mean * scale
    over_pixels = (-1, *(1 for _ in x.low.shape[2:]))
    return Scaling(scale=scale.view(over_pixels), shift=shift.view(over_pixels), gamma=gamma), (x,)


def relu(x: Value, /, inplace: bool = False) -> Understood:  # noqa: FBT001, FBT002  (so it is called)
    del inplace
    return Relu(), (x,)
