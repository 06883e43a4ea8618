"""Distances to the k-th nearest of a bank: by hand, and against scikit-learn's exhaustive search."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from evalsuite.tasks import _nearest
from evalsuite.tasks._nearest import distances


def drawn(n, width, seed, *, sparse=False):
    result = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    return result.clamp(min=0) if sparse else result


def test_by_hand():
    # at length 1 the bank lies at 0°, 90° and 180°, and the image at 60°: 60°, 30° and 120° away. A chord is
    # 2 sin(angle / 2): 1, 0.517638 and sqrt 3
    bank = torch.tensor([[3.0, 0.0], [0.0, 0.1], [-7.0, 0.0]])
    image = torch.tensor([[1.0, 3**0.5]])
    for k, expected in ((1, 2 * np.sin(np.pi / 12)), (2, 1.0), (3, 3**0.5)):
        assert float(distances(image, bank, k)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("sparse", [False, True])
def test_against_scikit_learn(k, sparse):
    features, bank = drawn(30, 8, 0, sparse=sparse), drawn(40, 8, 1, sparse=sparse)
    bank[7] = 0  # a network whose units are all off
    features[3] = 0
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(normalize(bank.double().numpy()))
    expected, _ = search.kneighbors(normalize(features.double().numpy()))
    assert distances(features, bank, k).numpy() == pytest.approx(expected[:, -1], abs=1e-9)


def test_small_distances_keep_their_digits():
    # 1e-4 apart by angle: the difference of the squares is 1e-8, less than single precision tells from 1
    angles = torch.tensor([0.3, 0.3001], dtype=torch.float64)
    image, near = torch.stack([angles.cos(), angles.sin()], dim=1).split(1)
    assert float(distances(image, near, 1)) == pytest.approx(2 * np.sin(0.00005), rel=1e-6)
    assert float(distances(image, 5 * image, 1)) < 1e-7


def test_equal_neighbours_count_each():
    bank = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    outcome = [float(distances(torch.tensor([[1.0, 0.0]]), bank, k)) for k in (1, 2, 3)]
    assert outcome == pytest.approx([0, 0, 2**0.5], abs=1e-7)


def test_however_many_are_searched_at_once(monkeypatch):
    features, bank = drawn(13, 6, 2), drawn(50, 6, 3)
    before = features.clone(), bank.clone()
    whole = distances(features, bank, 4)
    monkeypatch.setattr(_nearest, "_AT_ONCE", 120)  # two rows
    assert torch.allclose(distances(features, bank, 4), whole, rtol=0, atol=1e-12)
    assert torch.allclose(distances(features[5:6], bank, 4), whole[5:6], rtol=0, atol=1e-12)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(4))
    assert torch.allclose(distances(features, bank[order], 4), whole, rtol=0, atol=1e-12)
    assert torch.equal(features, before[0])
    assert torch.equal(bank, before[1])
