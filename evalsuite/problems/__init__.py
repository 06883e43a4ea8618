"""Problems: the kinds of outputs a network has, their losses, and what is recorded of one example."""

from evalsuite.problems._base import Column, Observations, Problem
from evalsuite.problems._logits import NOT_FINITE, decided, probabilities
from evalsuite.problems.classification import Classification

CLASSIFICATION = Classification()

__all__ = [
    "CLASSIFICATION",
    "NOT_FINITE",
    "Classification",
    "Column",
    "Observations",
    "Problem",
    "decided",
    "probabilities",
]
