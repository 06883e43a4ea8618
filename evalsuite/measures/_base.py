"""The measure contract: stored observations → one loss per example, in [0, 1]; 0 is good. No network is run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

Column = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Losses = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True)
class Stored:
    """What the store holds about one network on one task, all shards joined.

    Attributes:
        own: Columns that depend on the network alone, e.g. `prediction` (n,) or (n, draws), `radius` (n,).
        to_parent: Columns that need the parent's outputs too, e.g. `softmax_distance` (n,) or (n, draws).
    """

    own: Mapping[str, Column]
    to_parent: Mapping[str, Column]


@final
@dataclass(frozen=True, kw_only=True)
class Paired:
    """Losses of a network and of its parent on the same examples.

    Attributes:
        child: (n,), in [0, 1].
        parent: (n,), in [0, 1].
        groups: (n,), int: where the claim is about the worst group (a class, say) instead of the mean; else None.
    """

    child: Losses
    parent: Losses
    groups: npt.NDArray[np.int64] | None = None


class Measure(ABC):
    """What is read off observations. Subclasses are frozen keyword-only dataclasses.

    Attributes:
        needs: Columns without which the measure has no meaning; tasks that do not write them are left out.
        title: What a reader of the report sees, e.g. "error".
        required: Whether a required task binds the deployable ratio by this measure unless told otherwise.
    """

    needs: ClassVar[tuple[str, ...]]
    title: ClassVar[str]
    required: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self, child: Stored, parent: Stored, labels: npt.NDArray[np.int64], readings: Mapping[str, float]
    ) -> Paired:
        """Losses of `child` and `parent`.

        Args:
            child: Observations of the network.
            parent: Observations of its parent on the same examples.
            labels: (n,), true classes.
            readings: The task's hyperparameters that say how observations are read, e.g. {"radius": 0.5}.
        """
