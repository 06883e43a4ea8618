import math

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import linkage
from torch import Tensor, nn

from pruners.regularisers.persistence import Persistence, deaths

# pairwise orthogonal, of mean 0
E1, E2, E3 = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]).double()
LABELS = torch.zeros(4, dtype=torch.long)


def values(n: int = 12, neurons: int = 9, seed: int = 0) -> Tensor:
    mixed = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)).double()
    return mixed @ torch.randn(4, neurons, generator=torch.Generator().manual_seed(seed + 1)).double()


def test_deaths_by_hand() -> None:
    # |corr(e1, e1 + e2)| = |corr(e1 + e2, -e2)| = 1 / sqrt 2, corr(e1, -e2) = 0: the tree goes over the middle one
    result = deaths(torch.stack([E1 + 5, E1 + E2, 3 - 2 * E2], dim=1))
    assert result.tolist() == pytest.approx([1 - 1 / math.sqrt(2)] * 2)


def test_copies_die_at_once_and_strangers_at_one() -> None:
    outcome = deaths(torch.stack([E1, -E1, E2, torch.full((4,), 0.1).double()], dim=1))
    assert sorted(outcome.tolist()) == pytest.approx([0, 1, 1])


@pytest.mark.parametrize("seed", range(4))
def test_deaths_are_the_merges_of_single_linkage(seed: int) -> None:
    data = values(seed=seed)
    distances = 1 - np.abs(np.corrcoef(data.T.numpy()))
    expected = linkage(distances[np.triu_indices(9, 1)], method="single")[:, 2]
    torch.testing.assert_close(deaths(data).sort().values, torch.from_numpy(expected))


def test_gradients_are_those_of_differences() -> None:
    assert torch.autograd.gradcheck(deaths, values(6, 5).requires_grad_())


def test_a_constant_neuron_in_float32_has_no_correlation_and_no_gradient() -> None:
    data = values(12, 3).float()
    data[:, 1] = 0.1
    data.requires_grad_()
    actual = deaths(data)
    assert actual.max() == 1
    (gradient,) = torch.autograd.grad(actual.sum(), data)
    assert gradient.isfinite().all()
    assert not gradient[:, 1].any()
    assert gradient[:, 0].any()


def perceptron() -> nn.Module:
    """Hidden neurons e1 + 5, e1 + e2 + 5 and 7 - 2 e2 of the inputs (e1, e2), and two outputs that are e3-free."""
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0], [1, 1], [0, -2]]))
        network[0].bias.copy_(torch.tensor([5.0, 5, 7]))
        network[2].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1]]))
        network[2].bias.zero_()
    return network


INPUTS = torch.stack([E1, E2], dim=1).float()


def test_t1_and_t2_by_hand() -> None:
    # the outputs repeat the first and the last hidden neuron: deaths 0, 0 and twice d = 1 - 1/sqrt 2
    d = 1 - 1 / math.sqrt(2)
    t1 = Persistence(weight=2.0, variant="t1", share=1.0)(perceptron(), INPUTS, LABELS)
    assert t1.item() == pytest.approx(-2 * 2 * d, abs=1e-6)
    # mean d / 2, standard deviation d / 2: 3 (a - (1 - a)) d / 2
    t2 = Persistence(weight=3.0, variant="t2", share=1.0, a=0.75)(perceptron(), INPUTS, LABELS)
    assert t2.item() == pytest.approx(3 * 0.5 * d / 2, abs=1e-6)


def test_only_the_loudest_neurons_of_a_layer_count() -> None:
    # a third of three is the last one, 7 - 2 e2, which an output repeats; the other output is a stranger to both
    computed = Persistence(weight=1.0, variant="t1", share=0.34)(perceptron(), INPUTS, LABELS)
    assert computed.item() == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("variant", ["t1", "t2"])
def test_a_single_example_says_nothing(variant: str) -> None:
    network = perceptron()
    penalty = Persistence(weight=1.0, variant=variant, share=1.0)(network, INPUTS[:1], LABELS[:1])
    # all distances are 1: - sum is -4, and std - mean is (0 - 1) / 2
    assert penalty.item() == pytest.approx(-4 if variant == "t1" else -0.5)
    penalty.backward()
    assert all(p.grad is None or not p.grad.any() for p in network.parameters())


def test_a_single_neuron_has_nobody_to_correlate_with() -> None:
    for variant in ("t1", "t2"):
        assert Persistence(variant=variant)(nn.Linear(2, 1), INPUTS, LABELS).item() == 0


@pytest.mark.parametrize(("field", "value"), [("share", 0.0), ("share", 1.5), ("a", -0.1), ("a", float("nan"))])
def test_hyperparameters_out_of_range(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"expected 0 .* {field} <= 1, got {value}"):
        Persistence(**{field: value})
