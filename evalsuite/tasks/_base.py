"""The task contract: a task sees the whole family and one shard, and writes down one observation per example."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from torch import Tensor, nn

from evalsuite.data._base import Batch, Dataset, Examples
from evalsuite.problems import CLASSIFICATION, Column, Observations, Problem

__all__ = ["Column", "Domain", "Observations", "Seen", "Task"]


@final
@dataclass(frozen=True, kw_only=True)
class Domain:
    """What a task has to cope with.

    Attributes:
        shape: (channels, height, width) of the images.
        classes: Number of classes.
        problem: What is asked of the networks.
        training: Number of training examples.
    """

    shape: tuple[int, int, int]
    classes: int
    problem: Problem = CLASSIFICATION
    training: int = 0


@final
@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a task returns for one shard.

    Attributes:
        networks: One entry per network, in the order given. The columns `probabilities` (n, classes), `map` (n, pixels)
            and `values` (n, numbers) are handed on to `Task.relate` and not stored.
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
        readings: Fields that only say how stored observations are read (a radius, say); not part of the address.
        whereabouts: Fields that stand in the address by what is found there: examples by their content, or `identity`.
        path: Fields that stand in the path, in order.
        shares: Whether asking several networks at once saves work; if not, each network is asked and stored alone.
        relates: Whether networks can be compared with their parent by what was observed (`relate`).
        crosses: Whether networks are also shown what was observed of each other (`cross`), in a second pass; such a
            task relates nothing, since both would have the same address.
        usage: Names as one would type them, one for each way of asking whose cost differs.
        of_classes: Whether it can be asked only where the right answer is one class an image.
    """

    version: ClassVar[int]
    shard_size: ClassVar[int] = 256
    readings: ClassVar[frozenset[str]] = frozenset()
    whereabouts: ClassVar[frozenset[str]] = frozenset()
    path: ClassVar[tuple[str, ...]] = ()
    shares: ClassVar[bool] = True
    relates: ClassVar[bool] = False
    crosses: ClassVar[bool] = False
    usage: ClassVar[tuple[str, ...]] = ()
    of_classes: ClassVar[bool] = True

    @abstractmethod
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> Seen:
        """Ask every network about every example of the shard.

        The observations of a network never depend on which other networks are asked. Networks are in evaluation mode
        and, like the shard, on one device; random draws are derived from `seed` and the examples' ids.
        """

    def examples(self, dataset: Dataset) -> Examples | None:
        """All examples of the task's own, or None where it is asked about the run's held-out examples.

        Images have the data set's shape and labels are its class numbers; as many as asked for are chosen of them.

        Raises:
            UsageError: Files are missing, or the classes are not those of the data set.
            RefusedInputError: A file is corrupt.
        """
        del dataset
        return None

    def training(self) -> int:
        """How many training examples every network is shown first (`study`), if there are as many; 0: none.

        They are chosen by the run's seed, and their content is part of the address.
        """
        return 0

    def study(self, network: nn.Module, training: Batch) -> Tensor:
        """What is remembered of training examples, one row each that depends on no other: (n, ...).

        Called before the first shard, once for each network and training example.
        """
        raise NotImplementedError(f"{type(self).__name__} looks at no training examples")

    def observe_beside(
        self, networks: Sequence[nn.Module], shard: Batch, studied: Sequence[Tensor], *, seed: int
    ) -> Seen:
        """As `observe`, and called instead of it, where training examples were studied.

        `studied` has for each of the networks what `study` returned, joined.
        """
        raise NotImplementedError(f"{type(self).__name__} looks at no training examples")

    def files(self) -> Sequence[Path]:
        """What own examples are read from; while these files are the same, a finished task's are not read again."""
        return ()

    def refuses(self, domain: Domain) -> str | None:
        """Why this task makes no sense on `domain`, or None where it does."""
        del domain
        return None

    def check(self, domain: Domain) -> None:  # noqa: B027
        """Refuse values that nobody can have meant on `domain`: a run that asks for them is not begun.

        Raises:
            ValueError: The value, and what is accepted.
        """

    def refuses_network(self, network: nn.Module, domain: Domain) -> str | None:
        """Why this task makes no sense for `network`, which need not be run for that; None where it does."""
        del network, domain
        return None

    @classmethod
    def choices(cls, field: str, which: str) -> tuple[str, ...]:
        """What `which` ("all", "common", "extra", "mix1", "mix2") stands for in place of `field`, or nothing."""
        del field, which
        return ()

    def passes(self) -> float:
        """About how many forward passes per example and network the task takes: the weight of its work."""
        return 1.0

    def passes_on(self, domain: Domain) -> float:
        """As `passes`, where that depends on how large the images are."""
        del domain
        return self.passes()

    def identity(self) -> Mapping[str, object]:
        """What else the observations depend on, e.g. hyperparameters of a part that the task is made of."""
        return {}

    def title(self) -> str:
        """A few words for a reader of the report."""
        return type(self).__name__.lower()

    def note(self, domain: Domain) -> str | None:
        """What a reader must know about this task on `domain`, e.g. that published constants were scaled."""
        del domain
        return None

    def relate(self, child: Observations, parent: Observations) -> Observations:
        """Columns that need the parent's outputs too, (n,) or (n, draws).

        `softmax_distance`, ||p - p_parent||_2 in [0, sqrt 2], of classes: Lost in Pruning (Liebenwein et al. 2021),
        section 4. Of other answers `answer_distance`, in [0, 1]: the share of pixels that are given another class, or
        the mean absolute difference of the numbers.
        """
        if "probabilities" in child:
            gap = child["probabilities"].astype(np.float64) - parent["probabilities"].astype(np.float64)
            return {"softmax_distance": np.sqrt((gap**2).sum(-1)).astype(np.float32)}
        if "map" in child:
            return {"answer_distance": (child["map"] != parent["map"]).mean(-1).astype(np.float32)}
        if "values" in child:
            gap = child["values"].astype(np.float64) - parent["values"].astype(np.float64)
            return {"answer_distance": np.minimum(np.abs(gap), 1).mean(-1).astype(np.float32)}
        return {}

    def cross(self, network: nn.Module, shard: Batch, other: Observations) -> Observations:
        """Columns of `network` that need what is stored of another network on the same examples.

        About one forward pass an example. The first pass knows nothing of it: the columns have an address of their own.
        """
        del network, shard, other
        return {}
