import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.brier import Brier


def stored(probabilities: np.ndarray, labels: np.ndarray) -> Stored:
    truth = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
    squares = (probabilities**2).sum(1)
    return Stored(columns={"truth": truth.astype(np.float32), "squares": squares.astype(np.float32)}, to_parent={})


def test_it_is_half_of_scikit_learns_multiclass_score() -> None:
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.ones(5), size=200)
    labels = draw.integers(5, size=200)
    network = stored(probabilities, labels)
    loss = Brier()(network, network, Annotations(labels=labels), {}).child.mean()
    reference = brier_score_loss(labels, probabilities, labels=np.arange(5), scale_by_half=False) / 2
    assert loss == pytest.approx(reference, abs=1e-6)


def test_the_best_and_the_worst_prediction() -> None:
    # all mass on the true class; all mass on another; a coin between the two: (0.25 + 0.25) / 2
    probabilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    labels = np.zeros(3, dtype=np.int64)
    network = stored(probabilities, labels)
    np.testing.assert_allclose(Brier()(network, network, Annotations(labels=labels), {}).child, [0, 1, 0.25])


def test_rounding_to_32_bits_never_leaves_the_unit_interval() -> None:
    above = np.float32(1) + np.finfo(np.float32).eps
    columns = {"truth": np.array([1.0, 0.0], np.float32), "squares": np.array([1 - 1e-7, above], np.float32)}
    network = Stored(columns=columns, to_parent={})
    losses = Brier()(network, network, Annotations(labels=np.zeros(2, dtype=np.int64)), {}).child
    assert losses.tolist() == [0.0, 1.0]


def test_several_draws_give_their_mean() -> None:
    columns = {"truth": np.array([[1.0, 0.0]]), "squares": np.array([[1.0, 1.0]])}
    network = Stored(columns=columns, to_parent={})
    assert Brier()(network, network, Annotations(labels=np.zeros(1, dtype=np.int64)), {}).child.tolist() == [0.5]
