from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from neuralnets.weights import prunable, remaining
from pruners import coupled_channels
from pruners._channels import ChannelGroup, counter, mask_channels, remove_channels

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]

# worked out from the definitions of the networks: the layers that produce the channels of each group, and how many
EXPECTED = {
    "chain": {"1": 8, "4": 12},
    "projection": {"1, 4.conv2": 6, "4.conv1": 6, "5.conv1": 10, "5.conv2, 5.shortcut.0, 6.conv2": 10, "6.conv1": 10},
    # the padded stream is left alone
    "padding": {"4.conv1": 6, "5.conv1": 10, "6.conv1": 10},
    "vgg": {"1": 6, "5": 5, "8": 9},
    "dense": {"stem": 6, "convs.0": 4, "convs.1": 4, "convs.2": 4, "transition": 7},
    "mobile": {"0, 3, 6.up": 6, "6.down": 3, "7": 5},
    # two convolution groups: channels i and i + 4 go together, then j and j + 6
    "grouped": {"0": 4, "3": 6, "6": 5},
    # the picture is left alone
    "decoder": {"0": 3, "2": 4, "5": 5},
    # residual stream and heads are left alone
    "transformer": {"layers.0.fc1": 10, "layers.1.fc1": 10},
    "mixed": {"left, both": 4, "right, both": 6},
}


def producers(network: nn.Module, group: ChannelGroup) -> str:
    names = [side.layer for side in group.sides if side.direction == "out"]
    order = [
        name for name, module in network.named_modules() if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear))
    ]
    return ", ".join(sorted(set(names) & set(order), key=order.index))


@pytest.mark.parametrize("name", EXPECTED)
def test_groups_by_hand(build: Build, images: Tensor, name: str) -> None:
    network = build(name)
    groups = coupled_channels(network, images[:1])
    assert {producers(network, group): group.size for group in groups} == EXPECTED[name]


def thirds(groups: tuple[ChannelGroup, ...]) -> dict[ChannelGroup, Tensor]:
    return {group: torch.arange(group.size) % 3 != 1 for group in groups}


def test_removed_and_masked_channels_agree(network: nn.Module, images: Tensor) -> None:
    groups = coupled_channels(network, images[:1])
    keep = thirds(groups)
    with torch.no_grad():
        masked, removed = mask_channels(network, keep)(images), remove_channels(network, keep)(images)
        whole = network(images)
    assert torch.allclose(masked, removed, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(whole, removed, rtol=1e-2, atol=1e-2)


def test_a_single_channel_can_go(network: nn.Module, images: Tensor) -> None:
    groups = coupled_channels(network, images[:1])
    for group in groups:
        for channel in (0, group.size - 1):
            keep = {group: torch.arange(group.size) != channel}
            with torch.no_grad():
                masked, removed = mask_channels(network, keep)(images), remove_channels(network, keep)(images)
            assert torch.allclose(masked, removed, rtol=1e-5, atol=1e-5)


def test_a_single_channel_of_each_group_is_enough(network: nn.Module, images: Tensor) -> None:
    keep = {group: torch.arange(group.size) == 0 for group in coupled_channels(network, images[:1])}
    with torch.no_grad():
        masked, removed = mask_channels(network, keep)(images), remove_channels(network, keep)(images)
    assert torch.allclose(masked, removed, rtol=1e-5, atol=1e-5)


def test_removal_saves_parameters_and_operations(network: nn.Module, images: Tensor) -> None:
    groups = coupled_channels(network, images[:1])
    smaller = remove_channels(network, thirds(groups))
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in network.parameters())
    assert remaining(smaller) == sum(weight.numel() for weight in prunable(smaller).values())
    flops = []
    for candidate in (network, smaller):
        with FlopCounterMode(display=False) as mode, torch.no_grad():
            candidate(images)
        flops.append(mode.get_total_flops())
    assert flops[1] < 0.9 * flops[0]


def test_the_count_is_foreseen(network: nn.Module, images: Tensor) -> None:
    groups = coupled_channels(network, images[:1])
    count = counter(network, groups)
    for modulus in (2, 3, 5):
        keep = {group: torch.arange(group.size) % modulus == 0 for group in groups}
        assert count(torch.cat(list(keep.values()))) == remaining(remove_channels(network, keep))


def test_the_network_is_left_as_it_was(network: nn.Module, images: Tensor) -> None:
    network.train()
    for parameter in list(network.parameters())[::2]:
        parameter.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    frozen = [parameter.requires_grad for parameter in network.parameters()]
    coupled_channels(network, images[:1])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [parameter.requires_grad for parameter in network.parameters()] == frozen
    assert all(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_gradients_need_not_be_on(build: Build, images: Tensor) -> None:
    with torch.no_grad():
        assert len(coupled_channels(build("chain"), images[:1])) == 2
    network = build("chain").requires_grad_(requires_grad=False)
    assert len(coupled_channels(network, images[:1])) == 2


def test_again_after_a_cut(network: nn.Module, images: Tensor) -> None:
    groups = coupled_channels(network, images[:1])
    smaller = remove_channels(network, thirds(groups))
    again = coupled_channels(smaller, images[:1])
    assert [producers(smaller, group) for group in again] == [producers(network, group) for group in groups]
    assert [group.size for group in again] == [int(stays.sum()) for stays in thirds(groups).values()]


def small_vit() -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, num_classes=5)


@pytest.mark.parametrize(
    ("factory", "size", "groups"),
    [
        # 8 first convolutions of the blocks, 4 residual streams
        (lambda: torchvision.models.resnet18(num_classes=5), 32, 12),
        # stem, 2 convolutions a layer in 6 + 12 + 24 + 16 layers, without the one of the last transition: 3 transitions
        (lambda: torchvision.models.densenet121(num_classes=5), 32, 1 + 2 * 58 + 3),
        # stem, 16 expansions, 7 streams and the last convolution
        (lambda: torchvision.models.mobilenet_v2(num_classes=5), 32, 25),
        (small_vit, 32, 2),
    ],
)
def test_networks_that_people_use(factory: Callable[[], nn.Module], size: int, groups: int) -> None:
    network = factory().eval()
    example = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    result = coupled_channels(network, example)
    assert len(result) == groups
    keep = thirds(result)
    with torch.no_grad():
        masked, removed = mask_channels(network, keep)(example), remove_channels(network, keep)(example)
    assert torch.allclose(masked, removed, rtol=1e-5, atol=1e-5)


class Fixed(nn.Module):
    """Writes its own widths into forward()."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(self.second(self.first(x)), 1).view(-1, 4))


class Shuffled(nn.Module):
    """Reads channels in another order, which the dependency graph takes for an elementwise operation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 1)
        self.second = nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(torch.channel_shuffle(x, 2)).mean((2, 3))


class Functional(nn.Module):
    """Multiplies with parameters that belong to no layer."""

    def __init__(self, convolution: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 1)
        self.weight = nn.Parameter(torch.ones(4, 6, 1, 1) if convolution else torch.ones(4, 6))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.weight.dim() == 4:
            return self.head(F.conv2d(x, self.weight).mean((2, 3)))
        return self.head(F.linear(x.mean((2, 3)), self.weight))


class Auxiliary(nn.Module):
    """A head that is used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 6, 1)
        self.head = nn.Conv2d(6, 2, 1)
        self.aux = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        x = self.head(x) + self.aux(x) if self.training else self.head(x)
        return x.mean((2, 3))


def tied() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    network[1].weight = network[0].weight
    return network


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Fixed, "expected a network whose channels can be removed, got .* without channels of second: "),
        (Shuffled, "expected a network whose channels can be removed, got .* without channels of first: "),
        (lambda: Functional(convolution=True), "expected layers to be modules, got Convolution with a weight"),
        (lambda: Functional(convolution=False), "expected layers to be modules, got (Addmm|Mm) with a weight"),
        (Auxiliary, "expected forward\\(\\) to use aux in eval mode, got no call"),
        (tied, r"expected parameters of their own, got 1\.weight tied to 0\.weight"),
    ],
)
def test_what_cannot_be_cut_is_said(factory: Callable[[], nn.Module], message: str, images: Tensor) -> None:
    with pytest.raises(ValueError, match=message):
        coupled_channels(factory(), images[:1])


class Residual(nn.Module):
    """Adds the picture itself."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 5, 1)
        self.outer = nn.Conv2d(5, 3, 1)
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.outer(F.relu(self.inner(x)))).mean((2, 3))


class Split(nn.Module):
    """Normalises over channels, and gates one half with the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.norm = nn.GroupNorm(2, 8)
        self.second = nn.Conv2d(8, 8, 1)
        self.third = nn.Conv2d(4, 6, 1)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.second(self.norm(self.first(x))).chunk(2, dim=1)
        return self.last(self.third(left * right)).mean((2, 3))


class Twice(nn.Module):
    """What a layer reads is the picture once and its own output once."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.inner = nn.Conv2d(3, 5, 1)
        self.last = nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.inner(self.layer(F.relu(self.layer(x)))))).mean((2, 3))


class Recurrent(nn.Module):
    """Three steps of a state that is fed back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 6, 1)
        self.back = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = self.inner(x)
        for _ in range(3):
            state = F.relu(self.inner(x) + self.back(state))
        return self.last(state.mean((2, 3)))


def test_a_state_that_is_fed_back_is_cut_wherever_it_stands(images: Tensor) -> None:
    network = Recurrent()
    (group,) = coupled_channels(network, images[:1])
    sides = {(side.layer, side.direction) for side in group.sides}
    assert sides == {("inner", "out"), ("back", "out"), ("back", "in"), ("last", "in")}
    keep = {group: torch.tensor([True, False, True, True, False, True])}
    smaller = remove_channels(network, keep)
    assert smaller.back.weight.shape == (4, 4, 3, 3)
    torch.testing.assert_close(smaller(images), mask_channels(network, keep)(images))


class Detour(nn.Module):
    """Uses the weight of a layer without the layer, as the attention of torchvision's Swin does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(192, 5), nn.Linear(5, 4), nn.Linear(4, 6)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(F.relu(self.first(x.flatten(1))), self.second.weight, self.second.bias)
        return self.last(F.relu(self.third(x)))


@pytest.mark.parametrize(
    ("factory", "cut"), [(Residual, ["inner"]), (Split, ["third"]), (Twice, ["inner"]), (Detour, ["third"])]
)
def test_what_is_left_alone(factory: Callable[[], nn.Module], cut: list[str], images: Tensor) -> None:
    network = factory()
    assert [producers(network, group) for group in coupled_channels(network, images[:1])] == cut


class Pair(nn.Module):
    """Returns features beside the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        return self.head(x), x


def test_one_output_is_needed(images: Tensor) -> None:
    with pytest.raises(TypeError, match="expected a network that returns one tensor, got tuple"):
        coupled_channels(Pair(), images[:1])


def test_an_unbatched_call_is_not_tried(images: Tensor) -> None:
    # without batch normalisation a convolution also accepts (c, h, w); the flattened width then differs
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 2))
    (group,) = coupled_channels(network, images[:1])
    assert group.size == 5


def test_dead_weights_hide_nothing(images: Tensor) -> None:
    # with zero weights everything agrees with everything
    network = Shuffled()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    with pytest.raises(ValueError, match="expected a network whose channels can be removed"):
        coupled_channels(network, images[:1])
