"""From tasks to one ratio: what is shown for every required task, and the paper's averages over tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from evalsuite.statistics.potential import Potential


@final
@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one required task and measure allow one family."""

    task: str
    measure: str
    potential: Potential


@final
@dataclass(frozen=True, kw_only=True)
class Deployable:
    """How far one family can be pruned for all required tasks at once.

    Attributes:
        ratio: The smallest commensurate ratio over the claims.
        binding: The claim that sets it; None where every claim reaches the end of the grid, which then sets it.
    """

    ratio: float
    binding: Claim | None


def deployable(claims: Sequence[Claim]) -> Deployable:
    """The ratio at which every claim holds: an intersection-union test, without correction (Berger 1982).

    Of several claims that end at the same ratio, the one whose first failure has the largest upper bound binds; of
    those, the first.

    Args:
        claims: All required tasks and measures of one family, over the same networks.

    Raises:
        ValueError: There are none.
    """
    if not claims:
        raise ValueError("expected one or more claims, got none")
    ratio = min(c.potential.commensurate for c in claims)
    ended = [(c, f) for c in claims if c.potential.commensurate == ratio and (f := c.potential.first_failure)]
    binding = max(ended, key=lambda pair: pair[1].difference_high)[0] if ended else None
    return Deployable(ratio=ratio, binding=binding)


@final
@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and standard deviation (n in the denominator, as in the paper) over seeds."""

    mean: float
    std: float


@final
@dataclass(frozen=True, kw_only=True)
class OverTasks:
    """Prune potentials of a set of tasks: the tables of Lost in Pruning (Liebenwein et al. 2021), section 5.

    Attributes:
        average: Of each seed's mean over the tasks.
        minimum: Of each seed's smallest.
    """

    average: Spread
    minimum: Spread


def over_tasks(potentials: npt.NDArray[np.float64]) -> OverTasks:
    """Average and minimum prune potential over a set of tasks.

    Args:
        potentials: (seeds, tasks), prune potentials in [0, 1].

    Raises:
        ValueError: No seeds or no tasks.
    """
    if potentials.ndim != 2 or potentials.size == 0:
        raise ValueError(f"expected potentials of shape (seeds >= 1, tasks >= 1), got {potentials.shape}")
    return OverTasks(average=_spread(potentials.mean(axis=1)), minimum=_spread(potentials.min(axis=1)))


def _spread(by_seed: npt.NDArray[np.float64]) -> Spread:
    return Spread(mean=float(by_seed.mean()), std=float(by_seed.std(ddof=0)))
