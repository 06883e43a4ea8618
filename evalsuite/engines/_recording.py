"""Records which items were asked for, and lets another engine compute them: for tests of who asks for what."""

from collections.abc import Iterable, Iterator
from typing import final

from typing_extensions import override

from evalsuite.engines._base import Engine, ItemResult
from evalsuite.engines._items import WorkItem


@final
class RecordingEngine(Engine):
    """Hands items on, in order.

    Attributes:
        calls: The items of every call, as far as they were taken.
    """

    def __init__(self, inner: Engine) -> None:
        """`inner` computes."""
        self.calls: list[list[WorkItem]] = []
        Engine.__init__(self, inner.tasks, inner.examples, inner.networks, device=inner.device, banks=inner.banks)
        self._inner = inner

    @property
    def items(self) -> list[WorkItem]:
        """The items of all calls."""
        return [item for call in self.calls for item in call]

    @override
    def compute(self, items: Iterable[WorkItem]) -> Iterator[ItemResult]:
        call: list[WorkItem] = []
        self.calls.append(call)
        yield from self._inner.compute(self._noted(items, call))

    def _noted(self, items: Iterable[WorkItem], call: list[WorkItem]) -> Iterator[WorkItem]:
        for item in items:
            call.append(item)
            yield item
