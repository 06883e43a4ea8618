import sys
from collections.abc import Iterator
from copy import deepcopy
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.utils.flop_counter import FlopCounterMode

from pruners.fisher import Fisher
from pruners.magnitude import Magnitude
from pruners.snip import SNIP


@pytest.fixture(scope="module")
def scoring() -> Iterator[ModuleType]:
    path = Path(__file__).parents[2] / "benchmarks" / "scoring.py"
    spec = spec_from_file_location("scoring", path)
    module = module_from_spec(spec)
    sys.modules["scoring"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["scoring"]


def tiny() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 10),
    ).eval()


def test_copies_are_watched_too(scoring: ModuleType) -> None:
    network, passes = tiny(), scoring.Passes()
    passes.watch(network)
    images = torch.zeros(5, 3, 32, 32)
    network(images[:2])
    assert (passes.forward, passes.backward) == (2, 0)
    deepcopy(network)(images).sum().backward()
    assert (passes.forward, passes.backward) == (7, 5)


def test_images_are_counted_inside_torch_func(scoring: ModuleType) -> None:
    network, passes = tiny(), scoring.Passes()
    passes.watch(network)

    def loss(weight: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return functional_call(network, {"0.weight": weight}, (image[None],)).sum()

    vmap(grad(loss), in_dims=(None, 0))(network[0].weight.detach(), torch.rand(6, 3, 32, 32))
    assert passes.forward == 6


def test_operations_are_those_that_torch_counts(scoring: ModuleType) -> None:
    network = tiny()
    with FlopCounterMode(display=False) as expected:
        scoring.unit(network)
    assert scoring.flops(lambda: scoring.unit(network)) == expected.get_total_flops()


def test_a_grouped_backward_pass_costs_twice_its_forward_pass(scoring: ModuleType) -> None:
    layer = nn.Conv2d(8, 12, 3, groups=4, bias=False)
    inputs = torch.rand(2, 8, 6, 6, requires_grad=True)
    # two images, 4 x 4 places, 12 filters of 2 x 3 x 3: a multiplication and an addition each
    once = 2 * 2 * 16 * 12 * 18
    assert scoring.flops(lambda: layer(inputs)) == once
    assert scoring.flops(lambda: layer(inputs).sum().backward()) == 3 * once


def test_what_is_measured(scoring: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BATCH", 16)
    snip = scoring.cost(tiny, SNIP(), 2)
    # beside the batch, one blank image tells how many classes there are
    assert (snip.forward, snip.backward) == (1 + 1 / 16, 1.0)
    assert snip.work == pytest.approx(1, abs=0.05)
    assert len(snip.seconds) == len(snip.units) == 2
    assert all(each > 0 for each in (*snip.seconds, *snip.units))
    magnitude = scoring.cost(tiny, Magnitude(), 1)
    assert (magnitude.forward, magnitude.backward, magnitude.work) == (0, 0, 0)
    # gradients by gates need none by weights
    fisher = scoring.cost(tiny, Fisher(), 1)
    assert fisher.backward == 1
    assert fisher.work < 1 < fisher.forward < 2


def test_every_method_is_found_and_settings_are_said(scoring: ModuleType) -> None:
    result = scoring.methods()
    assert {"magnitude", "synflow", "hydra"} <= set(result)
    assert set(scoring.SMALLER) <= set(result)
    assert scoring.settings("hydra", result["hydra"]) == f"{scoring.TRAINING} training steps"
    assert scoring.settings("synflow", result["synflow"]) == "iterations 10"
    assert result["synflow"].iterations == 10
    assert scoring.settings("snip", result["snip"]) == ""
    figures = scoring.Cost(forward=1.5, backward=1, work=1.25, seconds=(3, 1, 2), units=(0.9, 0.5, 0.7))
    line = scoring.row("snip", result["snip"], figures)
    assert line == "| snip | weights |  | 1.50 | 1.00 | 1.25 | 0.70 (0.50 to 0.90) | 2.00 |"
    assert line in scoring.table({"snip": (result["snip"], figures)})
