import pytest
import torch
from torch import nn

import pruners
from pruners import prunable, prune, remaining
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude
from pruners.random import Random

EXAMPLE = torch.zeros(1, 6)


def test_the_ratio_is_that_of_all_prunable_weights() -> None:
    network = nn.Sequential(nn.Linear(6, 10), nn.Linear(10, 4))
    assert remaining(prune(network, Magnitude(), 0.9, example=EXAMPLE)) == 10
    half = prune(network, Magnitude(), 0.5, example=EXAMPLE)
    assert remaining(prune(half, Magnitude(), 0.9, example=EXAMPLE)) == 10
    assert remaining(prune(network, Magnitude(), 0, example=EXAMPLE)) == 100


def test_no_step_back() -> None:
    half = prune(nn.Linear(6, 10), Magnitude(), 0.5, example=EXAMPLE)
    with pytest.raises(ValueError, match="expected 1 <= keep <= 30, the prunable parameters left, got 42"):
        prune(half, Magnitude(), 0.3, example=EXAMPLE)


def test_the_seed_is_handed_on() -> None:
    network = nn.Linear(6, 10)
    masks = [
        prune(network, Random(), 0.5, example=EXAMPLE, seed=seed).get_parameter("weight") != 0 for seed in (0, 0, 1)
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_the_example_is_handed_on() -> None:
    network = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 4))
    assert prune(network, FilterNorm(), 0.5, example=EXAMPLE).get_parameter("0.weight").shape == (5, 6)


def test_the_public_names() -> None:
    public = {name for name in vars(pruners) if not name.startswith("_")}
    exported = {name for name in public if not isinstance(getattr(pruners, name), type(pruners))}
    assert exported == {
        "Context",
        "Pruner",
        "Step",
        "apply_masks",
        "cascade",
        "hold_zeros",
        "keep_for",
        "keep_global",
        "lost_in_pruning",
        "prunable",
        "prune",
        "Train",
        "Scores",
        "ChannelPruner",
        "sgd",
        "WeightPruner",
        "Hook",
        "remaining",
    }


def test_a_method_of_ones_own_takes_a_few_lines() -> None:
    class LargestLast(pruners.Pruner):
        structure = "weights"

        def __call__(self, network: nn.Module, *, keep: int, context: pruners.Context) -> nn.Module:
            weights = prunable(network)
            alive = {name: weight != 0 for name, weight in weights.items()}
            scores = {name: -weight.abs() for name, weight in weights.items()}
            return pruners.apply_masks(network, pruners.keep_global(scores, keep, alive))

    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[3.0, -1.0, 2.0]]))
    assert prune(layer, LargestLast(), 2 / 3, example=torch.zeros(1, 3)).get_parameter("weight").tolist() == [
        [0, -1, 0]
    ]
