from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context, coupled_channels
from pruners.slimming import Slimming

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
CONTEXT = Context(example=torch.zeros(1, 3, 8, 8))
PIXEL = Context(example=torch.zeros(1, 1, 1, 1))


def scored(network: nn.Module, context: Context = CONTEXT) -> dict[str, Tensor]:
    groups = coupled_channels(network, context.example)
    result = Slimming().score(network, groups, context)
    return {str(group): score for group, score in zip(groups, result, strict=True)}


def gammas(network: nn.Module, name: str) -> Tensor:
    return network.get_parameter(f"{name}.weight").detach().double().abs()


def two_layers() -> nn.Sequential:
    """1 -> 3 -> 3 -> 1 by 1 x 1 filters: 15 weights."""
    network = nn.Sequential(
        nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1)
    )
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([0.5, -0.9, 0.1]))
        network[4].weight.copy_(torch.tensor([-0.2, 0.3, 0.4]))
    return network


@pytest.mark.parametrize(
    # in order of |gamma|: .9 .5 | .4 .3 .2 | .1; the weights left are a + a b + b
    ("keep", "first", "second"),
    [
        (15, [0.5, -0.9, 0.1], [-0.2, 0.3, 0.4]),
        (11, [0.5, -0.9], [-0.2, 0.3, 0.4]),
        (8, [0.5, -0.9], [0.3, 0.4]),
        (5, [0.5, -0.9], [0.4]),
        (1, [-0.9], [0.4]),
    ],
)
def test_one_threshold_for_the_network(keep: int, first: list[float], second: list[float]) -> None:
    pruned = Slimming()(two_layers(), keep=keep, context=PIXEL)
    assert pruned.get_parameter("1.weight").tolist() == pytest.approx(first)
    assert pruned.get_parameter("4.weight").tolist() == pytest.approx(second)


def test_filters_do_not_matter_where_there_are_scales() -> None:
    network = two_layers()
    with torch.no_grad():
        network[0].weight[2] = 100
    pruned = Slimming()(network, keep=11, context=PIXEL)
    assert pruned.get_parameter("1.weight").tolist() == pytest.approx([0.5, -0.9])


def test_a_layer_is_never_emptied() -> None:
    network = two_layers()
    with torch.no_grad():
        network[1].weight.mul_(1e-3)
    shapes = [tuple(weight.shape) for weight in prunable(Slimming()(network, keep=7, context=PIXEL)).values()]
    assert shapes[:2] == [(1, 1, 1, 1), (3, 1, 1, 1)]
    two = Slimming(at_least=2)(network, keep=1, context=PIXEL)
    assert [len(weight) for weight in prunable(two).values()] == [2, 2, 1]


def test_scales_of_coupled_layers_are_averaged(build: Build) -> None:
    network = build("projection")
    outcome = scored(network)
    assert torch.equal(outcome["4.conv1, 4.bn1"], gammas(network, "4.bn1"))
    ours = next(score for name, score in outcome.items() if name.startswith("1, 2"))
    torch.testing.assert_close(ours, (gammas(network, "2") + gammas(network, "4.bn2")) / 2)
    wide = next(score for name, score in outcome.items() if "5.bn2" in name)
    three = [gammas(network, name) for name in ("5.bn2", "5.shortcut.1", "6.bn2")]
    torch.testing.assert_close(wide, sum(three, start=torch.zeros(10).double()) / 3)


def test_concatenated_channels_take_the_scales_of_all_that_read_them(build: Build) -> None:
    # the four channels of the second convolution are 10-13 of the third norm and of the last
    network = build("dense")
    actual = next(score for name, score in scored(network).items() if name.startswith("convs.1"))
    torch.testing.assert_close(actual, (gammas(network, "bns.2")[10:] + gammas(network, "bn")[10:14]) / 2)


def test_groups_without_scales_have_typical_ones_by_their_filters(build: Build) -> None:
    network = build("chain")
    computed = scored(network)
    assert torch.equal(computed["1, 2"], gammas(network, "2"))
    norms = network.get_parameter("4.weight").detach().double().flatten(1).norm(dim=1)
    torch.testing.assert_close(computed["4"], norms / norms.mean() * gammas(network, "2").mean())


def test_channels_of_a_grouped_convolution_are_averaged(build: Build) -> None:
    network = build("grouped")
    result = scored(network)
    torch.testing.assert_close(result["0, 1"], gammas(network, "1").view(2, 4).mean(0))
    torch.testing.assert_close(result["3, 4"], gammas(network, "4").view(2, 6).mean(0))


def test_a_norm_without_scales_does_not_count(build: Build) -> None:
    network = build("vgg")
    network.set_submodule("9", nn.BatchNorm1d(9, affine=False).eval())
    norms = network.get_parameter("8.weight").detach().double().norm(dim=1)
    result = scored(network)
    torch.testing.assert_close(result["8, 9"], norms / norms.mean() * gammas(network, "2").mean())


@pytest.mark.parametrize("name", ["transformer", "mixed"])
def test_networks_without_scales_are_refused(build: Build, name: str) -> None:
    with pytest.raises(ValueError, match="expected batch normalisation with learnt scales, got a network without"):
        Slimming()(build(name), keep=100, context=CONTEXT)


@pytest.mark.parametrize("name", ["chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "decoder"])
def test_every_other_coupling_is_pruned(build: Build, images: Tensor, name: str) -> None:
    network = build(name)
    pruned = Slimming()(network, keep=remaining(network) // 2, context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    assert pruned(images).shape == network(images).shape


def test_scales_that_are_zero_go_first(build: Build, images: Tensor) -> None:
    network = build("chain")
    with torch.no_grad():
        for name in ("2.weight", "2.bias"):
            network.get_parameter(name)[[1, 4, 6]] = 0
    # 3 channels of 27 + 108 weights, which nothing depends on
    pruned = Slimming()(network, keep=remaining(network) - 3 * 135, context=CONTEXT)
    assert pruned.get_submodule("1").out_channels == 5
    torch.testing.assert_close(pruned(images), network(images))


def test_a_group_of_dead_filters_without_scales() -> None:
    network = two_layers()
    network[4] = nn.Identity()
    with torch.no_grad():
        network[3].weight.zero_()
    assert scored(network, PIXEL)["3"].tolist() == [0] * 3
