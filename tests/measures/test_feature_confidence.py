"""Confidence on the parent's pixels, by hand."""

import numpy as np

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.feature_confidence import FeatureConfidence


def test_by_hand() -> None:
    parent = Stored(columns={"own_confidence": np.array([1.0, 0.75, 0.5], np.float32)}, to_parent={})
    child = Stored(
        columns={"own_confidence": np.ones(3, np.float32)},
        to_parent={"lent_confidence": np.array([1.0, 0.25, 0.75], np.float32)},
    )
    paired = FeatureConfidence()(child, parent, Annotations(labels=np.zeros(3, np.int64)), {})
    assert paired.child.tolist() == [0.0, 0.75, 0.25]
    assert paired.parent.tolist() == [0.0, 0.25, 0.5]
