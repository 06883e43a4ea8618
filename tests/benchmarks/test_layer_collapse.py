import sys
from importlib.util import module_from_spec, spec_from_file_location
from math import erfc, log10
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from pruners import Context, Pruner, prunable, remaining
from pruners.magnitude import Magnitude
from pruners.random import Random
from pruners.snip import SNIP
from pruners.synflow import SynFlow


@pytest.fixture(scope="module")
def collapse() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "layer_collapse.py"
    spec = spec_from_file_location("layer_collapse", path)
    module = module_from_spec(spec)
    sys.modules["layer_collapse"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["layer_collapse"]


@pytest.fixture(scope="module")
def network(collapse: ModuleType) -> nn.Module:
    return collapse.vgg16(0)


BLANK = Context(example=torch.zeros(1, 3, 32, 32))


def test_the_network_is_the_papers(network: nn.Module) -> None:
    weights = prunable(network)
    convolutions = 9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 2 * 256**2 + 256 * 512 + 5 * 512**2)
    assert remaining(network) == convolutions + 512 * 100
    assert len(weights) == 14
    for weight in weights.values():
        assert float(weight.detach().std()) == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.05)
    assert not any(parameter.any() for name, parameter in network.named_parameters() if name.endswith("bias"))
    shapes = []
    network.get_submodule("pool").register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))
    network(torch.zeros(1, 3, 32, 32))
    assert shapes == [(1, 512, 2, 2)]


@pytest.mark.parametrize(("method", "alphas"), [(Magnitude(), (2.25, 2.5)), (Random(), (2.5, 2.75))])
def test_collapse_where_the_paper_has_it(
    collapse: ModuleType, network: nn.Module, method: Pruner, alphas: tuple[float, float]
) -> None:
    before, after = collapse.curve(method, network, BLANK, alphas)
    assert before.classes > 0
    assert after.classes == 0


def test_magnitude_leaves_what_normal_weights_promise(collapse: ModuleType) -> None:
    # of a layer with standard deviation s a threshold t leaves the fraction erfc(t / (s sqrt(2)))
    network = collapse.vgg16(0, width=16)
    (point,) = collapse.curve(Magnitude(), network, BLANK, (1.5,))
    layers = [(weight.numel(), (2 / weight[0].numel()) ** 0.5) for weight in prunable(network).values()]
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        left = sum(count * erfc(middle / (s * 2**0.5)) for count, s in layers)
        low, high = (middle, high) if left > remaining(network) / 10**1.5 else (low, middle)
    # the layers with the most inputs: 147 456 weights, of which hundreds are left
    assert point.least == pytest.approx(min(erfc(low / (s * 2**0.5)) for _, s in layers), rel=0.15)
    assert point.classes == 100


def narrow(collapse: ModuleType) -> nn.Module:
    """The same 14 layers an eighth as wide."""
    return collapse.vgg16(0, classes=10, image_size=16, width=8)


def test_synflow_goes_on_where_others_have_collapsed(collapse: ModuleType) -> None:
    network = narrow(collapse)
    context = collapse.photographs(0, classes=10, image_size=16)
    # at most one weight a layer can be left at 10^4.2
    assert log10(remaining(network) / 14) == pytest.approx(4.2, abs=0.05)
    for method in (Magnitude(), Random(), SNIP(per_class=1, batch_statistics=False)):
        assert [point.classes for point in collapse.curve(method, network, context, (2.75, 3.0))] == [0, 0]
    half, most = collapse.curve(SynFlow(iterations=20), network, context, (2.75, 3.0))
    assert half.classes > 0
    assert most.classes > 0
    assert most.least > 0


def test_paths_by_hand(collapse: ModuleType) -> None:
    # input 1 feeds channel 0 (of a kernel, one place is enough), which feeds channel 2, which feeds class 1
    first = torch.zeros(2, 3, 3, 3, dtype=torch.bool)
    first[0, 1, 2, 0] = True
    second = torch.zeros(3, 2, 3, 3, dtype=torch.bool)
    second[2, 0, 1, 1] = True
    last = torch.tensor([[True, True, False], [False, False, True]])
    assert collapse.reached({"first": first, "second": second, "last": last}) == 1
    # no layer is empty, yet nothing goes through
    last = torch.tensor([[True, True, False], [False, True, False]])
    assert collapse.reached({"first": first, "second": second, "last": last}) == 0


def test_the_first_point_where_something_is_gone(collapse: ModuleType) -> None:
    points = [
        collapse.Point(alpha=1.0, least=0.5, classes=3),
        collapse.Point(alpha=1.25, least=0.1, classes=0),
        collapse.Point(alpha=1.5, least=0.0, classes=0),
    ]
    assert collapse.first(points, collapse.cut) == 1.25
    assert collapse.first(points, collapse.emptied) == 1.5
    assert collapse.first(points[:1], collapse.emptied) == float("inf")
    assert collapse.alphas([2.5, 2.5, 2.5]) == "2.5"
    assert collapse.alphas([2.5, 3.0, float("inf")]) == "3 (2.5, 3, never)"
