"""Data sets: fixed, ordered examples with images in [0, 1].

One file a source; its name is the name on the command line, with dashes for underscores. What the package offers is
imported when it is asked for: sources tell their files without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalsuite.data._base import Batch, Dataset, Examples, Images
    from evalsuite.data._choose import choose
    from evalsuite.data._disjoint import check_disjoint, shared
    from evalsuite.data._load import load, prepared
    from evalsuite.data._source import Source, TrainingAdvice
    from evalsuite.data._statistics import knows_statistics, training_statistics

__all__ = [
    "Batch",
    "Dataset",
    "Examples",
    "Images",
    "Source",
    "TrainingAdvice",
    "check_disjoint",
    "choose",
    "knows_statistics",
    "load",
    "prepared",
    "shared",
    "training_statistics",
]
_PLACES = {
    "_base": ("Batch", "Dataset", "Examples", "Images"),
    "_choose": ("choose",),
    "_disjoint": ("check_disjoint", "shared"),
    "_load": ("load", "prepared"),
    "_source": ("Source", "TrainingAdvice"),
    "_statistics": ("knows_statistics", "training_statistics"),
}


def __getattr__(name: str) -> object:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
