import pytest
import torch
from torch import nn

import pruners
from evalsuite.parts.registry import find, names
from pruners import Pruner, prune, remaining
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
    contracts = {"Context", "Pruner", "WeightPruner", "ChannelPruner", "Scores", "Hook", "Train"}
    making = {"prune", "cascade", "Step", "keep_for", "hold_zeros", "sgd", "adapted", "merged"}
    writing = {"prunable", "remaining", "unused_weights", "coupled_channels", "keep_global", "apply_masks"}
    comparing = {"shuffled", "same_ratios_random", "reinitialised", "width_reduced", "copycat"}
    grids = {"lost_in_pruning", "lottery"}
    methods = {find("pruners", name, Pruner).__name__ for name in names("pruners")}
    assert exported == set(pruners.__all__) == contracts | making | writing | comparing | grids | methods
