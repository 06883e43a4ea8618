"""Reads numpy archives."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from evalsuite.data._arrays import Array, read_archive
from evalsuite.data._base import Dataset, Examples
from evalsuite.data._class_order import class_names, numbered_labels, some
from evalsuite.data._labels import parse_labels
from evalsuite.data._pixel_values import TOPIC, check_white, white_taken
from evalsuite.data._statistics import channel_statistics, neutral_statistics
from evalsuite.data.npz import Npz
from evalsuite.errors import RefusedInputError
from evalsuite.interpretation import Interpretation

_NAMES = frozenset({"x_train", "y_train", "x_test", "y_test", "classes"})


def read(source: Npz) -> Dataset:
    """Training and held-out examples, as the source says."""
    arrays = _arrays(source.path)
    test = _examples(source, arrays, "test")
    train = _examples(source, arrays, "train") if {"x_train", "y_train"} & arrays.keys() else None
    channels, height, width = test.images[torch.arange(1)].shape[1:]
    if train is not None and train.images[torch.arange(1)].shape[1:] != (channels, height, width):
        raise RefusedInputError(f"expected x_train and x_test in {source.path} to hold images of one size, got two")
    mean, std = channel_statistics(train) if train is not None else neutral_statistics(channels)
    highest = max(int(part.labels.max()) for part in (train, test) if part is not None)
    classes, reading = _classes(source.path, arrays, highest)
    return Dataset(
        name=f"npz:{source.path}",
        classes=classes,
        shape=(channels, height, width),
        train=train,
        test=test,
        mean=mean,
        std=std,
        counted="classes" not in arrays,
        interpretations=(
            reading,
            numbered_labels("y_test"),
            *_pixels(source, arrays),
            Interpretation(
                topic="axes",
                value=f"{_axes(arrays['x_test'])} of the shape {arrays['x_test'].shape}",
                basis="measured",
                reason="by the number of channels",
            ),
            parse_labels(arrays["y_test"], f"y_test in {source.path}").reading,
        ),
    )


def _examples(source: Npz, arrays: Mapping[str, Array], part: str) -> Examples:
    if not {f"x_{part}", f"y_{part}"} <= arrays.keys():
        raise RefusedInputError(f"expected both x_{part} and y_{part} in {source.path}, got only one of them")
    images = _images(arrays[f"x_{part}"], f"x_{part} in {source.path}", source.scale)
    labels = torch.from_numpy(parse_labels(arrays[f"y_{part}"], f"y_{part} in {source.path}").numbers)
    if len(images) != len(labels) or not images.numel():
        raise RefusedInputError(
            f"expected as many images as labels, and at least one, for {part} in {source.path}, "
            f"got {len(images)} and {len(labels)}"
        )
    return Examples.from_labels(images, labels)


def _pixels(source: Npz, arrays: Mapping[str, Array]) -> tuple[Interpretation, ...]:
    if source.scale is not None:
        value = f"{source.scale:g} is white"
        return (Interpretation(topic=TOPIC, value=value, basis="given", reason="?scale="),)
    # by type: the training examples may be stored in another one
    highest: dict[np.dtype[np.generic], float] = {}
    for values in (arrays[name] for name in ("x_test", "x_train") if name in arrays):
        # of truth values, True is white, also where all are False
        most = 1.0 if values.dtype == np.bool_ else float(values.max())
        highest[values.dtype] = max(most, highest.get(values.dtype, most))
    return tuple(
        white_taken(most, 255 if kind == np.uint8 else 1, str(kind), "?scale=VALUE") for kind, most in highest.items()
    )


def _arrays(path: Path) -> Mapping[str, Array]:
    archive = read_archive(path, _NAMES)
    if not {"x_test", "y_test"} <= archive.arrays.keys():
        others = some(archive.names)
        raise RefusedInputError(f"expected the arrays x_test and y_test in {path}, got {others}")
    return archive.arrays


def _classes(path: Path, arrays: Mapping[str, Array], highest: int) -> tuple[tuple[str, ...], Interpretation]:
    if "classes" not in arrays:
        numbers = tuple(map(str, range(highest + 1)))
        return numbers, class_names(numbers, "as many as the highest label tells")
    named = arrays["classes"]
    if named.ndim != 1:
        raise RefusedInputError(f"expected classes in {path} to hold a name each, got the shape {named.shape}")
    # numpy's strings of bytes would be spelled b'cat'
    names = tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in named.tolist())
    if len(set(names)) < len(names):
        raise RefusedInputError(f"expected different names of classes in {path}, got {some(names)}")
    return names, class_names(names, "the array classes")


def _images(values: Array, where: str, scale: float | None) -> Tensor:
    if not (np.issubdtype(values.dtype, np.floating) or values.dtype in _WHOLE or values.dtype == np.bool_):
        raise RefusedInputError(f"expected {where} to be uint8, or float in [0, 1], got {values.dtype}")
    pixels = values if values.dtype == np.uint8 and scale in {None, 255} else _scaled(values, where, scale)
    if values.size and scale is None and values.dtype != np.bool_:
        highest, white = float(values.max()), 255 if values.dtype == np.uint8 else 1
        way_out = (
            f"add ?scale=VALUE behind npz:PATH with the value that is white, which may be {highest:g}, or {white} "
            f"where they are that dark; or store {white} as white"
        )
        check_white(highest, where, eight_bit=white == 255, way_out=way_out)
    return torch.from_numpy(np.ascontiguousarray(_channels_first(pixels, where)))


_WHOLE: Final = frozenset(np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64))


def _scaled(values: Array, where: str, scale: float | None) -> Array:
    """Values as float32, of which 1 is white."""
    if scale is None and values.dtype in _WHOLE:
        raise RefusedInputError(
            f"expected {where} to be uint8, or float in [0, 1], got {values.dtype} up to {values.max(initial=0)}: say "
            f"by ?scale=VALUE behind npz:PATH which value is white (255, 4095 and 65535 are common)"
        )
    white = 1.0 if scale is None else scale
    scaled = (values.astype(np.float64) / white).astype(np.float32) if white != 1 else values.astype(np.float32)
    if not np.isfinite(scaled).all():
        raise RefusedInputError(f"expected {where} to hold finite numbers, got NaN or infinity: repair the images")
    if values.size and scaled.min() < 0.0:
        raise RefusedInputError(
            f"expected {where} to be in [0, {white:g}], got values from {values.min()} to {values.max()}: store the "
            f"images before they are normalised, and say --normalise"
        )
    if values.size and scaled.max() > 1.0:
        raise RefusedInputError(
            f"expected {where} to be in [0, {white:g}], got values from {values.min()} to {values.max()}: say "
            f"?scale=VALUE, the value that is white, store uint8, or undo a normalisation"
        )
    return scaled


def _axes(values: Array) -> str | None:
    """What the axes are; None where the number of channels, 1 or 3, does not tell."""
    if values.ndim == 3:
        return "n h w"
    if values.ndim != 4:
        return None
    first, last = values.shape[1] in {1, 3}, values.shape[3] in {1, 3}
    return None if first == last else "n c h w" if first else "n h w c"


def _channels_first(values: Array, where: str) -> Array:
    axes = _axes(values)
    if axes == "n h w":
        return values[:, None]
    if axes is not None:
        return values if axes == "n c h w" else values.transpose(0, 3, 1, 2)
    raise RefusedInputError(
        f"expected {where} to have the axes n h w c, n c h w (c: 1 or 3, told apart by that) or n h w, "
        f"got the shape {values.shape}"
    )
