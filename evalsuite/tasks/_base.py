"""The task contract: a task shows networks one shard of examples and gives one observation per network and example.

What some tasks do beside that stands in `_abilities`: an ability is a base class that a task adds.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor, nn

from evalsuite.data._base import Batch
from evalsuite.problems import CLASSIFICATION, Column, Observations, Problem

__all__ = ["Column", "Domain", "Observations", "Task", "TaskOutput"]


@final
@dataclass(frozen=True, kw_only=True)
class Domain:
    """The images and answers that a task has to cope with.

    Attributes:
        shape: (channels, height, width) of the images.
        classes: Number of classes.
        problem: The problem that the networks solve.
        training: Number of training examples.
    """

    shape: tuple[int, int, int]
    classes: int
    problem: Problem = CLASSIFICATION
    training: int = 0


@final
@dataclass(frozen=True, kw_only=True)
class TaskOutput:
    """The observations of one shard.

    Attributes:
        networks: One entry per network, in the order given. The columns `probabilities` (n, classes), `map` (n, pixels)
            and `values` (n, numbers) are handed on to `ComparesToParent.compare` and not stored.
        pictures: (k, c, h, w) in [0, 1]: what the first examples looked like to the first network, or None.
    """

    networks: tuple[Observations, ...]
    pictures: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A question asked of a network on a data distribution.

    Subclasses are frozen keyword-only dataclasses; fields are hyperparameters, in the order in which they stand in
    the task's name: `corruption/fog/3` is `Corruption(corruption="fog", severity=3)`. Fields that are not at their
    default and do not stand in the path are written behind a question mark: `certified/l2/0.5?sigma=0.25`.

    Attributes:
        version: Raised whenever the observations of an unchanged task would change.
        shard_size: Examples per shard: the unit that is stored, and lost when the process is killed.
        read_parameters: Fields that only say how stored observations are read (a radius, say); not part of the address.
        location_fields: Fields that stand in the address by what lies there: examples by their content, or `identity`.
        path: Fields that stand in the path, in order.
        usage: Names as one would type them, one for each way of asking whose cost differs.
        of_classes: Whether it can be asked only where the right answer is one class an image.
    """

    version: ClassVar[int]
    shard_size: ClassVar[int] = 256
    read_parameters: ClassVar[frozenset[str]] = frozenset()
    location_fields: ClassVar[frozenset[str]] = frozenset()
    path: ClassVar[tuple[str, ...]] = ()
    usage: ClassVar[tuple[str, ...]] = ()
    of_classes: ClassVar[bool] = True

    @abstractmethod
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        """Ask every network about every example of the shard.

        The observations of a network never depend on which other networks are asked. Networks are in evaluation mode
        and, like the shard, on one device; random draws are derived from `seed` and the examples' ids.
        """

    def title(self) -> str:
        """A few words for a reader of the report."""
        return type(self).__name__.lower()

    def unsupported_reason(self, domain: Domain) -> str | None:
        """Why this task makes no sense on `domain`, or None where it does."""
        del domain
        return None

    def forward_passes(self, domain: Domain | None = None) -> float:
        """About how many forward passes per example and network the task takes: its cost.

        Where that depends on the size of the images, `domain` tells it; without, a typical size is taken.
        """
        del domain
        return 1.0

    def check(self, domain: Domain) -> None:  # noqa: B027
        """Refuse values that nobody can have meant on `domain`: a run that asks for them is not begun.

        Raises:
            ValueError: The value, and what is accepted.
        """

    @classmethod
    def choices(cls, field: str, which: str) -> tuple[str, ...]:
        """What `which` ("all", "common", "extra", "mix1", "mix2") stands for in place of `field`, or nothing."""
        del field, which
        return ()

    def identity(self) -> Mapping[str, object]:
        """What else the observations depend on, e.g. hyperparameters of a part that the task is made of."""
        return {}

    def note(self, domain: Domain) -> str | None:
        """What a reader must know about this task on `domain`, e.g. that published constants were scaled."""
        del domain
        return None
