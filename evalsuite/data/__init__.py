"""Data sets: fixed, ordered examples with images in [0, 1].

One file a source; its name is the name on the command line, with dashes for underscores.
"""

from evalsuite.data._base import Batch, Dataset, Examples, Images, Source
from evalsuite.data._choose import choose
from evalsuite.data._disjoint import check_disjoint, shared
from evalsuite.data._load import load, prepared
from evalsuite.data._statistics import knows_statistics, training_statistics

__all__ = [
    "Batch",
    "Dataset",
    "Examples",
    "Images",
    "Source",
    "check_disjoint",
    "choose",
    "knows_statistics",
    "load",
    "prepared",
    "shared",
    "training_statistics",
]
