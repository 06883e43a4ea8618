from collections.abc import Callable, Iterable
from dataclasses import replace
from math import log

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from neuralnets.layers import BATCH_NORMS
from neuralnets.training_hook import Hook
from neuralnets.weights import prunable, remaining
from pruners import Context, sgd
from pruners._bounded import Bounded, bounded, can_be_bounded, importances, unbounded
from pruners.rni import RNI, Receding, receding

Build = Callable[[str], nn.Module]


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        yield torch.rand(8, 3, 8, 8, generator=generator), torch.randint(4, (8,), generator=generator)


def context(steps: int = 2, rate: float = 1e-3) -> Context:
    train = sgd(batches, steps=steps, learning_rate=rate)
    return Context(example=torch.zeros(1, 3, 8, 8), batches=batches, train=train)


def as_it_is(network: nn.Module, hook: Hook) -> nn.Module:
    """A training that changes nothing."""
    return network.eval()


def norms(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if can_be_bounded(module)]


@pytest.mark.parametrize("name", ["chain", "projection", "padding", "vgg", "dense", "mobile", "grouped"])
@pytest.mark.parametrize("training", [False, True])
def test_a_bounded_network_computes_the_same_there_and_back(
    build: Build, images: Tensor, name: str, training: bool
) -> None:
    network = build(name)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    expected = network.train(training)(images)
    there = bounded(network, norms(network))
    assert sum(isinstance(module, Bounded) for module in there.modules()) == len(norms(network)) > 0
    assert all(module.training == training for module in there.modules())
    assert torch.allclose(there(images), expected, atol=1e-5)
    back = unbounded(there)
    assert list(back.state_dict()) == list(network.state_dict())
    assert torch.allclose(back(images), expected, atol=1e-5)
    # what went there is as it was
    assert not any(isinstance(module, Bounded) for module in network.modules())


def test_importances_are_relative_scales() -> None:
    norm = nn.BatchNorm2d(5)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, -1.0, 0.5, 0.0, -4.0]))
        norm.bias.copy_(torch.arange(5.0))
    there = bounded(nn.Sequential(norm), ["0"])
    result = importances(there)["0"]
    # |g| / 4, off 0 and 1 by 1e-4 and 0.01
    assert result.tolist() == pytest.approx([0.5, 0.25, 0.125, 1e-4, 0.99], rel=1e-4)
    inner = there.get_submodule("0.norm")
    # sign and size of the largest, but where a bound was in the way
    assert inner.weight[:3].tolist() == pytest.approx([4, -4, 4])
    assert inner.weight[3:].tolist() == pytest.approx([0, -4 / 0.99])
    assert not inner.weight.requires_grad
    assert inner.bias.requires_grad
    assert there.get_parameter("0.gamma").requires_grad


def test_a_channel_that_has_receded_is_silent() -> None:
    norm = nn.BatchNorm2d(2).eval()
    with torch.no_grad():
        norm.bias.fill_(3)
    there = bounded(nn.Sequential(norm), ["0"])
    there.get_parameter("0.gamma").data[0] = -60
    outcome = unbounded(there)(torch.rand(2, 2, 3, 3))
    assert bool((outcome[:, 0].abs() < 1e-20).all())
    assert bool((outcome[:, 1] > 1).all())


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(2, 2, 1), nn.InstanceNorm2d(2, affine=True), nn.BatchNorm2d(2, affine=False)]
)
def test_other_layers_cannot_be_bounded(layer: nn.Module) -> None:
    assert not can_be_bounded(layer)
    silent = nn.BatchNorm2d(2)
    nn.init.zeros_(silent.weight)
    assert not can_be_bounded(silent)


def test_the_gradient_of_the_penalty() -> None:
    gamma = torch.linspace(-9, 9, 50, dtype=torch.float64, requires_grad=True)
    receding(gamma).backward()
    s = gamma.detach().sigmoid()
    assert torch.allclose(gamma.grad, -s.log() * s * (1 - s))


def test_the_push_is_largest_at_a_quarter() -> None:
    gamma = torch.linspace(-6, 6, 12_001, dtype=torch.float64, requires_grad=True)
    receding(gamma).backward()
    most = gamma.grad.argmax()
    # where d/ds of -ln(s) s (1 - s) is zero: (2 s - 1) ln(s) = 1 - s
    expected = brentq(lambda s: (2 * s - 1) * log(s) - (1 - s), 0.1, 0.5)
    assert expected == pytest.approx(0.2356, abs=1e-4)
    assert float(gamma.detach()[most].sigmoid()) == pytest.approx(expected, abs=2e-4)
    assert float(gamma.grad[most]) == pytest.approx(0.26, abs=0.005)
    assert float(gamma.grad[[0, -1]].amax()) < 0.05


def test_the_hook_by_hand() -> None:
    norm = nn.BatchNorm1d(2)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 0.5]))
    network = bounded(nn.Sequential(norm), ["0"])
    gamma = network.get_parameter("0.gamma")
    with torch.no_grad():
        gamma.copy_(torch.tensor([2.0, -1.0]))
    hook = Receding(strength=0.5, shift=1.0, rate=10.0)
    empty = torch.zeros(0)
    penalty = hook.penalty(network, empty, empty, 0.0)
    # at gamma + 1 = 3 and 0: s = 0.952574 and 1/2
    expected = 0.5 * (0.952574 * (1 - log(0.952574)) + 0.5 * (1 + log(2)))
    assert float(penalty.detach()) == pytest.approx(expected, abs=1e-5)
    penalty.backward()
    before = gamma.grad.clone()
    assert float(before[1]) == pytest.approx(0.5 * log(2) * 0.25)
    hook.after_backward(network, 0.0)
    assert torch.equal(gamma.grad, 10 * before)


def two_layers() -> nn.Sequential:
    layers = [nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in prunable(network).values():
            weight.copy_(torch.randn(weight.shape, generator=generator) / 2)
        network[1].weight.copy_(torch.tensor([4.0, -3.0, 0.4, 2.0]))
        network[4].weight.copy_(torch.tensor([0.1, 0.06, -0.07, 0.09, 0.02]))
    return network


def test_one_threshold_for_all_layers() -> None:
    # importances 1, 3/4, 0.1, 1/2 and 1, 0.6, 0.7, 0.9, 0.2: 0.1 and 0.2 go first; 12 + 20 + 10 = 42 weights,
    # 3 + 5 fewer, then 3 + 2 fewer
    network = two_layers()
    still = replace(context(), train=as_it_is)
    once = RNI()(network, keep=34, context=still)
    assert once[1].weight.tolist() == pytest.approx([4, -3, 2])
    assert len(once[4].weight) == 5
    twice = RNI()(network, keep=29, context=still)
    assert twice[1].weight.tolist() == pytest.approx([4, -3, 2])
    assert twice[4].weight.tolist() == pytest.approx([0.1, 0.06, -0.07, 0.09])


@pytest.mark.parametrize(
    # of a and b channels there are 3 a + a b + 2 b weights: 24 of 3 and 3, 14 of 2 and 2
    ("keep", "widths"),
    [(25, [3, 3]), (24, [3, 3]), (23, [2, 4]), (18, [2, 3]), (14, [2, 2]), (13, [2, 2]), (10, [1, 2]), (1, [1, 1])],
)
def test_three_channels_stay_unless_the_budget_forbids_it(keep: int, widths: list[int]) -> None:
    pruned = RNI()(two_layers(), keep=keep, context=replace(context(), train=as_it_is))
    assert [len(pruned[place].weight) for place in (1, 4)] == widths


def test_channels_without_batch_norm_are_scored_by_their_filters() -> None:
    layers = [nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)).eval()
    with torch.no_grad():
        network[3].weight.copy_(torch.tensor([0.5, 0.02, 0.4, 0.3, 0.2]).view(5, 1, 1, 1).expand(5, 4, 1, 1))
    pruned = RNI()(network, keep=36, context=replace(context(), train=as_it_is))
    # relative norms 1, 0.04, ...: the second goes, 4 + 2 weights fewer
    assert pruned[3].weight[:, 0, 0, 0].tolist() == pytest.approx([0.5, 0.4, 0.3, 0.2])


def test_training_makes_unimportant_channels_recede() -> None:
    network = two_layers()
    there = bounded(network, norms(network))
    before = importances(there)
    two = [(images, labels % 2) for images, labels in batches()]
    train = sgd(lambda: two, steps=30, learning_rate=0.1)
    after = importances(train(there, Receding(strength=1.0, shift=0.0, rate=10.0)))
    for name, old in before.items():
        # those at the upper bound are hardly pushed
        assert bool((after[name] < old)[old < 0.95].all())
    # without the penalty they stay about where they were
    free = importances(train(there, Receding(strength=0.0, shift=0.0, rate=1.0)))
    assert max(float((free[name] - old).abs().amax()) for name, old in before.items()) < 0.2


def test_a_training_is_part_of_it(build: Build, images: Tensor) -> None:
    observed: list[float] = []
    plain = sgd(batches, steps=4, learning_rate=1e-3)

    def train(network: nn.Module, hook: Hook) -> nn.Module:
        assert any(isinstance(module, Bounded) for module in network.modules())
        assert isinstance(hook, Receding)
        observed.append(1.0)
        return plain(network, hook)

    network = build("projection")
    pruned = RNI()(network, keep=round(0.6 * remaining(network)), context=replace(context(), train=train))
    assert observed == [1.0]
    assert not any(isinstance(module, Bounded) for module in pruned.modules())
    assert any(isinstance(module, BATCH_NORMS) for module in pruned.modules())
    assert bool(pruned(images).isfinite().all())
    # weights that survive are trained ones
    assert not torch.isin(pruned.get_parameter("1.weight"), network.get_parameter("1.weight")).all()


@pytest.mark.parametrize("name", ["chain", "padding", "vgg", "dense", "mobile", "grouped"])
def test_every_kind_of_network(build: Build, images: Tensor, name: str) -> None:
    network = build(name)
    pruned = RNI()(network, keep=round(0.6 * remaining(network)), context=context())
    assert remaining(pruned) < remaining(network)
    assert bool(pruned(images).isfinite().all())
    assert len(prunable(pruned)) == len(prunable(network))


@pytest.mark.parametrize("name", ["transformer", "mixed", "decoder"])
def test_without_batch_norm_it_is_refused(build: Build, name: str) -> None:
    with pytest.raises(ValueError, match="expected channels with batch normalisation and learnt scales, got a network"):
        RNI()(build(name), keep=50, context=context())


def test_out_of_range() -> None:
    with pytest.raises(ValueError, match="expected strength >= 0, got -1"):
        RNI(strength=-1.0)
    with pytest.raises(ValueError, match="expected rate > 0, got 0"):
        RNI(rate=0.0)
    with pytest.raises(ValueError, match="expected at_least >= 1, got 0"):
        RNI(at_least=0)
