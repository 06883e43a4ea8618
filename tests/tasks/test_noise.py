"""Noise: the published distribution, the same for all networks, independent of the batch."""

import numpy as np
import pytest
import torch
from scipy import stats

from evalsuite.data import Batch
from evalsuite.tasks.noise import Noise


class Recorder(torch.nn.Module):
    """Keeps what it is shown; logits are the first two pixels."""

    def __init__(self):
        super().__init__()
        self.batches = []
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        self.batches.append(images.clone())
        return images.flatten(1)[:, :2]


def batch(n=64):
    return Batch(images=torch.full((n, 1, 20, 20), 0.5), labels=torch.zeros(n).long(), ids=tuple(map(str, range(n))))


@pytest.mark.parametrize(
    ("distribution", "law"), [("uniform", stats.uniform(-0.2, 0.4)), ("gaussian", stats.norm(0, 0.2))]
)
def test_distribution(distribution, law):
    network = Recorder()
    Noise(distribution=distribution, level=0.2).observe([network], batch(), seed=0)
    added = (network.batches[0] - 0.5).flatten().double().numpy()
    assert stats.kstest(added, law.cdf).pvalue > 1e-3
    if distribution == "uniform":
        assert np.abs(added).max() <= 0.2 + 1e-6


def test_networks_see_the_same_noise_and_levels_share_it():
    one, two = Recorder(), Recorder()
    Noise(level=0.1).observe([one, two], batch(), seed=0)
    assert torch.equal(one.batches[0], two.batches[0])
    Noise(level=0.3).observe([two], batch(), seed=0)
    assert torch.allclose((two.batches[1] - 0.5) / 3, one.batches[0] - 0.5, atol=1e-6)


def test_clip_and_draws():
    network = Recorder()
    observed = Noise(level=0.9, draws=3, clip=True).observe([network], batch(5), seed=0)
    assert all(((s >= 0) & (s <= 1)).all() for s in network.batches)
    assert observed.networks[0]["prediction"].shape == (5, 3)
    assert observed.networks[0]["probabilities"].shape == (5, 3, 2)
    assert not torch.equal(network.batches[0], network.batches[1])


def test_an_example_alone_is_as_in_a_batch():
    network, whole = Recorder(), batch(9)
    task = Noise(distribution="gaussian", level=0.4)
    task.observe([network], whole, seed=1)
    task.observe([network], Batch(images=whole.images[4:5], labels=whole.labels[4:5], ids=whole.ids[4:5]), seed=1)
    assert torch.equal(network.batches[0][4:5], network.batches[1])


def test_relation_to_the_parent_by_hand():
    # probabilities (0.5, 0.5) against (1, 0): distance sqrt(0.25 + 0.25)
    child, parent = {"probabilities": np.array([[0.5, 0.5]])}, {"probabilities": np.array([[1.0, 0.0]])}
    assert Noise().compare(child, parent)["softmax_distance"] == pytest.approx([np.sqrt(0.5)])
    assert Noise().compare({"prediction": np.zeros(1)}, {}) == {}
