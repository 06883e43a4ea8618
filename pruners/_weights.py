"""Which parameters count as prunable, and how many of them are left."""

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
_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def prunable(network: nn.Module) -> dict[str, Parameter]:
    """Weights of all convolutions, linear layers and attention projections, named and ordered as in the state dict.

    Biases, normalisation, embeddings and bare parameters do not count. A weight that stands in several layers (tied)
    is listed once, under its first name.

    Raises:
        ValueError: A weight is computed on the fly (`torch.nn.utils.prune`, parametrisations, weight norm).
    """
    found: dict[str, Parameter] = {}
    for prefix, module in network.named_modules():
        for name in _weights(module):
            weight = getattr(module, name)
            full = f"{prefix}.{name}" if prefix else name
            if weight is None:
                continue
            if name not in dict(module.named_parameters(recurse=False)):
                raise ValueError(
                    f"expected {full} to be a parameter, got a tensor computed from others: bake it in first"
                )
            if not any(weight is other for other in found.values()):
                found[full] = weight
    return found


def remaining(network: nn.Module) -> int:
    """Number of prunable parameters that are not exactly zero."""
    return sum(int(weight.count_nonzero()) for weight in prunable(network).values())


def check_keep(network: nn.Module, keep: int) -> None:
    """Raise ValueError unless `keep` is in 1, ..., `remaining(network)`."""
    left = remaining(network)
    if not 1 <= keep <= left:
        raise ValueError(f"expected 1 <= keep <= {left}, the prunable parameters left, got {keep}")


def _weights(module: nn.Module) -> tuple[str, ...]:
    if isinstance(module, LAYERS):
        return ("weight",)
    return _PROJECTIONS if isinstance(module, nn.MultiheadAttention) else ()
