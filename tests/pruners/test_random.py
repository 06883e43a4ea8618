import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from neuralnets.weights import prunable
from pruners import Context
from pruners.random import Random

EXAMPLE = torch.zeros(1, 4)


def layers() -> dict[str, nn.Module]:
    return {name: nn.Linear(20, width) for name, width in (("a", 30), ("b", 10), ("c", 5))}


def masks(network: nn.Module, keep: int, *, seed: int = 0, pruner: Random | None = None) -> dict[str, torch.Tensor]:
    pruned = (pruner or Random())(network, keep=keep, context=Context(example=EXAMPLE, seed=seed))
    return {name: weight.detach() != 0 for name, weight in prunable(pruned).items()}


def test_the_seed_decides() -> None:
    network = nn.ModuleDict(layers())
    one, again, other = masks(network, 300), masks(network, 300), masks(network, 300, seed=1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_values_do_not_matter() -> None:
    one, other = masks(nn.ModuleDict(layers()), 300), masks(nn.ModuleDict(layers()), 300)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_order_of_modules_does_not_matter() -> None:
    parts = layers()
    one = masks(nn.ModuleDict(parts), 300)
    other = masks(nn.ModuleDict(dict(reversed(parts.items()))), 300)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("scope", ["global", "uniform"])
def test_survivors_are_nested(scope: str) -> None:
    pruner = Random(allocation="global" if scope == "global" else "uniform")
    network = nn.ModuleDict(layers())
    steps = [masks(network, keep, pruner=pruner) for keep in (900, 450, 60, 3, 1)]
    for many, few in pairwise(steps):
        assert not any(bool((few[name] & ~many[name]).any()) for name in many)


def test_pruning_twice_is_pruning_once() -> None:
    network = nn.ModuleDict(layers())
    context = Context(example=EXAMPLE, seed=5)
    once = Random()(network, keep=100, context=context)
    twice = Random()(Random()(network, keep=500, context=context), keep=100, context=context)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))


def test_layers_get_their_share_in_the_mean() -> None:
    # survivors of a layer are hypergeometric with N = 900, n = 450, K = 600: mean 300, variance
    # n K/N (1 - K/N) (N - n)/(N - 1) = 450 * 2/3 * 1/3 * 450/899 = 50.06
    network = nn.ModuleDict(layers())
    counts = [int(masks(network, 450, seed=seed)["a.weight"].sum()) for seed in range(40)]
    assert abs(sum(counts) / 40 - 300) < 4 * math.sqrt(50.06 / 40)
    assert 25 < torch.tensor(counts, dtype=torch.float64).var() < 100


def test_layerwise_shares_are_exact() -> None:
    result = masks(nn.ModuleDict(layers()), 90, pruner=Random(allocation="uniform"))
    assert [int(mask.sum()) for mask in result.values()] == [60, 20, 10]
