"""Plans what has to be computed: the shards of a task, less what the store already holds, as work items."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import final

from evalsuite.engines._items import (
    BankItem,
    CompareItem,
    NetworkRef,
    ObserveItem,
    PairwiseItem,
    Shard,
    WorkItem,
    unique,
)
from evalsuite.records.store import NO_OTHER, Address, Store
from evalsuite.tasks._abilities import ComparesToParent, Pairwise, PerNetwork
from evalsuite.tasks._base import Domain, Task

Present = Set[tuple[str, str, str]]
"""(network, examples, other network) of what the store holds of a task."""


@final
@dataclass(frozen=True, kw_only=True)
class Population:
    """The networks of a run.

    Attributes:
        parent: The network that the others are compared with.
        networks: All networks, the parent included.
        pairs: (observed network, network that is shown its observations), for tasks that are pairwise.
    """

    parent: NetworkRef
    networks: tuple[NetworkRef, ...]
    pairs: tuple[tuple[NetworkRef, NetworkRef], ...] = ()


@final
@dataclass(frozen=True, kw_only=True)
class MissingWork:
    """What the store lacks of one task, as items of up to three calls of an engine, each of which needs the one before.

    Attributes:
        task: The task.
        passes: Forward passes that an example and network take.
        bank: Parts of the banks of all networks that are observed.
        observe: Own observations, and comparisons with the parent.
        pairwise: What networks make of each other's observations, which are filled in when they are stored.
    """

    task: Task
    passes: float
    bank: tuple[BankItem, ...] = ()
    observe: tuple[ObserveItem | CompareItem, ...] = ()
    pairwise: tuple[PairwiseItem, ...] = ()

    @property
    def items(self) -> tuple[WorkItem, ...]:
        """All items, in order."""
        return (*self.bank, *self.observe, *self.pairwise)

    @property
    def weight(self) -> float:
        """Forward passes of all items, about."""
        return sum(map(self.weight_of, self.items))

    def weight_of(self, item: WorkItem) -> float:
        """Forward passes that one item takes, about."""
        passes = self.passes if isinstance(item, ObserveItem | CompareItem) else 1.0
        return len(item.shard) * len(wanted(item)) * passes


def wanted(item: WorkItem) -> tuple[NetworkRef, ...]:
    """The networks of which an item wants something; others may run beside them."""
    return item.wanted if isinstance(item, CompareItem) else item.networks


def missing_work(
    task: Task,
    shards: Sequence[Shard],
    population: Population,
    store: Store,
    seed: int,
    *,
    bank: Sequence[Shard] = (),
    domain: Domain | None = None,
    at_once: int | None = None,
) -> MissingWork:
    """What is missing of the shards of a task; networks with the same tensors count once.

    Items follow shard by shard, so that each is read once; where only some networks fit into memory `at_once`, all
    shards of these come first, so that each network is read once.

    Args:
        task: The task.
        shards: Its shards.
        population: The networks.
        store: What is there.
        seed: The run's.
        bank: The shards of the task's training examples.
        domain: The images, where the cost depends on them.
        at_once: How many networks an item may run; None: any number.
    """
    present = store.present(shards[0].task_digest, seed) if shards else set()
    observe = [
        item
        for networks in _groups(unique(population.networks), at_once)
        for shard in shards
        for item in _observe_items(task, shard, networks, population.parent, seed, present)
    ]
    pairwise = _pairwise(shards, population, seed, present, at_once) if isinstance(task, Pairwise) else []
    observed = unique([ref for item in observe for ref in item.runs]) if bank else ()
    return MissingWork(
        task=task,
        passes=task.forward_passes(domain),
        bank=tuple(
            BankItem(shard=shard, seed=seed, networks=group) for group in _groups(observed, at_once) for shard in bank
        ),
        observe=tuple(observe),
        pairwise=tuple(pairwise),
    )


def address(shard: Shard, network: NetworkRef, seed: int, other: NetworkRef | None = None) -> Address:
    """Where observations are stored."""
    beside = NO_OTHER if other is None else other.digest
    return Address(task=shard.task_digest, network=network.digest, examples=shard.examples, seed=seed, other=beside)


def _groups(networks: Sequence[NetworkRef], at_once: int | None) -> Iterator[tuple[NetworkRef, ...]]:
    size = at_once or max(1, len(networks))
    return (tuple(networks[start : start + size]) for start in range(0, len(networks), size))


def _observe_items(
    task: Task, shard: Shard, networks: Sequence[NetworkRef], parent: NetworkRef, seed: int, present: Present
) -> Iterator[ObserveItem | CompareItem]:
    """Own observations and comparisons with the parent that are missing of a shard."""
    missing = _missing(networks, shard, NO_OTHER, present)
    if isinstance(task, ComparesToParent):
        others = [ref for ref in networks if ref.digest != parent.digest]
        if compared := _missing(others, shard, parent.digest, present):
            yield CompareItem(shard=shard, seed=seed, parent=parent, networks=compared, unobserved=missing)
            return
    each = [(ref,) for ref in missing] if isinstance(task, PerNetwork) else [missing] if missing else []
    for group in each:
        yield ObserveItem(shard=shard, seed=seed, networks=group)


def _missing(networks: Sequence[NetworkRef], shard: Shard, other: str, present: Present) -> tuple[NetworkRef, ...]:
    return tuple(ref for ref in networks if (ref.digest, shard.examples, other) not in present)


def _pairwise(
    shards: Sequence[Shard], population: Population, seed: int, present: Present, at_once: int | None
) -> Iterator[PairwiseItem]:
    """One item for each network whose observations are shown; a network's view of itself is among its own."""
    viewers: dict[str, list[NetworkRef]] = {}
    sources: dict[str, NetworkRef] = {}
    for source, network in population.pairs:
        if source.digest != network.digest:
            sources.setdefault(source.digest, source)
            viewers.setdefault(source.digest, []).append(network)
    for group in _groups(unique(population.networks), at_once):
        in_group = {ref.digest for ref in group}
        for shard in shards:
            for digest, source in sources.items():
                others = unique([ref for ref in viewers[digest] if ref.digest in in_group])
                if missing := _missing(others, shard, digest, present):
                    yield PairwiseItem(shard=shard, seed=seed, source=source, networks=missing)
