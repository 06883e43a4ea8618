"""Salient pixels that are not shared, by hand."""

import numpy as np

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.saliency_disagreement import SaliencyDisagreement


def test_by_hand() -> None:
    child = Stored(columns={}, to_parent={"salient_overlap": np.array([1.0, 0.25, 0.0], np.float32)})
    annotations = Annotations(labels=np.zeros(3, np.int64))
    paired = SaliencyDisagreement()(child, Stored(columns={}, to_parent={}), annotations, {})
    assert paired.child.tolist() == [0.0, 0.75, 1.0]
    assert paired.parent.tolist() == [0.0, 0.0, 0.0]
