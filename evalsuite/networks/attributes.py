"""Numbers that modules compute with beside tensors and layers, such as a number of attention heads."""

import re
from collections.abc import Mapping

from torch import nn

Scalar = int | float | str | bool
Scalars = Mapping[str, Mapping[str, Scalar]]
"""Module name → attribute name → value."""


def scalars(network: nn.Module) -> Scalars:
    """Public numbers and words of all modules that are not torch's own; the latter tell theirs in their `repr`."""
    values = {name: _public_scalars(module) for name, module in network.named_modules() if _repr_hides_state(module)}
    return {name: numbers for name, numbers in values.items() if numbers}


def restore(network: nn.Module, values: Scalars) -> None:
    """Puts back what `scalars` gave; names and types that `network` does not have are passed over."""
    modules = dict(network.named_modules())
    for name, numbers in values.items():
        present = _public_scalars(modules[name]) if name in modules else {}
        for key, value in numbers.items():
            if key in present and type(present[key]) is type(value):
                setattr(modules[name], key, value)


def structure(network: nn.Module) -> str:
    """The modules of `network` in words, without addresses in memory."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(network))


def _public_scalars(module: nn.Module) -> dict[str, Scalar]:
    public = {key: value for key, value in vars(module).items() if not key.startswith("_") and key != "training"}
    return {key: value for key, value in sorted(public.items()) if isinstance(value, int | float | str | bool)}


def _repr_hides_state(module: nn.Module) -> bool:
    """Whether `module` computes with numbers that its `repr` does not show."""
    return isinstance(module, nn.MultiheadAttention) or not type(module).__module__.startswith("torch.nn.")
