"""Turns tables of numbers into examples: columns become channels of one pixel, targets are scaled to [0, 1]."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from evalsuite.data._base import Dataset, Examples
from evalsuite.data._statistics import channel_statistics
from evalsuite.interpretation import Interpretation
from evalsuite.problems.regression import Regression

Rows = npt.NDArray[np.float64]
Part = tuple[Rows, Rows]
"""Rows of the columns that are given, (n, d), and of those that are asked for, (n, k)."""


def table(
    name: str,
    targets: Sequence[str],
    *,
    train: Part,
    test: Part,
    raw: bool,
    readings: Sequence[Interpretation] = (),
) -> Dataset:
    """A regression on a table.

    Columns are scaled to [0, 1] by the range of the training rows, held-out ones cut to it: all tasks live in [0, 1].

    Args:
        name: Of the data set.
        targets: Names of the columns that are asked for.
        train: At least one row.
        test: Likewise.
        raw: Whether answers stay in their own units; else they are scaled as columns are, and not cut.
        readings: How the table was read.
    """
    low, high = train[0].min(0), train[0].max(0)
    least, spread = train[1].min(0), _spread(train[1])
    scale = tuple(spread.tolist()) if raw else (1.0,) * len(targets)
    problem = Regression(scale=scale)

    def examples(rows: Rows, answers: Rows) -> Examples:
        columns = np.clip((rows - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
        numbers = answers if raw else (answers - least) / spread
        images = torch.from_numpy(columns).float()[:, :, None, None]
        return Examples.from_targets(problem, images, torch.from_numpy(numbers).float())

    trained, held_out = examples(*train), examples(*test)
    mean, std = channel_statistics(trained)
    return Dataset(
        name=name,
        classes=tuple(targets),
        shape=(train[0].shape[1], 1, 1),
        train=trained,
        test=held_out,
        mean=mean,
        std=std,
        interpretations=tuple(readings),
    )


def split(rows: Rows, answers: Rows) -> tuple[Part, Part]:
    """Training and held-out rows: a fifth is held out, drawn once and for all."""
    order = np.random.default_rng(0).permutation(len(rows))
    held_out, rest = order[: len(rows) // 5], order[len(rows) // 5 :]
    return (rows[rest], answers[rest]), (rows[held_out], answers[held_out])


def split_reading(held_out: int, rows: int, *, option: str = "") -> Interpretation:
    """What `split` does, to be told."""
    return Interpretation(
        topic="held-out rows",
        value=f"{held_out} of {rows}, drawn once and for all",
        basis="assumed" if option else "recorded",
        reason="there is no other file" if option else "there is no published split",
        option=option,
    )


def _spread(answers: Rows) -> Rows:
    spread = answers.max(0) - answers.min(0)
    return np.where(spread > 0, spread, 1.0)
