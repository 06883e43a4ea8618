"""What the store keeps of a run: parts of the schema of results, surer than in files of old versions, and its own."""

from typing import Annotated, Final, TypeVar, final

from pydantic import BeforeValidator, Field, model_validator

from evalsuite.records.schema import (
    Count,
    Data,
    Family,
    Margin,
    Name,
    Network,
    Number,
    OutputComparison,
    Parent,
    Part,
    Reading,
    Rows,
    Run,
    TaskHeader,
    Text,
)

RECALIBRATED: Final = "recalibrated"
"""The name of the control that is the parent with its batch norm measured again."""
Value = TypeVar("Value")
Key = Annotated[str, Field(min_length=1)]
"""A digest or address, by which rows are sought: unlike other text it can always be encoded."""


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("Input should not be null")
    return value


Written = Annotated[Value | None, BeforeValidator(_not_null)]
"""None until it is written down; null is never written."""


@final
class StoredRun(Run):
    """How a run was made; results add what was decided of it."""

    created: Text
    seconds: Number
    seed: int


@final
class StoredNetwork(Network):
    """One network, at its address; results add the tasks on which its outputs are not finite."""

    digest: Key

    @model_validator(mode="after")
    def _check_ratio(self) -> "StoredNetwork":
        if self.role == "pruned" and self.prune_ratio is None:
            raise ValueError("a pruned network should have a prune ratio")
        return self


@final
class StoredTask(TaskHeader):
    """One task as the run asks it.

    Attributes:
        digest: Of the task with its hyperparameters and code version; part of addresses.
        n: Examples.
        readings: Numbers by which measures read the task's observations.
        shards: Digests of its examples, in order.
    """

    digest: Key
    margin: Margin
    n: Count
    parameters: dict[Text, object]
    readings: dict[Text, Number]
    shards: Rows[Key]


@final
class StoredFamily(Family):
    """One pruner with one seed; results add how far it can be pruned."""

    seed: int


@final
class SlicesByShard(Part):
    """Attributes that the user gave: their values, and by shard and attribute the numbers of the examples' values."""

    attributes: dict[Text, Rows[Text]]
    shards: dict[Text, dict[Text, Rows[int]]]


@final
class Seal(Part):
    """By what the results of a finished run are recognised: a digest of the evidence, and their own.

    `scheme` says what they were computed over; another one cannot be compared.
    """

    scheme: int
    evidence: Text
    results: Text


class Meta(Part):
    """What the store keeps about the run as a whole, as far as it is written.

    Attributes:
        identity: What the outcome depends on.
        request: Digest of what was typed.
        members: Addresses of networks, in order.
        passed_over: Addresses of networks that would not have been smaller than the one before.
        seal: None from the moment at which a run is taken up until it has ended and written its results.
        awaited: The evidence of a finished run from which damaged observations were taken out: once they are computed
            again it has to be the same.
        answers: Outputs of networks for a few images, by digest, where they are not random.
    """

    identity: Written[dict[str, object]] = None
    request: Text = ""
    complete: bool = False
    run: Written[StoredRun] = None
    data: Written[Data] = None
    parent: Written[Parent] = None
    measures: Rows[Name] = ()
    members: Written[Rows[Key]] = None
    passed_over: Rows[Key] = ()
    families: Rows[StoredFamily] = ()
    slices: SlicesByShard | None = None
    shipped: Rows[OutputComparison] = ()
    readings: Written[Rows[Reading]] = None
    seal: Seal | None = None
    awaited: Text | None = None
    answers: dict[Text, list[list[Annotated[float, Field(allow_inf_nan=True)]]]] = Field(default_factory=dict)


@final
class EvaluatedMeta(Meta):
    """The same once the run has networks to evaluate."""

    run: StoredRun
    data: Data
    parent: Parent
    measures: Rows[Name]
    members: Rows[Key]
    families: Rows[StoredFamily]
