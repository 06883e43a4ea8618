"""Whether a parent is a standard: held against answers that take no network, by hand and by scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier, DummyRegressor
from torch import Tensor, nn

from evalsuite.data import Dataset, Examples, choose, load
from evalsuite.inputs.read import normalised_as_given
from evalsuite.inputs.standard import doubts, standard
from evalsuite.networks.architectures._initialisation import seeded
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.normalized import Normalized
from evalsuite.problems.segmentation import VOID, Segmentation
from evalsuite.problems.super_resolution import SuperResolution


class Oracle(nn.Module):
    """Knows the class that is written into the first pixel, as k / 9, after whatever stands before it."""

    def __init__(self, classes: int, order: Tensor | None = None) -> None:
        super().__init__()
        self.order = torch.arange(classes) if order is None else order
        self.classes = classes
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        number = (images[:, 0, 0, 0] * 9).round().long().clamp(0, self.classes - 1)
        return nn.functional.one_hot(self.order[number], self.classes).float() * self.scale


def written(labels: Tensor) -> Dataset:
    """Images that say their class in the first pixel."""
    images = torch.full((len(labels), 1, 2, 2), 0.5)
    images[:, 0, 0, 0] = labels / 9
    examples = Examples.from_labels(images, labels)
    classes = tuple("abcdefghij")
    return Dataset(name="w", classes=classes, shape=(1, 2, 2), train=None, test=examples, mean=(0.5,), std=(0.25,))


LABELS = torch.randint(0, 10, (400,), generator=torch.Generator().manual_seed(3))
DATA = written(LABELS)


def checkpoint(network: nn.Module, data: Dataset = DATA) -> Checkpoint:
    return normalised_as_given(network, None, data)


def test_the_majority_class_is_that_of_scikit_learn() -> None:
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((400, 1)), LABELS.numpy())
    result = standard(Oracle(10).eval(), DATA.test, DATA, confidence=0.95)
    assert result.trivial == f"always {DATA.classes[int(dummy.predict([[0]])[0])]!r}"
    assert result.trivial_loss == pytest.approx(1 - dummy.score(np.zeros((400, 1)), LABELS.numpy()))
    assert (result.loss, result.shown_better, result.n, result.not_finite) == (0.0, True, 400, 0)


def test_an_untrained_network_is_no_standard() -> None:
    digits = load("digits")
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    assert not standard(network, digits.test, digits, confidence=0.95).shown_better


def test_a_network_that_always_says_the_same_is_no_standard() -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.eye(10)[int(LABELS.bincount().argmax())].expand(len(images), 10)

    outcome = standard(Constant(), DATA.test, DATA, confidence=0.95)
    assert (outcome.shown_better, outcome.loss) == (False, outcome.trivial_loss)


def test_outputs_that_are_not_finite_are_wrong_whatever_their_class() -> None:
    class Broken(Oracle):
        def forward(self, images: Tensor) -> Tensor:
            right = super().forward(images)
            return right.where((images[:, 0, 0, 0] > 0.05)[:, None], torch.nan)  # the images of class a

    actual = standard(Broken(10), DATA.test, DATA, confidence=0.95)
    count = int((LABELS == 0).sum())  # NaN's largest is the first: such an image would count as right
    assert (actual.not_finite, actual.loss) == (count, pytest.approx(count / 400))


def test_a_median_is_what_a_regression_has_to_beat() -> None:
    data = load("diabetes")
    truths = data.test.truths(range(len(data.test))).numpy()
    dummy = DummyRegressor(strategy="median").fit(np.zeros((len(truths), 1)), truths)
    gap = np.abs(truths - dummy.predict(np.zeros((len(truths), 1))).reshape(truths.shape))
    computed = standard(nn.Sequential(nn.Flatten(), nn.Linear(10, 1)).eval(), data.test, data, confidence=0.95)
    assert computed.trivial == "always the median"
    assert computed.trivial_loss == pytest.approx(float(np.minimum(gap, 1).mean()), abs=1e-6)
    assert not computed.shown_better


def test_a_map_of_one_class_is_what_a_segmentation_has_to_beat() -> None:
    truths = torch.zeros(3, 4, 4, dtype=torch.int64)
    truths[:, 0] = 1
    truths[0, :, 0] = VOID
    guess = Segmentation().guess(truths, ("background", "thing"))
    assert guess.words == "'background' everywhere"
    outputs = guess.answer(torch.zeros(3, 3, 4, 4))
    assert outputs.argmax(1).unique().tolist() == [0]
    # of 16 pixels 12 are background: intersection over union 12/16 of one class, 0 of the other
    assert Segmentation().losses(outputs, truths)[1:].tolist() == pytest.approx([1 - 0.75 / 2] * 2)


def test_repeated_pixels_are_what_a_super_resolution_has_to_beat() -> None:
    images = torch.rand(2, 3, 4, 4)
    guess = SuperResolution(factor=2).guess(torch.zeros(0), ())
    assert torch.equal(guess.answer(images), images.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_a_forgotten_normalisation_is_found_by_trying() -> None:
    class Trained(Oracle):
        """Was trained on images that were normalised by the statistics of its data."""

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images * 0.25 + 0.5)

    (result,) = doubts(checkpoint(Trained(10).eval()), DATA.test, DATA, confidence=0.95)
    assert (result.topic, result.basis, result.option) == ("normalisation", "doubtful", "--normalise data")
    assert "0.0%" in result.value


def test_nothing_is_tried_of_a_network_that_says_how_it_is_normalised() -> None:
    assert doubts(checkpoint(Normalized(Oracle(10), (0.0,), (1.0,)).eval()), DATA.test, DATA, confidence=0.95) == ()


def test_another_order_of_the_classes_is_found_by_trying() -> None:
    order = torch.tensor([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    network = Normalized(Oracle(10, order), (0.0,), (1.0,)).eval()
    result = doubts(checkpoint(network), DATA.test, DATA, confidence=0.95)
    assert [(each.topic, each.basis) for each in result] == [("class order", "doubtful")]
    assert "0.0% instead of" in result[0].value


def test_a_network_at_chance_has_no_better_order() -> None:
    digits = load("digits")
    with seeded(1):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    few = choose(digits.test, 100, 0)
    result = doubts(checkpoint(network, digits), few, digits, confidence=0.95)
    assert [each for each in result if each.topic == "class order"] == []
