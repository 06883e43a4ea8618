"""Computes items one after another in this process."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast, final

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.data._base import Batch, Examples
from evalsuite.engines._base import Engine, ItemResult, NetworkObservations
from evalsuite.engines._items import (
    BankItem,
    CompareItem,
    NetworkRef,
    ObserveItem,
    PairwiseItem,
    WorkItem,
    shard_digest,
)
from evalsuite.errors import UsageError
from evalsuite.parts.names import part_name
from evalsuite.process.culprit import is_own
from evalsuite.process.third_party_code import OutputError, others_code
from evalsuite.tasks._abilities import ComparesToParent, Pairwise, UsesBank, bank_size
from evalsuite.tasks._base import Observations, Task, TaskOutput
from neuralnets.precision import full_float32

_PICTURES: Final = 8
_TRANSIENT: Final = frozenset({"probabilities", "map", "values"})
"""Columns that only a comparison needs."""
_READING_FAILED: Final = "see whether its images can be read"
_FAILED: Final = (
    "what was finished is kept: mend it and give the same command again, or leave the task out (--tasks, with --amend)"
)


@final
@dataclass(eq=False)
class LocalEngine(Engine):
    """Runs networks on one device, and holds what one task needs: its examples, the latest shard, its banks."""

    def __post_init__(self) -> None:
        self._by_name = {part_name(task): task for task in self.tasks}
        self._current: _TaskData | None = None

    @override
    def compute(self, items: Iterable[WorkItem]) -> Iterator[ItemResult]:
        for item in items:
            with full_float32():
                result = self._result(item)
            yield result

    def _result(self, item: WorkItem) -> ItemResult:
        data = self._data(item.shard.task)
        with others_code(_title(item), way_out=_READING_FAILED):
            batch = data.batch(item, self.device)
        networks = [network.eval() for network in self.networks.load_all(item.runs)]
        for network in networks:
            network.requires_grad_(requires_grad=False)  # attacks need gradients of images only
        named = {ref.id: network for ref, network in zip(item.runs, networks, strict=True)}
        with others_code(_title(item), networks=named, way_out=_FAILED):
            match item:
                case BankItem():
                    data.fit_banks(item, networks, batch)
                    return ItemResult(item=item)
                case PairwiseItem():
                    return _pairwise(item, data.task, networks, batch)
                case ObserveItem() | CompareItem():
                    return _observed(item, data, networks, batch)

    def _data(self, task: str) -> "_TaskData":
        if self._current is None or part_name(self._current.task) != task:
            self._current = None  # lets go of what the task before needed
            with others_code(task):
                self._current = _TaskData(self._by_name[task], self.examples, self.banks.get(task))
        return self._current


@final
class _TaskData:
    """What is held while items of one task are computed."""

    def __init__(self, task: Task, examples: Callable[[Task], Examples], training: Examples | None) -> None:
        self.task = task
        self._examples, self._training = examples(task), training
        self._latest: tuple[tuple[bool, str, int], Batch] | None = None
        self._banks: dict[str, list[Tensor]] = {}  # by the digest of the network

    def batch(self, item: WorkItem, device: torch.device) -> Batch:
        """The examples of the item's shard; those of the latest one are not read again."""
        shard, of_bank = item.shard, isinstance(item, BankItem)
        key = (of_bank, shard.examples, shard.start)
        if self._latest is None or self._latest[0] != key:
            source = self._training if of_bank else self._examples
            assert source is not None  # noqa: S101 - banks are planned for tasks with training examples only
            batch = source.batch(shard.start, shard.stop)
            if shard_digest(batch.ids) != shard.examples:
                raise UsageError(
                    f"{shard.task}: expected the examples that its shards were cut from, got others: files have changed"
                )
            self._latest = key, batch.to(device)
        return self._latest[1]

    def fit_banks(self, item: BankItem, networks: Sequence[nn.Module], batch: Batch) -> None:
        """Add the rows of a batch to the banks of networks."""
        assert isinstance(self.task, UsesBank)  # noqa: S101 - as the planner has it
        for ref, network in zip(item.networks, networks, strict=True):
            self._banks.setdefault(ref.digest, []).append(self.task.fit_bank(network, batch))

    def output(self, refs: Sequence[NetworkRef], networks: Sequence[nn.Module], batch: Batch, seed: int) -> TaskOutput:
        """What the task makes of a shard, beside the banks where it has them."""
        if isinstance(self.task, UsesBank) and bank_size(self.task):
            banks = [self._bank(ref) for ref in refs]
            output = self.task.observe_with_bank(networks, batch, banks, seed=seed)
        else:
            output = self.task.observe(networks, batch, seed=seed)
        if not is_own(self.task):
            _check(output, len(networks), len(batch.ids))
        return output

    def _bank(self, ref: NetworkRef) -> Tensor:
        parts = self._banks[ref.digest]
        if len(parts) > 1:
            parts[:] = [torch.cat(parts)]
        return parts[0]


def _title(item: WorkItem) -> str:
    """What is done, as a message begins."""
    shard, which = item.shard, "training examples" if isinstance(item, BankItem) else "examples"
    return f"{shard.task}, {which} {shard.start} to {shard.stop - 1}"


def _observed(
    item: ObserveItem | CompareItem, data: _TaskData, networks: Sequence[nn.Module], batch: Batch
) -> ItemResult:
    refs, began = item.runs, time.perf_counter()
    output = data.output(refs, networks, batch, item.seed)
    seconds = (time.perf_counter() - began) / len(refs)
    by_digest = {ref.digest: columns for ref, columns in zip(refs, output.networks, strict=True)}
    rows = [
        NetworkObservations(network=ref, columns=_lasting(by_digest[ref.digest]), seconds=seconds)
        for ref in (item.networks if isinstance(item, ObserveItem) else item.unobserved)
    ]
    if isinstance(item, CompareItem):
        assert isinstance(data.task, ComparesToParent)  # noqa: S101 - as the planner has it
        for ref in item.networks:
            columns = data.task.compare(by_digest[ref.digest], by_digest[item.parent.digest])
            rows.append(NetworkObservations(network=ref, other=item.parent, columns=columns, seconds=0.0))
    shown = None if item.shard.start or output.pictures is None else output.pictures[:_PICTURES]
    return ItemResult(item=item, observations=tuple(rows), pictures=shown)


def _pairwise(item: PairwiseItem, task: Task, networks: Sequence[nn.Module], batch: Batch) -> ItemResult:
    assert isinstance(task, Pairwise)  # noqa: S101 - as the planner has it
    rows: list[NetworkObservations] = []
    for ref, network in zip(item.networks, networks, strict=True):
        began = time.perf_counter()
        columns = task.observe_pair(network, batch, item.observed)
        seconds = time.perf_counter() - began
        rows.append(NetworkObservations(network=ref, other=item.source, columns=columns, seconds=seconds))
    return ItemResult(item=item, observations=tuple(rows))


def _lasting(observations: Observations) -> Observations:
    return {column: values for column, values in observations.items() if column not in _TRANSIENT}


def _check(output: object, networks: int, examples: int) -> None:
    """Refuse what a plug-in's task gives instead of observations.

    Raises:
        OutputError: What is wrong with it.
    """
    if not isinstance(output, TaskOutput) or len(output.networks) != networks:
        given = f"{len(output.networks)}" if isinstance(output, TaskOutput) else type(output).__name__
        raise OutputError(f"expected a task that gives observations of each of {networks} networks, got {given}")
    columns = [each for observations in output.networks for each in observations.items()]
    for column, values in cast("list[tuple[str, object]]", columns):
        if not isinstance(values, np.ndarray) or values.shape[:1] != (examples,):
            given = "x".join(map(str, values.shape)) if isinstance(values, np.ndarray) else type(values).__name__
            raise OutputError(f"expected one row of {column!r} for each of {examples} examples, got {given}")
