import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from evalsuite.networks.architectures.by_name import build as architecture
from evalsuite.networks.costs.cost import cost
from neuralnets.weights import prunable
from pruners._positions import positions

Build = Callable[[str], nn.Module]
NAMES = ("chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "decoder", "transformer", "mixed")


def multiplications(network: nn.Module, shape: tuple[int, int, int]) -> int:
    places = positions(network, torch.zeros(1, *shape))
    return sum(places[name] * weight.numel() for name, weight in prunable(network).items())


def test_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),  # 8 x 8 -> 4 x 4
        nn.Conv2d(4, 4, 2, groups=4),  # -> 3 x 3
        nn.ConvTranspose2d(4, 2, 2, stride=2),  # 3 x 3 places in, each with every weight
        nn.Flatten(),
        nn.Linear(72, 5),
    )
    result = positions(network, torch.zeros(1, 3, 8, 8))
    assert result == {"0.weight": 16, "1.weight": 9, "2.weight": 9, "4.weight": 1}


def test_linear_layers_count_tokens(build: Build) -> None:
    outcome = positions(build("transformer"), torch.zeros(1, 3, 8, 8))
    # 2 x 2 patches and a class token
    assert outcome["patches.weight"] == 4
    assert outcome["layers.0.attention.in_proj_weight"] == 5
    assert outcome["layers.0.attention.out_proj.weight"] == 5
    assert outcome["layers.1.fc1.weight"] == 5
    assert outcome["head.weight"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_judge_counts_the_same(build: Build, name: str) -> None:
    network = build(name)
    counted = cost(network, (3, 8, 8))
    assert counted.dense_flops > 0
    assert multiplications(network, (3, 8, 8)) == counted.dense_flops


@pytest.mark.parametrize("arch", ["lenet5", "resnet8", "resnet20"])
def test_the_judge_counts_the_same_of_known_networks(arch: str) -> None:
    network = architecture(arch, classes=10, channels=3, image_size=32)
    assert multiplications(network, (3, 32, 32)) == cost(network, (3, 32, 32)).dense_flops


def test_a_layer_that_runs_twice_counts_twice() -> None:
    layer = nn.Linear(4, 4)
    assert positions(nn.Sequential(layer, layer), torch.zeros(1, 4)) == {"0.weight": 2}
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    assert positions(tied, torch.zeros(1, 4)) == {"0.weight": 2}


def test_a_layer_that_never_runs_counts_nothing() -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    assert positions(Spare(), torch.zeros(1, 2)) == {"used.weight": 1, "spare.weight": 0}


@pytest.mark.parametrize("training", [False, True])
def test_the_network_is_left_as_it_was(build: Build, training: bool) -> None:
    network = build("chain").train(training)
    before = copy.deepcopy(network.state_dict())
    positions(network, torch.zeros(1, 3, 8, 8))
    assert network.training is training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_half_precision() -> None:
    assert positions(nn.Conv2d(3, 4, 3).bfloat16(), torch.zeros(1, 3, 8, 8)) == {"weight": 36}
