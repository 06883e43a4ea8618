import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

from pruners import apply_masks, keep_global
from pruners._masks import even_priorities, keep_layerwise, nonzero

Case = tuple[dict[str, Tensor], dict[str, Tensor], int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scores with many ties, some entries pruned already, and a keep count that can be met."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    values = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1e30, float("inf")])
    scores, alive = {}, {}
    for layer, size in enumerate(sizes):
        scores[f"{layer}"] = torch.tensor(draw(st.lists(values, min_size=size, max_size=size)))
        alive[f"{layer}"] = torch.tensor(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    left = sum(int(part.sum()) for part in alive.values())
    return scores, alive, draw(st.integers(0, left))


def count(masks: dict[str, Tensor]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


@given(cases())
def test_the_count_is_exact_and_nothing_comes_back(case: Case) -> None:
    scores, alive, keep = case
    for choose in (keep_global, keep_layerwise):
        masks = choose(scores, keep, alive)
        assert count(masks) == keep
        assert all(masks[name].shape == scores[name].shape for name in scores)
        assert not any(bool((masks[name] & ~alive[name]).any()) for name in scores)


@given(cases())
def test_global_keeps_what_a_stable_sort_keeps(case: Case) -> None:
    scores, alive, keep = case
    entries = [
        (-float(score), layer, position)
        for layer, name in enumerate(scores)
        for position, score in enumerate(scores[name])
        if alive[name][position]
    ]
    expected = {(layer, position) for _, layer, position in sorted(entries)[:keep]}
    masks = keep_global(scores, keep, alive)
    result = {(layer, int(p)) for layer, name in enumerate(scores) for p in masks[name].nonzero()}
    assert result == expected


@given(cases())
def test_fewer_survivors_are_a_subset_of_more(case: Case) -> None:
    scores, alive, keep = case
    if keep == 0:
        return
    for choose in (keep_global, keep_layerwise):
        few, many = choose(scores, keep - 1, alive), choose(scores, keep, alive)
        assert not any(bool((few[name] & ~many[name]).any()) for name in scores)


@given(cases(), st.sampled_from([2.0**-20, 2.0, 2.0**20]))
def test_a_common_scale_changes_nothing(case: Case, scale: float) -> None:
    scores, alive, keep = case
    scaled = {name: score.double() * scale for name, score in scores.items()}
    for choose in (keep_global, keep_layerwise):
        one, other = choose(scores, keep, alive), choose(scaled, keep, alive)
        assert all(torch.equal(one[name], other[name]) for name in scores)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.floats(0, 1))
def test_layers_shrink_by_the_same_fraction(sizes: list[int], fraction: float) -> None:
    scores = {str(layer): torch.rand(size, generator=torch.Generator()) for layer, size in enumerate(sizes)}
    alive = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    keep = round(fraction * sum(sizes))
    kept = [int(mask.sum()) for mask in keep_layerwise(scores, keep, alive).values()]
    if keep >= len(sizes):
        assert min(kept) >= 1
        # there is one common fraction f whose roundings these are: round(f n) = k, or k = 1 where that gives 0
        low = max([(k - 0.5) / n for k, n in zip(kept, sizes, strict=True) if k > 1], default=0.0)
        high = min([(k + 0.5) / n for k, n in zip(kept, sizes, strict=True) if k < n], default=1.0)
        assert low <= high + 1e-12
    else:
        assert max(kept) <= 1


def test_layerwise_by_hand() -> None:
    # sizes 10, 6, 4 and 10 survivors: half of each, 5, 3, 2
    scores = {name: torch.arange(float(size)) for name, size in (("a", 10), ("b", 6), ("c", 4))}
    alive = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    masks = keep_layerwise(scores, 10, alive)
    assert [int(mask.sum()) for mask in masks.values()] == [5, 3, 2]
    assert masks["c"].tolist() == [False, False, True, True]
    # one more: shares 5.5, 3.3, 2.2; with 5, 3, 2 given, the next places stand at 5.5/10 < 3.5/6 < 2.5/4
    assert [int(mask.sum()) for mask in keep_layerwise(scores, 11, alive).values()] == [6, 3, 2]


def test_the_smallest_layers_are_emptied_first() -> None:
    scores = {"small": torch.full((2,), 9.0), "large": torch.zeros(8), "middle": torch.ones(4)}
    alive = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    kept = [{n for n, m in keep_layerwise(scores, keep, alive).items() if m.any()} for keep in (1, 2, 3)]
    assert kept == [{"large"}, {"large", "middle"}, {"large", "middle", "small"}]


def test_the_fraction_is_that_of_what_is_alive() -> None:
    # 2 of 8 left in one layer, 8 of 8 in the other: half of ten is 1 + 4
    scores = {"thin": torch.arange(8.0), "full": torch.arange(8.0)}
    alive = {"thin": torch.arange(8) < 2, "full": torch.ones(8, dtype=torch.bool)}
    assert [int(mask.sum()) for mask in keep_layerwise(scores, 5, alive).values()] == [1, 4]


def test_all_equal_scores_keep_the_first_positions() -> None:
    scores = {"a": torch.ones(2, 2), "b": torch.ones(3)}
    alive = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    masks = keep_global(scores, 5, alive)
    assert masks["a"].all()
    assert masks["b"].tolist() == [True, False, False]


def test_differences_below_float32_count() -> None:
    scores = {"a": torch.tensor([1.0, 1.0 + 1e-12], dtype=torch.float64), "b": torch.tensor([1.0])}
    alive = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    assert keep_global(scores, 1, alive)["a"].tolist() == [False, True]


def test_nan_is_refused_where_it_matters() -> None:
    scores = {"a": torch.tensor([1.0, float("nan")])}
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN for a"):
        keep_global(scores, 1, {"a": torch.tensor([True, True])})
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN for a"):
        keep_layerwise(scores, 1, {"a": torch.tensor([True, True])})
    assert keep_global(scores, 1, {"a": torch.tensor([True, False])})["a"].tolist() == [True, False]


@pytest.mark.parametrize("keep", [-1, 3])
def test_keep_out_of_range(keep: int) -> None:
    scores, alive = {"a": torch.ones(3)}, {"a": torch.tensor([True, True, False])}
    with pytest.raises(ValueError, match=f"expected 0 <= keep <= 2, the entries alive, got {keep}"):
        keep_global(scores, keep, alive)


def test_even_priorities_by_hand() -> None:
    # places 2, 1, 3 of three: -(t - 1/2) / 3, the best lifted by one
    outcome = even_priorities(torch.tensor([0.5, 9.0, -1.0]))
    assert outcome.tolist() == pytest.approx([-1.5 / 3, 1 - 0.5 / 3, -2.5 / 3])


def test_apply_masks_copies_and_zeroes() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pruned = apply_masks(network, {"0.weight": torch.tensor([[True, False], [False, True]])})
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    after = pruned.state_dict()
    assert torch.equal(after["0.weight"], torch.diag(before["0.weight"].diag()))
    assert all(torch.equal(after[name], before[name]) for name in before if name != "0.weight")
    assert torch.equal(nonzero(pruned)["0.weight"], torch.eye(2, dtype=torch.bool))


def test_an_infinite_weight_is_masked_too() -> None:
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[float("inf"), 1.0]]))
    pruned = apply_masks(layer, {"weight": torch.tensor([[False, True]])})
    assert pruned.get_parameter("weight").tolist() == [[0.0, 1.0]]
