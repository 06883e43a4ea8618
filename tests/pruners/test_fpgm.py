from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context, coupled_channels
from pruners.fpgm import FPGM

Build = Callable[[str], nn.Module]
CONTEXT = Context(example=torch.zeros(1, 3, 8, 8))


def scored(network: nn.Module, context: Context = CONTEXT) -> dict[str, Tensor]:
    groups = coupled_channels(network, context.example)
    return {str(g): score for g, score in zip(groups, FPGM().score(network, groups, context), strict=True)}


def score_of(filters: Sequence[Sequence[float]]) -> list[float]:
    """Scores of the neurons of one hidden layer."""
    weights = torch.tensor(filters)
    network = nn.Sequential(nn.Linear(weights.shape[1], len(weights)), nn.ReLU(), nn.Linear(len(weights), 1))
    with torch.no_grad():
        network[0].weight.copy_(weights)
    (result,) = scored(network, Context(example=torch.zeros(1, weights.shape[1]))).values()
    return result.tolist()


def distances(weights: Tensor) -> Tensor:
    rows = weights.detach().double().flatten(1).numpy()
    return torch.from_numpy(np.asarray(cdist(rows, rows)).sum(1))


def test_signs_matter() -> None:
    # (1, 1) to (-1, -1): sqrt 8, to (1, -1): 2; (-1, -1) to (1, -1): 2
    assert score_of([[1, 1], [-1, -1], [1, -1]]) == pytest.approx([sqrt(8) + 2, sqrt(8) + 2, 4])
    # (1, 1), (-1, -1), (1, -1) and (2, 3): to the last sqrt 5, 5, sqrt 17
    outcome = score_of([[1, 1], [-1, -1], [1, -1], [2, 3]])
    assert outcome == pytest.approx([sqrt(8) + 2 + sqrt(5), sqrt(8) + 2 + 5, 4 + sqrt(17), sqrt(5) + 5 + sqrt(17)])


def test_what_stands_in_the_middle_goes_first() -> None:
    # of 1, 4, 5, 9, 12 the distances are 3 + 4 + 8 + 11, 3 + 1 + 5 + 8, ...: the median 5 goes, not the smallest
    filters = [1.0, 4, 5, 9, 12]
    assert score_of([[f] for f in filters]) == [26, 17, 16, 20, 29]
    network = nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor(filters)[:, None])
    for keep, left in ((8, [1, 4, 9, 12]), (6, [1, 9, 12])):
        pruned = FPGM()(network, keep=keep, context=Context(example=torch.zeros(1, 1)))
        assert pruned.get_parameter("0.weight").flatten().tolist() == left


@pytest.mark.parametrize(
    ("name", "layer", "group"), [("chain", "1", "1, 2"), ("vgg", "8", "8, 9"), ("dense", "transition", "transition")]
)
def test_same_distances_as_scipy(build: Build, name: str, layer: str, group: str) -> None:
    network = build(name)
    torch.testing.assert_close(scored(network)[group], distances(network.get_parameter(f"{layer}.weight")))


def test_layers_that_share_channels_have_one_long_filter(build: Build) -> None:
    network = build("projection")
    actual = next(score for name, score in scored(network).items() if "5.conv2" in name)
    names = ("5.conv2", "5.shortcut.0", "6.conv2")
    long = torch.cat([network.get_parameter(f"{name}.weight").flatten(1) for name in names], dim=1)
    torch.testing.assert_close(actual, distances(long))


def test_a_channel_of_a_grouped_convolution_is_a_filter_of_each_group(build: Build) -> None:
    network = build("grouped")
    weight = network.get_parameter("3.weight")
    long = torch.cat([weight[:6].flatten(1), weight[6:].flatten(1)], dim=1)
    torch.testing.assert_close(scored(network)["3, 4"], distances(long))


def test_depthwise_filters_belong_to_their_channel(build: Build) -> None:
    network = build("mobile")
    computed = next(score for name, score in scored(network).items() if name.startswith("0, 1"))
    names = ("0", "3", "6.up")
    long = torch.cat([network.get_parameter(f"{name}.weight").flatten(1) for name in names], dim=1)
    torch.testing.assert_close(computed, distances(long))


class Halves(nn.Module):
    """The channels of one convolution come partly from one and partly from another on the way besides."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Conv2d(3, 5, 1)
        self.left = nn.Conv2d(3, 2, 1)
        self.right = nn.Conv2d(3, 3, 3, padding=1)
        self.last = nn.Conv2d(5, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.both(x) + torch.cat([self.left(x), self.right(x)], dim=1))).mean((2, 3))


def test_layers_that_produce_some_of_the_channels_give_zeros_for_the_others() -> None:
    network = Halves()
    (result,) = scored(network).values()
    left, right = torch.zeros(5, 3), torch.zeros(5, 27)
    left[:2] = network.left.weight.detach().flatten(1)
    right[2:] = network.right.weight.detach().flatten(1)
    torch.testing.assert_close(
        result, distances(torch.cat([network.both.weight.detach().flatten(1), left, right], dim=1))
    )


def test_zero_filters_score_nothing_and_go_first(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("1.weight")[[2, 5]] = 0
    result = scored(network)["1, 2"]
    assert (result == 0).nonzero().flatten().tolist() == [2, 5]
    pruned = FPGM()(network, keep=remaining(network) // 2, context=CONTEXT)
    assert bool(prunable(pruned)["1.weight"].flatten(1).any(1).all())


def test_one_filter_and_equal_filters() -> None:
    assert score_of([[1.0, 2]]) == [0]
    assert score_of([[1.0, 2]] * 3) == [0, 0, 0]


def test_every_coupling(network: nn.Module, images: Tensor) -> None:
    pruned = FPGM()(network, keep=remaining(network) // 2, context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    assert pruned(images).shape[0] == len(images)


def test_nan_is_refused(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("1.weight")[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN in 1, 2"):
        FPGM()(network, keep=100, context=CONTEXT)
