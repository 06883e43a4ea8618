"""The weights of a network that count as prunable, and how many of their entries are left."""

from collections.abc import Collection
from typing import Final

from torch import nn
from torch.nn.parameter import Parameter

from neuralnets.layers import LAYERS, RECURRENT

_PROJECTIONS: Final = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
_LEFT_OUT: Final = "_left_out_by_pruners"
"""Attribute of a layer: names of its weights that are not pruned. Copies of the layer have it too."""


def prunable(network: nn.Module) -> dict[str, Parameter]:
    """Weights of all convolutions, linear and recurrent layers and attention projections, as in the state dict.

    Biases, normalisation, embeddings and bare parameters do not count, nor does what `leave_out` left out. A weight
    that stands in several layers (tied) is listed once, under its first name.

    Raises:
        ValueError: A weight is computed on the fly (`torch.nn.utils.prune`, parametrisations, weight norm).
    """
    weights: dict[str, Parameter] = {}
    for prefix, module in network.named_modules():
        for name in weight_names(module):
            weight = getattr(module, name)
            full = f"{prefix}.{name}" if prefix else name
            if weight is None or name in getattr(module, _LEFT_OUT, ()):
                continue
            if name not in dict(module.named_parameters(recurse=False)):
                raise ValueError(
                    f"expected {full} to be a parameter, got a tensor computed from others: bake it in first,"
                    " with torch.nn.utils.prune.remove or parametrize.remove_parametrizations"
                )
            if not any(weight is other for other in weights.values()):
                weights[full] = weight
    return weights


def remaining(network: nn.Module) -> int:
    """Number of prunable parameters that are not exactly zero."""
    return sum(int(weight.count_nonzero()) for weight in prunable(network).values())


def leave_out(network: nn.Module, names: Collection[str]) -> None:
    """Takes the weights called `names` out of what is prunable in `network` and in its copies; they stay as they are.

    Changes a mark on the layers of `network`, none of its tensors. Of a tied weight any of its names does.
    """
    left_out = [network.get_parameter(name) for name in names]
    for module in network.modules():
        names_here = [name for name in weight_names(module) if any(getattr(module, name) is each for each in left_out)]
        if names_here:
            setattr(module, _LEFT_OUT, frozenset(names_here))


def check_keep(network: nn.Module, keep: int) -> None:
    """Raise ValueError unless `keep` is in 1, ..., `remaining(network)`."""
    left = remaining(network)
    if not 1 <= keep <= left:
        raise ValueError(f"expected 1 <= keep <= {left}, the prunable parameters left, got {keep}")


def weight_names(module: nn.Module) -> tuple[str, ...]:
    """Names of the attributes of one module, its children left out, that hold its prunable weights.

    An attention module has only some of its projections; the attributes of the others are None.
    """
    if isinstance(module, LAYERS):
        return ("weight",)
    if isinstance(module, RECURRENT):
        return tuple(name for name, _ in module.named_parameters(recurse=False) if name.startswith("weight_"))
    return _PROJECTIONS if isinstance(module, nn.MultiheadAttention) else ()


def is_prunable_weight(module: nn.Module, name: str) -> bool:
    """Whether `name` is one of `weight_names`, also where something else stands in for that attribute by now."""
    if isinstance(module, LAYERS):
        return name == "weight"
    if isinstance(module, nn.MultiheadAttention):
        return name in _PROJECTIONS
    return isinstance(module, RECURRENT) and name.startswith("weight_")
