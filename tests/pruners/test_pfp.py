from collections.abc import Callable, Iterable
from dataclasses import replace
from math import ceil, log

import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners import Context, coupled_channels
from pruners._channels import remove_channels
from pruners.pfp import PFP, errors, sensitivities

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        yield torch.rand(6, 3, 8, 8, generator=generator), torch.randint(4, (6,), generator=generator)


CONTEXT = Context(example=torch.zeros(1, 3, 8, 8), batches=batches)


def tiny() -> nn.Sequential:
    """Two neurons that copy the inputs, then three that read them, then one."""
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network[0].weight.copy_(torch.eye(2))
        network[2].weight.copy_(torch.tensor([[1.0, 3.0], [2.0, 2.0], [0.0, 1.0]]))
        network[4].weight.copy_(torch.tensor([[1.0, 1.0, -4.0]]))
    return network


def test_sensitivities_by_hand() -> None:
    network = tiny()
    groups = coupled_channels(network, torch.zeros(1, 2))
    result = sensitivities(network, groups, [torch.tensor([[1.0, 1.0], [3.0, 1.0]])])
    # at (1, 1) the neurons sum 1 + 3, 2 + 2, 0 + 1; at (3, 1) 3 + 3, 6 + 2, 0 + 1
    # first: max(1/4, 2/4, 0, 3/6, 6/8, 0) = 3/4; second: 1, since the third neuron has nothing else
    assert result[0].tolist() == [0.75, 1]
    # the three read (4, 4, 1) and (6, 8, 1): 4/8, 6/14; 4/8, 8/14; alone among the negative weights
    assert torch.allclose(result[1], torch.tensor([1 / 2, 8 / 14, 1]).double())


def kept(sensitivity: Tensor, constant: float, eps: float) -> int:
    """The formulas of the paper as they stand."""
    total = float(sensitivity.sum())
    draws = max(1, ceil(3 * (6 + 2 * eps) * constant * total / eps**2))
    expected = sum(1 - (1 - float(each) / total) ** draws for each in sensitivity)
    return ceil(expected - 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_errors_are_where_the_numbers_of_channels_change(seed: int) -> None:
    sensitivity = torch.rand(12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 3
    outcome = errors(sensitivity, 20.0)
    assert bool((outcome.diff() < 0).all())
    for number, eps in enumerate(outcome[1:].tolist(), start=2):
        assert kept(sensitivity, 20.0, eps * (1 - 1e-9)) >= number
        assert kept(sensitivity, 20.0, eps * (1 + 1e-9)) < number


def test_errors_by_hand() -> None:
    # two equal channels: one draw finds 1, two are expected to find 1.5, which is more than 1: m = 2 for both
    # 3 (6 + 2 eps) a S / eps^2 = 1 with a S = 1: eps^2 - 6 eps - 18 = 0, eps = 3 + sqrt(27)
    actual = errors(torch.tensor([0.25, 0.25]).double(), 2.0)
    assert actual.tolist() == pytest.approx([2 * (3 + 27**0.5), 3 + 27**0.5])


@pytest.mark.parametrize(
    ("sensitivity", "expected"), [([0.0, 0.0, 0.0], [1, 0, 0]), ([0.3], [1]), ([0.0, 0.5, 0.0], [1, 0, 0])]
)
def test_channels_that_never_contribute(sensitivity: list[float], expected: list[float]) -> None:
    assert errors(torch.tensor(sensitivity).double(), 5.0).tolist() == expected


def test_one_error_for_all_layers(build: Build) -> None:
    network = build("chain")
    groups = coupled_channels(network, CONTEXT.example)
    computed = sensitivities(network, groups, (images for images, _ in batches()))
    # the readers: 3 x 3 kernels at 64 places, and a linear layer
    constants = [6 * log(8 * (places + 1) * entries / 1e-16) for places, entries in ((64, 9), (1, 1))]
    for keep in (250, 500, 900):
        pruned = PFP()(network, keep=keep, context=CONTEXT)
        numbers = [pruned.get_submodule(name).out_channels for name in ("1", "4")]
        # bisection of eps on the paper's formulas
        low, high = 1e-3, 1e6
        for _ in range(200):
            eps = (low * high) ** 0.5
            sizes = [kept(each, a, eps) for each, a in zip(computed, constants, strict=True)]
            stays = {g: torch.arange(g.size) < size for g, size in zip(groups, sizes, strict=True)}
            low, high = (low, eps) if remaining(remove_channels(network, stays)) < keep else (eps, high)
        near = [[kept(s, a, e) for s, a in zip(computed, constants, strict=True)] for e in (low, high)]
        assert numbers in near
        for each, name in zip(computed, ("1", "4"), strict=True):
            filters = network.get_parameter(f"{name}.bias")[each.argsort(descending=True)]
            assert set(pruned.get_parameter(f"{name}.bias").tolist()) == set(
                filters[: pruned.get_submodule(name).out_channels].tolist()
            )


def test_shared_channels_take_the_largest_sensitivity(build: Build) -> None:
    network = build("projection")
    groups = coupled_channels(network, CONTEXT.example)
    images = next(iter(batches()))[0]
    together = sensitivities(network, groups, [images])
    stem = next(n for n, group in enumerate(groups) if str(group).startswith("1,"))
    sides = [side for side in groups[stem].sides if side.direction == "in"]
    alone = [sensitivities(network, [replace(groups[stem], sides=(side,))], [images])[0] for side in sides]
    assert len(alone) == 3
    assert torch.equal(together[stem], torch.stack(alone).amax(0))
    assert not torch.equal(alone[0], alone[1])


def test_one_look_at_every_batch(build: Build) -> None:
    network = build("chain")
    groups = coupled_channels(network, CONTEXT.example)
    calls = []
    handle = network.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    sensitivities(network, groups, (images for images, _ in batches()))
    handle.remove()
    assert calls == [6, 6]


def test_as_many_images_as_asked(build: Build) -> None:
    network = build("chain")
    few = replace(CONTEXT, batches=lambda: [(images[:3], labels[:3]) for images, labels in list(batches())[:1]])
    one, other = PFP(images=3), PFP()
    groups = coupled_channels(network, CONTEXT.example)
    for result, expected in zip(one.score(network, groups, CONTEXT), other.score(network, groups, few), strict=True):
        assert torch.equal(result, expected)


@pytest.mark.parametrize("randomised", [False, True])
def test_every_kind_of_network(network: nn.Module, images: Tensor, randomised: bool) -> None:
    pruned = PFP(randomised=randomised)(network, keep=round(0.6 * remaining(network)), context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    result = pruned(images)
    assert result.shape == network(images).shape
    assert bool(result.isfinite().all())


def test_randomised_reweights_what_reads_the_channels(build: Build) -> None:
    network = build("chain").requires_grad_(requires_grad=False)
    pruned = PFP(randomised=True)(network, keep=400, context=CONTEXT)
    stays = [int((network.get_parameter("4.bias") == bias).nonzero()) for bias in pruned.get_parameter("4.bias")]
    factors = pruned.get_parameter("8.weight") / network.get_parameter("8.weight")[:, stays]
    assert torch.allclose(factors, factors[:1].expand_as(factors))
    assert bool((factors >= 1).all())
    assert float(factors.max()) > 1
    others = PFP(randomised=True)(network, keep=400, context=replace(CONTEXT, seed=1))
    assert others.get_parameter("4.bias").tolist() != pruned.get_parameter("4.bias").tolist()
    plain = PFP()(network, keep=400, context=CONTEXT)
    kept = [int((network.get_parameter("4.bias") == bias).nonzero()) for bias in plain.get_parameter("4.bias")]
    assert torch.equal(plain.get_parameter("8.weight"), network.get_parameter("8.weight")[:, kept])


def test_out_of_range() -> None:
    with pytest.raises(ValueError, match="expected images >= 1, got 0"):
        PFP(images=0)
    with pytest.raises(ValueError, match="expected 0 < delta < 1, got 1"):
        PFP(delta=1.0)


def test_nan_is_refused(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("4.weight")[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN in"):
        PFP()(network, keep=100, context=CONTEXT)
