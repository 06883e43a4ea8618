"""The schema of `results.json`: one frozen type for each of its parts, for those who write it and those who read it.

A figure that was not measured is None, never 0; NaN and infinities are refused. A number keeps its spelling and a text
its characters, so that results that are read and written again are the same, digests included. Keys that the schema
does not have are kept, and nobody looks at them: a later version may have written them. Fields stand in the order of
the file; those that the run's store holds are sorted by name there. A field without a default is in every file since
the first version; one with a default is not.
"""

from collections.abc import Callable, Mapping
from reprlib import repr as repr_of
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WrapValidator

from evalsuite.errors import RefusedInputError

SCHEMA: Final = "evalsuite-results/1"
Verdict = Literal["commensurate", "not_commensurate", "inconclusive"]
Unit = Literal["share", "nats"]
Basis = Literal["given", "recorded", "measured", "assumed", "doubtful"]
Role = Literal["parent", "pruned", "control", "shipped"]
"""What a network is there for; a shipped one is a file that is said to be another network of the run."""
Value = TypeVar("Value")


def _as_spelled(value: object, check: Callable[[object], float]) -> float:
    """A whole number stays one: 0 and 0.0 are the same number, and two spellings in a file that has a digest."""
    checked = check(value)
    return value if type(value) is int else checked


def _any_text(value: object, check: Callable[[object], str]) -> str:
    """A file's name may hold bytes that are no characters; Python keeps them as halves of characters."""
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return value
    return check(value)


_Spelled = WrapValidator(_as_spelled)
Text = Annotated[str, WrapValidator(_any_text)]
Name = Annotated[str, Field(min_length=1), WrapValidator(_any_text)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Number = Annotated[float, _Spelled]
Share = Annotated[float, Field(ge=0, le=1), _Spelled]
Ratio = Annotated[float, Field(le=1), _Spelled]
"""Share of the parent's weights that was pruned; below 0 where a network is larger than its parent."""
Margin = Annotated[float, Field(gt=-1, lt=1), _Spelled]
Confidence = Annotated[float, Field(gt=0.5, lt=1), _Spelled]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Rows = Annotated[tuple[Value, ...], Field(strict=False)]
"""A list in JSON, kept as a tuple."""


class Part(BaseModel):
    """Any part of results: a JSON object with these keys."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    def document(self) -> dict[str, object]:
        """What `results.json` says of it, of JSON's own types; fields that nobody set are left out."""
        fields = self.model_dump(by_alias=True, exclude_unset=True)
        return {key: _as_json(value) for key, value in fields.items()}


class Run(Part):
    """How the results came about.

    Attributes:
        seconds: The time spent, over all continuations.
        margin: The largest rise of a mean loss that counts as commensurate, where a task has no margin of its own.
        confidence: Of all the run's claims together.
        confidence_each: Of the claims of each family, so that those of all families hold together.
        full_paths: Whether results tell where files lie.
    """

    command: Text | None = None
    confidence: Confidence
    cpu_threads: int | None = None
    created: Text | None = None
    device: Text | None = None
    full_paths: bool = False
    id: Name
    margin: Margin
    seconds: Number | None = None
    seed: int | None = None
    spec_digest: Text | None = None
    versions: dict[Text, Text] | None = None
    families: Count | None = None
    confidence_each: Confidence | None = None


@final
class Data(Part):
    """The held-out examples.

    Attributes:
        overlap: How many were left out since their images stand in the training examples too.
        duplicates: How many were left out since the same image with the same answer stands before them.
        shape: (channels, height, width).
    """

    classes: Rows[Text] = ()
    digest: Text | None = None
    duplicates: Count | None = None
    examples: Count | None = None
    name: Text
    overlap: Count | None = None
    shape: Rows[int] = ()


@final
class Standard(Part):
    """How the parent does on clean data, beside the best answer that takes no network; losses are shares in [0, 1].

    Attributes:
        trivial: What that answer is.
        shown_better: Whether the parent's loss is shown to be below that answer's.
        not_finite: How many of the parent's outputs are NaN or infinite.
    """

    confidence: Number | None = None
    high: Share
    loss: Share
    low: Share
    n: Positive
    not_finite: Count = 0
    score_title: Text = "accuracy"
    shown_better: bool
    trivial: Text
    trivial_loss: Share


@final
class Parent(Part):
    """The unpruned network; `standard` is None in results of versions that did not judge it first."""

    standard: Standard | None = None
    arch: Text | None = None
    arguments: dict[Text, object] | None = None
    digest: Text | None = None
    file: Text | None = None
    id: Name
    lineage: Rows[dict[Text, object]] = ()
    sha256: Text | None = None


@final
class Reading(Part):
    """One thing that had to be known of the inputs, and where it comes from; `option` confirms or changes it."""

    basis: Basis
    option: Text = ""
    reason: Text = ""
    topic: Text
    value: Text


@final
class Latency(Part):
    """Milliseconds per forward pass of `batch` images: the median of `n` rounds, and its interval."""

    batch: int | None = None
    high: Number | None = None
    low: Number | None = None
    median: Number | None = None
    n: int | None = None


class Network(Part):
    """One network that was evaluated; ratios are measured against the parent, counts are of entries.

    Attributes:
        digest: Of its tensors.
        doubts: What two passes over a few examples showed: outputs that are random, or depend on the batch.
        file: Where its file lies in the run folder.
        megabytes: Of the file.
        not_finite: The tasks on which it put out NaN or infinity.
        peak_megabytes: What a forward pass of one image holds at once.
        sha256: Of the file that it was read from or is kept in.
        uncounted: Why its counts are None.
    """

    dense_flops: int | None = None
    digest: Name | None = None
    doubts: Rows[Text] = ()
    family: Name | None = None
    file: Name | None = None
    flop_reduction: Number | None = None
    flops: int | None = None
    id: Name
    latency_ms: Latency | None = None
    megabytes: Number | None = None
    nonzero: int | None = None
    parameters: int | None = None
    peak_megabytes: Number | None = None
    prunable: int | None = None
    prunable_nonzero: int | None = None
    prune_ratio: Ratio | None = None
    pruner: Text | None = None
    role: Role
    seed: int | None = None
    sha256: Sha256 | None = None
    structure: Text | None = None
    target_ratio: Number | None = None
    throughput_ms: Latency | None = None
    uncounted: Text | None = None
    not_finite: Rows[Name] = ()


@final
class Measure(Part):
    """What is read off observations; a share lies in [0, 1], a figure in nats has no upper end."""

    name: Name
    title: Text | None = None
    unit: Unit = "share"
    required: bool = False


class TaskHeader(Part):
    """What is known of a task before anything was observed; attributes as of `Task`."""

    digest: Text | None = None
    kind: Text
    margin: Margin | None = None
    n: Count | None = None
    name: Name
    note: Text | None = None
    parameters: dict[Text, object] | None = None
    required: bool
    title: Text | None = None
    unavailable: Text | None = None
    version: int | None = None


@final
class Task(TaskHeader):
    """One task.

    Attributes:
        margin: None stands for the run's.
        unavailable: Why it makes no sense on the data, and was not asked.
        flags: What casts doubt on the validity of what was observed.
    """

    shards: Count | None = None
    seconds: Number | None = None
    flags: Rows[Text] = ()


@final
class Cell(Part):
    """One network on one task, read by one measure; `difference` is to the parent, paired by example.

    Attributes:
        verdict: None for the parent.
        settles_at: About how many examples would settle an inconclusive verdict.
        group: The class or slice whose difference that is, where the measure is about the worst one.
        reason: What is missing, or why the figures are in doubt.
    """

    task: Name
    measure: Name
    network: Name
    n: Positive | None = None
    loss: Number | None = None
    low: Number | None = None
    high: Number | None = None
    parent_loss: Number | None = None
    difference: Number | None = None
    difference_low: Number | None = None
    difference_high: Number | None = None
    verdict: Verdict | None = None
    settles_at: Positive | None = None
    group: Text | None = None
    reason: Text | None = None


@final
class Failure(Part):
    """The first ratio of a family that is not shown to be commensurate."""

    ratio: Ratio
    verdict: Verdict


@final
class Potential(Part):
    """How far one family can be pruned before one task and measure gives out.

    Attributes:
        prune_potential: The largest ratio whose mean difference is at most the margin: an estimate.
        commensurate: The largest ratio such that it and every smaller one are shown to be commensurate.
        censored: Whether the claim reaches the end of the grid.
        nonmonotone: Whether a larger ratio does well again after the claim ended.
    """

    family: Name
    task: Name
    measure: Name
    margin: Margin | None = None
    confidence: Confidence | None = None
    prune_potential: Ratio | None = None
    commensurate: Ratio | None = None
    first_failure: Failure | None = None
    censored: bool = False
    nonmonotone: bool = False
    reason: Text | None = None


@final
class Average(Part):
    """Average and minimum prune potential of a family over a set of `n` tasks."""

    family: Name
    set: Text
    measure: Name
    average: Number | None = None
    minimum: Number | None = None
    n: Count | None = None


@final
class Aggregate(Part):
    """A mean corruption error of one network: 1 where it is as good as the baseline."""

    name: Literal["mce", "relative_mce"]
    set: Text
    family: Name | None = None
    network: Name
    confidence: Number | None = None
    baseline: Text
    n: Count | None = None
    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    reason: Text | None = None


@final
class Excess(Part):
    """How much more the shifts cost a network than its parent: a difference of mean losses."""

    family: Name
    network: Name
    prune_ratio: Ratio | None = None
    tasks: Count | None = None
    confidence: Number | None = None
    n: Count | None = None
    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    reason: Text | None = None


@final
class ExcessLine(Part):
    """Excess error as a multiple of the prune ratio, over all seeds of one pruner."""

    pruner: Text
    points: Count | None = None
    seeds: Count | None = None
    confidence: Number | None = None
    slope: Number
    low: Number | None = None
    high: Number | None = None
    reason: Text | None = None


@final
class Exemplars(Part):
    """Examples that most networks of a population see in one other way than the parent; errors are shares.

    Attributes:
        population: A family's name, or `magnitude at 0.9` for the seeds of one pruner at one target ratio.
        positions: Of the first of them, in the order in which the run chose its examples.
    """

    task: Name
    population: Text
    family: Name | None = None
    networks: Count
    n: Count
    count: Count
    share: Number | None = None
    low: Number | None = None
    high: Number | None = None
    parent_error: Number | None = None
    child_error: Number | None = None
    parent_error_elsewhere: Number | None = None
    positions: Rows[int] = ()


@final
class Feature(Part):
    """How sure the network `seen_by` is of the true class, in the mean, given the pixels kept of `pixels_from`."""

    task: Name
    pixels_from: Name
    seen_by: Name
    confidence: Number | None = None
    n: Count | None = None
    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    reason: Text | None = None


@final
class Invariant(Part):
    """Two tasks on the same `n` examples, one of whose right answers should all be among the other's.

    Attributes:
        inner: The harder task.
        outer: The easier one.
        violations: Right in the harder task and wrong in the easier one.
        broken: Whether that is more than rounding explains: something is wrong with the run.
    """

    network: Name
    inner: Name
    outer: Name
    n: Positive
    inner_right: Count
    outer_right: Count
    violations: Count
    broken: bool


class OutputComparison(Part):
    """A file's outputs beside those of the network that it is said to be; attributes as of `Shipped`."""

    confidence: Number | None = None
    disagreements: Count
    file: Text | None = None
    hint: Text | None = None
    high: Number | None = None
    id: Name
    kind: Text | None = None
    largest: Number | None = None
    low: Number | None = None
    median: Number | None = None
    n: Positive
    of: Name
    sha256: Text | None = None
    share: Number | None = None
    tolerance: Number | None = None
    verdict: Literal["same outputs", "same predictions", "differs"]


@final
class Shipped(OutputComparison):
    """A file that is said to be the network `of`, after export, compared with it on `n` examples.

    Attributes:
        disagreements: Examples that are given another class; `share`, `low` and `high` are of them.
        largest: Of the absolute differences of logits; likewise `median`.
        tolerance: What rounding explains.
        holds: Whether the file gives the same predictions.
    """

    holds: bool


@final
class Deployable(Part):
    """How far a family can be pruned for all required tasks at once, and the claim that sets it, if one does."""

    ratio: Ratio
    network: Name
    family: Name
    binding_task: Name | None = None
    binding_measure: Name | None = None


class Family(Part):
    """One pruner with one seed."""

    id: Name
    pruner: Text | None = None
    seed: int | None = None
    deployable: Deployable | None = None


@final
class Digests(Part):
    """SHA-256 of the evidence, of what was asked, and of the results without this one."""

    store: Sha256
    request: Sha256
    results: Sha256


@final
class Results(Part):
    """Everything that a run has to say.

    Attributes:
        warnings: What has to be known before any verdict.
        deployable: That of the family that goes furthest; None where evidence is missing.
        complete: Whether every cell has been evaluated, and nothing is broken.
        digests: None while the run has not ended.
    """

    # another schema is another file, whatever else it says
    schema_name: Literal["evalsuite-results/1"] = Field(alias="schema")
    run: Run
    data: Data
    parent: Parent
    readings: Rows[Reading] | None = None
    warnings: Rows[Text] = ()
    networks: Rows[Network]
    measures: Rows[Measure]
    tasks: Rows[Task]
    cells: Rows[Cell]
    potential: Rows[Potential]
    averages: Rows[Average]
    aggregates: Rows[Aggregate]
    excess: Rows[Excess]
    excess_lines: Rows[ExcessLine]
    exemplars: Rows[Exemplars]
    features: Rows[Feature]
    invariants: Rows[Invariant]
    shipped: Rows[Shipped]
    families: Rows[Family]
    deployable: Deployable | None
    complete: bool
    digests: Digests | None = None


def parse_results(document: Mapping[str, object]) -> Results:
    """Results from what `results.json` says, every value of its type and in its range.

    Whether they are true is not asked.

    Raises:
        RefusedInputError: Something is missing, or is not as it has to be; the message names the first place.
    """
    try:
        return Results.model_validate(document)
    except ValidationError as error:
        raise RefusedInputError(f"expected evalsuite's results, got {first_error(error)}") from error


def first_error(error: ValidationError) -> str:
    """The first of pydantic's errors in a line: where it is, what is wrong there, and what stands there."""
    first = error.errors(include_url=False)[0]
    place, message = ".".join(map(str, first["loc"])), _OF_JSON.get(first["type"], first["msg"])
    value = "" if first["type"] == "missing" else f", got {repr_of(first['input'])}"
    return f"an error in {place!r}: {message}{value}"


_OF_JSON: Final = MappingProxyType({"tuple_type": "Input should be a list", "model_type": "Input should be an object"})
"""Pydantic's messages that speak of Python's types."""


def _as_json(value: object) -> object:
    match value:
        case Mapping():
            return {key: _as_json(each) for key, each in value.items()}
        case list() | tuple():
            return [_as_json(each) for each in value]
        case _:
            return value
