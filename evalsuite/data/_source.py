"""The contract of sources: data sets that can be named on the command line.

It imports no torch, and neither do the files of sources while they are imported: what a source is read from and what it
recommends is told at once, and its reader is imported when it reads.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from evalsuite.data._preparation import Wanted

if TYPE_CHECKING:
    from evalsuite.data._base import Dataset


@final
@dataclass(frozen=True, kw_only=True)
class TrainingAdvice:
    """What a source recommends to recipes for networks that are trained on its data.

    Attributes:
        mirrored: Whether a mirrored image has the same right answer; None where that is not known.
        schedule: Hyperparameters of every recipe whose learning rate rises and falls once; empty where none are
            recommended.
        recipes: Further hyperparameters, by the name of the recipe.
    """

    mirrored: bool | None = None
    schedule: Mapping[str, float] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Source(ABC):
    """A data set that can be named on the command line; one file in this folder each.

    Subclasses are frozen keyword-only dataclasses whose fields are what stands behind the colon (`folder:PATH`).

    Attributes:
        advice: What is recommended to recipes.
    """

    advice: ClassVar[TrainingAdvice] = TrainingAdvice()

    @abstractmethod
    def load(self) -> "Dataset":
        """Read the data set.

        Raises:
            UsageError: Files are missing; the message says where they are looked for and how to get them.
            RefusedInputError: A file is corrupt.
        """

    def load_for(self, network: Wanted) -> "Dataset":
        """As `load`, where what the `network` is used to decides what the name leaves open; most leave nothing open."""
        del network
        return self.load()

    def files(self) -> tuple[Path, ...] | None:
        """Every file that the data are read from; some of them may be missing.

        Empty where the data come with a library, or where their reader checks them against published digests; None
        where it cannot be told.
        """
        return None


class ReadLater(Source, ABC):
    """Base class of sources whose reader, which needs torch, stands in `_read_NAME.py` and is imported when it reads.

    The reader is a function `read(source)`; `read(source, network)` where a network is said.
    """

    @override
    def load(self) -> "Dataset":
        return self._read()

    def _read(self, *network: Wanted) -> "Dataset":
        folder, _, name = type(self).__module__.rpartition(".")
        dataset: Dataset = import_module(f"{folder}._read_{name}").read(self, *network)
        return dataset
