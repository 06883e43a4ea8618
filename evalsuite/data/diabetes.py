"""The diabetes regression that comes with scikit-learn: no download, training in seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from sklearn.datasets import load_diabetes
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data._table import split, split_reading, table


@final
@dataclass(frozen=True, kw_only=True)
class Diabetes(Source):
    """How far the disease went in a year, from ten measurements of 442 patients (Efron et al. 2004).

    There is no published split; 88 patients are held out. Answers are scaled to [0, 1] (25 to 346 in the table).
    """

    @override
    def load(self) -> Dataset:
        bunch = load_diabetes(scaled=False)
        train, test = split(bunch.data, bunch.target[:, None])
        reading = split_reading(len(test[0]), len(bunch.data))
        return table("diabetes", ("progression",), train=train, test=test, raw=False, readings=[reading])

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
