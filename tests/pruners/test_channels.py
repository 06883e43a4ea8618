import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners._channels import ChannelGroup, Side, counter, filters, mask_channels, remove_channels


def group(size: int, *sides: tuple[str, str, list[int]]) -> ChannelGroup:
    return ChannelGroup(
        size=size,
        sides=tuple(
            Side(layer=layer, direction="out" if direction == "out" else "in", channels=torch.tensor(channels))
            for layer, direction, channels in sides
        ),
    )


def perceptron() -> tuple[nn.Sequential, ChannelGroup]:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    network[0].weight = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    network[0].bias = nn.Parameter(torch.tensor([0.1, 0.2, 0.3]))
    network[2].weight = nn.Parameter(torch.tensor([[7.0, 8.0, 9.0]]))
    return network, group(3, ("0", "out", [0, 1, 2]), ("2", "in", [0, 1, 2]))


STAYS = torch.tensor([True, False, True])


def test_masking_by_hand() -> None:
    network, hidden = perceptron()
    masked = mask_channels(network, {hidden: STAYS}).state_dict()
    assert masked["0.weight"].tolist() == [[1, 2], [0, 0], [5, 6]]
    assert masked["0.bias"].tolist() == pytest.approx([0.1, 0.0, 0.3])
    assert masked["2.weight"].tolist() == [[7, 0, 9]]
    assert torch.equal(masked["2.bias"], network[2].bias)


def test_removing_by_hand() -> None:
    network, hidden = perceptron()
    smaller = remove_channels(network, {hidden: STAYS})
    assert smaller.get_parameter("0.weight").tolist() == [[1, 2], [5, 6]]
    assert smaller.get_parameter("0.bias").tolist() == pytest.approx([0.1, 0.3])
    assert smaller.get_parameter("2.weight").tolist() == [[7, 9]]
    first, last = smaller.get_submodule("0"), smaller.get_submodule("2")
    assert (first.in_features, first.out_features, last.in_features, last.out_features) == (2, 2, 2, 1)


def test_normalisation_is_cut_with_its_statistics() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))
    network[1].running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    network[1].running_var.copy_(torch.tensor([4.0, 5.0, 6.0]))
    shared = group(3, ("0", "out", [0, 1, 2]), ("1", "out", [0, 1, 2]), ("2", "in", [0, 1, 2]))
    masked = mask_channels(network, {shared: STAYS}).state_dict()
    assert masked["1.weight"].tolist() == [1, 0, 1]
    smaller = remove_channels(network, {shared: STAYS})
    assert smaller.get_submodule("1").num_features == 2
    assert smaller.get_buffer("1.running_mean").tolist() == [1, 3]
    assert smaller.get_buffer("1.running_var").tolist() == [4, 6]
    assert int(smaller.get_buffer("1.num_batches_tracked")) == 0


def test_two_groups_on_one_side_are_cut_at_once() -> None:
    network = nn.Linear(4, 1)
    network.weight = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    left, right = group(2, ("", "in", [0, 1, -1, -1])), group(2, ("", "in", [-1, -1, 0, 1]))
    keep = {left: torch.tensor([False, True]), right: torch.tensor([True, False])}
    assert remove_channels(network, keep).get_parameter("weight").tolist() == [[2, 3]]
    assert mask_channels(network, keep).get_parameter("weight").tolist() == [[0, 2, 3, 0]]


def test_a_channel_may_stand_at_several_positions() -> None:
    # flattened: two positions a channel
    network = nn.Linear(4, 1)
    network.weight = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    keep = {group(2, ("", "in", [0, 0, 1, 1])): torch.tensor([False, True])}
    assert remove_channels(network, keep).get_parameter("weight").tolist() == [[3, 4]]


def test_frozen_parameters_stay_frozen_and_the_mode_stays() -> None:
    network, hidden = perceptron()
    network[0].weight.requires_grad_(requires_grad=False)
    network.train()
    smaller = remove_channels(network, {hidden: STAYS})
    assert [p.requires_grad for p in smaller.parameters()] == [False, True, True, True]
    assert smaller.training
    assert not remove_channels(network.eval(), {hidden: STAYS}).training


def test_filters_of_each_kind_of_layer() -> None:
    plain = nn.Conv2d(2, 3, 2)
    ((result, channels),) = filters(plain, group(3, ("", "out", [2, 1, 0])))
    assert torch.equal(result, plain.weight.detach().reshape(3, 8))
    assert channels.tolist() == [2, 1, 0]
    transposed = nn.ConvTranspose2d(4, 6, 2, groups=2)
    ((result, _),) = filters(transposed, group(3, ("", "out", [0, 1, 2, 0, 1, 2])))
    # the impulse response: what output channel o is made of, over all inputs that reach it
    assert result.shape == (6, 2 * 4)
    for o in range(6):
        inputs = range(2) if o < 3 else range(2, 4)
        expected = torch.stack([transposed.weight[i, o % 3].detach() for i in inputs]).flatten()
        assert torch.equal(result[o], expected)


def test_what_only_reads_has_no_filters() -> None:
    network, hidden = perceptron()
    assert len(filters(network, hidden)) == 1
    norm = nn.BatchNorm1d(2)
    assert filters(norm, group(2, ("", "out", [0, 1]))) == ()


@pytest.mark.parametrize("zeros", [False, True])
def test_the_counter_counts_without_copying(zeros: bool) -> None:
    network, hidden = perceptron()
    if zeros:
        with torch.no_grad():
            network[0].weight[0, 1] = 0
            network[2].weight[0, 1] = 0
    count = counter(network, [hidden])
    for number in range(1, 8):
        stays = torch.tensor([bool(number & bit) for bit in (1, 2, 4)])
        assert count(stays) == remaining(remove_channels(network, {hidden: stays}))


def test_the_text_names_the_layers_that_produce() -> None:
    _, hidden = perceptron()
    assert str(hidden) == "0"


@pytest.mark.parametrize(
    ("stays", "message"),
    [
        (torch.tensor([True, False]), r"expected 3 flags for the channels of 0, got shape \(2,\)"),
        (torch.tensor([False, False, False]), "expected at least one channel of 0 to stay, got none"),
    ],
)
def test_impossible_cuts_are_refused(stays: Tensor, message: str) -> None:
    network, hidden = perceptron()
    for cut in (mask_channels, remove_channels):
        with pytest.raises(ValueError, match=message):
            cut(network, {hidden: stays})
