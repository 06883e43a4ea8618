"""What is written down under attack, read by hand."""

import numpy as np
import pytest

from evalsuite.analysis.validity_flags import FLAGS, SIGNS, validity_flags
from evalsuite.extend import Flag


def test_bits_stand_for_the_flags_of_attacks():
    assert tuple(Flag) == FLAGS
    for bit, flag in enumerate(FLAGS):
        assert validity_flags({"flags": np.array([0, 1 << bit, 0], np.uint8)}) == (flag,)
    assert validity_flags({"flags": np.zeros(3, np.uint8)}) == ()


@pytest.mark.parametrize("column", list(SIGNS))
@pytest.mark.parametrize(
    ("count", "n", "doubted"), [(1, 100, False), (2, 100, True), (2, 1000, False), (3, 1000, True)]
)
def test_signs_need_two_examples_and_two_in_a_thousand(column, count, n, doubted):
    values = np.zeros(n, dtype=bool)
    values[:count] = True
    expected = {(1, 100): (), (2, 100): (SIGNS[column],), (2, 1000): (), (3, 1000): (SIGNS[column],)}
    assert validity_flags({column: values}) == expected[count, n]


def test_other_tasks_are_not_doubted():
    assert validity_flags({"prediction": np.array([1, 2])}) == ()
