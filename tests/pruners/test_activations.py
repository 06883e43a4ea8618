from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners import coupled_channels
from pruners._activations import by_channel, first_reader, read
from pruners._channels import ChannelGroup, Side

Build = Callable[[str], nn.Module]


def group_of(network: nn.Module, images: Tensor, producer: str) -> ChannelGroup:
    return next(group for group in coupled_channels(network, images[:1]) if str(group).startswith(producer))


def inputs_of(network: nn.Module, images: Tensor, name: str) -> Tensor:
    """What a plain forward pass hands to a layer."""
    observed: list[Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(lambda _, inputs, __: observed.append(inputs[0]))
    network(images)
    handle.remove()
    return observed[0]


@pytest.mark.parametrize(
    ("name", "producer", "reader"),
    [("chain", "1", "4"), ("vgg", "1", "5"), ("projection", "4.conv1", "4.conv2"), ("mobile", "0", "6.down")],
)
def test_what_a_convolution_reads(build: Build, images: Tensor, name: str, producer: str, reader: str) -> None:
    network = build(name)
    (result,) = read(network, [group_of(network, images, producer)], images)
    torch.testing.assert_close(result, inputs_of(network, images, reader).flatten(2), rtol=0, atol=0)


def test_flattened_channels_have_their_positions(build: Build, images: Tensor) -> None:
    network = build("vgg")
    outcome = read(network, [group_of(network, images, "5"), group_of(network, images, "8")], images)
    flat = inputs_of(network, images, "8")
    torch.testing.assert_close(outcome[0], flat.view(4, 5, 16), rtol=0, atol=0)
    torch.testing.assert_close(outcome[1], inputs_of(network, images, "12")[:, :, None], rtol=0, atol=0)
    assert outcome[1].shape == (4, 9, 1)
    assert bool((outcome[1] >= 0).all())


def test_tokens_are_positions(build: Build, images: Tensor) -> None:
    network = build("transformer")
    groups = coupled_channels(network, images[:1])
    actual = read(network, groups, images)
    for number in range(2):
        hidden = inputs_of(network, images, f"layers.{number}.fc2")
        assert hidden.shape == (4, 5, 10)
        torch.testing.assert_close(actual[number], hidden.transpose(1, 2), rtol=0, atol=0)


def test_a_channel_of_a_grouped_convolution_is_one_of_each_group(build: Build, images: Tensor) -> None:
    network = build("grouped")
    (computed,) = read(network, [group_of(network, images, "0")], images)
    recorded = inputs_of(network, images, "3").flatten(2)
    assert computed.shape == (4, 4, 2 * 64)
    for channel in range(4):
        expected = torch.cat([recorded[:, channel], recorded[:, channel + 4]], dim=1)
        torch.testing.assert_close(computed[:, channel], expected, rtol=0, atol=0)


def test_concatenated_channels_are_told_apart(build: Build, images: Tensor) -> None:
    network = build("dense")
    (result,) = read(network, [group_of(network, images, "convs.0")], images)
    torch.testing.assert_close(result, inputs_of(network, images, "convs.1")[:, 6:10].flatten(2), rtol=0, atol=0)


def test_every_network_is_read_in_one_pass_and_left_alone(network: nn.Module, images: Tensor) -> None:
    groups, calls = coupled_channels(network, images[:1]), []
    handle = network.register_forward_hook(lambda *_: calls.append(1))
    result = read(network, groups, images)
    handle.remove()
    assert len(calls) == 1
    assert [tensor.shape[:2] for tensor in result] == [(4, group.size) for group in groups]
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_changes_made_later_are_not_seen() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(2, 3), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            y = self.last(x)
            x.zero_()
            return y + x.sum()

    network = InPlace()
    group = ChannelGroup(
        size=3,
        sides=(
            Side(layer="first", direction="out", channels=torch.arange(3)),
            Side(layer="last", direction="in", channels=torch.arange(3)),
        ),
    )
    images = torch.rand(2, 2)
    with torch.no_grad():
        (result,) = read(network, [group], images)
        torch.testing.assert_close(result[:, :, 0], F.linear(images, network.first.weight, network.first.bias))


def test_order_of_positions_by_hand() -> None:
    # inputs 10, 11, ..., 15 belong to channels 1, 0, -, 1, 0, -: channel 0 is (11, 14), channel 1 is (10, 13)
    side = Side(layer="any", direction="in", channels=torch.tensor([1, 0, -1, 1, 0, -1]))
    noted = torch.arange(10.0, 16.0)[None]
    assert by_channel(noted, side, 2, last=True).tolist() == [[[11, 14], [10, 13]]]
    images = torch.stack([noted, noted + 100], dim=2)
    assert by_channel(images, side, 2, last=False).tolist() == [[[11, 111, 14, 114], [10, 110, 13, 113]]]


def test_the_first_layer_that_reads_all_channels() -> None:
    def side(layer: str, channels: list[int]) -> Side:
        return Side(layer=layer, direction="in", channels=torch.tensor(channels))

    # "some" lacks channel 2, "uneven" has channel 0 twice
    sides = (
        side("some", [0, 1]),
        side("uneven", [0, 0, 1, 2]),
        side("twice", [2, 1, 0, 0, 1, 2, -1]),
        side("all", [0, 1, 2]),
    )
    assert first_reader(ChannelGroup(size=3, sides=sides)).layer == "twice"
    with pytest.raises(ValueError, match="expected a layer that reads all channels"):
        first_reader(ChannelGroup(size=3, sides=sides[:2]))
    with pytest.raises(ValueError, match="expected a layer that reads all channels"):
        first_reader(ChannelGroup(size=3, sides=()))
