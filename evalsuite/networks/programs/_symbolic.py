"""Evaluates arithmetic on sizes in programs of torch.export: Python's operators, on numbers only and within bounds."""

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import torch

_LARGEST: Final = 2**62
_PLAIN: Final = ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "and_", "or_", "not_")
_COMPARED: Final = ("eq", "ne", "lt", "le", "gt", "ge")
_TORCH_NAMES: Final = ("sym_int", "sym_float", "sym_max", "sym_min", "sym_not")


class NotUnderstoodError(ValueError):
    """A description is not one of a network that can be run; says what was expected."""


class ForeignOperatorError(NotUnderstoodError):
    """A program holds an operator that is not on the list of those that are run."""


def _bounded(name: str, function: Callable[..., object]) -> Callable[..., object]:
    # texts and lists may be multiplied as well, and whole numbers have no largest one
    def call(*values: object) -> object:
        if not all(isinstance(value, int | float) for value in values):
            raise NotUnderstoodError(f"expected numbers for {name}, got {', '.join(type(v).__name__ for v in values)}")
        made = function(*values)
        if isinstance(made, int) and abs(made) > _LARGEST:
            raise NotUnderstoodError(f"expected sizes below 2^62, got a larger one from {name}")
        return made

    return call


def _power(base: float, exponent: float) -> float:
    if isinstance(base, int) and isinstance(exponent, int) and not 0 <= exponent * base.bit_length() <= 64:
        raise NotUnderstoodError(f"expected sizes below 2^62, got {base} to the power of {exponent}")
    made: float = operator.pow(base, exponent)
    return made


def _part(values: object, at: object) -> object:
    if not isinstance(values, list | tuple) or not isinstance(at, int):
        raise NotUnderstoodError(f"expected a part of several results, got one of {type(values).__name__}")
    return values[at]


WORDS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {f"_operator.{name}": _bounded(name, getattr(operator, name)) for name in (*_PLAIN, *_COMPARED)}
    | {f"torch.{name}": _bounded(name, getattr(torch, name)) for name in _TORCH_NAMES}
    | {"_operator.pow": _bounded("pow", _power), "_operator.getitem": _part}
)
"""Functions by the names that descriptions of programs give them."""
