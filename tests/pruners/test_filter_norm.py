from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as reference

from neuralnets.weights import prunable, remaining
from pruners import Context, coupled_channels
from pruners._channels import remove_channels
from pruners.filter_norm import FilterNorm

Build = Callable[[str], nn.Module]
CONTEXT = Context(example=torch.zeros(1, 3, 8, 8))


def widths(network: nn.Module) -> list[int]:
    return [len(weight) for weight in prunable(network).values()]


def plain() -> nn.Sequential:
    """One group of four filters on one input, read by a layer of two: 4 * 1 + 2 * 4 = 12 weights."""
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([-3.0, 1.0, 2.0, -4.0]).view(4, 1, 1, 1))
        network[3].weight.fill_(0.5)
    return network


PIXEL = Context(example=torch.zeros(1, 1, 1, 1))


@pytest.mark.parametrize(
    # each channel takes 1 + 2 weights with it; halfway the larger network wins
    ("keep", "filters"),
    [(12, [-3, 1, 2, -4]), (10, [-3, 2, -4]), (9, [-3, 2, -4]), (8, [-3, 2, -4]), (7, [-3, -4]), (4, [-4]), (1, [-4])],
)
def test_by_hand(keep: int, filters: list[float]) -> None:
    pruned = FilterNorm()(plain(), keep=keep, context=PIXEL)
    assert pruned.get_parameter("0.weight").flatten().tolist() == filters
    assert pruned.get_parameter("3.weight").shape == (2, len(filters))


def test_the_order_of_the_norm_matters() -> None:
    # |(3, 3)|_1 = 6 > |(5, 0)|_1 = 5, but |(3, 3)|_2 = 4.2 < 5
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[3.0, 3.0], [5.0, 0.1]]))
    context = Context(example=torch.zeros(1, 2))
    result = [FilterNorm(p=p)(network, keep=3, context=context).get_parameter("0.weight").tolist() for p in (1, 2)]
    assert result[0] == [[3, 3]]
    assert result[1] == [pytest.approx([5, 0.1])]


@pytest.mark.parametrize("p", [1, 2])
def test_same_filters_as_torch(build: Build, p: int) -> None:
    network = build("chain")
    pruned = FilterNorm(p=p)(network, keep=remaining(network) // 2, context=CONTEXT)
    for name in ("1", "4"):
        layer = deepcopy(network.get_submodule(name))
        removed = layer.out_channels - pruned.get_submodule(name).out_channels
        assert removed > 0
        reference.ln_structured(layer, "weight", amount=removed, n=p, dim=0)
        stays = layer.weight_mask.flatten(1).any(1)
        assert torch.equal(pruned.get_parameter(f"{name}.bias"), network.get_parameter(f"{name}.bias")[stays])


def test_the_same_fraction_everywhere(build: Build) -> None:
    network = build("projection")
    groups = coupled_channels(network, CONTEXT.example)
    for ratio in (0.2, 0.5, 0.8, 0.95):
        pruned = FilterNorm()(network, keep=round((1 - ratio) * remaining(network)), context=CONTEXT)
        again = coupled_channels(pruned, CONTEXT.example)
        # some fraction f rounds to these numbers, up to the one channel by which the last group is ahead
        kept, sizes = [g.size for g in again], [g.size for g in groups]
        low = max((k - 1.5) / n for k, n in zip(kept, sizes, strict=True) if k > 1)
        high = min((k + 0.5) / n for k, n in zip(kept, sizes, strict=True))
        assert low <= high


def test_nothing_nearer_by_one_channel(network: nn.Module) -> None:
    total = remaining(network)
    for ratio in (0.3, 0.9):
        keep = round((1 - ratio) * total)
        pruned = FilterNorm()(network, keep=keep, context=CONTEXT)
        groups = coupled_channels(pruned, CONTEXT.example)
        gap = remaining(pruned) - keep
        # with one channel less in any group that has one to spare, it is not nearer by more than that channel's weights
        costs = [
            remaining(pruned) - remaining(remove_channels(pruned, {g: torch.arange(g.size) > 0}))
            for g in groups
            if g.size > 1
        ]
        assert gap <= max(costs, default=gap)


def test_repeated_pruning_works_on_what_is_left(network: nn.Module, images: Tensor) -> None:
    current = network
    for _ in range(2):
        left = remaining(current)
        current = FilterNorm()(current, keep=round(0.88 * left), context=CONTEXT)
        assert remaining(current) < left
        assert current(images).shape == network(images).shape


def test_everything_at_one_channel_is_the_end(build: Build) -> None:
    network = build("chain")
    smallest = FilterNorm()(network, keep=1, context=CONTEXT)
    # 3 * 1 * 9 + 1 * 1 * 9 + 1 * 4
    assert remaining(smallest) == 40
    assert remaining(FilterNorm()(smallest, keep=1, context=CONTEXT)) == 40


def test_masked_filters_go_first(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("1.weight")[[2, 5]] = 0
    pruned = FilterNorm()(network, keep=remaining(network) // 2, context=CONTEXT)
    filters = pruned.get_parameter("1.weight")
    assert 1 < len(filters) <= 6
    assert filters.flatten(1).any(1).all()


def test_global_allocation_compares_relative_norms() -> None:
    # relative norms: (0.1, 0.9, 1, 2) * 4/4 and (1, 1, 1, 1): the 0.1 goes first, then the 0.9
    network = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[10.0], [90.0], [100.0], [200.0]]))
        network[2].weight.fill_(0.25)
    context = Context(example=torch.zeros(1, 1))
    pruner = FilterNorm(allocation="global")
    # 4 + 16 + 4 = 24; without a channel of the first layer 5 fewer
    assert widths(pruner(network, keep=19, context=context)) == [3, 4, 1]
    pruned = pruner(network, keep=14, context=context)
    assert widths(pruned) == [2, 4, 1]
    assert pruned.get_parameter("0.weight").flatten().tolist() == [100, 200]
    # uniform takes the second channel from the second layer: 3 + 9 + 3
    assert widths(FilterNorm()(network, keep=15, context=context)) == [3, 3, 1]
    assert min(widths(pruner(network, keep=1, context=context))) == 1


@pytest.mark.parametrize("p", [0.5, 0, float("nan")])
def test_only_norms(p: float) -> None:
    with pytest.raises(ValueError, match=f"expected p >= 1, got {p}"):
        FilterNorm(p=p)


def test_nan_is_refused(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("1.weight")[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN in 1, 2"):
        FilterNorm()(network, keep=100, context=CONTEXT)


def test_no_channels_to_remove() -> None:
    with pytest.raises(ValueError, match="expected a network with channels that can be removed"):
        FilterNorm()(nn.Linear(3, 2), keep=3, context=Context(example=torch.zeros(1, 3)))
