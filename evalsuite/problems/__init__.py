"""What is asked of a network: which outputs it gives, how wrong they are on one example, and what is written down."""

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
