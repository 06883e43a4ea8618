"""Facts that the store keeps about a run, its data, networks and tasks: JSON objects with known keys."""

from typing import (
    Literal,
    NotRequired,  # Python's own cannot be checked at run time before 3.12
)

from typing_extensions import TypedDict

from evalsuite.records.schema import Basis, Role

RECALIBRATED = "recalibrated"
"""The name of the control that is the parent with its batch norm measured again."""


class RunFacts(TypedDict):
    """How a run was made.

    `seconds` is the time spent so far, over all continuations; `full_paths` whether results tell where files lie.
    """

    id: str
    created: str
    command: str
    versions: dict[str, str]
    device: str
    cpu_threads: int
    seconds: float
    spec_digest: str
    seed: int
    margin: float
    confidence: float
    full_paths: NotRequired[bool]


class DataFacts(TypedDict):
    """The held-out examples.

    `overlap` of them were left out since their images stand in the training examples too, `duplicates` since the same
    image with the same answer stands before them.
    """

    name: str
    shape: list[int]
    classes: list[str]
    examples: int
    overlap: int
    duplicates: int
    digest: str


class StandardFacts(TypedDict):
    """How the parent does on clean data, beside the best answer that takes no network (`evalsuite.inputs.standard`)."""

    n: int
    score_title: str
    loss: float
    low: float
    high: float
    confidence: float
    not_finite: int
    trivial: str
    trivial_loss: float
    shown_better: bool


class ReadingFacts(TypedDict):
    """One thing that had to be known of the inputs, and where the answer comes from (`evalsuite.interpretation`)."""

    topic: str
    value: str
    basis: Basis
    reason: str
    option: str


class ParentFacts(TypedDict):
    """The unpruned network; `standard` is None in results of versions that did not judge it first."""

    id: str
    digest: str
    arch: str
    arguments: dict[str, int | float | str | bool]
    file: str | None
    sha256: str | None
    lineage: list[dict[str, str | int | float | bool | None]]
    standard: StandardFacts | None


class LatencyFacts(TypedDict):
    """Milliseconds per forward pass of `batch` images: the median of `n` rounds, and its interval.

    In every round all networks of the run are timed, in a random order; those that run the same program, as masked
    networks do, share one figure.
    """

    median: float
    low: float
    high: float
    n: int
    batch: int


class NetworkFacts(TypedDict):
    """One network. Ratios are measured against the parent; counts are of entries, `megabytes` of the file.

    `peak_megabytes` is what a forward pass of one image holds at once; `latency_ms` is of one image, `throughput_ms` of
    a large batch. A file that is run as it is may not tell its counts: they are None, and `uncounted` says why.
    `sha256` is that of the file that it was read from or is kept in, None where there is none.
    `doubts` are what two passes over a few examples showed: outputs that are random, or depend on the batch.
    """

    id: str
    family: str | None
    role: Role
    digest: str
    pruner: str | None
    structure: str | None
    target_ratio: float | None
    prune_ratio: float | None
    flop_reduction: float | None
    parameters: int | None
    nonzero: int | None
    prunable: int | None
    prunable_nonzero: int | None
    flops: int | None
    dense_flops: int | None
    megabytes: float
    peak_megabytes: float | None
    latency_ms: LatencyFacts | None
    throughput_ms: LatencyFacts | None
    uncounted: str | None
    seed: int
    file: str | None
    sha256: NotRequired[str | None]
    doubts: NotRequired[list[str]]


class TaskFacts(TypedDict):
    """One task. `shards` are digests of examples, in order; `unavailable` says why it was not asked."""

    name: str
    kind: str
    title: str
    required: bool
    margin: float
    version: int
    parameters: dict[str, object]
    readings: dict[str, float]
    note: str | None
    unavailable: str | None
    digest: str
    shards: list[str]
    n: int


class FamilyFacts(TypedDict):
    """One pruner with one seed."""

    id: str
    pruner: str | None
    seed: int


class SliceFacts(TypedDict):
    """Attributes that the user gave: their values, and by shard and attribute the numbers of the examples' values."""

    attributes: dict[str, list[str]]
    shards: dict[str, dict[str, list[int]]]


class ShippedFacts(TypedDict):
    """A file that is said to be a network of the run, after export, held against it on the run's examples.

    `disagreements` of `n` examples are given another class; `low` and `high` enclose their share (Clopper and Pearson,
    two-sided, at `confidence`). `largest` and `median` are absolute differences of logits, `tolerance` what rounding
    explains.
    """

    id: str
    of: str
    file: str
    sha256: str
    kind: str
    n: int
    disagreements: int
    share: float
    low: float
    high: float
    confidence: float
    largest: float
    median: float
    tolerance: float
    verdict: Literal["same outputs", "same predictions", "differs"]
    hint: str | None


class SealFacts(TypedDict):
    """By what the results of a finished run are recognised: a digest of the evidence, and their own.

    `scheme` says what they were computed over; another one cannot be compared.
    """

    scheme: int
    evidence: str
    results: str


class Meta(TypedDict, total=False):
    """What the store keeps about the run as a whole.

    `identity` is what the outcome depends on, `request` what was typed; `members` are addresses of networks, in order;
    `passed_over` are those of networks that would not have been smaller than the one before. `answers` are outputs of
    networks for a few images, by digest, where they are not random. `seal` is None from the moment at which a run is
    taken up until it has ended and written its results. `awaited` is the evidence of a finished run from which damaged
    observations were taken out: once they are computed again it has to be the same.
    """

    schema: str
    identity: dict[str, object]
    request: str
    complete: bool
    run: RunFacts
    data: DataFacts
    parent: ParentFacts
    measures: list[str]
    members: list[str]
    passed_over: list[str]
    families: list[FamilyFacts]
    slices: SliceFacts | None
    shipped: list[ShippedFacts]
    readings: list[ReadingFacts]
    seal: SealFacts | None
    awaited: str | None
    answers: dict[str, list[list[float]]]
