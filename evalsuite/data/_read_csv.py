"""Reads tables of numbers."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from evalsuite.data._base import Dataset
from evalsuite.data._table import Rows, split, split_reading, table
from evalsuite.data.csv import Csv, Decimal
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.delimited import DELIMITERS, TableRow, read_delimited
from evalsuite.files.given_paths import expanded
from evalsuite.files.regular_files import read_regular
from evalsuite.interpretation import Interpretation

_WITH_COMMA: Final = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_THOUSANDS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")

_MOST_LISTED: Final = 50
_LONGEST: Final = 80


class _Table(NamedTuple):
    names: list[str]
    rows: Rows
    delimiter: str
    decimal: Decimal


def read(source: Csv) -> Dataset:
    """Training and held-out examples, as the source says."""
    read_table = _read(expanded(source.path), source.decimal)
    names, rows = read_table.names, read_table.rows
    targets = tuple(filter(None, source.target.split(",")))
    if not targets or not set(targets) < set(names):
        got = f"({_listed(names)}), got {source.target!r}"
        raise UsageError(f"expected ?target=COLUMN of {source.path} behind csv:PATH {got}")
    answers = [names.index(target) for target in targets]
    others = [column for column in range(len(names)) if column not in answers]
    if source.test:
        held_out = _read(expanded(source.test), source.decimal)
        if held_out.names != names:
            raise UsageError(f"expected the columns of {source.path} in {source.test} ({_listed(names)}), got others")
        train, test = (rows[:, others], rows[:, answers]), (held_out.rows[:, others], held_out.rows[:, answers])
    else:
        if len(rows) < 10:
            raise UsageError(f"expected at least 10 rows to hold a fifth of them out, got {len(rows)}: {source.path}")
        train, test = split(rows[:, others], rows[:, answers])
    return table(
        f"csv:{source.path}",
        targets,
        train=train,
        test=test,
        raw=source.raw,
        readings=_readings(source, read_table, len(test[0])),
    )


def _readings(source: Csv, table: _Table, held_out: int) -> list[Interpretation]:
    columns = f"{len(table.names)} with a {DELIMITERS.get(table.delimiter, repr(table.delimiter))} in between"
    decimal = Interpretation(
        topic="decimal mark",
        value=table.decimal,
        basis="given" if source.decimal else "measured",
        reason="?decimal=" if source.decimal else "no number has the other",
        option="?decimal=point|comma",
    )
    drawn = split_reading(held_out, len(table.rows), option="?test=FILE")
    chosen = Interpretation(topic="held-out rows", value=f"those of {source.test}", basis="given", reason="?test=")
    return [
        Interpretation(topic="columns", value=columns, basis="measured"),
        decimal,
        chosen if source.test else drawn,
    ]


def _read(path: Path, decimal: Decimal | None) -> _Table:
    """Names of the columns, and the rows (n, columns)."""
    content = read_regular(path, "a CSV file")
    try:
        lines = read_delimited(content, str(path))
    except ValueError as error:
        raise UsageError(str(error)) from error
    if len(lines.rows) < 2:
        raise RefusedInputError(f"expected a line of names and at least one row in {path}, got {len(lines.rows)} lines")
    names = list(lines.rows[0].values)
    if len(set(names)) < len(names):
        raise RefusedInputError(f"expected columns of different names in {path}, got {_listed(names)}")
    mark = decimal or _decimal(path, lines.rows[1:])
    rows = np.array([_numbers(path, names, row, mark) for row in lines.rows[1:]])
    return _Table(names, rows, lines.delimiter, mark)


def _decimal(path: Path, rows: tuple[TableRow, ...]) -> Decimal:
    """What stands before decimals: a comma where numbers have one and none a point.

    Raises:
        RefusedInputError: All that have a comma may be thousands as well.
    """
    with_comma = [value for row in rows for value in row.values if _WITH_COMMA.fullmatch(value)]
    if not with_comma or any("." in value for row in rows for value in row.values):
        return "point"
    if all(_THOUSANDS.fullmatch(value) for value in with_comma):
        raise RefusedInputError(
            f"expected decimals or thousands behind the commas of {path}, got what may be either, e.g. "
            f"{with_comma[0]}: add ?decimal=comma, or leave out the commas between thousands"
        )
    return "comma"


def _numbers(path: Path, names: list[str], row: TableRow, decimal: Decimal) -> list[float]:
    if len(row.values) != len(names):
        raise RefusedInputError(f"expected {len(names)} values in line {row.line} of {path}, got {len(row.values)}")
    numbers: list[float] = []
    for name, value in zip(names, row.values, strict=True):
        # a point beside decimal commas stands between thousands: that is refused, as no number
        spelled = value.replace(".", "?").replace(",", ".") if decimal == "comma" else value
        try:
            number = float(spelled)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            raise RefusedInputError(
                f"expected a finite number in column {name}, line {row.line} of {path}, got {value!r}"
            )
        numbers.append(number)
    return numbers


def _listed(names: Sequence[str]) -> str:
    shown = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..." for name in names[:_MOST_LISTED]]
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(shown) + more
