"""Hooks on a network for a while."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch.utils.hooks import RemovableHandle


@contextmanager
def attached(handles: Sequence[RemovableHandle]) -> Iterator[None]:
    """Inside, the hooks of `handles` are on their modules; on leaving, however that happens, they are removed.

    with attached([layer.register_forward_hook(note) for layer in layers]):
        network(images)
    """
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
