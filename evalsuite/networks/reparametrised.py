"""Computes weights from the parts in which torch keeps them: weight norm and spectral norm, old form and new."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

_NEW: Final = ".parametrizations."


def baked(tensors: Mapping[str, Tensor], transposed: Collection[str] = ()) -> dict[str, Tensor]:
    """Weights as a network in evaluation mode computes them from the parts in a state_dict; others are handed through.

    Weight norm (Salimans & Kingma 2016, arXiv:1602.07868): w = g v / |v|. Spectral norm (Miyato et al. 2018,
    arXiv:1802.05957): w = W / (u^T W v), u and v as stored, since evaluation takes no further step of the iteration.

    Args:
        tensors: By name.
        transposed: Ends of the names of weights whose second axis is the output, as of transposed convolutions.
    """
    current = dict(tensors)
    for names, weight, make in _groups(tensors):
        parts = [tensors[name] for name in names]
        if not all(part.is_floating_point() for part in parts):
            continue
        # a network of half precision keeps its parts so, and is judged in single precision
        made = make([_single(part) for part in parts], weight.endswith(tuple(transposed)))
        if made is None:
            continue
        current = {_first(name, names, weight): value for name, value in current.items() if name not in names[1:]}
        current[weight] = made
    return current


_Make = Callable[[Sequence[Tensor], bool], Tensor | None]


def _groups(tensors: Mapping[str, Tensor]) -> Iterator[tuple[list[str], str, _Make]]:
    """Names of the parts, the name of the weight that they make, and how."""
    yield from _parametrised(tensors)
    for name in tensors:
        base, _, end = name.rpartition("_")
        if end == "g" and base not in tensors and f"{base}_v" in tensors:
            yield [name, f"{base}_v"], base, _weight_norm
        elif end == "orig" and {f"{base}_u", f"{base}_v"} <= tensors.keys() and f"{base}_mask" not in tensors:
            yield [name, f"{base}_u", f"{base}_v"], base, _spectral_norm


def _parametrised(tensors: Mapping[str, Tensor]) -> Iterator[tuple[list[str], str, _Make]]:
    parts: dict[tuple[str, str], set[str]] = {}
    for name in tensors:
        module, new, rest = name.rpartition(_NEW)
        key, _, part = rest.partition(".")
        if new:
            parts.setdefault((module, key), set()).add(part)
    for (module, key), present in parts.items():
        base, weight = f"{module}{_NEW}{key}", f"{module}.{key}"
        if present == {"original0", "original1"}:
            yield [f"{base}.original0", f"{base}.original1"], weight, _weight_norm
        elif present == {"original", "0._u", "0._v"}:
            yield [f"{base}.original", f"{base}.0._u", f"{base}.0._v"], weight, _spectral_norm


def _single(part: Tensor) -> Tensor:
    return part.float() if part.dtype in {torch.float16, torch.bfloat16} else part


def _first(name: str, names: Sequence[str], weight: str) -> str:
    return weight if name == names[0] else name


def _weight_norm(parts: Sequence[Tensor], transposed: bool) -> Tensor | None:  # noqa: FBT001  (one signature for both)
    del transposed  # the length of g tells along which axis it was taken
    length, direction = parts
    long = [axis for axis, n in enumerate(length.shape) if n > 1]
    norm: Tensor
    if length.numel() == 1:
        norm = direction.norm()
    elif len(long) == 1 and _reaches_over(length, direction):
        norm = torch.norm_except_dim(direction, 2, long[0])
    else:
        return None
    return direction * (length / norm)


def _spectral_norm(parts: Sequence[Tensor], transposed: bool) -> Tensor | None:  # noqa: FBT001  (as above)
    weight, u, v = parts
    axes = [axis for axis in (0, 1) if weight.ndim > 1 and (weight.shape[axis], weight.numel()) == _spans(u, v)]
    if not axes:
        return None
    axis = axes[-1] if transposed else axes[0]
    matrix = weight.movedim(axis, 0).flatten(1)
    return weight / torch.vdot(u, torch.mv(matrix, v))


def _spans(u: Tensor, v: Tensor) -> tuple[int, int]:
    return u.numel(), u.numel() * v.numel()


def _reaches_over(length: Tensor, direction: Tensor) -> bool:
    sizes = zip(length.shape, direction.shape, strict=True) if length.ndim == direction.ndim else [(0, 1)]
    return all(n in {1, size} for n, size in sizes)
