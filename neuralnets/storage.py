"""Which tensors share memory."""

from torch import Tensor, UntypedStorage


def storage_key(tensor: Tensor | UntypedStorage) -> int:
    """A number that all views of one tensor share, and no other tensor has as long as it lives."""
    storage = tensor.untyped_storage() if isinstance(tensor, Tensor) else tensor
    return int(storage._cdata)  # noqa: SLF001 - a storage's identity; torch tells it nowhere else
