"""What the gate reads of results.json. None is not measured, never 0; NaN and infinities are refused."""

from typing import Literal, final

from pydantic import BaseModel, ConfigDict

_READ = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)
_Verdict = Literal["commensurate", "not_commensurate", "inconclusive"]


@final
class Run(BaseModel):
    """What the verdicts were made with; `confidence_each` is that of each family's, where there are several."""

    model_config = _READ
    margin: float | None = None
    confidence: float | None = None
    confidence_each: float | None = None


@final
class Network(BaseModel):
    """One network; `prune_ratio` is measured."""

    model_config = _READ
    id: str
    family: str | None = None
    prune_ratio: float | None = None


@final
class Task(BaseModel):
    """One task; `unavailable` says why it makes no sense on the data."""

    model_config = _READ
    name: str
    required: bool = False
    unavailable: str | None = None


@final
class Cell(BaseModel):
    """One network on one task, read by one measure; `reason` says what is missing, or why it is in doubt."""

    model_config = _READ
    task: str
    measure: str
    network: str
    n: int | None = None
    loss: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    verdict: _Verdict | None = None
    settles_at: int | None = None
    reason: str | None = None


@final
class Failure(BaseModel):
    """The first ratio that was not shown to be commensurate."""

    model_config = _READ
    ratio: float
    verdict: _Verdict


@final
class Potential(BaseModel):
    """How far one family can be pruned for one task and measure."""

    model_config = _READ
    family: str
    task: str
    measure: str
    margin: float | None = None
    confidence: float | None = None
    commensurate: float | None = None
    first_failure: Failure | None = None
    reason: str | None = None


@final
class Deployable(BaseModel):
    """How far a family can be pruned for all required tasks, and the claim that sets it."""

    model_config = _READ
    ratio: float | None = None
    network: str | None = None
    family: str | None = None
    binding_task: str | None = None
    binding_measure: str | None = None


@final
class Family(BaseModel):
    """One pruner with one seed."""

    model_config = _READ
    id: str
    deployable: Deployable | None = None


@final
class Shipped(BaseModel):
    """A file that is said to be a network of the run; `holds`: whether it gives the same predictions."""

    model_config = _READ
    id: str
    of: str
    n: int
    disagreements: int
    holds: bool


@final
class Standard(BaseModel):
    """How the parent does on clean data; `shown_better` than a trivial answer."""

    model_config = _READ
    n: int
    loss: float
    low: float
    high: float
    trivial: str
    trivial_loss: float
    shown_better: bool


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
class Results(BaseModel):
    """All of it."""

    model_config = _READ
    run: Run = Run()
    parent: Parent = Parent()
    readings: list[Reading] | None = None
    networks: list[Network]
    tasks: list[Task]
    cells: list[Cell]
    potential: list[Potential]
    families: list[Family] = []
    deployable: Deployable | None = None
    shipped: list[Shipped] = []
