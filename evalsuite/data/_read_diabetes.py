"""Reads the regression that comes with scikit-learn."""

from sklearn.datasets import load_diabetes

from evalsuite.data._base import Dataset
from evalsuite.data._source import Source
from evalsuite.data._table import split, split_reading, table


def read(_source: Source) -> Dataset:
    """Training and held-out examples."""
    bunch = load_diabetes(scaled=False)
    train, test = split(bunch.data, bunch.target[:, None])
    reading = split_reading(len(test[0]), len(bunch.data))
    return table("diabetes", ("progression",), train=train, test=test, raw=False, readings=[reading])
