"""The diabetes regression that comes with scikit-learn: no download, training in seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from typing_extensions import override

from evalsuite.data._source import ReadLater

if TYPE_CHECKING:
    pass


@final
@dataclass(frozen=True, kw_only=True)
class Diabetes(ReadLater):
    """How far the disease went in a year, from ten measurements of 442 patients (Efron et al. 2004).

    There is no published split; 88 patients are held out. Answers are scaled to [0, 1] (25 to 346 in the table).
    """

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
