"""The engine contract: work items go in, observations come out, in any order.

An engine knows nothing of the store, of progress and of reports: one writer, `evaluation.evaluate`, asks for items and
writes what comes back.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import final

import torch
from torch import Tensor

from evalsuite.data._base import Examples
from evalsuite.engines._items import NetworkRef, WorkItem
from evalsuite.engines._networks import NetworkLoader
from evalsuite.tasks._base import Observations, Task


@final
@dataclass(frozen=True, kw_only=True)
class NetworkObservations:
    """The observations of one network on the shard of an item.

    Attributes:
        network: The network.
        other: The network without which the columns could not be told; None where they depend on `network` alone.
        columns: Arrays whose first axis is the example.
        seconds: What it took to compute them.
    """

    network: NetworkRef
    other: NetworkRef | None = None
    columns: Observations
    seconds: float


@final
@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """What an engine gives for one item.

    Attributes:
        item: The item.
        observations: Everything that the item asks for; nothing of a bank, which stays with the engine.
        pictures: (k, c, h, w) in [0, 1]: what the first examples of a first shard looked like to the first network
            that was run; None of other shards, and of tasks that show none.
    """

    item: WorkItem
    observations: tuple[NetworkObservations, ...] = ()
    pictures: Tensor | None = None


@dataclass(eq=False)
class Engine(ABC):
    """Computes work items, wherever that is. Subclasses are dataclasses without further fields, one for each run.

    Attributes:
        tasks: Those that items name.
        examples: The examples of a task; called once for tasks that follow each other.
        networks: Loads those that items name.
        device: Where networks are.
        banks: By the name of the task: the training examples of its bank.
    """

    tasks: Iterable[Task]
    examples: Callable[[Task], Examples]
    networks: NetworkLoader
    _: KW_ONLY
    device: torch.device
    banks: Mapping[str, Examples] = field(default_factory=dict)

    @property
    def networks_at_once(self) -> int | None:
        """How many networks with a file an item may run; None: any number."""
        return self.networks.budget

    @abstractmethod
    def compute(self, items: Iterable[WorkItem]) -> Iterator[ItemResult]:
        """Give a result for every item, in any order, as soon as it is there.

        All items of one call are about one task; they are taken from `items` when there is room to compute them. Banks
        are fitted in a call of their own, before the call whose items need them, and kept until another task begins.

        Raises:
            UsageError: The examples are no longer those that the shards were made from.
            OthersError: Others' code failed; nothing more comes of this call.
        """
