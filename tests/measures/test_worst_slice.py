import numpy as np

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.worst_slice import WorstSlice
from evalsuite.statistics import tango
from evalsuite.statistics.compare import compare


def test_the_slice_that_loses_most_decides_whatever_its_attribute() -> None:
    # site: 0 for the first half; camera: 1 for every fourth, unknown for the last eight. The network breaks 4 of the
    # 8 known examples of camera 1, all of them in site 0, and nothing else
    n = 40
    site = np.repeat([0, 1], n // 2)
    camera = np.where(np.arange(n) % 4 == 0, 1, 0)
    camera[32:] = -1
    broken = np.flatnonzero(camera == 1)[:4]
    prediction = np.zeros(n, dtype=np.int64)
    prediction[broken] = 1
    child = Stored(columns={"prediction": prediction}, to_parent={})
    parent = Stored(columns={"prediction": np.zeros(n, dtype=np.int64)}, to_parent={})
    annotations = Annotations(labels=np.zeros(n, dtype=np.int64), slices={"site": site, "camera": camera})
    result = compare(WorstSlice()(child, parent, annotations, {}), margin=0.1, confidence=0.95)
    assert result.n == n
    assert result.loss == 4 / 8
    assert result.difference == 4 / 8
    # four slices, each with its lower bound at a quarter of the error; the largest is that of site 0, 4 of 20
    assert result.difference_low == tango.lower(4, 0, 20, confidence=1 - 0.05 / 4)
    assert result.difference_high == tango.upper(4, 0, 8, confidence=0.95)


def test_it_needs_slices_and_does_not_bind() -> None:
    assert WorstSlice.needs_slices
    assert not WorstSlice.required
