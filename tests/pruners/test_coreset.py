from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context, coupled_channels
from pruners._ellipsoid import sensitivities
from pruners._folding import folded_filters, norms_behind
from pruners._importance_sampling import arrivals, places, unbiased_weights
from pruners.coreset import Coreset, principal

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
Variant = Literal["mussay", "tukan"]
CONTEXT = Context(example=torch.zeros(1, 3, 8, 8))
FLAT = Context(example=torch.zeros(1, 4))
VARIANTS: tuple[Variant, ...] = ("mussay", "tukan")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def perceptron(width: int, *, dominant: int = 0) -> nn.Sequential:
    """ReLU neurons of which the first `dominant` are read by weights a hundred times as large."""
    network = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))
    with torch.no_grad():
        network[0].weight.copy_(normal(width, 4, seed=1))
        network[0].bias.copy_(normal(width, seed=2))
        network[2].weight.copy_(normal(3, width, seed=3) * 0.01)
        network[2].weight[:, :dominant] *= 100
        network[2].bias.copy_(normal(3, seed=4))
    return network.double().eval().requires_grad_(requires_grad=False)


def sensitivity(network: nn.Module, variant: Variant, context: Context) -> Tensor:
    (group,) = coupled_channels(network, context.example)
    return Coreset(variant=variant).sensitivity(network, group, norms_behind(network, context.example))


def test_sensitivity_by_hand() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0, 3.0], [0.0, 4.0], [0.0, 0.0]]))
        network[0].bias.copy_(torch.tensor([6.0, 3.0, 0.0]))
        network[2].weight.copy_(torch.tensor([[0.5, 1.0, 9.0], [-2.0, 0.5, 9.0]]))
    # |(2, 3, 6)| = 7 read by at most 2, |(0, 4, 3)| = 5 read by at most 1, a dead one
    result = sensitivity(network, "mussay", Context(example=torch.zeros(1, 2)))
    assert result.tolist() == [14, 5, 0]


def test_batch_norm_is_folded() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with torch.no_grad():
        for number, tensor in enumerate((*network[1].parameters(), network[1].running_mean)):
            tensor.copy_(normal(6, seed=number))
        network[1].running_var.copy_(normal(6).exp())
    (group,) = coupled_channels(network, FLAT.example)
    points = folded_filters(network, group, norms_behind(network, FLAT.example))
    inputs = normal(20, 4)
    ones = torch.cat([inputs, torch.ones(20, 1)], dim=1).double()
    assert torch.allclose(ones @ points.T, network[:2](inputs).double(), atol=1e-5)


def test_norms_are_found_only_directly_behind(build: Build) -> None:
    behind = norms_behind(build("projection"), CONTEXT.example)
    assert behind["1"] == "2"
    assert behind["5.conv1"] == "5.bn1"
    assert behind["5.shortcut.0"] == "5.shortcut.1"
    # all other norms of a dense network read concatenations
    assert norms_behind(build("dense"), CONTEXT.example) == {"stem": "bns.0"}
    in_place = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    assert norms_behind(in_place, CONTEXT.example) == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_expected_outputs_are_those_of_the_network(variant: Variant) -> None:
    # exactly as refit multiplies: the average over seeds of the re-weighted sums, within five standard errors
    network = perceptron(32)
    (group,) = coupled_channels(network, FLAT.example)
    importance = Coreset(variant=variant).sensitivity(network, group, {})
    inputs = normal(5, 4, seed=8).double()
    terms = network[:2](inputs).unsqueeze(1) * network[2].weight  # (5, 3, 32)
    sums = []
    for seed in range(3000):
        times = arrivals(importance, torch.Generator().manual_seed(seed))
        stays = places(times) > 32 - 12
        sums.append((terms * (unbiased_weights(importance, times, stays) * stays)).sum(2))
    outcome = torch.stack(sums)
    error = outcome.std(0) / len(outcome) ** 0.5
    assert bool(((outcome.mean(0) - terms.sum(2)).abs() < 5 * error).all())


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_those_of_the_draws(variant: Variant) -> None:
    network = perceptron(32)
    pruned = Coreset(variant=variant)(network, keep=remaining(network) // 2, context=replace(FLAT, seed=3))
    (left,) = {len(pruned[0].weight)}
    kept = [int((network[0].weight == row).all(1).nonzero()) for row in pruned[0].weight]
    assert left == len(set(kept)) == 16
    factors = pruned[2].weight / network[2].weight[:, kept]
    assert bool((factors >= 1).all())
    # one factor a channel
    assert torch.allclose(factors, factors[:1].expand_as(factors))
    assert float(factors.max()) > 1.01
    assert torch.equal(pruned[2].bias, network[2].bias)
    assert torch.equal(pruned[0].bias, network[0].bias[kept])


@pytest.mark.parametrize("variant", VARIANTS)
def test_better_than_uniform_where_few_neurons_dominate(variant: Variant) -> None:
    network = perceptron(64, dominant=4)
    (group,) = coupled_channels(network, FLAT.example)
    importance = Coreset(variant=variant).sensitivity(network, group, {})
    inputs = normal(50, 4, seed=8).double()
    terms = network[:2](inputs).unsqueeze(1) * network[2].weight

    def error(importance: Tensor) -> float:
        squares = []
        for seed in range(200):
            times = arrivals(importance, torch.Generator().manual_seed(seed))
            stays = places(times) > 64 - 16
            sums = (terms * (unbiased_weights(importance, times, stays) * stays)).sum(2)
            squares.append(float((sums - terms.sum(2)).square().mean()))
        return sum(squares) / len(squares)

    assert error(importance) < error(torch.ones(64)) / 3


def test_loewner_sensitivities_are_those_of_the_reduced_points() -> None:
    network = perceptron(64)
    (group,) = coupled_channels(network, FLAT.example)
    points = folded_filters(network, group, {}) * network[2].weight.detach().abs().amax(0).unsqueeze(1)
    reduced = principal(points)
    assert reduced is not None
    assert reduced.shape == (64, 2)  # 2 * 2^2 <= 64 / 4 < 2 * 3^2
    # principal directions keep the largest part of the second moments
    values = torch.linalg.eigvalsh(points.T @ points).flip(0)[:2]
    assert np.allclose((reduced**2).sum(0), values)
    actual = sensitivity(network, "tukan", FLAT)
    assert np.array_equal(actual.numpy(), sensitivities(reduced))
    assert len(actual.unique()) > 4
    assert bool((actual > 0).all())


@pytest.mark.parametrize(("width", "same"), [(7, True), (8, False)])
def test_too_few_channels_for_an_ellipsoid_fall_back(width: int, same: bool) -> None:
    network = perceptron(width)
    computed = [sensitivity(network, variant, FLAT) for variant in VARIANTS]
    assert torch.equal(*computed) == same


def test_dead_channels_go_first() -> None:
    network = perceptron(16)
    with torch.no_grad():
        network[2].weight[:, ::2] = 0
    for variant in VARIANTS:
        pruned = Coreset(variant=variant)(network, keep=remaining(network) // 2, context=FLAT)
        assert len(pruned[0].weight) < 16
        kept = [int((network[0].weight == row).all(1).nonzero()) for row in pruned[0].weight]
        assert len([k for k in kept if k % 2]) == min(8, len(kept))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_network(network: nn.Module, images: Tensor, variant: Variant) -> None:
    pruned = Coreset(variant=variant)(network, keep=round(0.6 * remaining(network)), context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    result = pruned(images)
    assert result.shape == network(images).shape
    assert bool(result.isfinite().all())


def test_other_seeds_draw_others(build: Build) -> None:
    network = build("chain")
    result = {
        tuple(
            Coreset()(network, keep=200, context=replace(CONTEXT, seed=seed)).get_parameter("1.weight").sum((1, 2, 3))
        )
        for seed in range(5)
    }
    assert len(result) > 1


def test_all_readers_are_reweighted_alike(build: Build) -> None:
    # the first convolution's channels are read by three convolutions, one of them a shortcut's
    network = build("projection").requires_grad_(requires_grad=False)
    group = next(g for g in coupled_channels(network, CONTEXT.example) if str(g).startswith("1,"))
    keep = {group: torch.arange(group.size) < 4}
    result = Coreset().refit(network, keep, CONTEXT)
    factors = []
    for name, weight in prunable(network).items():
        ratio = result.get_parameter(name) / weight
        if not torch.equal(ratio, torch.ones_like(ratio)):
            # one factor an input channel
            assert torch.allclose(ratio, ratio[:1, :, :1, :1].expand_as(ratio))
            factors.append((name, ratio[0, :, 0, 0]))
    assert [name for name, _ in factors] == ["4.conv1.weight", "5.conv1.weight", "5.shortcut.0.weight"]
    assert all(torch.allclose(factor, factors[0][1]) for _, factor in factors)


def test_nan_is_refused(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("4.weight")[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="expected finite weights, got NaN or infinity in 1, 2"):
        Coreset()(network, keep=100, context=CONTEXT)
