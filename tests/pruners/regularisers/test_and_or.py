import pytest
import torch
from scipy.stats import ks_2samp
from torch import Generator, Tensor, nn

from pruners.regularisers.and_or import AndOr, andness, scrambled, selectivity, silence

LABELS = torch.zeros(64, dtype=torch.long)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed))


def box(low: float, high: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(low), torch.tensor(high)


def test_and_or_and_majority_of_three() -> None:
    # x in {-1, 1}^3: AND fires above 2 of sum 3, OR above -2, majority above 0
    weight, bias = torch.ones(3, 3), torch.tensor([-2.0, 2.0, 0.0])
    torch.testing.assert_close(andness(weight, bias, *box(-1, 1)), torch.tensor([2 / 3, -2 / 3, 0.0]))
    # on bits {0, 1} the same AND is x1 + x2 + x3 - 2.5: values in [-2.5, 0.5], -(-2)/3
    torch.testing.assert_close(andness(torch.ones(1, 3), torch.tensor([-2.5]), *box(0, 1)), torch.tensor([2 / 3]))


def test_beyond_one_is_a_stable_neuron() -> None:
    weight, bias, low, high = normal(200, 5), normal(200, seed=1) * 3, -torch.rand(5), torch.rand(5)
    ends = [weight.clamp(min=0) @ a + weight.clamp(max=0) @ b + bias for a, b in ((low, high), (high, low))]
    unstable = (ends[0] < 0) & (ends[1] > 0)
    assert 0 < int(unstable.sum()) < 200
    assert torch.equal(andness(weight, bias, low, high).abs() < 1, unstable)


def test_filters_and_neurons_without_bias_or_inputs() -> None:
    assert andness(torch.ones(2, 3, 2, 2), None, *box(-1, 1)).tolist() == [0, 0]
    assert andness(torch.zeros(2, 3), torch.tensor([-1.0, 1.0]), *box(-1, 1)).tolist() == [torch.inf, -torch.inf]


def test_scrambling_keeps_margins_and_breaks_the_rest() -> None:
    x = normal(500, 1).repeat(1, 4).view(500, 2, 2)
    before = x.clone()
    result = scrambled(x, Generator().manual_seed(3))
    assert torch.equal(result.sort(0).values, x.sort(0).values)
    # four copies of one variable are four independent ones: correlations of 500 pairs are within 4 / sqrt(500)
    correlations = torch.corrcoef(result.flatten(1).T) - torch.eye(4)
    assert correlations.abs().max() < 0.18
    assert torch.equal(x, before)
    assert torch.equal(result, scrambled(x, Generator().manual_seed(3)))
    assert not torch.equal(result, scrambled(x, Generator().manual_seed(4)))
    assert torch.equal(scrambled(x[:1], Generator()), x[:1])


def test_silence_by_hand() -> None:
    assert silence(torch.tensor([[1.0, 0.0], [2.0, -1.0], [-1.0, 0.5], [3.0, -2.0]])).tolist() == [0.25, 0.75]


def test_selectivity_is_the_distance_of_kolmogorov_and_smirnov() -> None:
    real, other = normal(40, 6).round(decimals=1), (1.5 * normal(25, 6, seed=1) + 0.3).round(decimals=1)
    expected = [ks_2samp(real[:, k].numpy(), other[:, k].numpy()).statistic for k in range(6)]
    assert selectivity(real, other).tolist() == pytest.approx(expected)
    assert not selectivity(real, real).any()


def test_an_and_answers_to_real_data_only() -> None:
    # real inputs are four copies of one sign: AND fires on half of the real ones, on 1/16 of the scrambled ones
    x = normal(4000, 1).sign().repeat(1, 4)
    other = scrambled(x, Generator().manual_seed(0))
    weight, bias = torch.ones(2, 4), torch.tensor([-3.0, 3.0])
    measured = silence(other @ weight.T + bias)
    assert measured.tolist() == pytest.approx([15 / 16, 1 / 16], abs=0.02)
    assert selectivity(x @ weight.T + bias, other @ weight.T + bias).min() > 0.4


def hidden(bias: float) -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 1), nn.ReLU(), nn.Linear(1, 2))
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.fill_(bias)
    return network


COPIES = normal(64, 1).sign().repeat(1, 4)


def test_the_penalty_by_hand() -> None:
    network = hidden(-3.0)
    real, other = (network[:2](x).mean() for x in (COPIES, scrambled(COPIES, Generator().manual_seed(7))))
    penalty = AndOr(weight=2.0, margin=0.01, seed=7)(network, COPIES, LABELS)
    assert penalty.item() == pytest.approx(2 * (other / real - 0.01).item(), rel=1e-5)
    assert AndOr(weight=2.0, margin=1.0, seed=7)(network, COPIES, LABELS).item() == 0


def test_an_and_is_penalised_less_than_a_majority_and_that_less_than_an_or() -> None:
    # real inputs are 1, 1, 1, 1 or -1, -1, -1, -1; scrambled they sum to 4, 2, 0, -2, -4 with 1, 4, 6, 4, 1 in 16.
    # bias -3: (1 / 16) / (1 / 2); bias 0: ((4 + 4 * 2) / 16) / 2; bias 3: ((7 + 4 * 5 + 6 * 3 + 4) / 16) / (7 / 2)
    copies = torch.tensor([1.0, -1.0]).repeat(2000)[:, None].expand(4000, 4)
    outcome = [AndOr(weight=1.0)(hidden(bias), copies, LABELS).item() for bias in (-3.0, 0.0, 3.0)]
    assert outcome == pytest.approx([1 / 8, 3 / 8, 7 / 8], abs=0.03)


def test_scaling_a_layer_is_no_way_out() -> None:
    network = hidden(-1.0)
    one = AndOr(weight=1.0)(network, COPIES, LABELS)
    one.backward()
    # no slope along the layer's own direction
    along = sum((p * p.grad).sum() for p in network[0].parameters())
    assert along.item() == pytest.approx(0, abs=1e-6)
    assert network[0].bias.grad.item() > 0.01
    with torch.no_grad():
        for parameter in network[0].parameters():
            parameter.mul_(0.01)
    assert AndOr(weight=1.0)(network, COPIES, LABELS).item() == pytest.approx(one.item(), rel=1e-5)


def test_a_silent_layer_costs_nothing() -> None:
    network = hidden(-9.0)
    penalty = AndOr(weight=1.0)(network, COPIES, LABELS)
    penalty.backward()
    assert penalty.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in network.parameters())


def test_without_a_hidden_layer() -> None:
    with pytest.raises(ValueError, match="expected a network with a hidden layer"):
        AndOr()(nn.Linear(4, 2), COPIES, LABELS)


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_hyperparameters_out_of_range(margin: float) -> None:
    with pytest.raises(ValueError, match=f"expected margin >= 0, got {margin}"):
        AndOr(margin=margin)
