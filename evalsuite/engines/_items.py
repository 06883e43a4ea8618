"""Work items: what an engine computes, as small values that another process or machine can be sent.

An item names the task, the range of its examples and the networks, by file and digest; it holds no tensors of networks.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from evalsuite.data._base import Examples
from evalsuite.parts.names import part_name
from evalsuite.tasks._base import Observations, Task
from evalsuite.tasks._names import digest


@final
@dataclass(frozen=True, kw_only=True)
class NetworkRef:
    """A network of the family, without its tensors.

    Attributes:
        id: Its name in results, e.g. "magnitude-0-0.9"; the parent's is "parent".
        digest: Digest of its tensors, by which its observations are addressed.
        file: Where it can be read from; None where it is in memory only.
    """

    id: str
    digest: str
    file: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Shard:
    """A range of a task's examples, or of the training examples of its bank.

    Attributes:
        task: The task's name.
        task_digest: The task's part of the address.
        start: First example.
        stop: One past the last example.
        examples: Digest of the shard's examples.
    """

    task: str
    task_digest: str
    start: int
    stop: int
    examples: str

    def __len__(self) -> int:
        return self.stop - self.start


@final
@dataclass(frozen=True, kw_only=True)
class ObserveItem:
    """Own observations of some networks on one shard."""

    shard: Shard
    seed: int
    networks: tuple[NetworkRef, ...]

    @property
    def runs(self) -> tuple[NetworkRef, ...]:
        """The networks that are run, each once, in the order in which the task is given them."""
        return self.networks


@final
@dataclass(frozen=True, kw_only=True)
class CompareItem:
    """Comparisons of some networks with the parent on one shard, and own observations from the same pass.

    Attributes:
        shard: The examples.
        seed: The run's.
        parent: The network that the others are compared with; it runs too, on the very same inputs.
        networks: Those that are compared.
        unobserved: Those whose own observations are wanted too; the parent may be one of them.
    """

    shard: Shard
    seed: int
    parent: NetworkRef
    networks: tuple[NetworkRef, ...]
    unobserved: tuple[NetworkRef, ...] = ()

    @property
    def wanted(self) -> tuple[NetworkRef, ...]:
        """The networks of which something is wanted, each once."""
        return unique((*self.unobserved, *self.networks))

    @property
    def runs(self) -> tuple[NetworkRef, ...]:
        """The networks that are run, each once, in the order in which the task is given them."""
        return unique((self.parent, *self.wanted))


@final
@dataclass(frozen=True, kw_only=True)
class PairwiseItem:
    """What some networks make of what was observed of another one on the same shard.

    Attributes:
        shard: The examples.
        seed: The run's.
        source: The network that was observed.
        networks: Those that are shown its observations.
        observed: The observations as they are stored; the writer fills them in before the engine sees the item.
    """

    shard: Shard
    seed: int
    source: NetworkRef
    networks: tuple[NetworkRef, ...]
    observed: Observations = field(default_factory=dict)

    @property
    def runs(self) -> tuple[NetworkRef, ...]:
        """The networks that are run, each once."""
        return self.networks


@final
@dataclass(frozen=True, kw_only=True)
class BankItem:
    """A part of the banks of some networks: `shard` is one of the task's training examples."""

    shard: Shard
    seed: int
    networks: tuple[NetworkRef, ...]

    @property
    def runs(self) -> tuple[NetworkRef, ...]:
        """The networks that are run, each once."""
        return self.networks


WorkItem = ObserveItem | CompareItem | PairwiseItem | BankItem


def split_into_shards(task: Task, examples: Examples, limit: int, bank: Examples | None = None) -> tuple[Shard, ...]:
    """The shards of `task` on the first `limit` examples; `bank` are the training examples of its bank, if any."""
    address, count = digest(task, bank), min(limit, len(examples))
    starts = range(0, count, task.shard_size)
    ranges = [(start, min(start + task.shard_size, count)) for start in starts]
    return tuple(
        Shard(
            task=part_name(task),
            task_digest=address,
            start=start,
            stop=stop,
            examples=shard_digest(examples.ids[start:stop]),
        )
        for start, stop in ranges
    )


def shard_digest(ids: Sequence[str]) -> str:
    """A shard's part of the address: what its examples are, in order, 16 hex digits."""
    return hashlib.sha256(",".join(ids).encode()).hexdigest()[:16]


def unique(networks: Sequence[NetworkRef]) -> tuple[NetworkRef, ...]:
    """Each network once, at its first place: names that stand for the same tensors are one network."""
    first: dict[str, NetworkRef] = {}
    for ref in networks:
        first.setdefault(ref.digest, ref)
    return tuple(first.values())
