"""What a run will take: one batch of every task and a few training steps are timed on the parent, and added up.

Pruned networks are taken to be as slow as their parent, which those without channels are not. Not counted is what
`NOT_COUNTED` names.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, final

import torch
from torch import nn

from evalsuite.config.settings import PruningSettings
from evalsuite.data import Examples, choose
from evalsuite.data._base import Batch
from evalsuite.evaluation.examples import domain_of
from evalsuite.inputs.read import Inputs
from evalsuite.networks.copies import copied
from evalsuite.parts.names import part_name
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter
from evalsuite.pruning.controls import control_count, total_epochs
from evalsuite.pruning.describe import Made, counted, describe
from evalsuite.tasks._abilities import PerNetwork, bank_size
from evalsuite.tasks._base import Task
from evalsuite.training import Recipe, recalibrate, train

NOT_COUNTED: Final = "reading the network and the data, choosing what to prune, deciding and writing the report"
_PATIENCE: Final = 4.0
"""Seconds that the timing of one task may about take."""
_STEPS: Final = 3
_BATCHES, _BATCH = 100, 128
"""Of `recalibrate`."""


@final
@dataclass(frozen=True, kw_only=True)
class Planned:
    """One task of a run.

    Attributes:
        task: The task.
        examples: What it is asked about.
        n: How many of them.
        networks: How many networks are asked.
        pairs: Of networks that are shown what was observed of each other; 0 where the task is not pairwise.
        training: Examples that every network is shown first.
    """

    task: Task
    examples: Examples
    n: int
    networks: int
    pairs: int
    training: int


@final
@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one part of a run will about take.

    Attributes:
        what: A task's name, "retraining", "batch-norm statistics" or "measuring networks".
        seconds: For all networks and examples.
        megabytes: The most memory that it will about hold, in 10^6 bytes: of the device, or of the process where that
            is a CPU; None where it was not measured.
        basis: "measured": it was timed. "counted": one example alone takes too long, so its passes were counted and a
            pass was timed.
        examples: How many examples were timed.
    """

    what: str
    seconds: float
    megabytes: float | None
    basis: Literal["measured", "counted"]
    examples: int


def estimates(
    inputs: Inputs, pruning_settings: PruningSettings, tasks: Sequence[Planned], reporter: Reporter
) -> list[Estimate]:
    """What making and judging the networks of a run will about take, on its device; nothing is kept."""
    made = len(pruning_settings.pruners) * pruning_settings.seeds * len(pruning_settings.ratios) + control_count(
        pruning_settings
    )
    parent = {"parent": inputs.parent.network}
    with others_code("timing it", networks=parent):
        meter = _Meter(inputs, made)
        reporter.start("Timing", float(len(tasks) + 2))
        rows = [meter.describing()]
    reporter.advance(1, "networks")
    with others_code("timing its training", networks=parent):
        if pruning_settings.recipe is not None:
            rows.append(meter.retraining(pruning_settings, pruning_settings.recipe))
        elif inputs.dataset.train is not None:
            rows.append(meter.recalibrating(inputs.dataset.train))
    reporter.advance(1, "training")
    for planned in tasks:
        with others_code(f"timing {part_name(planned.task)}", networks=parent):
            rows.append(meter.evaluation_settings(planned))
        reporter.advance(1, part_name(planned.task))
    reporter.finish()
    return rows


class _EnoughError(Exception):
    """A training was long enough to be timed."""


@final
@dataclass(frozen=True, kw_only=True)
class _Taken:
    """Seconds, and the memory that was held before and at most, in 10^6 bytes."""

    seconds: float
    before: float | None
    most: float | None

    def scaled(self, factor: float) -> float | None:
        """The most memory, had what came on top of that before been so many times as much."""
        return None if self.before is None or self.most is None else self.before + factor * (self.most - self.before)


@final
class _Meter:
    """Times things on the parent; `made` networks are made of it."""

    def __init__(self, inputs: Inputs, made: int) -> None:
        self._device, self._shape = inputs.device, inputs.dataset.shape
        self._train, self._domain = inputs.dataset.train, domain_of(inputs.dataset)
        self._parent = copied(inputs.parent.network).to(self._device).eval()
        self._trained = copied(self._parent)
        self._parent.requires_grad_(requires_grad=False)  # as the judge has it
        size = sum(tensor.numel() * tensor.element_size() for tensor in self._parent.state_dict().values())
        self._made, self._others = made, made * size / 1e6
        self._passes: dict[int, float] = {}

    def describing(self) -> Estimate:
        """Counting and timing every network."""
        whole, made = counted(self._parent, self._shape), Made(id="parent", role="parent")
        taken = self._taken(lambda: describe(self._parent, made, whole=whole, shape=self._shape))
        seconds = taken.seconds * (1 + self._made)
        return Estimate(what="measuring networks", seconds=seconds, megabytes=taken.most, basis="measured", examples=1)

    def retraining(self, pruning_settings: PruningSettings, recipe: Recipe) -> Estimate:
        """All epochs of all networks, from a few steps of one."""
        examples = self._train
        assert examples is not None  # noqa: S101 - checked when options were resolved
        batch = min(recipe.batch_size, len(examples))
        some = choose(examples, min(len(examples), _STEPS * batch), 0)
        moments: list[float] = []

        def early(_: int, __: nn.Module) -> None:
            self._wait()
            moments.append(time.perf_counter())
            if len(moments) > 1 and moments[-1] - moments[0] > _PATIENCE:
                raise _EnoughError

        def steps() -> None:
            with suppress(_EnoughError):
                once = replace(recipe, epochs=1)
                train(self._trained, some, once, seed=0, device=self._device, early=early)

        taken = self._taken(steps)
        step = min(after - before for before, after in pairwise(moments))  # the first warms up
        epochs = total_epochs(pruning_settings)
        seconds = epochs * (len(examples) // batch) * step
        seconds += epochs / recipe.epochs * len(examples) * self._reading(examples)
        timed = batch * (len(moments) - 1)
        return Estimate(what="retraining", seconds=seconds, megabytes=taken.most, basis="measured", examples=timed)

    def recalibrating(self, examples: Examples) -> Estimate:
        """Batch-norm statistics of all networks, from one batch."""
        size = min(_BATCH, len(examples))
        some = choose(examples, size, 0)
        taken = self._taken(lambda: recalibrate(self._parent, some, seed=0, device=self._device))
        seconds = self._made * min(_BATCHES, len(examples) // size) * taken.seconds
        return Estimate(
            what="batch-norm statistics", seconds=seconds, megabytes=taken.most, basis="measured", examples=size
        )

    def evaluation_settings(self, planned: Planned) -> Estimate:
        """One task on all networks."""
        task, size = planned.task, min(planned.task.shard_size, planned.n)
        passes = task.forward_passes(self._domain)
        once = planned.n * self._reading(planned.examples)
        once += (planned.n * planned.pairs + planned.networks * planned.training) * self._pass(size)
        if bank_size(task) or passes * self._pass(1) > _PATIENCE:
            seconds = once + planned.n * passes * planned.networks * self._pass(size)
            return Estimate(what=part_name(task), seconds=seconds, megabytes=None, basis="counted", examples=size)
        timed = self._batches(task, planned.examples, size)
        largest, taken = timed[-1]
        shared = 0.0
        if not isinstance(task, PerNetwork):
            shared = self._shared(task, planned.examples.batch(0, largest).to(self._device))
        networks = shared + (1 - shared) * planned.networks
        seconds = once + planned.n / size * networks * self._whole(timed, size)
        most = taken.scaled(size / largest)
        held = None if most is None else most + self._others
        return Estimate(what=part_name(task), seconds=seconds, megabytes=held, basis="measured", examples=largest)

    def _batches(self, task: Task, examples: Examples, most: int) -> list[tuple[int, _Taken]]:
        """What batches of 1, 4, 16, ... examples take, until the patience is spent or a shard is whole."""
        timed: list[tuple[int, _Taken]] = []
        size, spent = 1, 0.0
        while True:
            batch = examples.batch(0, size).to(self._device)
            taken = self._taken(partial(task.observe, [self._parent], batch, seed=0))
            timed.append((size, taken))
            spent += taken.seconds
            larger = min(most, 4 * size)
            if larger == size or spent + taken.seconds * larger / size > _PATIENCE:
                return timed
            size = larger

    def _whole(self, timed: Sequence[tuple[int, _Taken]], size: int) -> float:
        """Seconds of a batch of `size`, from smaller ones: what is added for one more example stays the same."""
        n, taken = timed[-1]
        if len(timed) == 1:
            return size * taken.seconds * min(1.0, self._pass(size) / self._pass(1))
        before, earlier = timed[-2]
        slope = max(taken.seconds - earlier.seconds, 0.0) / (n - before)
        return taken.seconds + (size - n) * slope

    def _shared(self, task: Task, batch: Batch) -> float:
        """The share of a task's time that is spent once, however many networks are asked."""
        alone, both = (
            self._taken(partial(task.observe, [self._parent] * count, batch, seed=0)).seconds for count in (1, 2)
        )
        return min(1.0, max(0.0, (2 * alone - both) / alone))

    def _pass(self, size: int) -> float:
        """Seconds of a forward pass, for one example of a batch of about `size`, or of as many as take a second."""
        if size > 1:
            size = min(size, max(1, int(1 / self._pass(1))))
        size = 1 << (size.bit_length() - 1)
        if size not in self._passes:
            images = torch.full((size, *self._shape), 0.5, device=self._device)
            with torch.inference_mode():
                times = [self._taken(lambda: self._parent(images)).seconds for _ in range(2)]
            self._passes[size] = min(times) / size
        return self._passes[size]

    def _reading(self, examples: Examples) -> float:
        """Seconds that it takes to read an example."""
        some = torch.arange(min(8, len(examples)))
        return self._taken(lambda: examples.pixels(some)).seconds / len(some)

    def _taken(self, call: Callable[[], object]) -> _Taken:
        self._wait()
        before = self._reset_peak()
        began = time.perf_counter()
        call()
        self._wait()
        return _Taken(seconds=time.perf_counter() - began, before=before, most=self._peak())

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _reset_peak(self) -> float | None:
        """Forget the most memory that was held so far; what is held now."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return torch.cuda.memory_allocated(self._device) / 1e6
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            return None  # not Linux
        return _resident("VmRSS")

    def _peak(self) -> float | None:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 1e6
        return _resident("VmHWM")


def _resident(field: str) -> float | None:
    """What Linux says of this process's memory, in 10^6 bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{field}:")), None)
