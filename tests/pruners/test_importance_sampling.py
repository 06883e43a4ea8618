import torch
from torch import Tensor

from pruners._importance_sampling import arrivals, places, unbiased_weights

IMPORTANCE = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.5], dtype=torch.float64)


def sample(importance: Tensor, keep: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    times = arrivals(importance, generator)
    stays = places(times) > len(times) - keep
    return stays, unbiased_weights(importance, times, stays) * stays


def test_unbiased_for_every_item() -> None:
    generator = torch.Generator().manual_seed(0)
    count = 2000
    for keep in (2, 4):
        weights = torch.stack([sample(IMPORTANCE, keep, generator)[1] for _ in range(count)])
        error = weights.std(0) / count**0.5
        # five standard errors of a mean of 2000: a false alarm in a million
        assert bool(((weights.mean(0) - 1).abs() < 5 * error).all())
        # tight enough to see a bias of a few percent where it would be largest, in what is drawn most
        assert float(error[0]) < 0.02


def test_all_that_stay_stay_as_they_are() -> None:
    times = arrivals(IMPORTANCE, torch.Generator().manual_seed(0))
    assert unbiased_weights(IMPORTANCE, times, torch.ones(6, dtype=torch.bool)).tolist() == [1] * 6


def test_weight_by_hand() -> None:
    # the first left out arrives at t = 2: an item of importance 1/2 was in time with probability 1 - exp(-1)
    importance = torch.tensor([0.5, 1.0, 0.1], dtype=torch.float64)
    times = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    result = unbiased_weights(importance, times, torch.tensor([True, False, False]))
    assert abs(float(result[0]) - 1 / (1 - 0.36787944117144233)) < 1e-12


def test_first_arrivals_are_distributed_as_draws() -> None:
    generator = torch.Generator().manual_seed(1)
    count = 2000
    first = torch.stack([sample(IMPORTANCE, 1, generator)[0] for _ in range(count)]).double().mean(0)
    expected = IMPORTANCE / IMPORTANCE.sum()
    assert bool(((first - expected).abs() < 5 * (expected * (1 - expected) / count).sqrt()).all())


def test_places_count_from_the_end() -> None:
    assert places(torch.tensor([3.0, 1.0, torch.inf, 2.0, torch.inf])).tolist() == [3, 5, 2, 4, 1]


def test_what_does_not_matter_comes_last_as_it_is() -> None:
    importance = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    times = arrivals(importance, torch.Generator().manual_seed(0))
    assert places(times).tolist() == [2, 3, 1]
    assert unbiased_weights(importance, times, torch.tensor([True, True, False])).tolist() == [1, 1, 1]
