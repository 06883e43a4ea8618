"""Checks arguments that some operators do not check themselves, before they run.

Tried one by one with arguments that do not fit: these read past the end of a tensor, crashed, or gave what happened to
be in memory. All others of `_operators.ALLOWED` refused such arguments themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Final

from torch import Tensor

from evalsuite.networks.programs._symbolic import NotUnderstoodError

Arguments = Mapping[str, object]
"""Of one call, by the names in the operator's schema; those that are left out are missing."""
_FARTHEST: Final = 2**20
_MEASURING: Final = ("training", "use_input_stats")


def check(target: str, arguments: Arguments) -> None:
    """Make sure that an operator may be run on `arguments`.

    Raises:
        NotUnderstoodError: It may not; says what was expected.
    """
    name = target.removeprefix("torch.ops.aten.").partition(".")[0]
    for prefix, guard in _GUARDS.items():
        if name.startswith(prefix):
            guard(name, arguments)


def _kept_statistics(name: str, arguments: Arguments) -> None:
    """Measured ones would be written over those of the network, which no schema says."""
    if any(arguments.get(flag) is True for flag in _MEASURING) and isinstance(arguments.get("running_mean"), Tensor):
        raise NotUnderstoodError(f"expected a network in evaluation mode, got one whose {name} measures its statistics")


def _one_number_a_channel(name: str, arguments: Arguments) -> None:
    _kept_statistics(name, arguments)
    images = arguments.get("input")
    channels = images.shape[1] if isinstance(images, Tensor) and images.ndim > 1 else None
    for key in ("weight", "bias", "running_mean", "running_var"):
        numbers = arguments.get(key)
        if isinstance(numbers, Tensor) and tuple(numbers.shape) != (channels,):
            raise NotUnderstoodError(f"expected {channels} numbers as {key} of {name}, got {tuple(numbers.shape)}")


def _sizes_as_they_are(name: str, arguments: Arguments) -> None:
    images = arguments.get("input")
    sizes = [arguments.get(key) for key in ("N", "C", "HxW")]
    given = [*images.shape[:2], prod(images.shape[2:])] if isinstance(images, Tensor) else None
    if sizes != given:
        raise NotUnderstoodError(f"expected the sizes {given} of what {name} is given, got {sizes}")


def _as_many_values_as_keys(name: str, arguments: Arguments) -> None:
    key, value = arguments.get("key"), arguments.get("value")
    if isinstance(key, Tensor) and isinstance(value, Tensor) and key.shape[:-1] != value.shape[:-1]:
        raise NotUnderstoodError(f"expected as many values as keys in {name}, got {value.shape[:-1]}, {key.shape[:-1]}")


def _scales_that_fit(name: str, arguments: Arguments) -> None:
    """Where sizes and scales are both given, one has to follow from the other."""
    images, sizes = arguments.get("self"), arguments.get("output_size")
    scales = [value for key, value in arguments.items() if key.startswith("scales")]
    if not isinstance(images, Tensor) or not isinstance(sizes, Sequence) or not scales:
        return
    for size, made, scale in zip(images.shape[2:], sizes, scales, strict=False):
        if isinstance(scale, int | float) and not abs(size * scale - made) < 2:
            raise NotUnderstoodError(f"expected {name} to scale {size} to {made}, got a factor of {scale}")


def _modes_that_exist(name: str, arguments: Arguments) -> None:
    for key in ("interpolation_mode", "padding_mode"):
        if arguments.get(key) not in {0, 1, 2}:
            raise NotUnderstoodError(f"expected {key} of {name} to be 0, 1 or 2, got {arguments.get(key)!r}")


def _near(name: str, arguments: Arguments) -> None:
    for key, value in arguments.items():
        numbers = value if isinstance(value, Sequence) else (value,)
        if any(isinstance(each, int) and abs(each) > _FARTHEST for each in numbers):
            raise NotUnderstoodError(f"expected {key} of {name} to be at most {_FARTHEST}, got {value!r}")


_GUARDS: Final[Mapping[str, Callable[[str, Arguments], None]]] = MappingProxyType(
    {
        "batch_norm": _one_number_a_channel,
        "instance_norm": _kept_statistics,
        "_native_batch_norm": _one_number_a_channel,
        "native_group_norm": _sizes_as_they_are,
        "scaled_dot_product_attention": _as_many_values_as_keys,
        "upsample": _scales_that_fit,
        "_upsample": _scales_that_fit,
        "grid_sampler": _modes_that_exist,
        "conv": _near,
        "max_pool": _near,
        "avg_pool": _near,
        "im2col": _near,
        "col2im": _near,
        "unfold": _near,
    }
)
