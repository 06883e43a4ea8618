"""Reads what a checkpoint records beside its weights: names of the classes, a normalisation of images."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from torch import Tensor

from evalsuite.networks.checkpoints.extras import PAIRS, Statistics

_DEPTH: Final = 3
_CLASSES: Final = frozenset(
    {"classes", "class_names", "class_to_idx", "idx_to_class", "id2label", "label2id", "label_names", "labels", "names"}
)
_MOST_CHANNELS: Final = 16
_LONGEST_NUMBER: Final = 18
"""Digits of a class's number, at most: Python refuses to read the longest ones."""
# what stands there are results, states of an optimiser, or answers, not images
_NO_IMAGES: Final = re.compile(
    r"metric|loss|acc|result|score|history|optim|sched|target|label|output|reward", re.IGNORECASE
)
# a single number may be anything elsewhere
_ABOUT_IMAGES: Final = re.compile(r"norm|transform|preproc|image|img|pixel|input", re.IGNORECASE)


@final
@dataclass(frozen=True, kw_only=True)
class Records:
    """Class names and normalisations recorded in a checkpoint.

    Attributes:
        classes: Names of the outputs, in their order, by the keys that lead to them, joined by dots.
        statistics: Mean and standard deviation by the keys that lead to the mean.
    """

    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    statistics: Mapping[str, Statistics] = field(default_factory=dict)


def records(loaded: object) -> Records:
    """Everything of the kind in what was unpickled, down to three keys deep."""
    classes: dict[str, tuple[str, ...]] = {}
    statistics: dict[str, Statistics] = {}
    for path, entries in _mappings(loaded, ()):
        for key in sorted(_CLASSES & entries.keys()):
            names = class_names(entries[key])
            if names is not None:
                classes[".".join((*path, key))] = names
        if not _holds_weights(entries) and not _NO_IMAGES.search(".".join(path)):
            statistics.update(_statistics(path, entries))
    return Records(classes=classes, statistics=statistics)


def class_names(value: object) -> tuple[str, ...] | None:
    """Names in the order of their numbers: of a list, of name → number, or of number → name; None of anything else."""
    if isinstance(value, Mapping):
        pairs = [(number, name) if isinstance(name, str) else (name, number) for number, name in value.items()]
        if not all(isinstance(name, str) and _is_number(number) for number, name in pairs):
            return None
        by_number = {int(str(number)): str(name) for number, name in pairs}
        if sorted(by_number) != list(range(len(value))):
            return None
        names = tuple(by_number[number] for number in range(len(by_number)))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        names = tuple(name for name in value if isinstance(name, str))
        if len(names) < len(value):
            return None
    else:
        return None
    return names if len(names) > 1 and len(set(names)) == len(names) else None


def _is_number(key: object) -> bool:
    return str(key).isdecimal() and len(str(key)) <= _LONGEST_NUMBER


def _mappings(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
    if not isinstance(value, Mapping) or len(path) > _DEPTH:
        return
    entries = {key: entry for key, entry in value.items() if isinstance(key, str)}
    yield path, entries
    for key, entry in entries.items():
        yield from _mappings(entry, (*path, key))


def _holds_weights(entries: Mapping[str, object]) -> bool:
    """What stands beside weights, among tensors, is sorted out with them."""
    return any(isinstance(entry, Tensor) and entry.ndim > 1 for entry in entries.values())


def _statistics(path: tuple[str, ...], entries: Mapping[str, object]) -> Iterator[tuple[str, Statistics]]:
    for mean, std in PAIRS:
        if mean in entries and std in entries:
            both = _numbers(path, mean, entries[mean]), _numbers(path, std, entries[std])
            if both[0] and len(both[0]) == len(both[1]):
                yield ".".join((*path, mean)), both


def _numbers(path: tuple[str, ...], key: str, value: object) -> tuple[float, ...]:
    """One a channel; empty of anything else."""
    if isinstance(value, Tensor):
        value = value.flatten().tolist() if value.numel() <= _MOST_CHANNELS else ()
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value] if _ABOUT_IMAGES.search(".".join((*path, key))) else ()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) > _MOST_CHANNELS:
        return ()
    numbers = [each for each in value if isinstance(each, int | float) and not isinstance(each, bool)]
    return tuple(map(float, numbers)) if len(numbers) == len(value) else ()
