"""What the gate reads of results.json. None is not measured, never 0; NaN and infinities are refused."""

from typing import Annotated, Literal, final

from pydantic import BaseModel, ConfigDict, Field

_READ = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)
_Verdict = Literal["commensurate", "not_commensurate", "inconclusive"]
_Text = Annotated[str, Field(min_length=1, max_length=1000)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Ratio = Annotated[float, Field(le=1)]
"""Of what was pruned; below 0 where a network is larger than its parent."""
_Count = Annotated[int, Field(ge=0)]
_Positive = Annotated[int, Field(ge=1)]
_Confidence = Annotated[float, Field(gt=0.5, lt=1)]
_Margin = Annotated[float, Field(gt=-1, lt=1)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@final
class Digests(BaseModel):
    """Of the evidence, of what was asked, and of the results themselves."""

    model_config = _READ
    store: _Sha256
    request: _Sha256
    results: _Sha256


@final
class Run(BaseModel):
    """What the verdicts were made with; `confidence_each` is that of each family's, where there are several."""

    model_config = _READ
    margin: _Margin | None = None
    confidence: _Confidence | None = None
    confidence_each: _Confidence | None = None


@final
class Network(BaseModel):
    """One network; `prune_ratio` is measured. `digest` is of its tensors, `sha256` of its file.

    `not_finite` names the tasks on which it put out NaN or infinity.
    """

    model_config = _READ
    id: _Text
    role: Literal["parent", "pruned", "control", "shipped"]
    digest: _Text | None = None
    family: _Text | None = None
    prune_ratio: _Ratio | None = None
    file: _Text | None = None
    sha256: _Sha256 | None = None
    not_finite: list[_Text] = []


@final
class Task(BaseModel):
    """One task; `unavailable` says why it makes no sense on the data, `margin` None stands for the run's."""

    model_config = _READ
    name: _Text
    required: bool = False
    margin: _Margin | None = None
    unavailable: str | None = None


@final
class Measure(BaseModel):
    """One measure; figures in nats have no upper end."""

    model_config = _READ
    name: _Text
    unit: Literal["share", "nats"] = "share"
    required: bool = False


@final
class Cell(BaseModel):
    """One network on one task, read by one measure; `reason` says what is missing, or why it is in doubt."""

    model_config = _READ
    task: _Text
    measure: _Text
    network: _Text
    n: _Positive | None = None
    loss: float | None = None
    low: float | None = None
    high: float | None = None
    parent_loss: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    verdict: _Verdict | None = None
    settles_at: _Positive | None = None
    group: str | None = None
    reason: str | None = None


@final
class Failure(BaseModel):
    """The first ratio that was not shown to be commensurate."""

    model_config = _READ
    ratio: _Ratio
    verdict: _Verdict


@final
class Potential(BaseModel):
    """How far one family can be pruned for one task and measure."""

    model_config = _READ
    family: _Text
    task: _Text
    measure: _Text
    margin: _Margin | None = None
    confidence: _Confidence | None = None
    commensurate: _Ratio | None = None
    first_failure: Failure | None = None
    reason: str | None = None


@final
class Deployable(BaseModel):
    """How far a family can be pruned for all required tasks, and the claim that sets it."""

    model_config = _READ
    ratio: _Ratio | None = None
    network: _Text | None = None
    family: _Text | None = None
    binding_task: _Text | None = None
    binding_measure: _Text | None = None


@final
class Family(BaseModel):
    """One pruner with one seed."""

    model_config = _READ
    id: _Text
    deployable: Deployable | None = None


@final
class Shipped(BaseModel):
    """A file that is said to be a network of the run; `holds`: whether it gives the same predictions."""

    model_config = _READ
    id: _Text
    of: _Text
    n: _Positive
    disagreements: _Count
    holds: bool


@final
class Standard(BaseModel):
    """How the parent does on clean data; `shown_better` than a trivial answer."""

    model_config = _READ
    n: _Positive
    loss: _Share
    low: _Share
    high: _Share
    trivial: str
    trivial_loss: _Share
    shown_better: bool
    not_finite: _Count = 0


@final
class Parent(BaseModel):
    """The unpruned network; versions that did not judge it first say nothing of it."""

    model_config = _READ
    standard: Standard | None = None


@final
class Reading(BaseModel):
    """One thing that had to be known of the inputs."""

    model_config = _READ
    topic: str
    value: str
    basis: Literal["given", "recorded", "measured", "assumed", "doubtful"]
    option: str = ""


@final
class Invariant(BaseModel):
    """Two tasks on the same examples, one of whose right answers should all be among the other's."""

    model_config = _READ
    network: _Text
    inner: _Text
    outer: _Text
    n: _Positive
    inner_right: _Count
    outer_right: _Count
    violations: _Count
    broken: bool


@final
class Results(BaseModel):
    """All of it."""

    model_config = _READ
    # another schema is another file, whatever else it says
    schema_: Literal["evalsuite-results/1"] = Field(alias="schema")
    complete: bool
    digests: Digests
    run: Run = Run()
    parent: Parent = Parent()
    readings: list[Reading] | None = None
    networks: list[Network]
    measures: list[Measure]
    tasks: list[Task]
    cells: list[Cell]
    potential: list[Potential]
    invariants: list[Invariant] = []
    families: list[Family] = []
    deployable: Deployable | None = None
    shipped: list[Shipped] = []
