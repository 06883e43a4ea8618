"""Keys lead to the same random numbers on every device."""

import torch

from evalsuite.randomness import fold, integers, keys, normal, uniform

EXAMPLES = [f"{number:04x}" for number in range(50)]


def test_draws_are_the_same_numbers(device):
    here = keys(5, "test", EXAMPLES)
    there = here.to(device)
    assert torch.equal(uniform(there, (3, 7)).cpu(), uniform(here, (3, 7)))
    assert torch.equal(uniform(there, (9,), dtype=torch.float64).cpu(), uniform(here, (9,), dtype=torch.float64))
    assert torch.equal(integers(there, -3, 11, (40,)).cpu(), integers(here, -3, 11, (40,)))
    assert torch.equal(fold(there, 2).cpu(), fold(here, 2))
    draws = torch.arange(50)
    assert torch.equal(fold(there, draws).cpu(), fold(here, draws))


def test_normal_draws_are_the_same_up_to_the_last_digits_of_logarithm_and_cosine(device):
    here = keys(5, "test", EXAMPLES)
    torch.testing.assert_close(normal(here.to(device), (200,)).cpu(), normal(here, (200,)), rtol=1e-5, atol=2e-6)
