"""Pruning-identified exemplars: the examples that pruned networks agree to see in another way than their parent.

S. Hooker, A. Courville, G. Clark, Y. Dauphin and A. Frome, "What do compressed deep neural networks forget?", 2019
(arXiv:1911.05248), section 2.2: examples whose most frequent prediction among the pruned networks of a population is
not that among the unpruned ones. They are harder for both, and more often of rare kinds or wrongly labelled.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from evalsuite.statistics import proportion
from evalsuite.statistics._interval import Interval

Predictions = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, kw_only=True)
class Exemplars:
    """The exemplars of one population of pruned networks, with errors on them and on all other examples.

    Attributes:
        n: Number of examples.
        networks: Size of the population.
        positions: (k,), where the exemplars stand among the examples, ascending.
        share: k / n, with its Clopper-Pearson interval `low`, `high`.
        parent_error: The parent's error on the exemplars; None where there are none.
        child_error: The error of the population's most frequent prediction on them, likewise.
        parent_error_elsewhere: The parent's error on all other examples; None where there are none.
    """

    n: int
    networks: int
    positions: npt.NDArray[np.int64]
    share: float
    low: float
    high: float
    parent_error: float | None
    child_error: float | None
    parent_error_elsewhere: float | None


def exemplars(children: Predictions, parent: Predictions, labels: Predictions, *, confidence: float) -> Exemplars:
    """Find the exemplars of a population of pruned networks.

    The pruned networks agree where more than half of them predict the same class, so that it does not take a rule for
    ties: where they do not, the example is no exemplar.

    Args:
        children: (networks, n), predicted classes, -1 for an abstention.
        parent: (n,).
        labels: (n,), true classes.
        confidence: Of the two-sided interval of the share.

    Raises:
        ValueError: No networks, no examples, or shapes that differ.
    """
    if children.ndim != 2 or 0 in children.shape or parent.shape != children.shape[1:] or labels.shape != parent.shape:
        raise ValueError(
            f"expected predictions (networks, n), (n,) and labels (n,), got {children.shape}, {parent.shape} and "
            f"{labels.shape}"
        )
    mode, votes = _mode(children)
    chosen = (2 * votes > len(children)) & (mode != parent)
    interval: Interval = proportion.clopper_pearson(int(chosen.sum()), len(parent), confidence=confidence)
    return Exemplars(
        n=len(parent),
        networks=len(children),
        positions=np.flatnonzero(chosen),
        share=float(chosen.mean()),
        low=interval.low,
        high=interval.high,
        parent_error=_mean((parent != labels)[chosen]),
        child_error=_mean((mode != labels)[chosen]),
        parent_error_elsewhere=_mean((parent != labels)[~chosen]),
    )


def _mode(predictions: Predictions) -> tuple[Predictions, Predictions]:
    """The most frequent prediction of each example, the smallest of several, and how many networks make it."""
    classes, which = np.unique(predictions, return_inverse=True)
    which = which.reshape(predictions.shape)
    counts = np.zeros((len(classes), predictions.shape[1]), dtype=np.int64)
    for row in which:
        counts[row, np.arange(len(row))] += 1
    return classes[counts.argmax(axis=0)].astype(np.int64), counts.max(axis=0)


def _mean(values: npt.NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None
