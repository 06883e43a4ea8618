import sys
from collections.abc import Iterator
from importlib import import_module
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

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def collapse() -> Iterator[ModuleType]:
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    yield import_module("layer_collapse")
    sys.path.remove(folder)
    del sys.modules["layer_collapse"], sys.modules["layer_collapse_page"]


@pytest.fixture(scope="module")
def page(collapse: ModuleType) -> ModuleType:
    return sys.modules["layer_collapse_page"]


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
    before, after = collapse.curve(method, network, BLANK, alphas).points
    assert before.classes > 0
    assert after.classes == 0


def test_magnitude_leaves_what_normal_weights_promise(collapse: ModuleType) -> None:
    # of a layer with standard deviation s a threshold t leaves the fraction erfc(t / (s sqrt(2)))
    network = collapse.vgg16(0, width=16)
    (point,) = collapse.curve(Magnitude(), network, BLANK, (1.5,)).points
    layers = [(weight.numel(), (2 / weight[0].numel()) ** 0.5) for weight in prunable(network).values()]
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        left = sum(count * erfc(middle / (s * 2**0.5)) for count, s in layers)
        low, high = (middle, high) if left > remaining(network) / 10**1.5 else (low, middle)
    # the layers with the most inputs: 147 456 weights, of which hundreds are left
    assert point.least == pytest.approx(min(erfc(low / (s * 2**0.5)) for _, s in layers), rel=0.15)
    assert point.classes == 100


def test_magnitude_leaves_what_the_authors_files_have_left(network: nn.Module) -> None:
    # their three runs at alpha = 2, weights of each layer
    published = torch.tensor(
        [
            [1400, 9071, 18233, 14971, 29495, 12106, 11979, 24044, 2454, 2444, 2448, 2492, 2415, 14065],
            [1378, 9194, 18261, 14980, 29806, 11926, 11987, 23733, 2426, 2420, 2381, 2516, 2547, 14062],
            [1371, 9081, 18193, 14975, 29543, 12239, 12015, 24040, 2386, 2496, 2402, 2447, 2456, 13973],
        ]
    ).double()
    pruned = Magnitude()(network, keep=int(published[0].sum()), context=BLANK)
    result = torch.tensor([int(weight.count_nonzero()) for weight in prunable(pruned).values()])
    mean = published.mean(0)
    # numbers of rare events vary by their square root; four standard deviations of ours and of a mean of three
    assert bool(((result - mean).abs() < 4 * (mean * 4 / 3).sqrt()).all())


def test_the_hundredth_at_which_nothing_is_left(collapse: ModuleType) -> None:
    network = narrow(collapse)
    context = collapse.photographs(0, classes=10, image_size=16)
    run = collapse.curve(Magnitude(), network, context, (1.5, 1.75, 2.0, 2.25, 2.5))
    assert [point.classes > 0 for point in run.points].count(False) > 0
    last, at = collapse.curve(Magnitude(), network, context, (run.cut - 0.01, run.cut)).points
    assert last.classes > 0
    assert at.classes == 0
    assert run.cut <= collapse.first(run.points, collapse.cut) < run.cut + 0.25
    # what is scored again and again has none
    assert collapse.curve(SynFlow(iterations=1), network, context, (1.0,)).cut is None


def test_reversed_keeps_what_goes_first(collapse: ModuleType) -> None:
    network = nn.Linear(3, 1)
    network.weight.data = torch.tensor([[3.0, -1.0, 2.0]])
    pruned = collapse.Reversed(method=Magnitude())(network, keep=1, context=Context(example=torch.zeros(1, 3)))
    assert pruned.weight.tolist() == [[0, -1, 0]]


def test_examples_have_every_class_equally_often(collapse: ModuleType) -> None:
    for look in (collapse.photographs, collapse.noise):
        context = look(3, per_class=2, classes=5, image_size=16)
        ((images, labels),) = context.batches()
        assert images.shape == (10, 3, 16, 16)
        assert labels.bincount().tolist() == [2] * 5
        assert context.seed == 3
        assert float(images.mean()) == pytest.approx(0, abs=0.1)
        assert float(images.std()) == pytest.approx(1, abs=0.1)


def narrow(collapse: ModuleType) -> nn.Module:
    """The same 14 layers an eighth as wide."""
    return collapse.vgg16(0, classes=10, image_size=16, width=8)


def test_synflow_goes_on_where_others_have_collapsed(collapse: ModuleType) -> None:
    network = narrow(collapse)
    context = collapse.photographs(0, classes=10, image_size=16)
    # at most one weight a layer can be left at 10^4.2
    assert log10(remaining(network) / 14) == pytest.approx(4.2, abs=0.05)
    for method in (Magnitude(), Random(), SNIP(per_class=1, batch_statistics=False)):
        assert [point.classes for point in collapse.curve(method, network, context, (2.75, 3.0)).points] == [0, 0]
    half, most = collapse.curve(SynFlow(iterations=20), network, context, (2.75, 3.0)).points
    assert half.classes > 0
    assert most.classes > 0
    assert most.least > 0
    assert most.fewest >= 1
    assert 1 <= most.narrowest <= half.narrowest


def test_paths_by_hand(collapse: ModuleType) -> None:
    # input 1 feeds channel 0 (of a kernel, one place is enough), which feeds channel 2, which feeds class 1
    first = torch.zeros(2, 3, 3, 3, dtype=torch.bool)
    first[0, 1, 2, 0] = True
    second = torch.zeros(3, 2, 3, 3, dtype=torch.bool)
    second[2, 0, 1, 1] = True
    last = torch.tensor([[True, True, False], [False, False, True]])
    assert collapse.reached({"first": first, "second": second, "last": last}) == 1
    # a second way in, over channel 1, ends nowhere: only what goes on counts
    first[1, 0, 1, 1] = second[1, 1, 0, 0] = True
    assert collapse.paths({"first": first, "second": second, "last": last}) == [2, 2, 2]
    last[0, 0] = last[0, 1] = False
    assert collapse.paths({"first": first, "second": second, "last": last}) == [1, 1, 1]
    first[1, 0, 1, 1] = second[1, 1, 0, 0] = False
    # no layer is empty, yet nothing goes through
    last = torch.tensor([[True, True, False], [False, True, False]])
    assert collapse.reached({"first": first, "second": second, "last": last}) == 0


def test_the_first_point_where_something_is_gone(page: ModuleType) -> None:
    points = [
        page.Point(alpha=1.0, least=0.5, fewest=4, classes=3, narrowest=2),
        page.Point(alpha=1.25, least=0.1, fewest=1, classes=0, narrowest=0),
        page.Point(alpha=1.5, least=0.0, fewest=0, classes=0, narrowest=0),
    ]
    assert page.first(points, page.cut) == 1.25
    assert page.first(points, page.emptied) == 1.5
    assert page.first(points[:1], page.emptied) == float("inf")
    assert page.alphas([2.5, 2.5, 2.5]) == "2.5"
    assert page.alphas([2.5, 3.0, float("inf")]) == "3 (2.5, 3, never)"


def test_the_page_says_what_was_measured(collapse: ModuleType, page: ModuleType, network: nn.Module) -> None:
    def run(last: int) -> object:
        points = tuple(
            page.Point(
                alpha=alpha,
                least=10**-alpha if place < last + 2 else 0.0,
                fewest=max(0, 777 - place),
                classes=55 if place < last else 0,
                narrowest=3 if place < last else 0,
            )
            for place, alpha in enumerate(page.ALPHAS)
        )
        return page.Curve(points=points, cut=page.ALPHAS[last] - 0.07)

    outcome = {name: [run(9), run(11), run(10)] for name in collapse.METHODS}
    text = page.report(outcome, 3, remaining(network))
    # places 9, 11 and 10 of the grid, and the hundredths below them
    assert "| magnitude | 2.75 (2.5, 3, 2.75) | 2.68 (2.43, 2.93, 2.68) | 2.5 | 3.25 (3, 3.5, 3.25) | 3 |" in text
    assert "here 757, 757, 757. Paths then reach 0, 0, 0 of the classes" in text
    assert "768, 768, 768 | 45, 51, 45" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120
    assert page.classes_table({"random": outcome["random"]}).count("| 55 ") == 3
