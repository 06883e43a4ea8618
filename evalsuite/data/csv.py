"""Regression on a table of numbers in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from typing_extensions import override

from evalsuite.data._source import ReadLater
from evalsuite.files.given_paths import expanded

if TYPE_CHECKING:
    pass

Decimal = Literal["point", "comma"]


@final
@dataclass(frozen=True, kw_only=True)
class Csv(ReadLater):
    """A file of comma-, semicolon- or tab-separated numbers whose first line names the columns; some are asked for.

    Attributes:
        path: The file.
        target: Columns that are asked for, with commas in between.
        test: Another file with the held-out rows; where there is none, a fifth of the rows is held out, drawn once.
        raw: Whether answers stay in their own units, for networks that were trained so; else they are scaled to [0, 1].
        decimal: What stands before decimals; else a comma where numbers have one, and none a point.
    """

    path: Path
    target: str = ""
    test: str = ""
    raw: bool = False
    decimal: Decimal | None = None

    @override
    def files(self) -> tuple[Path, ...]:
        return (expanded(self.path), expanded(self.test)) if self.test else (expanded(self.path),)
