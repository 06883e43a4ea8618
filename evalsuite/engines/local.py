"""Computes shards one after another in this process."""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import MappingProxyType
from typing import TypeGuard, cast, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from evalsuite.data._base import Batch, Examples
from evalsuite.engines.shards import Cut, Member, Pair, Pending, digest_of
from evalsuite.errors import UsageError
from evalsuite.parts.names import part_name
from evalsuite.process.culprit import is_own
from evalsuite.process.third_party_code import OthersError, OutputError, others_code
from evalsuite.progress import Reporter
from evalsuite.records.store import ALONE, Address, Row, Store
from evalsuite.tasks._base import Observations, Seen, Task
from neuralnets.device import device_of
from neuralnets.precision import full_float32

_NONE: Mapping[str, Examples] = MappingProxyType({})
_PICTURES = 8
_WAY_OUT = (
    "what was finished is kept: mend it and give the same command again, or leave the task out (--tasks, with --amend)"
)
_TRANSIENT = frozenset({"probabilities", "map", "values"})


@full_float32()
def run(
    todo: Sequence[Pending],
    parent: Member,
    examples: Callable[[Task], Examples],
    store: Store,
    *,
    seed: int,
    reporter: Reporter,
    training: Mapping[str, Examples] = _NONE,
) -> None:
    """Compute everything in `todo` and store it, shard by shard.

    Stopping at any moment loses the shard in flight and nothing else. Where others' code - a network, a plug-in - fails
    at a task, the other tasks are finished before that is raised.

    Args:
        todo: Shards of one task follow each other.
        parent: The network that the others are compared with.
        examples: What a task is asked about; called once a task.
        store: Where observations go.
        seed: The run's.
        reporter: Hears about progress.
        training: By the name of the task: what networks are shown first.

    Raises:
        UsageError: The examples are no longer those that the shards were cut from.
        OthersError: Others' code failed at a task, the first one of those.
    """
    if not todo:
        return
    reporter.start("Evaluating", sum(pending.weight for pending in todo))
    device = device_of(parent.network)
    pace = _Pace(todo)
    failures: list[OthersError] = []
    for task, shards in groupby(todo, key=lambda pending: pending.cut.task):
        own = list(shards)
        try:
            with others_code(part_name(task)):
                asked = examples(task)
            memory = _Memory()
            for pending in own:
                source = training[part_name(task)] if pending.studied else asked
                with others_code(_doing(pending), way_out="see whether its images can be read"):
                    batch = _batch(source, pending.cut).to(device)
                for call in _calls(pending):
                    began = time.perf_counter()
                    what = f"{part_name(task)}  examples to {pending.cut.stop}"
                    reporter.work_on(_networks(call), what)
                    with others_code(_doing(call), networks=_running(call, parent), way_out=_WAY_OUT):
                        _call(call, parent, batch, store, seed, memory)
                    pace.took(call, time.perf_counter() - began)
                    reporter.advance(call.weight, what, pace.left(), examples=len(batch.ids) * _asked(call))
        except OthersError as error:
            failures.append(error)
            pace.give_up(own[0].cut.task_digest)
            reporter.say(f"  failed, the other tasks go on: {error}")
    reporter.finish()
    if failures:
        raise failures[0]


def _doing(call: Pending) -> str:
    """What is done, as a message begins."""
    cut = call.cut
    of = "training examples" if call.studied else "examples"
    return f"{part_name(cut.task)}, {of} {cut.start} to {cut.stop - 1}"


def _running(call: Pending, parent: Member) -> dict[str, nn.Module]:
    """The networks that a call runs, by name."""
    compared = [parent] if call.related else []
    members = [*call.studied, *(pair.to for pair in call.crossed), *call.alone, *call.related, *compared]
    return {member.id: member.network for member in members}


def _call(call: Pending, parent: Member, batch: Batch, store: Store, seed: int, memory: "_Memory") -> None:
    if call.studied:
        memory.study(call, batch)
    elif call.crossed:
        _cross(call, batch, store, seed)
    else:
        _compute(call, parent, batch, store, seed, memory)


def _asked(call: Pending) -> int:
    """How many networks are run on the shard."""
    return len(call.studied or call.crossed) or len({m.digest for m in (*call.alone, *call.related)})


def _networks(call: Pending) -> str:
    """Which networks a call is about, in a few words."""
    named = [m.id for m in call.studied] or [pair.to.id for pair in call.crossed]
    named = list(dict.fromkeys(named or [m.id for m in (*call.alone, *call.related)]))
    return named[0] if len(named) == 1 else f"{len(named)} networks"


def _batch(examples: Examples, cut: Cut) -> Batch:
    batch = examples.batch(cut.start, cut.stop)
    if digest_of(batch.ids) != cut.examples:
        raise UsageError(
            f"{part_name(cut.task)}: expected the examples that its shards were cut from, got others: "
            "files have changed"
        )
    return batch


@final
class _Pace:
    """How long the rest will take: every task at its own pace as soon as that is known, at the others' until then."""

    def __init__(self, todo: Sequence[Pending]) -> None:
        self._left: dict[str, float] = {}
        for pending in todo:
            task = pending.cut.task_digest
            self._left[task] = self._left.get(task, 0.0) + pending.weight
        self._done: dict[str, tuple[float, float]] = {}  # weight and seconds by task

    def took(self, call: Pending, seconds: float) -> None:
        """Take note of one finished call."""
        weight, before = self._done.get(call.cut.task_digest, (0.0, 0.0))
        self._done[call.cut.task_digest] = (weight + call.weight, before + seconds)
        self._left[call.cut.task_digest] -= call.weight

    def give_up(self, task: str) -> None:
        """Nothing more is done of a task, by its digest."""
        self._left[task] = 0.0

    def left(self) -> float:
        """Seconds."""
        weights, seconds = (sum(column) for column in zip(*self._done.values(), strict=True))
        total = 0.0
        for task, weight in self._left.items():
            own, spent = self._done.get(task, (weights, seconds))
            total += weight * spent / own
        return total


@final
class _Memory:
    """What the networks remember of a task's training examples."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}  # by the digest of the network

    def study(self, pending: Pending, batch: Batch) -> None:
        """Show networks some more."""
        for member in pending.studied:
            self._parts.setdefault(member.digest, []).append(pending.cut.task.study(member.network, batch))

    def of(self, member: Member) -> Tensor:
        """All that a network has studied, a row an example."""
        parts = self._parts[member.digest]
        if len(parts) > 1:
            parts[:] = [torch.cat(parts)]
        return parts[0]


def _calls(pending: Pending) -> list[Pending]:
    """What is computed and stored together."""
    if pending.studied:
        return [pending]
    if pending.crossed:
        return _by_source(pending)
    return [pending] if pending.cut.task.shares else _one_by_one(pending)


def _by_source(pending: Pending) -> list[Pending]:
    """One call a network whose observations are shown, which are read once."""
    weight = pending.weight / len(pending.crossed)
    sources: dict[str, list[Pair]] = {}
    for pair in pending.crossed:
        sources.setdefault(pair.of.digest, []).append(pair)
    return [replace(pending, crossed=tuple(pairs), weight=weight * len(pairs)) for pairs in sources.values()]


def _one_by_one(pending: Pending) -> list[Pending]:
    weight = pending.weight / len(pending.alone) if pending.alone else 0.0
    return [Pending(cut=pending.cut, alone=(member,), related=(), weight=weight) for member in pending.alone]


def _compute(pending: Pending, parent: Member, batch: Batch, store: Store, seed: int, memory: _Memory) -> None:
    members = list({m.digest: m for m in (*pending.alone, *pending.related)}.values())
    if pending.related:  # they are compared with the parent's outputs on the very same inputs
        members = [parent, *(m for m in members if m.digest != parent.digest)]
    began = time.perf_counter()
    seen = _seen(pending.cut.task, members, batch, seed, memory)
    if not is_own(pending.cut.task):
        _check(seen, len(members), len(batch.ids))
    seconds = (time.perf_counter() - began) / len(members)
    pictures: dict[str, bytes] = {}
    if pending.cut.start == 0 and _is_picture(seen.pictures) and members[0].digest == parent.digest:
        pictures[part_name(pending.cut.task)] = strip(seen.pictures[:_PICTURES])
    store.write(_rows(pending, members, parent, seen, seed, seconds), pictures)


def _check(seen: object, networks: int, examples: int) -> None:
    """Refuse what a plug-in's task gives instead of observations.

    Raises:
        OutputError: What is wrong with it.
    """
    if not isinstance(seen, Seen) or len(seen.networks) != networks:
        given = f"{len(seen.networks)}" if isinstance(seen, Seen) else type(seen).__name__
        raise OutputError(f"expected a task that gives observations of each of {networks} networks, got {given}")
    columns = [each for observations in seen.networks for each in observations.items()]
    for column, values in cast("list[tuple[str, object]]", columns):
        if not isinstance(values, np.ndarray) or values.shape[:1] != (examples,):
            given = "x".join(map(str, values.shape)) if isinstance(values, np.ndarray) else type(values).__name__
            raise OutputError(f"expected one row of {column!r} for each of {examples} examples, got {given}")


def _is_picture(images: Tensor | None) -> TypeGuard[Tensor]:
    """Whether there is something to look at: rows of a table are images of one pixel."""
    return images is not None and max(images.shape[2:]) > 1


def _seen(task: Task, members: Sequence[Member], batch: Batch, seed: int, memory: _Memory) -> Seen:
    networks = [member.network for member in members]
    if not task.training():
        return task.observe(networks, batch, seed=seed)
    return task.observe_beside(networks, batch, [memory.of(member) for member in members], seed=seed)


def _cross(pending: Pending, batch: Batch, store: Store, seed: int) -> None:
    """Show one network's stored observations to others."""
    cut, of = pending.cut, pending.crossed[0].of
    stored = store.read(_address(cut, of, seed, ALONE))
    assert stored is not None  # noqa: S101 - the first pass of a shard is planned before its second
    rows: list[Row] = []
    for pair in pending.crossed:
        began = time.perf_counter()
        columns = cut.task.cross(pair.to.network, batch, stored)
        address = _address(cut, pair.to, seed, of.digest)
        rows.append(Row(address=address, columns=columns, seconds=time.perf_counter() - began))
    store.write(rows)


def _rows(
    pending: Pending, members: Sequence[Member], parent: Member, seen: Seen, seed: int, seconds: float
) -> list[Row]:
    by_digest = {m.digest: o for m, o in zip(members, seen.networks, strict=True)}
    rows = [
        Row(address=_address(pending.cut, m, seed, ALONE), columns=_kept(by_digest[m.digest]), seconds=seconds)
        for m in pending.alone
    ]
    for m in pending.related:
        columns = pending.cut.task.relate(by_digest[m.digest], by_digest[parent.digest])
        rows.append(Row(address=_address(pending.cut, m, seed, parent.digest), columns=columns, seconds=0.0))
    return rows


def _address(cut: Cut, member: Member, seed: int, other: str) -> Address:
    return Address(task=cut.task_digest, network=member.digest, examples=cut.examples, seed=seed, other=other)


def _kept(observations: Observations) -> Observations:
    return {column: values for column, values in observations.items() if column not in _TRANSIENT}


def strip(images: Tensor, side: int = 64) -> bytes:
    """Images (k, c, h, w) in [0, 1] side by side as one PNG, each enlarged or reduced to `side` pixels high."""
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    if pixels.shape[1] not in {1, 3}:
        pixels = pixels[:, :1]
    rows = pixels.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
    height, width = rows.shape[1:3]
    size = (max(1, round(width * side / height)), side)
    method = Image.Resampling.NEAREST if height < side else Image.Resampling.BOX
    tiles = [np.asarray(Image.fromarray(row).resize(size, method)) for row in rows]
    gap = np.full((side, 2, 3), 255, np.uint8)
    joined = np.concatenate([piece for tile in tiles for piece in (tile, gap)][:-1], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(joined).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
