"""What a network computes with beside tensors and layers: numbers that its modules keep, such as attention heads."""

import re
from collections.abc import Mapping

from torch import nn

Scalar = int | float | str | bool
Scalars = Mapping[str, Mapping[str, Scalar]]
"""Module name → attribute name → value."""


def scalars(network: nn.Module) -> Scalars:
    """Public numbers and words of all modules that are not torch's own; the latter tell theirs in their `repr`."""
    found = {name: _own(module) for name, module in network.named_modules() if _speaks_not_for_itself(module)}
    return {name: own for name, own in found.items() if own}


def restore(network: nn.Module, values: Scalars) -> None:
    """Puts back what `scalars` gave; names and types that `network` does not have are passed over."""
    modules = dict(network.named_modules())
    for name, own in values.items():
        present = _own(modules[name]) if name in modules else {}
        for key, value in own.items():
            if key in present and type(present[key]) is type(value):
                setattr(modules[name], key, value)


def structure(network: nn.Module) -> str:
    """The modules of `network` in words, without addresses in memory."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(network))


def _own(module: nn.Module) -> dict[str, Scalar]:
    public = {key: value for key, value in vars(module).items() if not key.startswith("_") and key != "training"}
    return {key: value for key, value in sorted(public.items()) if isinstance(value, int | float | str | bool)}


def _speaks_not_for_itself(module: nn.Module) -> bool:
    return isinstance(module, nn.MultiheadAttention) or not type(module).__module__.startswith("torch.nn.")
