import numpy as np

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.certified_gap import CertifiedGap


def stored(prediction: list[int], survives: list[bool]) -> Stored:
    return Stored(columns={"prediction": np.array(prediction), "survives": np.array(survives)}, to_parent={})


def test_open_is_what_survives_without_a_certificate() -> None:
    # certified, open, broken, wrong to begin with (certified so), and wrong without a certificate
    annotations = Annotations(labels=np.array([0, 1, 2, 3, 4]))
    child = stored([0, -1, -1, 1, -1], [True, True, False, False, False])
    parent = stored([-1, -1, 2, -1, -1], [True, True, True, True, False])
    paired = CertifiedGap()(child, parent, annotations, {})
    assert paired.child.tolist() == [0, 1, 0, 0, 0]
    assert paired.parent.tolist() == [1, 1, 0, 1, 0]
