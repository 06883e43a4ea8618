"""Fields of coloured tables."""

from dataclasses import dataclass
from typing import final

from evalsuite.report.content import formats


@final
@dataclass(frozen=True, kw_only=True)
class Field:
    """One cell of a table by rows and columns of the same kind.

    Attributes:
        shade: The style of its colour: "s0" better than the parent ... "s8" far worse, "f0" nothing ... "f8" all of it,
            None for none.
        text: What stands in it.
    """

    shade: str | None
    text: str


EMPTY = Field(shade=None, text=formats.NOTHING)
"""Nothing was measured."""
