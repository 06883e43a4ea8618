"""Abilities: what a task may do beside observing; a base class each, which the planner and the engine look for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.data._base import Batch, Dataset, Examples
from evalsuite.tasks._base import Domain, Observations, Task, TaskOutput


@dataclass(frozen=True, kw_only=True)
class PerNetwork(Task):
    """A task of which nothing is shared between networks: each is observed, and stored, by itself."""

    @abstractmethod
    def observe_network(self, network: nn.Module, shard: Batch, *, seed: int) -> tuple[Observations, Tensor | None]:
        """The observations of one network, and what the examples looked like to it; otherwise as `observe`."""

    @final
    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        outputs = [self.observe_network(network, shard, seed=seed) for network in networks]
        return TaskOutput(networks=tuple(columns for columns, _ in outputs), pictures=outputs[0][1])


class ComparesToParent:
    """Networks are compared with their parent by what both put out for the same inputs."""

    def compare(self, child: Observations, parent: Observations) -> Observations:
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


class Pairwise(ABC):
    """Networks are also shown what was observed of each other, once that is stored.

    Such a task does not compare with the parent too: both would have the same address.
    """

    @abstractmethod
    def observe_pair(self, network: nn.Module, shard: Batch, other: Observations) -> Observations:
        """Columns of `network` that need what is stored of another network on the same examples.

        About one forward pass an example. The columns have an address of their own.
        """


class OwnExamples(ABC):
    """The task brings examples, instead of being asked about the run's held-out ones."""

    @abstractmethod
    def examples(self, dataset: Dataset) -> Examples:
        """All examples of the task; as many as asked for are chosen of them.

        Images have the data set's shape and labels are its class numbers.

        Raises:
            UsageError: Files are missing, or the classes are not those of the data set.
            RefusedInputError: A file is corrupt.
        """

    @abstractmethod
    def files(self) -> Sequence[Path]:
        """What the examples are read from; while these files are the same, a finished task's are not read again."""


class UsesBank(ABC):
    """Every network is run on training examples first, and remembers its features of them: its bank."""

    @abstractmethod
    def bank_size(self) -> int:
        """How many training examples stand in the bank, if there are as many; 0: there is none, `observe` is called.

        They are chosen by the run's seed, and their content is part of the address.
        """

    @abstractmethod
    def fit_bank(self, network: nn.Module, training: Batch) -> Tensor:
        """A network's part of the bank, one row per training example that depends on no other: (n, ...).

        Called before the first shard, once for each network and training example.
        """

    @abstractmethod
    def observe_with_bank(
        self, networks: Sequence[nn.Module], shard: Batch, banks: Sequence[Tensor], *, seed: int
    ) -> TaskOutput:
        """As `Task.observe`, which it stands for; `banks` has for each network what `fit_bank` returned, joined."""


class ChecksNetworks(ABC):
    """The task makes no sense for some networks."""

    @abstractmethod
    def unsupported_network_reason(self, network: nn.Module, domain: Domain) -> str | None:
        """Why this task makes no sense for `network`, which need not be run for that; None where it does."""


def bank_size(task: Task) -> int:
    """How many training examples every network is run on first, at most; 0 where the task has no bank."""
    return task.bank_size() if isinstance(task, UsesBank) else 0
