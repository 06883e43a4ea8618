"""What the report reads of `results.json` (schema `evalsuite-results/1`), and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from evalsuite.records.facts import Nested

Verdict = Literal["commensurate", "not_commensurate", "inconclusive"]
Unit = Literal["share", "nats"]
Number = float | None
"""None: not measured. Never to be shown as 0."""
Facts = Mapping[str, object]


@final
@dataclass(frozen=True, kw_only=True)
class Run:
    """How the results came about; `margin` and `confidence` are shares in [0, 1]."""

    id: str
    margin: float
    confidence: float
    created: str | None = None
    versions: Facts | None = None
    device: str | None = None
    spec_digest: str | None = None
    command: str | None = None
    seconds: Number = None
    seed: int | None = None
    cpu_threads: int | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Data:
    """The held-out examples; `overlap` of them were left out, since they also stand in the training split."""

    name: str
    shape: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    examples: int | None = None
    overlap: int | None = None
    duplicates: int | None = None
    digest: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Standard:
    """How the parent does on clean data, beside the best answer that takes no network; shares in [0, 1]."""

    n: int
    loss: float
    low: float
    high: float
    trivial: str
    trivial_loss: float
    shown_better: bool
    score_title: str = "accuracy"
    confidence: Number = None
    not_finite: int = 0


@final
@dataclass(frozen=True, kw_only=True)
class Reading:
    """One thing that had to be known of the inputs, and where the answer comes from."""

    topic: str
    value: str
    basis: Literal["given", "recorded", "measured", "assumed", "doubtful"]
    reason: str = ""
    option: str = ""


@final
@dataclass(frozen=True, kw_only=True)
class Parent:
    """The unpruned network; `standard` is None in results of versions that did not judge it first."""

    id: str
    digest: str | None = None
    arch: str | None = None
    arguments: Facts | None = None
    file: str | None = None
    sha256: str | None = None
    lineage: tuple[Facts, ...] = ()
    standard: Standard | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds a batch, with an interval."""

    median: Number = None
    low: Number = None
    high: Number = None
    n: int | None = None
    batch: int | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Network:
    """One network that was judged; ratios are shares in [0, 1)."""

    id: str
    role: Literal["parent", "pruned", "control", "shipped"]
    family: str | None = None
    digest: str | None = None
    pruner: str | None = None
    structure: str | None = None
    target_ratio: Number = None
    prune_ratio: Number = None
    flop_reduction: Number = None
    parameters: int | None = None
    nonzero: int | None = None
    flops: Number = None
    dense_flops: Number = None
    megabytes: Number = None
    peak_megabytes: Number = None
    latency_ms: Latency | None = None
    throughput_ms: Latency | None = None
    uncounted: str | None = None
    seed: int | None = None
    file: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Task:
    """A question that was asked; `unavailable` says why it has no answer, `margin` None stands for the run's."""

    name: str
    kind: str
    required: bool
    margin: Number = None
    title: str | None = None
    version: int | None = None
    n: int | None = None
    seconds: Number = None
    parameters: Facts | None = None
    note: str | None = None
    flags: tuple[str, ...] = ()
    unavailable: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure that was read off observations; shares are shown in percent, other units as they are."""

    name: str
    title: str | None = None
    unit: Unit = "share"
    required: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class Cell:
    """One network on one task, read by one measure; `difference` is to the parent, paired by example.

    `group` is the class or slice whose difference that is, where the measure is about the worst one.
    """

    task: str
    measure: str
    network: str
    n: int | None = None
    loss: Number = None
    low: Number = None
    high: Number = None
    parent_loss: Number = None
    difference: Number = None
    difference_low: Number = None
    difference_high: Number = None
    verdict: Verdict | None = None
    settles_at: Number = None
    group: str | None = None
    reason: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Failure:
    """The first step of a family that is not shown to be commensurate."""

    ratio: Number = None
    verdict: Verdict | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Potential:
    """How far one family can be pruned before one task and measure gives out."""

    family: str
    task: str
    measure: str
    confidence: Number = None
    prune_potential: Number = None
    commensurate: Number = None
    first_failure: Failure | None = None
    censored: bool = False
    nonmonotone: bool = False
    reason: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Average:
    """Average and minimum prune potential of a family over a set of tasks."""

    family: str
    set: str
    measure: str
    average: Number = None
    minimum: Number = None
    n: int | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A mean corruption error of one network, 1 where it is as good as the baseline."""

    name: Literal["mce", "relative_mce"]
    set: str
    network: str
    baseline: str
    family: str | None = None
    n: int | None = None
    value: Number = None
    low: Number = None
    high: Number = None
    confidence: Number = None
    reason: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Excess:
    """How much more the shifts cost a network than its parent, in points of loss / 100."""

    family: str
    network: str
    prune_ratio: Number = None
    tasks: int | None = None
    n: int | None = None
    value: Number = None
    low: Number = None
    high: Number = None
    confidence: Number = None
    reason: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class ExcessLine:
    """Excess error as a multiple of the prune ratio, over all seeds of one pruner."""

    pruner: str
    slope: float
    points: int | None = None
    seeds: int | None = None
    low: Number = None
    high: Number = None
    confidence: Number = None
    reason: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Exemplars:
    """Examples that most networks of a population see in one other way than the parent; errors are shares."""

    task: str
    population: str
    networks: int
    n: int
    count: int
    share: Number = None
    low: Number = None
    high: Number = None
    parent_error: Number = None
    child_error: Number = None
    parent_error_elsewhere: Number = None
    positions: tuple[int, ...] = ()


@final
@dataclass(frozen=True, kw_only=True)
class Feature:
    """How sure the network `seen_by` is of the true class, in the mean, given the pixels kept of `pixels_from`."""

    task: str
    pixels_from: str
    seen_by: str
    n: int | None = None
    value: Number = None
    low: Number = None
    high: Number = None
    confidence: Number = None
    reason: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Deployable:
    """The largest ratio at which every required task is commensurate, and the task that sets it."""

    ratio: Number
    network: str | None = None
    family: str | None = None
    binding_task: str | None = None
    binding_measure: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Family:
    """One pruner with one seed."""

    id: str
    pruner: str | None = None
    seed: int | None = None
    deployable: Deployable | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A file that is said to be the network `of`; differences are of logits, `share` that of other predictions."""

    id: str
    of: str
    n: int
    disagreements: int
    verdict: Literal["same outputs", "same predictions", "differs"]
    holds: bool
    file: str | None = None
    sha256: str | None = None
    kind: str | None = None
    share: Number = None
    low: Number = None
    high: Number = None
    confidence: Number = None
    largest: Number = None
    median: Number = None
    tolerance: Number = None
    hint: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Results:
    """All of it."""

    run: Run
    data: Data
    parent: Parent
    networks: tuple[Network, ...]
    tasks: tuple[Task, ...]
    cells: tuple[Cell, ...]
    potential: tuple[Potential, ...]
    averages: tuple[Average, ...]
    aggregates: tuple[Aggregate, ...]
    excess: tuple[Excess, ...]
    excess_lines: tuple[ExcessLine, ...]
    families: tuple[Family, ...]
    deployable: Deployable | None
    complete: bool
    measures: tuple[Measure, ...] = ()
    exemplars: tuple[Exemplars, ...] = ()
    features: tuple[Feature, ...] = ()
    invariants: tuple[Nested, ...] = ()
    shipped: tuple[Shipped, ...] = ()
    readings: tuple[Reading, ...] | None = None
    warnings: tuple[str, ...] = ()
