"""Packs tensors into plain values, which a process may accept from one that it does not trust."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import torch
from torch import Tensor

from evalsuite.process.plain_values import Plain

_GIVEN_BACK: Final = 2**25
"""Bytes that are let go before they are given back."""
_DTYPES: Final = {
    str(dtype): dtype
    for name, dtype in vars(torch).items()
    # those of quantised tensors are no numbers without a scale
    if isinstance(dtype, torch.dtype) and not name.startswith(("qint", "quint"))
}


def pack(tensors: Sequence[Tensor]) -> Plain:
    """Dense tensors on the CPU as plain values; `unpack` makes them again.

    Views of one storage stay views of one storage. The storages are let go one by one as they are written, so that
    they do not stand in memory twice, unless the caller keeps the tensors.
    """
    places: dict[int, int] = {}
    storages: list[torch.UntypedStorage] = []
    described: list[Plain] = []
    for tensor in tensors:
        storage = tensor.untyped_storage()
        # one that holds nothing has no address
        place = places.setdefault(storage.data_ptr(), len(storages)) if storage.nbytes() else len(storages)
        if place == len(storages):
            storages.append(storage)
        entry: dict[str, Plain] = {
            "storage": place,
            "dtype": str(tensor.dtype),
            "sizes": list(tensor.shape),
            "strides": list(tensor.stride()),
            "offset": int(tensor.storage_offset()),
        }
        described.append(entry)
    return {"tensors": described, "storages": _emptied(storages)}


def unpack(plain: Plain) -> list[Tensor]:
    """The tensors of which `pack` made `plain`, in their order; their numbers are not copied.

    Raises:
        ValueError: They are none, or reach beyond what was handed over.
    """
    match plain:
        case {"tensors": [*described], "storages": [*parts]}:
            try:
                storages = [_storage(part) for part in reversed(parts)]
                return [_tensor(entry, storages) for entry in described]
            except (RuntimeError, TypeError, OverflowError) as error:
                raise ValueError(f"expected tensors, got {error}") from error
        case _:
            raise ValueError("expected tensors, got something else")


def _emptied(storages: list[torch.UntypedStorage]) -> Iterator[Plain]:
    """The bytes of each, which is let go then."""
    written = 0
    while storages:
        flat = torch.empty(0, dtype=torch.uint8).set_(storages.pop())
        yield flat.numpy().data
        written += len(flat)
        del flat
        if written > _GIVEN_BACK:
            _give_back()
            written = 0


def _give_back() -> None:
    """Memory to the system; the C library keeps what was let go below what is still there."""
    # not every C library can be asked to
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _storage(part: Plain) -> Tensor:
    if not isinstance(part, memoryview):
        raise TypeError("something else than the bytes of a storage")
    return torch.frombuffer(part, dtype=torch.uint8) if len(part) else torch.empty(0, dtype=torch.uint8)


def _tensor(entry: Plain, storages: Sequence[Tensor]) -> Tensor:
    match entry:
        case {
            "storage": int(place),
            "dtype": str(name),
            "sizes": [*sizes],
            "strides": [*strides],
            "offset": int(offset),
        } if 0 <= place < len(storages) and name in _DTYPES:
            return _view(storages[place], _DTYPES[name], _numbers(sizes), _numbers(strides), offset)
        case _:
            raise ValueError("expected a tensor, got something else")


def _view(raw: Tensor, dtype: torch.dtype, sizes: list[int], strides: list[int], offset: int) -> Tensor:
    # the last numbers may be cut off, as in storages of bytes
    flat = raw[: len(raw) // dtype.itemsize * dtype.itemsize].view(dtype)
    if len(sizes) != len(strides) or offset < 0:
        raise ValueError(f"expected a stride for each axis, got {len(strides)} for {len(sizes)}")
    reach = offset + 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if 0 not in sizes and reach > len(flat):
        raise ValueError(f"expected {reach} numbers, got {len(flat)}")
    return flat.as_strided(sizes, strides, offset if 0 not in sizes else 0)


def _numbers(values: Sequence[Plain]) -> list[int]:
    numbers = [value for value in values if isinstance(value, int) and value >= 0]
    if len(numbers) < len(values):
        raise ValueError("expected whole numbers from 0, got something else")
    return numbers
