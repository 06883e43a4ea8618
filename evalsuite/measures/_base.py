"""Contracts of metrics: what is read off stored observations, without running a network; lower is better, 0 is good."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

Column = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Losses = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Unit = Literal["share", "nats"]


@final
@dataclass(frozen=True, kw_only=True)
class Stored:
    """What the store holds about one network on one task, all shards joined.

    Attributes:
        columns: Columns that depend on the network alone, e.g. `prediction` (n,) or (n, draws), `radius` (n,).
        to_parent: Columns that need the parent's outputs too, e.g. `softmax_distance` (n,) or (n, draws).
    """

    columns: Mapping[str, Column]
    to_parent: Mapping[str, Column]


@final
@dataclass(frozen=True, kw_only=True)
class Paired:
    """Losses of a network and of its parent on the same examples.

    Attributes:
        child: (n,), in [0, 1].
        parent: (n,), in [0, 1].
        groups: Where the claim is about the worst group (a class, say) instead of the mean, else None. (n,): the
            group of each example. (n, k): its groups in k ways of grouping, -1 for none.
    """

    child: Losses
    parent: Losses
    groups: Numbers | None = None


@final
@dataclass(frozen=True, kw_only=True)
class WeightedStatistic:
    """A figure of a network and of its parent, as functions of the weights of the examples.

    Both take weights (resamples, n), >= 0 and not all 0 in a row, and give figures (resamples,), lower is better. An
    example of weight 2 counts as two such examples.

    Attributes:
        n: Number of examples, >= 1.
        child: The network's.
        parent: The parent's.
        child_excess: How much too high the network's figure may come out in the mean over samples, >= 0.
        parent_excess: The same of the parent's.
    """

    n: int
    child: Callable[[Weights], Losses]
    parent: Callable[[Weights], Losses]
    child_excess: float = 0.0
    parent_excess: float = 0.0


@final
@dataclass(frozen=True, kw_only=True)
class Annotations:
    """True labels, and the slices that the user gave.

    Attributes:
        labels: (n,), true classes.
        slices: For each attribute that the user gave, (n,): the number of its value, -1 where it is not truth.
    """

    labels: Numbers
    slices: Mapping[str, Numbers] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers of a network, made up to give examples of columns.

    Attributes:
        probabilities: (n, classes) or (n, draws, classes), which sum to 1 over the classes.
        labels: (n,), true classes.
        draw: For what does not follow from the two.
    """

    probabilities: npt.NDArray[np.float64]
    labels: Numbers
    draw: np.random.Generator

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a column with a number for each answer: (n,) or (n, draws)."""
        return self.probabilities.shape[:-1]


@final
@dataclass(frozen=True, kw_only=True)
class ReadColumn:
    """A column that a measure reads.

    Attributes:
        name: In the store.
        example: Makes one such as tasks write it, so that every measure can be tried without a task.
        to_parent: Whether it needs the parent's outputs too, see `Stored`.
    """

    name: str
    example: Callable[[Answers], Column]
    to_parent: bool = False


class Metric(ABC):
    """What is read off observations: the mean of a loss per example (`Measure`), or else (`Statistic`).

    Concrete subclasses are frozen keyword-only dataclasses; fields are hyperparameters, and stand behind a question
    mark in the name: `ood_auroc?score=energy`.

    Attributes:
        needs: Columns without which the figure has no meaning at its defaults; see `reads`.
        needs_slices: Whether it has no meaning without attributes that the user gave.
        title: What a reader of the report sees, e.g. "error".
        unit: "share" where the figure lies in [0, 1], "nats" where it has no upper end.
        required: Whether a required task binds the deployable ratio by this figure.
    """

    needs: ClassVar[tuple[ReadColumn, ...]]
    needs_slices: ClassVar[bool] = False
    title: ClassVar[str]
    unit: ClassVar[Unit] = "share"
    required: ClassVar[bool] = False

    def reads(self) -> tuple[ReadColumn, ...]:
        """Columns without which the figure has no meaning, by its hyperparameters."""
        return self.needs

    @final
    def columns(self) -> tuple[str, ...]:
        """Their names; tasks that do not write them are left out."""
        return tuple(column.name for column in self.reads())


class Measure(Metric, ABC):
    """The mean of a loss in [0, 1] over the examples."""

    @abstractmethod
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        """Losses of `child` and `parent`.

        Args:
            child: Observations of the network.
            parent: Observations of its parent on the same examples.
            truth: True labels, and the slices that the user gave.
            readings: The task's hyperparameters that say how observations are read, e.g. {"radius": 0.5}.
        """


class Statistic(Metric, ABC):
    """A figure that is no mean of losses in [0, 1], such as an area under a curve; it never binds a claim.

    Its intervals are a bootstrap's, which have no guarantee at finite n.
    """

    @abstractmethod
    def __call__(
        self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]
    ) -> WeightedStatistic:
        """Figures of `child` and `parent` under any weights of the examples; arguments as of `Measure`."""
