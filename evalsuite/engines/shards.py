"""What has to be computed: tasks cut into shards, less what the store already holds."""

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar, final

from torch import nn

from evalsuite.data._base import Examples
from evalsuite.parts.names import part_kind, part_name
from evalsuite.records.store import ALONE, Store
from evalsuite.tasks._base import Domain, Task
from evalsuite.tasks._names import digest

Number = TypeVar("Number", int, float)


@final
@dataclass(frozen=True, kw_only=True)
class Member:
    """A network of the family.

    Attributes:
        id: Its name in results, e.g. "magnitude-0-0.9"; the parent's is "parent".
        digest: Digest of its tensors, by which its observations are addressed.
        network: In evaluation mode, on the device where it is to be run.
    """

    id: str
    digest: str
    network: nn.Module


@final
@dataclass(frozen=True, kw_only=True)
class Cut:
    """One shard of one task.

    Attributes:
        task: The task.
        task_digest: Its part of the address.
        start: First example.
        stop: One past the last example.
        examples: Digest of the shard's examples.
    """

    task: Task
    task_digest: str
    start: int
    stop: int
    examples: str


@final
@dataclass(frozen=True, kw_only=True)
class Pair:
    """What was observed of one network, to be shown to another."""

    of: Member
    to: Member


@final
@dataclass(frozen=True, kw_only=True)
class Pending:
    """What one shard still lacks, of the first pass or of the second.

    Attributes:
        cut: The shard.
        alone: Networks whose own observations are missing.
        related: Networks whose comparison with the parent is missing.
        weight: Forward passes that it will about take.
        crossed: Pairs that are missing; then nothing else is, for their own observations have to be stored before.
        studied: Networks that are to be shown the shard, which then is one of the task's training examples, so that
            they remember it; then nothing else is missing.
    """

    cut: Cut
    alone: tuple[Member, ...]
    related: tuple[Member, ...]
    weight: float
    crossed: tuple[Pair, ...] = ()
    studied: tuple[Member, ...] = ()


def cuts(task: Task, examples: Examples, limit: int, training: Examples | None = None) -> tuple[Cut, ...]:
    """The shards of `task` on the first `limit` examples; `training` are those that networks are shown first."""
    address = digest(task, training)
    count = min(limit, len(examples))
    found: list[Cut] = []
    for start in range(0, count, task.shard_size):
        stop = min(start + task.shard_size, count)
        ids = digest_of(examples.ids[start:stop])
        found.append(Cut(task=task, task_digest=address, start=start, stop=stop, examples=ids))
    return tuple(found)


def digest_of(ids: Sequence[str]) -> str:
    """A shard's part of the address: what its examples are, in order, 16 hex digits."""
    return hashlib.sha256(",".join(ids).encode()).hexdigest()[:16]


def chosen_for(task: Task, otherwise: Number, by_task: Mapping[str, Number]) -> Number:
    """The entry of `by_task` for a task: under its full name, else under its kind, else `otherwise`."""
    return by_task.get(part_name(task), by_task.get(part_kind(task), otherwise))


def pending(
    cuts: Sequence[Cut],
    members: Sequence[Member],
    parent: Member,
    store: Store,
    seed: int,
    *,
    pairs: Sequence[Pair] = (),
    domain: Domain | None = None,
) -> list[Pending]:
    """What is missing of the given shards, in their order; networks with the same tensors count once.

    Args:
        cuts: Shards.
        members: Networks to be asked.
        parent: The network that the others are compared with.
        store: What is there.
        seed: The run's.
        pairs: Pairs of `members` for the second pass of tasks that cross; each shard's follows its first pass.
        domain: The images, where the amount of work depends on them.
    """
    unique = tuple({member.digest: member for member in members}.values())
    present = {task: store.present(task, seed) for task in {cut.task_digest for cut in cuts}}
    found: list[Pending] = []
    for cut in cuts:
        have = present[cut.task_digest]
        alone = tuple(m for m in unique if (m.digest, cut.examples, ALONE) not in have)
        related = tuple(
            m
            for m in unique
            if cut.task.relates and m.digest != parent.digest and (m.digest, cut.examples, parent.digest) not in have
        )
        asked = len({m.digest for m in (*alone, *related)})
        if asked:
            passes = cut.task.passes() if domain is None else cut.task.passes_on(domain)
            weight = (cut.stop - cut.start) * asked * passes
            found.append(Pending(cut=cut, alone=alone, related=related, weight=weight))
        crossed = _crossed(cut, pairs, have)
        if crossed:
            weight = float((cut.stop - cut.start) * len(crossed))
            found.append(Pending(cut=cut, alone=(), related=(), weight=weight, crossed=crossed))
    return found


def preceded(todo: Sequence[Pending], parent: Member, training: Examples) -> list[Pending]:
    """`todo`, of one task, after what its networks have to be shown first: all of `training`."""
    asked = [member for pending in todo for member in (*pending.alone, *pending.related)]
    if any(pending.related for pending in todo):
        asked.append(parent)
    unique = tuple({member.digest: member for member in asked}.values())
    if not unique:
        return [*todo]
    first = [
        Pending(cut=cut, alone=(), related=(), weight=float((cut.stop - cut.start) * len(unique)), studied=unique)
        for cut in cuts(todo[0].cut.task, training, len(training), training)
    ]
    return [*first, *todo]


def _crossed(cut: Cut, pairs: Sequence[Pair], have: Set[tuple[str, str, str]]) -> tuple[Pair, ...]:
    """A network's view of itself is in its own observations already."""
    if not cut.task.crosses:
        return ()
    unique = {(pair.to.digest, cut.examples, pair.of.digest): pair for pair in pairs}
    return tuple(pair for key, pair in unique.items() if key not in have and pair.to.digest != pair.of.digest)
