"""Randomized smoothing against the closed form on a linear classifier, and against the paper's reference numbers."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from evalsuite.data import Batch
from evalsuite.tasks.certified import ABSTAIN, Certified


class Linear(torch.nn.Module):
    """Two classes: logits (0, w x + b)."""

    def __init__(self, w, b):
        super().__init__()
        self.w, self.b = torch.nn.Parameter(w, requires_grad=False), b

    def forward(self, images):
        score = images.flatten(1) @ self.w + self.b
        return torch.stack([torch.zeros_like(score), score], dim=1)


def problem(n=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(12, generator=generator)
    images = torch.rand(n, 3, 2, 2, generator=generator)
    b = -float((images.flatten(1) @ w).median())
    score = images.flatten(1) @ w + b
    batch = Batch(images=images, labels=(score > 0).long(), ids=tuple(map(str, range(n))))
    return Linear(w, b), batch, (score.abs() / w.norm()).numpy()


def test_radius_approaches_the_distance_to_the_hyperplane_from_below():
    network, batch, distance = problem()
    task = Certified(sigma=0.5, radius=0.1, n0=200, n=20_000)
    (observed,) = task.observe([network], batch, seed=0).networks
    certain = distance > 0.1
    assert (observed["prediction"][certain] == batch.labels.numpy()[certain]).all()
    # a linear classifier's smoothed margin is the distance itself (Cohen et al. 2019, appendix B); the radius is a
    # lower confidence bound of it: p = Phi(distance/sigma), less what Clopper and Pearson give away
    p = norm.cdf(distance / 0.5)
    slack = 0.5 * (norm.ppf(p) - norm.ppf(p - 6.5 * np.sqrt(p * (1 - p) / 20_000) - 20 / 20_000))
    assert (observed["radius"] <= distance + 1e-6).all()  # each bound fails with probability 0.001
    reachable = p < 0.999
    assert (observed["radius"][certain & reachable] >= (distance - slack)[certain & reachable]).all()


def test_all_votes_give_the_largest_radius():
    network, batch, _ = problem(n=2)
    network.b = 1e6  # class 1 whatever the noise
    (recorded,) = Certified(sigma=0.25, radius=0.1, n0=10, n=100).observe([network], batch, seed=0).networks
    # n = 100, alpha = 0.001: p = 0.001^(1/100) = 0.93325, Phi^-1(p) = 1.5004, as in the paper's appendix (1.50 sigma)
    assert recorded["radius"] == pytest.approx([0.25 * norm.ppf(0.001**0.01)] * 2, rel=1e-6)
    assert recorded["radius"] / 0.25 == pytest.approx([1.5004] * 2, abs=1e-3)
    assert (recorded["votes"] == 100).all()


@pytest.mark.parametrize(("n", "least"), [(100, 66), (1000, 550)])
def test_fewest_votes_that_do_not_abstain(n, least):
    task = Certified(sigma=0.25, radius=0.01, n=n)
    below, at = (task._bound(np.array([0, 100, 0]), np.array([n - votes, votes, 0])) for votes in (least - 1, least))
    assert (below["prediction"], below["radius"]) == (ABSTAIN, 0)
    assert at["prediction"] == 1
    assert at["radius"] > 0


def test_same_noise_for_every_network_and_any_batch():
    network, batch, _ = problem(n=5)
    task = Certified(sigma=0.25, radius=0.05, n0=20, n=200)
    twice = task.observe([network, network], batch, seed=3).networks
    alone = Batch(images=batch.images[2:3], labels=batch.labels[2:3], ids=batch.ids[2:3])
    (single,) = task.observe([network], alone, seed=3).networks
    for column in twice[0]:
        np.testing.assert_array_equal(twice[0][column], twice[1][column])
        assert single[column][0] == twice[0][column][2]
    other = task.observe([network], batch, seed=4).networks[0]
    assert (other["votes"] != twice[0]["votes"]).any()


def test_radius_beyond_reach_is_refused():
    with pytest.raises(ValueError, match="n = 100 draws"):
        Certified(sigma=0.25, radius=0.4, n=100)
