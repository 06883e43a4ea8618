from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners import coupled_channels
from pruners._channel_allocation import ChannelAllocation, allocate_channels, channel_costs
from pruners._channels import remove_channels

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
EXAMPLE = torch.zeros(1, 3, 8, 8)


def perceptron(*widths: int) -> nn.Sequential:
    layers = [nn.Linear(before, after) for before, after in pairwise(widths)]
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])


def allocated(
    scores: Sequence[Sequence[float]],
    keep: int,
    *widths: int,
    allocation: ChannelAllocation = "global",
    comparable: bool = True,
    at_least: int = 1,
) -> list[list[int]]:
    """The channels that stay of each hidden layer of a perceptron."""
    network, example = perceptron(*widths), torch.zeros(1, widths[0])
    stays = allocate_channels(
        allocation,
        [torch.tensor(score) for score in scores],
        keep,
        coupled_channels(network, example),
        network,
        example,
        comparable=comparable,
        at_least=at_least,
    )
    return [flags.nonzero().flatten().tolist() for flags in stays.values()]


def test_comparable_scores_share_one_scale() -> None:
    # 1-3-3-1: a x a' hidden channels leave a + a a' + a'; 3 x 1 = 7, 2 x 1 = 5, 1 x 1 = 3
    scores = [[8.0, 9, 7], [1, 3, 2]]
    assert allocated(scores, 7, 1, 3, 3, 1) == [[0, 1, 2], [1]]
    assert allocated(scores, 5, 1, 3, 3, 1) == [[0, 1], [1]]
    assert allocated(scores, 1, 1, 3, 3, 1) == [[1], [1]]
    # 3 x 2 = 11: between 7 and 11 the nearer, and halfway the larger
    assert allocated(scores, 8, 1, 3, 3, 1) == [[0, 1, 2], [1]]
    assert allocated(scores, 9, 1, 3, 3, 1) == [[0, 1, 2], [1, 2]]


def test_scores_without_a_scale_are_divided_by_the_mean_of_their_group() -> None:
    # (8, 9, 7) / 8 = (1, 1.13, 0.88) and (1, 3, 2) / 2 = (0.5, 1.5, 1): worst first 1/0, 0/2, then a tie of 0/0 and
    # 1/2, of which the later goes first
    scores = [[8.0, 9, 7], [1, 3, 2]]
    assert allocated(scores, 11, 1, 3, 3, 1, comparable=False) == [[0, 1, 2], [1, 2]]
    assert allocated(scores, 8, 1, 3, 3, 1, comparable=False) == [[0, 1], [1, 2]]
    assert allocated(scores, 5, 1, 3, 3, 1, comparable=False) == [[0, 1], [1]]


def test_uniform_asks_only_for_the_order_within_a_group() -> None:
    scores = [[8.0, 9, 7, 6], [-1.0, -3, 2, 1]]
    # 1-4-4-1: 4 + 16 + 4 = 24, half the channels of each: 2 + 4 + 2 = 8
    assert allocated(scores, 8, 1, 4, 4, 1, allocation="uniform") == [[0, 1], [2, 3]]
    shifted = [[score / 1000 for score in scores[0]], [score + 1e6 for score in scores[1]]]
    assert allocated(shifted, 8, 1, 4, 4, 1, allocation="uniform") == [[0, 1], [2, 3]]


@pytest.mark.parametrize("allocation", ["uniform", "global", "flops"])
def test_every_group_keeps_a_floor(allocation: ChannelAllocation) -> None:
    scores = [[100.0, 300, 200, 400], [1, 3], [2, 1, 4]]
    assert allocated(scores, 1, 2, 4, 2, 3, 1, allocation=allocation) == [[3], [1], [2]]
    assert allocated(scores, 1, 2, 4, 2, 3, 1, allocation=allocation, at_least=2) == [[1, 3], [0, 1], [0, 2]]
    # a group that is smaller than the floor keeps all
    assert allocated(scores, 1, 2, 4, 2, 3, 1, allocation=allocation, at_least=3) == [[1, 2, 3], [0, 1], [0, 1, 2]]


def test_infinite_scores_do_not_break_the_floor() -> None:
    scores = [[torch.inf] * 3, [1.0, 3, 2]]
    assert allocated(scores, 1, 1, 3, 3, 1) == [[0], [1]]
    assert allocated(scores, 7, 1, 3, 3, 1) == [[0, 1, 2], [1]]
    assert allocated([[-torch.inf, 1.0, -torch.inf], [1.0, 3, 2]], 5, 1, 3, 3, 1) == [[1], [1, 2]]


def test_equal_scores_go_from_behind() -> None:
    assert allocated([[1.0] * 3, [1.0] * 3], 7, 1, 3, 3, 1) == [[0, 1, 2], [0]]
    assert allocated([[0.0] * 3, [0.0] * 3], 7, 1, 3, 3, 1, comparable=False) == [[0, 1, 2], [0]]


@pytest.mark.parametrize("allocation", ["uniform", "global", "flops"])
@pytest.mark.parametrize("ratio", [0.1, 0.6])
def test_nothing_is_nearer_than_one_channel(
    network: nn.Module, images: Tensor, allocation: ChannelAllocation, ratio: float
) -> None:
    groups, keep = coupled_channels(network, images[:1]), round(ratio * remaining(network))
    generator = torch.Generator().manual_seed(5)
    scores = [torch.rand(group.size, generator=generator) for group in groups]
    stays = allocate_channels(allocation, scores, keep, groups, network, images[:1], comparable=True)
    assert all(bool(flags.any()) for flags in stays.values())
    left = remaining(remove_channels(network, stays))
    largest = max(
        remaining(network) - remaining(remove_channels(network, {group: torch.arange(group.size) > 0}))
        for group in groups
        if group.size > 1
    )
    least = remaining(remove_channels(network, {group: torch.arange(group.size) < 1 for group in groups}))
    assert left - keep <= max(largest, least - keep)
    assert keep - left <= largest


def test_costs_of_convolutions_by_hand(build: Build) -> None:
    # "chain": 3 -> 8 -> 12 channels with 3 x 3 filters at 8 x 8 positions, then means into 12 -> 4
    network = build("chain")
    costs = channel_costs(network, coupled_channels(network, EXAMPLE), EXAMPLE)
    assert costs[0].tolist() == [64 * 9 * (3 + 12)] * 8
    assert costs[1].tolist() == [64 * 9 * 8 + 4] * 12


def test_costs_of_flattened_channels_by_hand(build: Build) -> None:
    # "vgg": 3 -> 6 at 8 x 8, 6 -> 5 at 4 x 4, each of the 5 is 16 inputs of 80 -> 9 -> 4
    network = build("vgg")
    costs = channel_costs(network, coupled_channels(network, EXAMPLE), EXAMPLE)
    assert [set(cost.tolist()) for cost in costs] == [
        {64 * 9 * 3 + 16 * 9 * 5},
        {16 * 9 * 6 + 16 * 9},
        {80 + 4},
    ]


def test_costs_of_grouped_convolutions_by_hand(build: Build) -> None:
    # "grouped": 3 -> 8 by 1 x 1, then 8 -> 12 by 3 x 3 in two groups of 4 -> 6, then 12 -> 5 by 1 x 1, at 8 x 8;
    # one channel is one of each group: 2 filters of 3 and 12 rows of 9 weights; 2 filters of 4 * 9 and 2 * 5 readers
    network = build("grouped")
    costs = channel_costs(network, coupled_channels(network, EXAMPLE), EXAMPLE)
    assert costs[0].tolist() == [64 * (2 * 3 + 12 * 9)] * 4
    assert costs[1].tolist() == [64 * (2 * 4 * 9 + 2 * 5)] * 6


class Residual(nn.Module):
    """A convolution that puts out the channels it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((x + self.body(x)).mean((2, 3)))


def operations(network: nn.Module) -> int:
    """Multiplications per image, counted layer by layer in a forward pass."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.ConvTranspose2d):
            total += inputs[0][0, 0].numel() * layer.weight.numel()
        elif isinstance(layer, nn.Conv2d):
            total += output[0, 0].numel() * layer.weight.numel()
        elif isinstance(layer, nn.Linear):
            total += output[0].numel() // output.shape[-1] * layer.weight.numel()

    handles = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network(EXAMPLE)
    for handle in handles:
        handle.remove()
    return total


def test_costs_where_a_layer_puts_out_what_it_reads() -> None:
    # 64 positions: 3 in the stem, a row and a column of 4 with one filter in common, and 2 readers
    network = Residual()
    (cost,) = channel_costs(network, coupled_channels(network, EXAMPLE), EXAMPLE)
    assert cost.tolist() == [64 * 3 + 64 * 9 * (4 + 4 - 1) + 2] * 4


def test_costs_are_what_removal_saves(network: nn.Module) -> None:
    groups = coupled_channels(network, EXAMPLE)
    before = operations(network)
    for group, cost in zip(groups, channel_costs(network, groups, EXAMPLE), strict=True):
        for channel in {0, group.size - 1} if group.size > 1 else set():
            smaller = remove_channels(network, {group: torch.arange(group.size) != channel})
            assert cost[channel] == before - operations(smaller)


def test_flops_weigh_scores_by_what_they_save(build: Build) -> None:
    # equal scores: a channel of the first layer of "vgg" costs 2448, of the second 1008, of the third 84
    network = build("vgg")
    groups = coupled_channels(network, EXAMPLE)
    scores = [torch.ones(group.size) for group in groups]
    counts = []
    for keep in (1600, 1300, 700, 420, 300):
        stays = allocate_channels("flops", scores, keep, groups, network, EXAMPLE, comparable=True)
        counts.append([int(flags.sum()) for flags in stays.values()])
    assert sorted(counts, reverse=True) == counts
    for first, second, third in counts:
        assert first == 1 or second == 5
        assert second == 1 or third == 9


@pytest.mark.parametrize("allocation", ["uniform", "global", "flops"])
def test_scores_that_say_nothing_are_refused(allocation: ChannelAllocation) -> None:
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN in 2"):
        allocated([[1.0, 2], [1.0, torch.nan]], 3, 1, 2, 2, 1, allocation=allocation)


@pytest.mark.parametrize("bad", [-1.0, torch.inf])
def test_shares_of_negative_or_infinite_scores_are_refused(bad: float) -> None:
    scores = [[1.0, 2], [bad, 1.0]]
    with pytest.raises(ValueError, match="expected finite scores >= 0 to share a budget out by, got others in 2"):
        allocated(scores, 3, 1, 2, 2, 1, allocation="flops")
    with pytest.raises(ValueError, match="expected finite scores >= 0 to share a budget out by, got others in 2"):
        allocated(scores, 3, 1, 2, 2, 1, comparable=False)
    assert allocated(scores, 3, 1, 2, 2, 1) == [[1], [int(bad < 0)]]
