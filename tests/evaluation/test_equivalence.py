"""Two networks held against each other: by hand, by scipy, and where the verdict turns."""

from pathlib import Path

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from evalsuite.data import Examples
from evalsuite.errors import RefusedInputError
from evalsuite.evaluation.equivalence import ShippedFile, compare_outputs
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.normalized import Normalized
from evalsuite.problems.regression import Regression
from evalsuite.problems.segmentation import Segmentation

N = 300


class Pixels(nn.Module):
    """The first two pixels are the logits; what is added to the second."""

    def __init__(self, more):
        super().__init__()
        self.more = nn.Parameter(torch.tensor(more))

    def forward(self, images):
        logits = images.flatten(1)[:, :2]
        return torch.stack([logits[:, 0], logits[:, 1] + self.more], 1)


def wrapped(network):
    return Normalized(network, (0.0,), (1.0,)).eval()


@pytest.fixture
def examples():
    """The first logit runs from 0 to 1, the second is 1/2: class 0 in the upper half; the largest output is 1."""
    images = torch.zeros(N, 1, 1, 2)
    images[:, 0, 0, 0] = torch.linspace(0, 1, N)
    images[:, 0, 0, 1] = 0.5
    return Examples.from_labels(images, torch.zeros(N, dtype=torch.int64))


def held(examples, more):
    shipped = Checkpoint(
        network=wrapped(Pixels(more)), arch=None, class_count=2, shape=(1, 1, 2), file_digest="ab" * 32
    )
    return compare_outputs(
        wrapped(Pixels(0.0)),
        shipped.network,
        ShippedFile(id="app.pt", tested_as="small", path=Path("out/app.pt"), read=lambda: shipped),
        examples,
        sha256="ab" * 32,
        confidence=0.9,
        statistics=((0.5,), (0.5,)),
    )


def test_the_same_network(examples):
    result = held(examples, 0.0)
    assert (result.id, result.of, result.file, result.sha256) == (
        "app.pt",
        "small",
        "out/app.pt",
        "ab" * 32,
    )
    assert (result.verdict, result.n, result.disagreements, result.largest) == ("same outputs", N, 0, 0.0)
    assert result.low == 0
    assert result.high == pytest.approx(binomtest(0, N).proportion_ci(0.9, method="exact").high)


@pytest.mark.parametrize(("more", "verdict"), [(0.9e-4, "same outputs"), (1.1e-4, "same predictions")])
def test_rounding_is_a_ten_thousandth_of_the_largest_output(examples, more, verdict):
    outcome = held(examples, more)
    assert outcome.verdict == verdict
    assert outcome.tolerance == pytest.approx(1e-4)
    assert outcome.largest == pytest.approx(more, rel=1e-2)
    assert outcome.disagreements == 0


def test_other_predictions(examples):
    actual = held(examples, 0.1)
    # logits between 0.5 and 0.6 change sides: k / 299 for k = 150, ..., 179
    assert (actual.verdict, actual.disagreements, actual.share) == ("differs", 30, 0.1)
    exact = binomtest(30, N).proportion_ci(0.9, method="exact")
    assert (actual.low, actual.high) == (pytest.approx(exact.low), pytest.approx(exact.high))
    # one logit of two differs, by 0.1: the lower middle of all differences is 0
    assert (actual.largest, actual.median) == (pytest.approx(0.1), 0)


def test_outputs_that_are_no_numbers_are_refused(examples):
    with pytest.raises(RefusedInputError, match=r"NaN or infinity from out/app\.pt"):
        held(examples, float("nan"))


class Says(nn.Module):
    """The same outputs whatever it sees."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = nn.Parameter(outputs)

    def forward(self, images):
        return self.outputs[: len(images)]


def held_outputs(problem, targets, expected, result):
    examples = Examples.from_targets(problem, torch.zeros(len(targets), 1, 4, 4), targets)
    shipped = Checkpoint(
        network=wrapped(Says(result)), arch=None, class_count=2, shape=(1, 4, 4), file_digest="ab" * 32
    )
    return compare_outputs(
        wrapped(Says(expected)),
        shipped.network,
        ShippedFile(id="app.pt", tested_as="small", path=Path("out/app.pt"), read=lambda: shipped),
        examples,
        sha256="ab" * 32,
        confidence=0.9,
        statistics=((0.5,), (0.5,)),
    )


def test_a_map_differs_where_one_pixel_does():
    expected = torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    computed = expected.clone()
    computed[1] = computed[1].flip(0)
    computed[3, :, 0, 0] = computed[3, :, 0, 0].flip(0)
    message = held_outputs(Segmentation(), torch.zeros(5, 4, 4, dtype=torch.int64), expected, computed)
    assert (message.verdict, message.n, message.disagreements) == ("differs", 5, 2)


def test_a_network_whose_outputs_are_no_numbers_is_no_standard_for_its_file():
    numbers = torch.tensor([[10.0], [20.0]])
    with pytest.raises(RefusedInputError, match="NaN or infinity from small"):
        held_outputs(Regression(scale=(1.0,)), numbers, torch.tensor([[10.0], [torch.inf]]), numbers)


def test_numbers_differ_where_rounding_does_not_explain_it():
    expected = torch.tensor([[10.0], [20.0], [30.0], [40.0]])
    result = expected + torch.tensor([[0.0], [0.0039], [0.0041], [-1.0]])
    messages = held_outputs(Regression(scale=(1.0,)), expected, expected, result)
    assert messages.tolerance == pytest.approx(0.004)
    assert (messages.verdict, messages.disagreements) == ("differs", 2)
    same = held_outputs(Regression(scale=(1.0,)), expected, expected, expected + 0.001)
    assert (same.verdict, same.disagreements) == ("same outputs", 0)
