import numpy as np
import pytest

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.error import Error
from evalsuite.measures.lost_radius import LostRadius


def stored(prediction: list[int], radius: list[float]) -> Stored:
    return Stored(columns={"prediction": np.array(prediction), "radius": np.array(radius, np.float32)}, to_parent={})


def test_by_hand() -> None:
    # right with 0.25, right beyond the scale, wrong with 0.75, abstained
    annotations = Annotations(labels=np.array([0, 1, 2, 3]))
    result = stored([0, 1, 0, -1], [0.25, 0.75, 0.75, 0.0])
    paired = LostRadius(scale=0.5)(result, stored([0, 1, 2, 3], [0.5] * 4), annotations, {"radius": 0.1})
    assert paired.child.tolist() == [0.5, 0.0, 1.0, 1.0]
    assert paired.parent.tolist() == [0.0] * 4


def test_it_is_the_area_under_the_curve_of_certified_accuracy() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    outcome = stored(
        np.where(generator.random(200) < 0.7, labels, -1).tolist(), generator.uniform(0, 0.9, 200).tolist()
    )
    annotations = Annotations(labels=labels)
    radii = (np.arange(4000) + 0.5) / 4000
    accuracy = [1 - Error()(outcome, outcome, annotations, {"radius": radius}).child.mean() for radius in radii]
    lost = LostRadius()(outcome, outcome, annotations, {}).child.mean()
    assert 1 - lost == pytest.approx(np.mean(accuracy), abs=1e-3)


def test_scale_out_of_range() -> None:
    with pytest.raises(ValueError, match="expected scale > 0, got 0"):
        LostRadius(scale=0.0)
