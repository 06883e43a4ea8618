import numpy as np

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.negative_flips import NegativeFlips


def stored(prediction: object, **columns: object) -> Stored:
    everything = {"prediction": np.array(prediction)} | {name: np.array(column) for name, column in columns.items()}
    return Stored(columns=everything, to_parent={})


def test_only_what_the_parent_got_right_can_flip() -> None:
    # labels 0 1 2 3: both right; the network breaks it; both wrong; the network repairs it
    annotations = Annotations(labels=np.array([0, 1, 2, 3]))
    paired = NegativeFlips()(stored([0, 0, 1, 3]), stored([0, 1, 1, 0]), annotations, {})
    assert paired.child.tolist() == [0, 1, 0, 0]
    assert paired.parent.tolist() == [0, 0, 0, 0]


def test_draws_are_compared_one_by_one() -> None:
    # the parent is right on the first draw, the network on the second: half of the draws flip, not none
    annotations = Annotations(labels=np.array([1]))
    assert NegativeFlips()(stored([[0, 1]]), stored([[1, 0]]), annotations, {}).child.tolist() == [0.5]


def test_a_lost_certificate_is_a_flip() -> None:
    annotations = Annotations(labels=np.array([1, 1]))
    child, parent = stored([1, 1], radius=[0.1, 0.3]), stored([1, 1], radius=[0.3, 0.1])
    assert NegativeFlips()(child, parent, annotations, {"radius": 0.2}).child.tolist() == [1, 0]
