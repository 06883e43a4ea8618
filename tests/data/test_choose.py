from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.data import Examples, choose
from evalsuite.errors import UsageError


def of_labels(labels: list[int]) -> Examples:
    images = torch.arange(len(labels), dtype=torch.float32).view(-1, 1, 1, 1)
    return Examples.from_labels(images, torch.tensor(labels))


def chosen(labels: list[int], n: int, seed: int = 0) -> list[int]:
    return choose(of_labels(labels), n, seed).positions.tolist()


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(0, 5), st.data())
def test_a_smaller_choice_is_the_start_of_a_larger_one(labels: list[int], seed: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(labels) - 1))
    m = data.draw(st.integers(n, len(labels)))
    assert chosen(labels, m, seed)[:n] == chosen(labels, n, seed)
    assert sorted(chosen(labels, len(labels), seed)) == list(range(len(labels)))


def test_classes_get_their_share() -> None:
    # 60 : 30 : 10 of 100, so a tenth is 6 : 3 : 1 exactly: each quota is whole, and Webster's method gives whole quotas
    labels = [0] * 60 + [1] * 30 + [2] * 10
    taken = Counter(labels[i] for i in chosen(labels, 10))
    assert taken == {0: 6, 1: 3, 2: 1}


def test_the_first_seats_go_by_websters_quotients() -> None:
    # quotients (j + 1/2) / m: class 0 (m = 3) 1/6, 3/6, 5/6; class 1 (m = 2) 1/4, 3/4; so in the order 0 1 0 1 0
    labels = [1, 0, 0, 1, 0]
    assert [labels[i] for i in chosen(labels, 5, seed=3)] == [0, 1, 0, 1, 0]


def test_equal_classes_are_balanced_in_every_round() -> None:
    labels = list(range(10)) * 20
    taken = chosen(labels, 200)
    for start in range(0, 200, 10):
        assert sorted(labels[i] for i in taken[start : start + 10]) == list(range(10))
    assert [labels[i] for i in taken[:10]] != [labels[i] for i in taken[10:20]]


def test_the_choice_depends_on_the_seed_alone() -> None:
    labels = list(range(10)) * 20
    assert chosen(labels, 50, seed=1) == chosen(labels, 50, seed=1)
    assert chosen(labels, 50, seed=1) != chosen(labels, 50, seed=2)


def test_members_of_a_class_are_drawn_evenly() -> None:
    # each of 10 members is the first with probability 1/10: over 400 seeds 40 +- 4 standard deviations of 6
    first = Counter(chosen([0] * 10, 1, seed)[0] for seed in range(400))
    assert all(16 <= first[i] <= 64 for i in range(10))


@pytest.mark.parametrize("n", [0, -1, 6])
def test_more_than_there_are_is_refused(n: int) -> None:
    with pytest.raises(UsageError, match=f"between 1 and 5 examples, got {n}"):
        chosen([0, 1, 0, 1, 0], n)


def test_an_empty_class_number_takes_no_seat() -> None:
    assert Counter([7, 7, 2, 2][i] for i in chosen([7, 7, 2, 2], 2)) == {7: 1, 2: 1}
