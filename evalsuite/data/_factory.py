"""Loads data sets made by a user's own function: `package.module:factory`."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from evalsuite.data._base import Dataset, Examples
from evalsuite.data._class_order import class_names, numbered_labels
from evalsuite.data._pixel_values import check_white, white_taken
from evalsuite.data._statistics import channel_statistics, neutral_statistics
from evalsuite.errors import UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.parts.importing import import_users_module, working_folder
from evalsuite.process.third_party_code import users_code

_DIVIDED: Final = "dividing by the value that is white"


@runtime_checkable
class Pairs(Protocol):
    """A map-style data set of torch: a length, and (image, label) by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Tensor, int]: ...


def from_factory(module: str, factory: str) -> Dataset:
    """Call `factory` of `module` without arguments.

    It returns a `Dataset`, or a pair (train, test) of map-style data sets of (image (c, h, w), uint8 or float in
    [0, 1]; label, a whole number), which are read into memory; train may be None. The attribute `classes` of test
    names the classes.

    Raises:
        UsageError: There is no such function, it raises something, or it returns something else.
    """
    spelling = f"{module}:{factory}"
    function = _function(module, factory)
    with working_folder(), users_code(f"expected {spelling} to run without arguments and return a data set"):
        made = function()
    if isinstance(made, Dataset):
        _check_scale(made.test, f"test of {spelling}")
        return made
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], Pairs)):
        raise UsageError(
            f"expected {spelling} to return an evalsuite.data.Dataset or a pair (train, test) of data sets of "
            f"(image, label), got {type(made).__name__}"
        )
    if made[0] is not None and not isinstance(made[0], Pairs):
        kind = type(made[0]).__name__
        raise UsageError(f"expected train of {spelling} to be a data set of (image, label) or None, got {kind}")
    test = _examples(made[1], f"test of {spelling}")
    train = None if made[0] is None else _examples(made[0], f"train of {spelling}")
    highest = max(int(part.labels.max()) for part in (train, test) if part is not None)
    names = getattr(made[1], "classes", None)
    classes = tuple(str(name) for name in (range(highest + 1) if names is None else names))
    channels, height, width = test.pixels([0]).shape[1:]
    mean, std = channel_statistics(train) if train is not None else neutral_statistics(channels)
    return Dataset(
        name=spelling,
        classes=classes,
        shape=(channels, height, width),
        train=train,
        test=test,
        mean=mean,
        std=std,
        counted=names is None,
        interpretations=(
            class_names(classes, "as many as labels tell" if names is None else "of test"),
            numbered_labels(f"test of {spelling}"),
            *_dark(test, train),
        ),
    )


def _function(module: str, factory: str) -> Callable[[], object]:
    made = getattr(import_users_module(module), factory, None)
    if not callable(made):
        raise UsageError(f"expected {module} to define a function {factory!r}, got {made!r}")
    function: Callable[[], object] = made
    return function


def _examples(pairs: Pairs, where: str) -> Examples:
    with working_folder(), users_code(f"expected {where} to hold pairs (image, label)"):
        if not len(pairs):
            raise UsageError(f"expected {where} to hold examples, got none")
        images, labels = zip(*(pairs[position] for position in range(len(pairs))), strict=True)
    stack = torch.stack([_image(image, images[0], where) for image in images])
    examples = Examples.from_labels(stack, torch.tensor([_label(label, where) for label in labels]))
    _check_scale(examples, where)
    return examples


def _check_scale(examples: Examples, where: str) -> None:
    if isinstance(examples.images, Tensor) and examples.images.numel():
        highest = float(examples.images.max())
        check_white(highest, where, eight_bit=examples.images.dtype == torch.uint8, way_out="divide by what is white")


def _dark(test: Examples, train: Examples | None) -> list[Interpretation]:
    """What has to be said where no image comes near white, in one type each."""
    highest: dict[torch.dtype, float] = {}
    for images in (part.images for part in (test, train) if part is not None and isinstance(part.images, Tensor)):
        most = float(images.max())
        highest[images.dtype] = max(most, highest.get(images.dtype, most))
    taken = [
        white_taken(most, 255 if kind == torch.uint8 else 1, str(kind).removeprefix("torch."), _DIVIDED)
        for kind, most in highest.items()
    ]
    return [reading for reading in taken if not reading.confirmed]


def _image(image: object, first: object, where: str) -> Tensor:
    if not isinstance(image, Tensor):
        kind = type(image).__name__
        raise UsageError(f"expected images of {where} to be tensors, got {kind}: add a transform, e.g. ToTensor()")
    if image.dim() != 3 or (isinstance(first, Tensor) and image.shape != first.shape):
        raise UsageError(f"expected images of {where} to be (c, h, w) of one size, got one of {tuple(image.shape)}")
    if _channels_last(image.shape):
        raise UsageError(
            f"expected images of {where} to be (c, h, w), got {tuple(image.shape)}, which looks like (h, w, c): "
            f"permute the axes"
        )
    if image.dtype != torch.uint8 and not image.is_floating_point():
        kind = str(image.dtype).removeprefix("torch.")
        raise UsageError(f"expected images of {where} to be uint8 or float in [0, 1], got {kind}")
    return image


def _channels_last(shape: Sequence[int]) -> bool:
    # rows of a table are images of one pixel with many channels
    return shape[2] in {1, 3, 4} and shape[0] > 4 and shape[1] > 4


def _label(label: object, where: str) -> int:
    number = label.item() if isinstance(label, Tensor | np.ndarray | np.generic) and _is_single(label) else label
    if not isinstance(number, int):
        shown = " ".join(repr(label).split())
        raise UsageError(f"expected labels of {where} to be whole numbers, got {shown}")
    return int(number)


def _is_single(label: Tensor | np.ndarray[tuple[int, ...], np.dtype[np.generic]] | np.generic) -> bool:
    return (label.numel() if isinstance(label, Tensor) else label.size) == 1
