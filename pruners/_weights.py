"""Which parameters count as prunable, and how many of them are left."""

from collections.abc import Collection
from typing import Final

from torch import nn
from torch.nn.parameter import Parameter

LAYERS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
)
RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
_LEFT_OUT: Final = "_left_out_by_pruners"
"""Attribute of a layer: names of its weights that are not pruned. Copies of the layer have it too."""


def prunable(network: nn.Module) -> dict[str, Parameter]:
    """Weights of all convolutions, linear and recurrent layers and attention projections, as in the state dict.

    Biases, normalisation, embeddings and bare parameters do not count, nor does what `leave_out` left out. A weight
    that stands in several layers (tied) is listed once, under its first name.

    Raises:
        ValueError: A weight is computed on the fly (`torch.nn.utils.prune`, parametrisations, weight norm).
    """
    found: dict[str, Parameter] = {}
    for prefix, module in network.named_modules():
        for name in _weights(module):
            weight = getattr(module, name)
            full = f"{prefix}.{name}" if prefix else name
            if weight is None or name in getattr(module, _LEFT_OUT, ()):
                continue
            if name not in dict(module.named_parameters(recurse=False)):
                raise ValueError(
                    f"expected {full} to be a parameter, got a tensor computed from others: bake it in first,"
                    " with torch.nn.utils.prune.remove or parametrize.remove_parametrizations"
                )
            if not any(weight is other for other in found.values()):
                found[full] = weight
    return found


def remaining(network: nn.Module) -> int:
    """Number of prunable parameters that are not exactly zero."""
    return sum(int(weight.count_nonzero()) for weight in prunable(network).values())


def leave_out(network: nn.Module, names: Collection[str]) -> None:
    """Takes the weights called `names` out of what is prunable in `network` and in its copies; they stay as they are.

    Changes a mark on the layers of `network`, none of its tensors. Of a tied weight any of its names does.
    """
    left_out = [network.get_parameter(name) for name in names]
    for module in network.modules():
        own = [name for name in _weights(module) if any(getattr(module, name) is each for each in left_out)]
        if own:
            setattr(module, _LEFT_OUT, frozenset(own))


def check_keep(network: nn.Module, keep: int) -> None:
    """Raise ValueError unless `keep` is in 1, ..., `remaining(network)`."""
    left = remaining(network)
    if not 1 <= keep <= left:
        raise ValueError(f"expected 1 <= keep <= {left}, the prunable parameters left, got {keep}")


def _weights(module: nn.Module) -> tuple[str, ...]:
    if isinstance(module, LAYERS):
        return ("weight",)
    if isinstance(module, RECURRENT):
        return tuple(name for name, _ in module.named_parameters(recurse=False) if name.startswith("weight_"))
    return _PROJECTIONS if isinstance(module, nn.MultiheadAttention) else ()
