import sys
from collections.abc import Iterator
from copy import deepcopy
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel
from sklearn.datasets import load_digits

from pruners import remaining
from pruners.constrained_rl import ConstrainedRL
from pruners.greedy_allocation import GreedyAllocation
from pruners.magnitude import Magnitude


@pytest.fixture(scope="module")
def allocation() -> Iterator[ModuleType]:
    path = Path(__file__).parents[2] / "benchmarks" / "allocation.py"
    spec = spec_from_file_location("allocation", path)
    module = module_from_spec(spec)
    sys.modules["allocation"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["allocation"]


def test_training_and_test_examples_are_all_digits_each_once(allocation: ModuleType) -> None:
    (images, labels), (others, more) = allocation.digits()
    assert (len(images), len(others)) == (1000, 797)
    result = np.concatenate(
        [torch.cat([images, others]).flatten(1).numpy() * 16, torch.cat([labels, more])[:, None]], 1
    )
    data = load_digits()
    expected = np.concatenate([data.data, data.target[:, None]], 1)
    assert np.array_equal(result[np.lexsort(result.T)], expected[np.lexsort(expected.T)])


def test_one_network_is_pruned_in_every_way(allocation: ModuleType) -> None:
    methods = {"uniform": Magnitude(allocation="uniform"), "greedy": GreedyAllocation(share=0.5)}
    methods["learnt"] = ConstrainedRL(episodes=10, per_update=5, again=1)
    outcome = allocation.cells(3, methods, (0.3, 0.6), steps=25)
    assert [(cell.method, cell.ratio) for cell in outcome] == [
        (name, ratio) for ratio in (0.3, 0.6) for name in methods
    ]
    for cell in outcome:
        assert cell.seed == 3
        assert 0 < cell.searched < 100
        assert 5 < cell.pruned <= 100
        # a network that had hardly learnt goes on learning
        assert cell.tuned > max(cell.pruned, 50)
    passes = {name: [cell.passes for cell in outcome if cell.method == name] for name in methods}
    assert passes["uniform"] == [0, 0]
    # the start and each of six layers at least
    assert min(passes["greedy"]) >= 7
    # ten episodes, and the prior and two of each of two updates, of which some may be the same
    assert all(10 < each <= 15 for each in passes["learnt"])
    # searches find more of what they look for than what they may start from
    assert outcome[1].searched > outcome[0].searched
    again = allocation.cells(3, {"learnt": methods["learnt"]}, (0.6,), steps=25)
    assert again == [outcome[-1]]


def test_the_network_has_six_layers_and_its_own_seed(allocation: ModuleType) -> None:
    network = allocation.build(1, width=4)
    assert remaining(network) == 9 * (4 + 4 * 4 + 4 * 8 + 8 * 8 + 8 * 16) + 16 * 10
    one, same, other = (network[0].weight for network in (network, allocation.build(1, 4), allocation.build(2, 4)))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_images_are_counted_through_copies_too(allocation: ModuleType) -> None:
    network = allocation.build(0, width=1)
    copy, observed = allocation.counted(network)
    deepcopy(copy)(torch.zeros(3, 1, 8, 8))
    copy(torch.zeros(2, 1, 8, 8))
    network(torch.zeros(5, 1, 8, 8))
    assert observed == [3, 2]


@pytest.fixture(scope="module")
def made_up(allocation: ModuleType) -> list[object]:
    rng = np.random.default_rng(0)
    return [
        allocation.Cell(
            method=name,
            ratio=ratio,
            seed=seed,
            searched=float(rng.uniform(0, 100)),
            pruned=float(rng.uniform(0, 100)),
            tuned=float(rng.uniform(0, 100)),
            passes=10.0 * place,
        )
        for seed in range(4)
        for ratio in (0.5, 0.8)
        for place, name in enumerate(allocation.METHODS)
    ]


@pytest.mark.parametrize("ratio", [0.5, 0.8, None])
def test_differences_are_paired(allocation: ModuleType, made_up: list[object], ratio: float | None) -> None:
    def values(method: str) -> list[float]:
        ratios = (0.5, 0.8) if ratio is None else (ratio,)
        return [
            np.mean([c.tuned for c in made_up if (c.method, c.seed) == (method, seed) and c.ratio in ratios])
            for seed in range(4)
        ]

    actual = allocation.difference(made_up, "LAMP", "greedy", lambda cell: cell.tuned, ratio)
    one, other = values("LAMP"), values("greedy")
    interval = ttest_rel(one, other).confidence_interval(0.95)
    assert actual.mean == pytest.approx(np.mean(one) - np.mean(other))
    assert (actual.low, actual.high) == pytest.approx((interval.low, interval.high))
    assert actual.n == 4


def test_the_page_says_what_was_measured(allocation: ModuleType, made_up: list[object]) -> None:
    page = allocation.report(made_up, 12.3)
    lines = [line for line in page.splitlines() if line.startswith("| LAMP |")]
    expected = [
        np.mean([getattr(cell, reading) for cell in made_up if cell.method == "LAMP" and cell.ratio == ratio])
        for reading in ("pruned", "tuned")
        for ratio in (0.5, 0.8)
    ]
    assert lines == [f"| LAMP | {' | '.join(f'{value:.1f}' for value in expected)} | 30 |"]
    assert "4 networks (seeds 0 to 3)" in page
    computed = allocation.difference(made_up, "constrained RL", "greedy", lambda cell: cell.pruned, 0.8)
    assert f"{computed.mean:+.1f} ({computed.low:+.1f}, {computed.high:+.1f})" in page
