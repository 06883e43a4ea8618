"""What stands before a network, and who says so."""

import pytest
import torch
from torch import nn

from evalsuite.errors import UsageError
from evalsuite.networks.checkpoints.normalisation import TOPIC, as_parent, in_front, statistics_for
from evalsuite.networks.normalized import Normalized

DATA = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


@pytest.mark.parametrize(
    ("rule", "mean", "std"),
    [
        ("none", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ("data", *DATA),
        ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("0.5/0.25", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        ("0.1,0.2,0.3/0.4,0.5,0.6", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        ("0/0.003921569", (0.0, 0.0, 0.0), (0.003921569,) * 3),  # networks that take 0 ... 255
    ],
)
def test_rules(rule: str, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    assert statistics_for(rule, DATA, 3) == (mean, std)


def test_colour_statistics_of_a_grey_network_are_their_mean() -> None:
    mean, std = statistics_for("imagenet", ((0.5,), (0.2,)), 1)
    assert mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert std == pytest.approx(((0.229 + 0.224 + 0.225) / 3,))


@pytest.mark.parametrize(
    "rule", ["", "zscore", "0.5", "0.5/", "a/b", "0.1,0.2/0.3,0.4", "nan/1", "0.5/0", "0.5/-1", "-0.5/1"]
)
def test_other_rules_are_refused_with_those_that_are_accepted(rule: str) -> None:
    with pytest.raises(UsageError, match="--normalise: expected"):
        statistics_for(rule, DATA, 3)


def test_units_of_255_are_told_in_units_of_1() -> None:
    with pytest.raises(UsageError, match=r"0\.4857,0\.4561,0\.4061/0\.229,0\.2241,0\.2251"):
        statistics_for("123.85,116.3,103.55/58.395,57.15,57.4", DATA, 3)


def test_without_a_word_nothing_is_applied_and_that_is_an_assumption() -> None:
    network, reading = in_front(nn.Flatten(), None, DATA, 3)
    assert network.mean.tolist() == [0.0] * 3
    assert (reading.topic, reading.basis) == (TOPIC, "assumed")
    assert reading.option.startswith("--normalise")


def test_what_the_user_says_is_applied_and_computed() -> None:
    network, reading = in_front(nn.Flatten(), "0.5/0.25", DATA, 3)
    images = torch.rand(2, 3, 2, 2)
    assert torch.allclose(network(images), ((images - 0.5) / 0.25).flatten(1))
    assert reading.basis == "given"


def test_a_network_that_says_how_it_is_normalised_is_not_contradicted() -> None:
    normalized = Normalized(nn.Flatten(), *DATA)
    network, reading = in_front(normalized, "data", DATA, 3)
    assert (network is normalized, reading.basis) == (True, "recorded")
    with pytest.raises(UsageError, match="leave the option out"):
        in_front(normalized, "imagenet", DATA, 3)


def test_a_candidate_of_which_nothing_is_said_is_told_to_be_read_as_its_parent() -> None:
    _, reading = in_front(nn.Flatten(), None, DATA, 3)
    assert "as the parent" in as_parent(reading).reason
    assert as_parent(reading).basis == "assumed"
