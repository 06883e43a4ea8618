"""Recipes to train or retrain a network, one file each; `train`, `recalibrate` and `accuracy` are what is done."""

from evalsuite.training._accuracy import accuracy
from evalsuite.training._base import Progress, Recipe
from evalsuite.training._named import named
from evalsuite.training._recalibrate import recalibrate
from evalsuite.training._train import train

__all__ = ["Progress", "Recipe", "accuracy", "named", "recalibrate", "train"]
