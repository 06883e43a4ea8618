"""Reads text files of rows and columns as spreadsheets write them, in any encoding and with any separator."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, final

DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab"}

MOST_COLUMNS: Final = 100_000

# the mark of UTF-32 starts with that of UTF-16: it is looked for first
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TableRow(NamedTuple):
    """One row: the number of the line in which it ends, counted from 1, and its values without space around them."""

    line: int
    values: tuple[str, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Delimited:
    """The rows of a file.

    Attributes:
        delimiter: What stands between values.
        rows: All that are not empty, the header first.
    """

    delimiter: str
    rows: tuple[TableRow, ...]


def read_text(content: bytes, where: str) -> str:
    """The text of a file: UTF-8, or what its byte-order mark says; `where` starts messages.

    Raises:
        ValueError: It is neither; the message tells what was expected and what it is.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: expected text in UTF-8, got the byte {content[error.start]:#x}: save it as 'CSV UTF-8'"
        ) from error
    if "\0" in text:
        raise ValueError(f"{where}: expected text in UTF-8, or in UTF-16 with a byte-order mark, got null characters")
    return text


def read_delimited(content: bytes, where: str, *, most_columns: int = MOST_COLUMNS) -> Delimited:
    """Rows of comma-, semicolon- or tab-separated values, told apart by the header and the widths of all rows.

    A first line `sep=;`, which Excel writes and reads, says it.

    Args:
        content: Of the file.
        where: The file's name, which starts every message.
        most_columns: In the first line.

    Raises:
        ValueError: The text cannot be decoded, quotes are not closed, the header fits two kinds of separators, or there
            are too many columns.
    """
    text = read_text(content, where)
    head = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    if any(head.count(delimiter) >= most_columns for delimiter in DELIMITERS):
        raise ValueError(f"{where}: expected at most {most_columns} columns, got more")
    first, _, rest = text.partition("\n")
    if declared := re.fullmatch(r"sep=(.)\r?", first):
        return Delimited(delimiter=declared[1], rows=_rows(rest, declared[1], where, skipped=1))
    several = _readings(text, where)
    delimiter = _delimiter(several, where)
    return Delimited(delimiter=delimiter, rows=several.get(delimiter) or _rows(text, delimiter, where))


def _readings(text: str, where: str) -> dict[str, tuple[TableRow, ...]]:
    """The rows by each delimiter that stands in the header."""
    several: dict[str, tuple[TableRow, ...]] = {}
    for delimiter in DELIMITERS:
        try:
            # a large file is gone through only for those
            header = next(_lines(text, delimiter, where), None)
            if header is not None and len(header.values) > 1:
                several[delimiter] = _rows(text, delimiter, where)
        except ValueError:
            continue
    return several


def _delimiter(several: Mapping[str, tuple[TableRow, ...]], where: str) -> str:
    if len(several) < 2:
        return next(iter(several), ",")
    regular = [d for d, rows in several.items() if len({len(row.values) for row in rows}) == 1]
    if len(regular) > 1:
        names = " and ".join(DELIMITERS[d] for d in regular)
        raise ValueError(
            f"{where}: expected values with a comma, semicolon or tab in between, got a file that fits {names}: "
            f"put values with such a character into quotes"
        )
    return regular[0] if regular else max(several, key=lambda delimiter: len(several[delimiter][0].values))


def _rows(text: str, delimiter: str, where: str, *, skipped: int = 0) -> tuple[TableRow, ...]:
    return tuple(_lines(text, delimiter, where, skipped=skipped))


def _lines(text: str, delimiter: str, where: str, *, skipped: int = 0) -> Iterator[TableRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        for values in reader:
            if values:
                yield TableRow(reader.line_num + skipped, tuple(value.strip() for value in values))
    except csv.Error as error:
        line = reader.line_num + skipped
        raise ValueError(
            f"{where}, line {line}: expected {DELIMITERS.get(delimiter, delimiter)}-separated values, got {error}"
        ) from error
