"""Settings of a run as parts; what its identity and the addresses of its networks tell is derived from their fields."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, final

from torch import Tensor

from evalsuite.config.options import (
    ALWAYS,
    CHOOSES,
    EvaluationOptions,
    InAddress,
    PruningOptions,
    declared,
    plain,
)
from evalsuite.data._slices import Slices
from evalsuite.networks.digest import tensor_digest
from evalsuite.parts.names import part_name
from evalsuite.problems import Classification, Problem
from evalsuite.tasks._base import Task
from evalsuite.training._base import Recipe
from pruners import Pruner
from pruners.regularisers import Regulariser


@final
@dataclass(frozen=True, kw_only=True)
class PruningSettings(PruningOptions):
    """How the family is made; further attributes are those of `PruningOptions`.

    Attributes:
        pruners: Each makes one family per seed.
        one_shot: Every network is pruned from the parent; else from the one before (prune-retrain cascade).
        recipe: Retrains every pruned network; None: batch-norm statistics are measured again, nothing is trained.
        full: The recipe by which networks are trained from scratch; only for controls.
        rewind_to: Early weights, for rewinding to "weights".
        regularisers: What is added to the loss in retraining.
    """

    pruners: Annotated[tuple[Pruner, ...], CHOOSES]
    one_shot: Annotated[bool, ALWAYS] = False
    recipe: Annotated[Recipe | None, ALWAYS] = None
    full: Annotated[Recipe | None, CHOOSES] = None
    rewind_to: Annotated[Mapping[str, Tensor] | None, ALWAYS, InAddress(key="rewind")] = None
    regularisers: Annotated[tuple[Regulariser, ...], ALWAYS] = ()

    def identity(self) -> dict[str, object]:
        """What the networks of a run depend on beside the parent, the data and the seed."""
        return _identity(self)

    def address(self) -> dict[str, object]:
        """What each of the networks depends on, whichever pruner and ratio it is made by."""
        facts: dict[str, object] = {}
        for each in declared(PruningSettings):
            key, value = each.address.key, getattr(self, each.name)
            if key is not None and not each.left_out(value):
                facts[key] = _canonical(value if each.address.value is None else each.address.value(value))
        return facts


@final
@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(EvaluationOptions):
    """What the family is asked, and how sure the answers must be; further attributes are those of `EvaluationOptions`.

    Attributes:
        tasks: In the order in which they are computed and shown.
        measures: Names of what is read off observations; None: what the problem is usually judged by.
        required: Patterns (`fnmatch`) of task names that bind the deployable ratio.
        slices: Attributes of the held-out examples, for `worst_slice`; None where there are none.
    """

    tasks: tuple[Task, ...]
    measures: Annotated[tuple[str, ...] | None, ALWAYS] = None
    required: Annotated[tuple[str, ...], ALWAYS] = ("*",)
    slices: Slices | None = None

    def with_default_measures(self, problem: Problem) -> "EvaluationSettings":
        """The same, with measures; where answers are no classes, the problem's own loss is always among them."""
        if self.measures is None:
            return replace(self, measures=problem.measures)
        if isinstance(problem, Classification) or problem.measures[0] in self.measures:
            return self
        return replace(self, measures=(problem.measures[0], *self.measures))

    def identity(self) -> dict[str, object]:
        """What the verdicts depend on beside the networks and the data."""
        return _identity(self)


def _identity(settings: PruningSettings | EvaluationSettings) -> dict[str, object]:
    values = ((each, getattr(settings, each.name)) for each in declared(type(settings)))
    return {each.name: _canonical(value) for each, value in values if not each.left_out(value)}


def _canonical(value: object) -> object:
    """A value in JSON's types: parts by their names, tensors and tables by a digest of what they hold."""
    if isinstance(value, Mapping) and (tensors := {k: v for k, v in value.items() if isinstance(v, Tensor)}):
        return tensor_digest(tensors)
    if isinstance(value, tuple):
        return [_canonical(each) for each in value]
    if isinstance(value, Slices):
        return value.digest
    if value is None or isinstance(value, str | int | float | Mapping):
        return plain(value)
    return part_name(value)
