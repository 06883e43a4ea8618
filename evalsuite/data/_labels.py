"""Parses class numbers out of arrays of labels: whole numbers of any type, or one-hot rows."""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from evalsuite.errors import RefusedInputError
from evalsuite.interpretation import Interpretation

_MOST_CLASSES: Final = 1_000_000

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


@final
@dataclass(frozen=True, kw_only=True)
class Labels:
    """Class numbers (n,), int64, and how they were kept."""

    numbers: npt.NDArray[np.int64]
    reading: Interpretation


def parse_labels(values: Array, where: str) -> Labels:
    """Class numbers out of whole numbers (n,) or (n, 1) of any type, or of rows with a single one each.

    Raises:
        RefusedInputError: They are something else.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        return Labels(numbers=_whole(values[:, 0], values, where), reading=_reading("numbers in a column"))
    if values.ndim == 2 and _is_one_hot(values):
        return Labels(
            numbers=values.astype(np.float64).argmax(1).astype(np.int64),
            reading=_reading(f"where the one stands in each row of {values.shape[1]}"),
        )
    return Labels(numbers=_whole(values, values, where), reading=_reading("numbers"))


def _whole(values: Array, stored: Array, where: str) -> npt.NDArray[np.int64]:
    if values.ndim != 1 or not _is_real(values):
        raise _refusal(stored, where, "")
    numbers = values.astype(np.float64)
    whole = np.isfinite(numbers) & (numbers == np.rint(numbers))
    if not bool(whole.all()):
        raise _refusal(stored, where, f" with the value {numbers[~whole][0]:g}")
    if values.size and numbers.min() < 0:
        raise _refusal(stored, where, f" from {numbers.min():g}")
    if values.size and numbers.max() >= _MOST_CLASSES:
        raise RefusedInputError(
            f"expected labels below {_MOST_CLASSES}, one number a class from 0, got {values.max()}: {where}"
        )
    return values.astype(np.int64)


def _is_one_hot(values: Array) -> bool:
    if not _is_real(values) or not values.size:
        return False
    ones = values == 1
    return bool((ones | (values == 0)).all() and (ones.sum(1) == 1).all())


def _is_real(values: Array) -> bool:
    # a span of time is a whole number to numpy
    return values.dtype.kind in "biuf"


def _refusal(values: Array, where: str, got: str) -> RefusedInputError:
    return RefusedInputError(
        f"expected {where} to hold class numbers 0, 1, ... on one axis, or rows with a single one, got {values.dtype} "
        f"of shape {values.shape}{got}"
    )


def _reading(value: str) -> Interpretation:
    return Interpretation(topic="labels", value=value, basis="measured")
