"""Policies: what a release has to show, read from TOML."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evalsuite.errors import UnknownNameError, UsageError

DEPLOYABLE = "deployable"
"""As the name of a network: the one at the deployable ratio."""

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
_Text = Annotated[str, Field(min_length=1)]
_Ratio = Annotated[float, Field(gt=0, lt=1)]

_RATIO = "a ratio above 0 and below 1"
_ACCEPTED = {
    "name": "a text that is not empty",
    "network": f"the id of a network, or {DEPLOYABLE!r}",
    "family": "a pattern of families' names",
    "min_deployable": _RATIO,
    "min_examples": "a whole number from 1",
    "margin": "a number above -1 and below 1",
    "confidence": "a number above 0.5 and below 1",
    "max_parent_loss": "a number from 0 to 1",
    "assumptions": "a list of patterns of topics",
    "require_store": "true or false",
    "task": "a pattern of tasks' names",
    "measure": "the name of a measure",
    "min_commensurate": _RATIO,
    "max_loss": "a number from 0 to 1",
    "verdict": "'commensurate'",
}
"""What a message says of each key."""


@final
class Terms(BaseModel):
    """The table [policy]: what is judged, and what evidence is good enough.

    Attributes:
        name: What reports call the policy.
        network: The network that is judged, by its id; "deployable" is the one at the deployable ratio.
        family: Pattern (fnmatch) of the families that are judged, all of them; None is the network's own.
        min_deployable: Smallest deployable ratio, in (0, 1).
        min_examples: Fewest examples in any cell that a check rests on.
        margin: The widest margin that the run may have been made with, in (-1, 1).
        confidence: The lowest confidence that it may have been made with, in (0.5, 1).
        max_parent_loss: Largest mean loss of the parent on clean data, in [0, 1]; its upper bound has to be below.
        assumptions: Patterns (fnmatch) of what may be assumed of the inputs, by topic, e.g. "normalisation".
        require_store: Whether the run's store has to be there, from which the results are made again. Without it a
            policy believes results.json alone, which whoever can write to it can rewrite.
    """

    model_config = _STRICT

    name: _Text = "policy"
    network: _Text = DEPLOYABLE
    family: _Text | None = None
    min_deployable: _Ratio | None = None
    min_examples: Annotated[int, Field(ge=1)] | None = None
    margin: Annotated[float, Field(gt=-1, lt=1)] | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    max_parent_loss: Annotated[float, Field(ge=0, le=1)] | None = None
    # a list in TOML, kept as a tuple
    assumptions: Annotated[tuple[_Text, ...], Field(strict=False)] = ()
    require_store: bool = True

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if self.family is not None and self.network != DEPLOYABLE:
            raise ValueError(f"expected family or the id of a network, got both: {self.family!r} and {self.network!r}")
        return self


@final
class Requirement(BaseModel):
    """A table [[require]]: one or more demands on all tasks that match.

    Attributes:
        task: Pattern (fnmatch) of task names; `*` matches across slashes too.
        measure: What is read off the task.
        min_commensurate: Smallest commensurate ratio of the family, in (0, 1).
        max_loss: Largest mean loss of the network, in [0, 1]; its upper bound has to be below.
        verdict: The verdict that the network has to have.
    """

    model_config = _STRICT

    task: _Text
    measure: _Text = "error"
    min_commensurate: _Ratio | None = None
    max_loss: Annotated[float, Field(ge=0, le=1)] | None = None
    verdict: Literal["commensurate"] | None = None

    @model_validator(mode="after")
    def _demands_something(self) -> Self:
        if self.min_commensurate is None and self.max_loss is None and self.verdict is None:
            raise ValueError("expected min_commensurate, max_loss or verdict, got none of them")
        return self


@final
class Policy(BaseModel):
    """A policy file: the table [policy] and any number of tables [[require]]."""

    model_config = _STRICT

    terms: Terms = Field(default=Terms(), alias="policy")
    # a list in TOML, kept as a tuple
    require: Annotated[tuple[Requirement, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _demands_something(self) -> Self:
        if not self.require and self.terms.min_deployable is None:
            raise ValueError("expected min_deployable under [policy] or at least one [[require]], got neither")
        return self


def read_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        UsageError: There is no such file, it is not TOML, or a key or value is not accepted; the message names it.
    """
    try:
        # some editors begin a file with a byte-order mark, which is no TOML
        return parse_policy(path.read_text(encoding="utf-8-sig"), source=str(path))
    except OSError as error:
        raise UsageError(f"expected a policy file, got {path} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected TOML in UTF-8, got other bytes ({error.reason})") from error


def parse_policy(text: str, *, source: str) -> Policy:
    """The policy that `text` spells; `source` is what messages call it.

    Raises:
        UsageError: `text` is not TOML, or a key or value is not accepted; the message names it.
    """
    try:
        return Policy.model_validate(tomllib.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        raise _explained(first["type"], first["loc"], first["msg"], first["input"], source) from error
    except (ValueError, RecursionError) as error:  # numbers with too many digits and arrays too deep, too
        raise UsageError(f"{source}: expected TOML, got an error: {error}") from error


def _explained(kind: str, where: Sequence[int | str], text: str, value: object, source: str) -> UsageError:
    """One sentence for the first of pydantic's errors."""
    inside = where[:-1] if kind == "extra_forbidden" or (where and where[-1] in _ACCEPTED) else where
    table, keys = _table(inside)
    if kind == "extra_forbidden":
        return UnknownNameError(f"key of {table} in {source}", str(where[-1]), keys)
    if kind == "value_error":  # a sentence of this file
        return UsageError(f"{source}: {table}: {text.removeprefix('Value error, ')}")
    got = "nothing" if kind == "missing" else repr(value)
    if inside is where:
        return UsageError(f"{source}: {table}: expected a table with keys out of {', '.join(keys)}, got {got}")
    key = str(where[-1])
    return UsageError(f"{source}: {table}: expected {key} to be {_ACCEPTED[key]}, got {got}")


def _table(where: Sequence[int | str]) -> tuple[str, Sequence[str]]:
    """What a table is called, and its keys."""
    if not where:
        return "the file", ["policy", "require"]
    if where[0] == "policy":
        return "[policy]", list(Terms.model_fields)
    number = f" {where[1] + 1}" if len(where) > 1 and isinstance(where[1], int) else ""
    return f"[[require]]{number}", list(Requirement.model_fields)
