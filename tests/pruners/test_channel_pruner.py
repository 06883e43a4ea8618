from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, final

import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.weights import remaining
from pruners import ChannelPruner, Context
from pruners._channels import ChannelGroup, Keep

Build = Callable[[str], nn.Module]
CONTEXT = Context(example=torch.zeros(1, 3, 8, 8))


@final
@dataclass(frozen=True, kw_only=True)
class First(ChannelPruner):
    """Keeps the first channels of each group and doubles every bias before the cut."""

    comparable: ClassVar[bool] = True

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        return [-torch.arange(group.size, dtype=torch.float32) for group in groups]

    @override
    def refit(self, network: nn.Module, keep: Keep, context: Context) -> nn.Module:
        fitted = deepcopy(network)
        with torch.no_grad():
            for name, parameter in fitted.named_parameters():
                if name.endswith("bias"):
                    assert parameter.shape == network.get_parameter(name).shape
                    parameter.mul_(2)
        return fitted


@final
@dataclass(frozen=True, kw_only=True)
class Never(ChannelPruner):
    """Cannot score."""

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        raise AssertionError


def test_the_whole_network_is_refitted_before_it_is_cut(build: Build) -> None:
    network = build("chain")
    pruned = First()(network, keep=remaining(network) // 2, context=CONTEXT)
    for name in ("1", "2", "4"):
        left = len(pruned.get_parameter(f"{name}.bias"))
        assert 0 < left < len(network.get_parameter(f"{name}.bias"))
        assert torch.equal(pruned.get_parameter(f"{name}.bias"), 2 * network.get_parameter(f"{name}.bias")[:left])
    assert torch.equal(
        pruned.get_parameter("4.weight"),
        network.get_parameter("4.weight")[: len(pruned.get_parameter("4.bias")), : len(pruned.get_parameter("1.bias"))],
    )


@pytest.mark.parametrize("at_least", [1, 3, 7, 100])
def test_the_floor_of_every_group(build: Build, at_least: int) -> None:
    network = build("chain")
    smallest = First(at_least=at_least)(network, keep=1, context=CONTEXT)
    widths = [smallest.get_submodule(name).out_channels for name in ("1", "4")]
    assert widths == [min(at_least, 8), min(at_least, 12)]


def test_a_network_that_keeps_everything_is_copied_without_a_look(build: Build) -> None:
    network = build("chain")
    copy = Never()(network, keep=remaining(network), context=CONTEXT)
    assert copy is not network
    assert all(torch.equal(a, b) for a, b in zip(copy.parameters(), network.parameters(), strict=True))
    with pytest.raises(AssertionError):
        Never()(network, keep=remaining(network) - 1, context=CONTEXT)


def test_a_network_without_removable_channels_is_refused_before_it_is_scored() -> None:
    with pytest.raises(ValueError, match="expected a network with channels that can be removed"):
        Never()(nn.Linear(3, 2), keep=3, context=Context(example=torch.zeros(1, 3)))


def test_the_floor_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="expected at_least >= 1, got 0"):
        First(at_least=0)
