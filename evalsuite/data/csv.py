"""A table of numbers in a file."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data._table import Rows, split, table
from evalsuite.errors import RefusedInputError, UsageError


@final
@dataclass(frozen=True, kw_only=True)
class Csv(Source):
    """A CSV file whose first line names the columns; all are numbers, and some of them are asked for.

    Attributes:
        path: The file.
        target: Columns that are asked for, with commas in between.
        test: Another file with the held-out rows; where there is none, a fifth of the rows is held out, drawn once.
        raw: Whether answers stay in their own units, for networks that were trained so; else they are scaled to [0, 1].
    """

    path: Path
    target: str = ""
    test: str = ""
    raw: bool = False

    @override
    def load(self) -> Dataset:
        names, rows = _read(self.path.expanduser())
        targets = tuple(filter(None, self.target.split(",")))
        if not targets or not set(targets) < set(names):
            known = ", ".join(names)
            raise UsageError(f"expected ?target=COLUMN of {self.path} behind csv:PATH ({known}), got {self.target!r}")
        asked = [names.index(target) for target in targets]
        others = [column for column in range(len(names)) if column not in asked]
        if self.test:
            held_out_names, held_out = _read(Path(self.test).expanduser())
            if held_out_names != names:
                raise UsageError(f"expected the columns of {self.path} in {self.test} ({', '.join(names)}), got others")
            train, test = (rows[:, others], rows[:, asked]), (held_out[:, others], held_out[:, asked])
        else:
            if len(rows) < 10:
                raise UsageError(f"expected at least 10 rows to hold a fifth of them out, got {len(rows)}: {self.path}")
            train, test = split(rows[:, others], rows[:, asked])
        return table(f"csv:{self.path}", targets, train=train, test=test, raw=self.raw)


def _read(path: Path) -> tuple[list[str], Rows]:
    """Names of the columns, and the rows (n, columns)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a CSV file, got {str(path)!r}: {error}") from error
    lines = [line for line in csv.reader(text.splitlines()) if line]
    if len(lines) < 2:
        raise RefusedInputError(f"expected a line of names and at least one row in {path}, got {len(lines)} lines")
    names = [name.strip() for name in lines[0]]
    if len(set(names)) < len(names):
        raise RefusedInputError(f"expected columns of different names in {path}, got {', '.join(names)}")
    return names, np.array([_numbers(path, place, names, line) for place, line in enumerate(lines[1:], start=2)])


def _numbers(path: Path, place: int, names: list[str], line: list[str]) -> list[float]:
    if len(line) != len(names):
        raise RefusedInputError(f"expected {len(names)} values in line {place} of {path}, got {len(line)}")
    found: list[float] = []
    for name, value in zip(names, line, strict=True):
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            raise RefusedInputError(f"expected a finite number in column {name}, line {place} of {path}, got {value!r}")
        found.append(number)
    return found
