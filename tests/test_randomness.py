"""Counter-based random numbers: against the published generator, in distribution, and row by row."""

import numpy as np
import pytest
import torch
from scipy import stats

from evalsuite.randomness import derive, fold, integers, keys, normal, uniform


def splitmix64(seed: int, count: int) -> list[int]:
    """SplitMix64 as published (Steele, Lea and Flood 2014), in Python integers."""
    result, state = [], seed
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        result.append(z ^ (z >> 31))
    return result


def mixed(key: int) -> int:
    z = key % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_published_first_output_of_seed_0():
    assert splitmix64(0, 1)[0] == 0xE220A8397B1DCDAF  # the reference implementation's first number for seed 0


@pytest.mark.parametrize("key", [0, 1, -1, 2**63 - 1, -(2**63), 123456789])
def test_uniform_is_splitmix64(key):
    ours = uniform(torch.tensor([key]), (7,), dtype=torch.float64)[0]
    theirs = [(word >> 11) * 2.0**-53 for word in splitmix64(mixed(key), 7)]
    assert ours.tolist() == theirs


def test_a_row_depends_on_its_key_alone():
    several = keys(3, "noise", ["a", "b", "c"])
    together = normal(several, (2, 5))
    for row, key in enumerate(several):
        assert torch.equal(together[row], normal(key[None], (2, 5))[0])


def test_distributions():
    stream = keys(0, "test", [str(i) for i in range(200)])
    assert stats.kstest(uniform(stream, (500,)).flatten().numpy(), "uniform").pvalue > 1e-3
    draws = normal(stream, (500,)).flatten().numpy()
    assert stats.kstest(draws, "norm").pvalue > 1e-3
    assert abs(stats.kurtosis(draws)) < 0.05
    counts = np.bincount(integers(stream, 2, 7, (500,)).flatten().numpy(), minlength=7)
    assert counts[:2].sum() == 0
    assert stats.chisquare(counts[2:]).pvalue > 1e-3


def test_streams_are_unrelated():
    stream = keys(0, "test", [str(i) for i in range(300)])
    first, second = normal(stream, (300,)).flatten(), normal(fold(stream, 0), (300,)).flatten()
    other = normal(keys(1, "test", [str(i) for i in range(300)]), (300,)).flatten()
    for pair in ((first, second), (first, other), (first[:-1], first[1:])):
        assert abs(np.corrcoef(*pair)[0, 1]) < 4 / np.sqrt(90_000 - 1)  # four standard errors of no correlation


def test_fold_of_many_is_fold_of_each():
    key = keys(0, "x", ["a"])[0]
    assert fold(key, torch.arange(4)).tolist() == [int(fold(key[None], k)[0]) for k in range(4)]


def test_derive_tells_parts_apart():
    assert derive("a", "b") != derive("ab")
    assert derive(1) != derive("1")
    assert derive(0, "noise", "x", 1) == derive(0, "noise", "x", 1)
