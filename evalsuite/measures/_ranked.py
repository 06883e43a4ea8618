"""Examples in order of a score, and weighted sums along that order: sorted once, for all resamples of a bootstrap."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from evalsuite.measures._base import Column, Losses, Weights


@final
@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Items in increasing order of their score.

    Attributes:
        order: (items,): the item that comes k-th.
        owner: (items,): the example that it belongs to.
        ends: (levels,): for each distinct score, where the last item with that score stands.
    """

    order: npt.NDArray[np.intp]
    owner: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]

    def sums(self, weights: Weights, *values: Losses) -> list[npt.NDArray[np.float64]]:
        """For each of `values` (items,), the weighted sum up to every distinct score: (resamples, 1 + levels), 0 first.

        Items with equal scores are one step, so that nothing depends on the order in which they happen to stand.
        """
        weights_of_owners = weights[:, self.owner]
        return [_from_zero((weights_of_owners * each[self.order]).cumsum(axis=1)[:, self.ends]) for each in values]


def ranked(scores: Column, owners: npt.NDArray[np.intp]) -> Ranked:
    """Sort items by their score (items,); `owners` (items,) says to which example each belongs."""
    order = np.argsort(scores, kind="stable")
    level = scores[order]
    ends = np.flatnonzero(np.append(level[1:] != level[:-1], True))
    return Ranked(order=order, owner=owners[order], ends=ends)


def owners(column: Column) -> npt.NDArray[np.intp]:
    """The example of each entry of a column (n,) or (n, draws), in the order of its `ravel`."""
    return np.repeat(np.arange(len(column)), column.size // max(len(column), 1))


def _from_zero(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)
