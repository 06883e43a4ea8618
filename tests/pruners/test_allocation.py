from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import prunable
from pruners import Context
from pruners._allocation import Allocation, allocate
from pruners._masks import Masks
from pruners._positions import positions
from pruners.magnitude import Magnitude

Build = Callable[[str], nn.Module]
EXAMPLE = torch.zeros(1, 3, 8, 8)
RULES = get_args(Allocation)


def shared(
    allocation: Allocation, scores: dict[str, Tensor], keep: int, alive: dict[str, Tensor] | None = None
) -> Masks:
    """Where the network does not matter."""
    every = {name: torch.ones(score.shape, dtype=torch.bool) for name, score in scores.items()}
    return allocate(allocation, scores, keep, alive or every, nn.Identity(), EXAMPLE)


def counts(masks: Masks) -> list[int]:
    return [int(mask.sum()) for mask in masks.values()]


def drawn(*shapes: tuple[int, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {str(i): torch.rand(shape, generator=generator) for i, shape in enumerate(shapes)}


def test_lamp_by_hand() -> None:
    # layer a: squares 1, 4, 16 and 4: 1/25, 4/24, 16/16 and, of the tie, the one behind 4/20;
    # layer b, a tenth of the size: squares 0.01, 0.09: 0.01/0.1, 0.09/0.09
    scores = {"a": torch.tensor([1.0, 2.0, 4.0, 2.0]), "b": torch.tensor([[0.1], [0.3]])}
    kept = {
        keep: [mask.flatten().int().tolist() for mask in shared("lamp", scores, keep).values()] for keep in range(7)
    }
    assert kept[2] == [[0, 0, 1, 0], [0, 1]]
    assert kept[3] == [[0, 0, 1, 1], [0, 1]]
    assert kept[4] == [[0, 1, 1, 1], [0, 1]]
    assert kept[5] == [[0, 1, 1, 1], [1, 1]]


def test_lamp_by_brute_force() -> None:
    scores = drawn((7, 5), (40,), (3, 2, 2))
    scores["1"] *= 1e-4
    shares = {
        name: torch.tensor([float(s**2 / (score[score >= s] ** 2).sum()) for s in score.flatten()], dtype=torch.float64)
        for name, score in scores.items()
    }
    order = torch.cat(list(shares.values())).sort(descending=True, stable=True)
    for keep in (1, 3, 10, 40, 86):
        result = torch.cat([mask.flatten() for mask in shared("lamp", scores, keep).values()])
        assert set(result.nonzero().flatten().tolist()) == set(order.indices[:keep].tolist())


def test_lamp_never_empties_a_layer_that_can_have_a_weight() -> None:
    scores = drawn((50, 50), (4,), (9, 3))
    scores["1"] *= 1e-9
    assert min(counts(shared("lamp", scores, 3))) == 1


def test_lamp_sums_over_what_is_alive() -> None:
    # without its largest entry, which is gone, the layer's shares are 1 and 1/5
    scores = {"a": torch.tensor([9.0, 2.0, 1.0]), "b": torch.tensor([3.0, 4.0])}
    alive = {"a": torch.tensor([False, True, True]), "b": torch.tensor([True, True])}
    outcome = shared("lamp", scores, 3, alive)
    # 1, 1 and 9/25 before 1/5
    assert [mask.int().tolist() for mask in outcome.values()] == [[0, 1, 0], [1, 1]]


def test_lamp_on_many_tiny_scores() -> None:
    # float32 sums of 1 and 10^6 squares of 1e-4 would miss a part of them
    scores = {"a": torch.full((1_000_000,), 1e-4), "b": torch.tensor([0.1, 1.0])}
    scores["a"][0] = 1.0
    # in a the last of a million equal squares has 1e-8 / 1.01, in b the smaller 0.01 / 1.01
    assert counts(shared("lamp", scores, 3)) == [1, 2]


def test_lamp_of_zeros_is_zero() -> None:
    scores = {"a": torch.zeros(4), "b": torch.tensor([0.0, 1.0])}
    assert [mask.int().tolist() for mask in shared("lamp", scores, 2).values()] == [[1, 0, 0, 0], [0, 1]]


def test_erk_by_hand() -> None:
    # sums of dimensions: 8 + 4 + 3 + 3 = 18, 10 + 20 = 30, 2 + 3 = 5
    scores = drawn((8, 4, 3, 3), (10, 20), (2, 3))
    assert counts(shared("erk", scores, 53)) == [18, 30, 5]
    # twice as many: the last layer has but 6, the others share 100 as 18 to 30
    assert sorted(counts(shared("erk", scores, 106))) in ([6, 37, 63], [6, 38, 62])
    assert counts(shared("erk", scores, 102)) == [36, 60, 6]
    # and all there is
    assert counts(shared("erk", scores, 494)) == [288, 200, 6]


def test_erk_by_its_formula() -> None:
    # Evci et al. 2020: density = eps * sum of dimensions / product of dimensions, at most 1; eps by bisection
    shapes = ((16, 3, 3, 3), (32, 16, 3, 3), (64, 32, 3, 3), (10, 64), (4, 4))
    scores = drawn(*shapes)
    sizes, sums = (
        torch.tensor([s.numel() for s in scores.values()]).double(),
        torch.tensor([float(sum(s)) for s in shapes]),
    )
    for keep in (100, 500, 3000, 20000):
        low, high = 0.0, 1e6
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if float(torch.minimum(middle * sums, sizes).sum()) < keep else (low, middle)
        expected = torch.minimum(low * sums, sizes)
        actual = counts(shared("erk", scores, keep))
        assert all(abs(a - float(b)) <= 1 for a, b in zip(actual, expected, strict=True))


def test_erk_keeps_the_largest_of_each_layer() -> None:
    scores = drawn((6, 5), (4, 3, 3, 3))
    for (name, mask), score in zip(shared("erk", scores, 20).items(), scores.values(), strict=True):
        assert float(score[mask].min()) > float(score[~mask].max()), name


def test_erk_shares_out_what_is_alive() -> None:
    scores = drawn((10, 10), (10, 10))
    alive = {"0": torch.zeros(10, 10, dtype=torch.bool), "1": torch.ones(10, 10, dtype=torch.bool)}
    alive["0"][0, :3] = True
    assert counts(shared("erk", scores, 50, alive)) == [3, 47]


def test_flops_by_hand() -> None:
    # on 4 x 4 pixels: 16 places, 4 places, one place
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.MaxPool2d(2), nn.Conv2d(2, 1, 1), nn.Flatten(), nn.Linear(4, 2, bias=False)
    )
    scores = {
        "0.weight": torch.tensor([32.0, 48.0]).view(2, 1, 1, 1),
        "2.weight": torch.tensor([6.0, 20.0]).view(1, 2, 1, 1),
        "4.weight": torch.arange(8.0).view(2, 4) / 2,
    }
    alive = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    # per multiplication 2, 3 | 1.5, 5 | 0, .5, 1, 1.5, 2, 2.5, 3, 3.5: 5, 3.5, 3, 3, 2.5, and of 2 and 2 the first
    computed = allocate("flops", scores, 6, alive, network, torch.zeros(1, 1, 4, 4))
    assert [mask.flatten().int().tolist() for mask in computed.values()] == [
        [1, 1],
        [0, 1],
        [0, 0, 0, 0, 0, 1, 1, 1],
    ]


def test_flops_saves_more_multiplications_than_sizes_do(build: Build) -> None:
    network = build("chain")
    places = positions(network, EXAMPLE)

    def left(allocation: Allocation) -> int:
        pruned = Magnitude(allocation=allocation)(network, keep=400, context=Context(example=EXAMPLE))
        return sum(int(weight.count_nonzero()) * places[name] for name, weight in prunable(pruned).items())

    assert left("flops") < left("global")


def test_uniform_is_one_fraction() -> None:
    assert counts(shared("uniform", drawn((10, 10), (20,), (4, 10)), 48)) == [30, 6, 12]


@pytest.mark.parametrize("rule", RULES)
def test_counts_are_exact_and_survivors_nested(build: Build, rule: Allocation) -> None:
    """With all layers of one network, dead entries, ties, and every budget in turn."""
    network = build("transformer")
    scores = {name: weight.detach().abs().mul(8).round() for name, weight in prunable(network).items()}
    alive = {name: torch.rand(s.shape, generator=torch.Generator().manual_seed(4)) < 0.6 for name, s in scores.items()}
    alive["head.weight"].zero_()
    total = sum(counts(alive))
    before = None
    for keep in (*range(40), total // 3, total // 3 + 1, total // 2, total - 1, total):
        masks = allocate(rule, scores, keep, alive, network, EXAMPLE)
        assert sum(counts(masks)) == keep
        assert list(masks) == list(scores)
        for name, mask in masks.items():
            assert not bool((mask & ~alive[name]).any())
            assert before is None or not bool((before[name] & ~mask).any()), (keep, name)
        before = masks


@pytest.mark.parametrize("rule", ["uniform", "erk"])
def test_no_layer_shrinks_when_more_may_stay(rule: Allocation) -> None:
    # shares of 3, 5 and 5: rounding by largest remainders keeps 2, 2, 2 of 6 but 1, 3, 3 of 7
    scores = drawn((1, 2), (2, 3), (3, 2)) if rule == "erk" else drawn((3,), (5,), (5,))
    before = [0, 0, 0]
    for keep in range(1, sum(score.numel() for score in scores.values()) + 1):
        now = counts(shared(rule, scores, keep))
        assert all(a <= b for a, b in zip(before, now, strict=True))
        before = now


@pytest.mark.parametrize("rule", ["lamp", "flops"])
def test_negative_scores_are_refused_where_they_are_shares(rule: Allocation) -> None:
    network = nn.Linear(2, 2)
    scores = {"weight": torch.tensor([[1.0, -0.5], [2.0, 3.0]])}
    alive = {"weight": torch.ones(2, 2, dtype=torch.bool)}
    with pytest.raises(ValueError, match="expected scores >= 0 to share a budget out by, got negative ones for weight"):
        allocate(rule, scores, 2, alive, network, torch.zeros(1, 2))
    # what is gone anyway may score anything
    alive["weight"][0, 1] = False
    assert int(allocate(rule, scores, 2, alive, network, torch.zeros(1, 2))["weight"].sum()) == 2


@pytest.mark.parametrize("rule", ["global", "uniform", "erk"])
def test_negative_scores_are_ranked_elsewhere(rule: Allocation) -> None:
    scores = {"a": torch.tensor([[-3.0, -1.0, -2.0]])}
    assert shared(rule, scores, 1)["a"].tolist() == [[False, True, False]]


@pytest.mark.parametrize("rule", RULES)
def test_nan_and_budgets_out_of_range_are_refused(rule: Allocation) -> None:
    network = nn.Linear(2, 2)
    scores, alive = {"weight": torch.ones(2, 2)}, {"weight": torch.ones(2, 2, dtype=torch.bool)}
    for keep in (-1, 5):
        with pytest.raises(ValueError, match=f"expected 0 <= keep <= 4, the entries alive, got {keep}"):
            allocate(rule, scores, keep, alive, network, torch.zeros(1, 2))
    scores["weight"][0, 0] = float("nan")
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN for weight"):
        allocate(rule, scores, 2, alive, network, torch.zeros(1, 2))


@pytest.mark.parametrize("rule", RULES)
def test_nothing_handed_over_is_changed(build: Build, rule: Allocation) -> None:
    network = build("chain")
    scores = {name: weight.detach().abs() for name, weight in prunable(network).items()}
    alive = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    before = {name: score.clone() for name, score in scores.items()}
    allocate(rule, scores, 100, alive, network, EXAMPLE)
    assert all(torch.equal(before[name], score) for name, score in scores.items())
    assert all(bool(mask.all()) for mask in alive.values())
