"""Attributes of held-out examples that labels do not hold, from a user's table: site, camera, sex, weather."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from evalsuite.errors import UsageError
from evalsuite.files.delimited import TableRow, read_delimited
from evalsuite.files.given_paths import expanded
from evalsuite.files.regular_files import read_regular

_MOST_VALUES = 200
_MOST_ATTRIBUTES = 1000
_ID = "id"


@final
@dataclass(frozen=True, kw_only=True)
class Slices:
    """A table of attributes: one row an example.

    Attributes:
        path: The file, for messages.
        digest: SHA-256 of its content.
        attributes: Names of the columns.
        rows: Values of each example, in the order of the attributes; an empty value is not known.
        ids: Content digests of the examples where the first column has them, so that rows may stand in any order.
        last_line: Where the file ends.
    """

    path: Path
    digest: str
    attributes: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...] | None
    last_line: int

    def values(self, attribute: str) -> tuple[str, ...]:
        """The distinct known values of an attribute, sorted."""
        place = self.attributes.index(attribute)
        return tuple(sorted({row[place] for row in self.rows} - {""}))

    def numbered(self, chosen: Sequence[int] | Sequence[str]) -> dict[str, list[int]]:
        """For each attribute the numbers of the values of the `chosen` examples in `values`, -1 where not known.

        Args:
            chosen: Rows of the examples, counted from 0, or their content digests where the table has those.

        Raises:
            UsageError: The table has no row for one of the examples.
        """
        keys: Sequence[int] | Sequence[str] = range(len(self.rows)) if self.ids is None else self.ids
        where: dict[int | str, int] = dict(zip(keys, range(len(self.rows)), strict=True))
        missing = [key for key in chosen if key not in where]
        if missing:
            raise UsageError(
                f"{self.path}: expected a row for each of {len(chosen)} held-out examples, got none for "
                f"{len(missing)} of them, the first with the id {missing[0]}"
            )
        positions: dict[str, list[int]] = {}
        for place, attribute in enumerate(self.attributes):
            number = {value: k for k, value in enumerate(self.values(attribute))} | {"": -1}
            positions[attribute] = [number[self.rows[where[key]][place]] for key in chosen]
        return positions

    def check_rows(self, expected: Sequence[int], data: str) -> None:
        """Make sure that the table has one row an example, where rows stand in the data set's order.

        Raises:
            UsageError: It has another number of rows than any of `expected`.
        """
        if self.ids is None and len(self.rows) not in expected:
            wanted = " or ".join(map(str, dict.fromkeys(expected)))
            raise UsageError(
                f"{self.path}, line {self.last_line}: expected {wanted} rows below the header, one for each held-out "
                f"example of {data}, got {len(self.rows)}"
            )


def read(path: Path) -> Slices:
    """Read a CSV file with a header: a column an attribute, where the first may be `id`.

    Semicolons or tabs may stand for commas, as `evalsuite.files.delimited` tells.

    Raises:
        UsageError: The file is missing or is no such table; the message tells the line.
    """
    content = read_regular(expanded(path), "--slices to be a CSV file")
    try:
        rows = read_delimited(content, str(path), most_columns=_MOST_ATTRIBUTES).rows
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not rows:
        raise UsageError(f"{path}: expected a header with the names of attributes, got an empty file")
    header, body = rows[0].values, rows[1:]
    _check(path, header, body)
    has_ids = header[0].lower() == _ID
    slices = Slices(
        path=path,
        digest=hashlib.sha256(content).hexdigest(),
        attributes=header[1:] if has_ids else header,
        rows=tuple(row.values[1:] if has_ids else row.values for row in body),
        ids=tuple(row.values[0] for row in body) if has_ids else None,
        last_line=rows[-1].line,
    )
    _check_values(slices)
    return slices


def _check(path: Path, header: Sequence[str], body: Sequence[TableRow]) -> None:
    names = header[1:] if header[0].lower() == _ID else header
    if not names or "" in names or len(set(names)) < len(names):
        raise UsageError(
            f"{path}, line 1: expected distinct names of one or more attributes, got {', '.join(header[:5])}"
        )
    lines: dict[str, int] = {}
    for line, values in body:
        if len(values) != len(header):
            raise UsageError(f"{path}, line {line}: expected {len(header)} values, got {len(values)}")
        if len(names) < len(header) and lines.setdefault(values[0], line) != line:
            raise UsageError(
                f"{path}, line {line}: expected every id once, got {values[0]} as in line {lines[values[0]]}"
            )


def _check_values(slices: Slices) -> None:
    for attribute in slices.attributes:
        count = len(slices.values(attribute))
        if not 1 <= count <= _MOST_VALUES:
            raise UsageError(
                f"{slices.path}: expected 1 to {_MOST_VALUES} values of the attribute {attribute!r}, got {count}"
                f"{': put numbers into classes first' if count else ''}"
            )
