"""Recipes to train or retrain a network, one file each, and `train`, `recalibrate` and `score`."""

from evalsuite.training._base import Progress, Recipe
from evalsuite.training._batches import batches
from evalsuite.training._named import named
from evalsuite.training._recalibrate import recalibrate
from evalsuite.training._score import score
from evalsuite.training._train import train
from neuralnets.training_hook import Hook

__all__ = ["Hook", "Progress", "Recipe", "batches", "named", "recalibrate", "score", "train"]
