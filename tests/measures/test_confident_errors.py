import numpy as np
import pytest

from evalsuite.errors import UsageError
from evalsuite.extend import Annotations, Metric, Stored
from evalsuite.measures.confident_errors import ConfidentErrors
from evalsuite.parts.names import parse_part, part_name


def test_wrong_and_at_least_as_sure_as_asked() -> None:
    columns = {"prediction": np.array([0, 1, 1, 1]), "confidence": np.array([0.95, 0.95, 0.8, 0.5])}
    network, annotations = Stored(columns=columns, to_parent={}), Annotations(labels=np.zeros(4, dtype=np.int64))
    assert ConfidentErrors()(network, network, annotations, {}).child.tolist() == [0, 1, 0, 0]
    assert ConfidentErrors(above=0.5)(network, network, annotations, {}).parent.tolist() == [0, 1, 1, 1]


def test_without_a_threshold_it_is_the_error_over_draws() -> None:
    columns = {"prediction": np.array([[0, 1], [1, 1]]), "confidence": np.array([[0.2, 0.3], [0.4, 0.5]])}
    network, annotations = Stored(columns=columns, to_parent={}), Annotations(labels=np.zeros(2, dtype=np.int64))
    assert ConfidentErrors(above=0)(network, network, annotations, {}).child.tolist() == [0.5, 1.0]


def test_its_name() -> None:
    result = parse_part("evalsuite.measures", "confident-errors?above=0.8", Metric)
    assert result == ConfidentErrors(above=0.8)
    assert part_name(result) == "confident_errors?above=0.8"
    with pytest.raises(UsageError, match="0 <= above <= 1"):
        parse_part("evalsuite.measures", "confident_errors?above=2", Metric)
