"""Data sets made by a user's own function: `package.module:factory`."""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from evalsuite.data._base import Dataset, Examples
from evalsuite.data._statistics import channel_statistics, neutral_statistics
from evalsuite.errors import UsageError


@runtime_checkable
class Pairs(Protocol):
    """A map-style data set of torch: a length, and (image, label) by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Tensor, int]: ...


def from_factory(module: str, factory: str) -> Dataset:
    """Call `factory` of `module` without arguments.

    It returns a `Dataset`, or a pair (train, test) of map-style data sets of (image (c, h, w), uint8 or float in
    [0, 1]; label), which are read into memory; train may be None. The attribute `classes` of test names the classes.

    Raises:
        UsageError: There is no such function, or it returns something else.
    """
    spelling = f"{module}:{factory}"
    made = _function(module, factory)()
    if isinstance(made, Dataset):
        return made
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], Pairs)):
        raise UsageError(
            f"expected {spelling} to return an evalsuite.data.Dataset or a pair (train, test) of data sets of "
            f"(image, label), got {type(made).__name__}"
        )
    test = _examples(made[1], f"test of {spelling}")
    train = _examples(made[0], f"train of {spelling}") if isinstance(made[0], Pairs) else None
    highest = max(int(part.labels.max()) for part in (train, test) if part is not None)
    names = getattr(made[1], "classes", None) or range(highest + 1)
    channels, height, width = test.pixels([0]).shape[1:]
    mean, std = channel_statistics(train) if train is not None else neutral_statistics(channels)
    return Dataset(
        name=spelling,
        classes=tuple(str(name) for name in names),
        shape=(channels, height, width),
        train=train,
        test=test,
        mean=mean,
        std=std,
    )


def _function(module: str, factory: str) -> Callable[[], object]:
    try:
        found = getattr(import_module(module), factory, None)
    except ImportError as error:
        raise UsageError(f"expected a module that can be imported in {module}:{factory}, got: {error}") from error
    if not callable(found):
        raise UsageError(f"expected {module} to define a function {factory!r}, got {found!r}")
    function: Callable[[], object] = found
    return function


def _examples(pairs: Pairs, where: str) -> Examples:
    if not len(pairs):
        raise UsageError(f"expected {where} to hold examples, got none")
    images, labels = zip(*(pairs[position] for position in range(len(pairs))), strict=True)
    return Examples.of(torch.stack([_image(image, images[0], where) for image in images]), torch.tensor(labels))


def _image(image: object, first: object, where: str) -> Tensor:
    if not isinstance(image, Tensor):
        kind = type(image).__name__
        raise UsageError(f"expected images of {where} to be tensors, got {kind}: add a transform, e.g. ToTensor()")
    if image.dim() != 3 or (isinstance(first, Tensor) and image.shape != first.shape):
        raise UsageError(f"expected images of {where} to be (c, h, w) of one size, got one of {tuple(image.shape)}")
    return image
