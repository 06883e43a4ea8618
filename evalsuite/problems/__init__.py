"""What is asked of a network: which outputs it gives, how wrong they are on one example, and what is written down."""

from evalsuite.problems._base import Column, Observations, Problem
from evalsuite.problems.classification import Classification

CLASSIFICATION = Classification()

__all__ = ["CLASSIFICATION", "Classification", "Column", "Observations", "Problem"]
