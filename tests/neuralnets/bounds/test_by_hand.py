"""Bounds that are known: worked out, enumerated, or exact by construction."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralnets import bounds


def weights(layer: nn.Module, weight: list[list[float]], bias: list[float]) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


def two_neurons() -> nn.Module:
    """relu(x1 + x2) - relu(x1 - x2) and its negative half."""
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    weights(network[0], [[1, 1], [1, -1]], [0, 0])
    weights(network[2], [[1, -1], [-0.5, 0.5]], [0, 1])
    return network.double()


BOX = bounds.Box(low=torch.tensor([[-1.0, 0.0]]).double(), high=torch.tensor([[2.0, 1.0]]).double())


def test_intervals_by_hand() -> None:
    # x1 in [-1, 2], x2 in [0, 1]: x1 + x2 in [-1, 3], x1 - x2 in [-2, 2]; after ReLU [0, 3] and [0, 2];
    # difference in [-2, 3]; 1 - half of it in [-0.5, 2]
    box = bounds.interval(two_neurons(), BOX)
    assert box.low.tolist() == [[-2.0, -0.5]]
    assert box.high.tolist() == [[3.0, 2.0]]
    # y1 - y2 = 1.5 (relu - relu) - 1 over the boxes behind the ReLUs: in [-4, 3.5]
    assert bounds.interval_margins(two_neurons(), BOX, torch.tensor([0])).tolist() == [[-4.0]]
    assert bounds.interval_margins(two_neurons(), BOX, torch.tensor([1])).tolist() == [[-3.5]]


def test_lines_by_hand() -> None:
    # first neuron: l = -1, u = 3, so s <= relu(s) <= 3/4 (s + 1); second: l = -2, u = 2, lower slope 0 as u = -l, chord
    # (d + 2) / 2. With s = x1 + x2, d = x1 - x2:
    #   y1 >= s - (d + 2) / 2 = x1 / 2 + 3 x2 / 2 - 1 >= -1.5 at (-1, 0)
    #   y1 <= 3/4 (s + 1) - 0 <= 3/4 * 4 = 3
    #   and so 1 - y1 / 2 is in [-0.5, 1.75]
    for method in (bounds.crown_ibp, bounds.crown):
        box = method(two_neurons(), BOX)
        assert box.low.tolist() == [[-1.5, -0.5]]
        assert box.high.tolist() == [[3.0, 1.75]]
    # y1 - y2 = 1.5 y1 - 1 >= 1.5 * -1.5 - 1
    assert bounds.crown_margins(two_neurons(), BOX, torch.tensor([0])).tolist() == [[-3.25]]
    assert bounds.crown_margins(two_neurons(), BOX, torch.tensor([1])).tolist() == [[-3.5]]


def test_a_ball_by_hand() -> None:
    # |x - (0.5, 0.5)| <= 0.1: 3 x1 + 4 x2 + 1 in 4.5 -+ 0.1 * 5
    network = nn.Linear(2, 2)
    weights(network, [[3, 4], [0, 1]], [1, 0])
    ball = bounds.l2_ball(torch.tensor([[0.5, 0.5]]), 0.1)
    for method in (bounds.interval, bounds.crown_ibp, bounds.crown):
        box = method(network, ball)
        torch.testing.assert_close(box.low, torch.tensor([[4.0, 0.4]]))
        torch.testing.assert_close(box.high, torch.tensor([[5.0, 0.6]]))
    # y1 - y2 = 3 x1 + 3 x2 + 1 >= 4 - 0.1 * sqrt(18)
    margin = bounds.interval_margins(network, ball, torch.tensor([0]))
    torch.testing.assert_close(margin, torch.tensor([[4 - 0.1 * 18**0.5]]))


def test_a_ball_is_cut_at_the_range_of_pixels() -> None:
    # around (0, 1) with radius 2, [0, 1]² is all that is left
    network = nn.Linear(2, 2)
    weights(network, [[3, 4], [0, 1]], [1, 0])
    box = bounds.crown(network, bounds.l2_ball(torch.tensor([[0.0, 1.0]]), 2.0))
    torch.testing.assert_close(box.low, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(box.high, torch.tensor([[8.0, 1.0]]))


class Linear(nn.Module):
    """All affine steps in a row, several of them on the way to the output more than once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 2, padding=1)
        self.bn = nn.BatchNorm2d(2)
        self.deep = nn.Conv2d(2, 2, 3, stride=2, padding=1, groups=2)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x / 0.3 - 1))
        y = F.avg_pool2d(F.pad(x, (0, 1, 1, 0), value=0.5), 2)
        return self.head(torch.cat((y - self.deep(x), y), 1).flatten(1))


def test_exact_on_a_linear_network() -> None:
    generator = torch.Generator().manual_seed(0)
    network = Linear().double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    low = torch.rand(1, 1, 2, 2, generator=generator, dtype=torch.float64)
    high = low + torch.rand(1, 1, 2, 2, generator=generator, dtype=torch.float64)
    # a linear function is extreme at corners; 4 pixels have 16 of them
    sides = torch.tensor(list(product((True, False), repeat=4))).view(16, 1, 2, 2)
    corners = torch.where(sides, high, low)
    with torch.no_grad():
        outputs = network(corners)
        margins = outputs[:, 1:2] - outputs[:, [0, 2]]
        region = bounds.Box(low=low, high=high)
        for method in (bounds.crown_ibp, bounds.crown):
            box = method(network, region)
            torch.testing.assert_close(box.low[0], outputs.amin(0), rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(box.high[0], outputs.amax(0), rtol=1e-12, atol=1e-12)
        for method in (bounds.interval_margins, bounds.crown_ibp_margins, bounds.crown_margins):
            torch.testing.assert_close(method(network, region, torch.tensor([1]))[0], margins.amin(0))


def test_exact_where_no_relu_is_open(network: nn.Module, images: Tensor) -> None:
    # so near an image no ReLU and no maximum is open: the network is its own gradient there
    radius = 1e-9
    with torch.no_grad():
        box = bounds.crown(network, bounds.linf_ball(images, radius))
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x).sum(0), images)
    reach = radius * jacobian.abs().flatten(2).sum(2).T
    torch.testing.assert_close((box.high - box.low) / 2, reach, rtol=1e-4, atol=1e-13)


def test_max_pooling_by_hand() -> None:
    # two windows of two: in the first no entry is settled, in the second [5, 6] beats [1, 2]
    low, high = torch.tensor([[[[0.0, 1.0, 5.0, 1.0]]]]), torch.tensor([[[[3.0, 2.0, 6.0, 2.0]]]])
    network = nn.Sequential(nn.MaxPool2d((1, 2)), nn.Flatten(), nn.Linear(2, 2))
    weights(network[2], [[1, 1], [-1, -1]], [0, 0])
    region = bounds.Box(low=low, high=high)
    box = bounds.crown(network, region)
    # below: entries 1 (from 1) and 2 (from 5); above: 3 and 6
    assert box.low.tolist() == [[6.0, -9.0]]
    assert box.high.tolist() == [[9.0, -6.0]]


class Difference(nn.Module):
    """How far the second pixel is ahead of, or behind, the window's maximum."""

    def forward(self, x: Tensor) -> Tensor:
        return (F.max_pool2d(x, (1, 2)) - x[..., 1:]).flatten(1)


@pytest.mark.parametrize(("low", "high", "above"), [([0.0, 4.0], [3.0, 5.0], 0.0), ([0.0, 2.0], [3.0, 5.0], 3.0)])
def test_a_settled_maximum_is_its_entry(low: list[float], high: list[float], above: float) -> None:
    # max(x1, x2) - x2: nothing where x2 always wins; otherwise at least 0, at most 5 - 2
    region = bounds.Box(low=torch.tensor(low).view(1, 1, 1, 2), high=torch.tensor(high).view(1, 1, 1, 2))
    box = bounds.crown(Difference(), region)
    assert box.low.item() == 0.0
    assert box.high.item() == above


class Beside(nn.Module):
    """Differences between what a pooling gives and what went into it, where much cancels."""

    def __init__(self, pool: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.pool = pool
        width = pool(images)[0].numel() + images[0].numel()
        self.weight = torch.randn(4, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.cat((self.pool(x).flatten(1), x.flatten(1)), 1), self.weight)


WINDOWS = [(2, 2, 0, 1), (3, 2, 1, 1), (2, 3, 0, 2), (3, 1, 1, 1), (2, 1, 1, 3)]


@pytest.mark.parametrize("ceil", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), WINDOWS)
def test_settled_windows_are_found(kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> None:
    # where all pixels are nearly known, maxima are entries; what they make with other entries has the width that its
    # gradient says, and more if a single window is taken for open
    images = torch.rand(2, 2, 7, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    network = Beside(nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil), images)
    radius = 1e-9
    box = bounds.crown(network, bounds.Box(low=images - radius, high=images + radius))
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x).sum(0), images)
    reach = radius * jacobian.abs().flatten(2).sum(2).T
    torch.testing.assert_close((box.high - box.low) / 2, reach, rtol=1e-4, atol=1e-13)


def test_one_class_has_no_margins() -> None:
    network = nn.Linear(3, 1)
    low = bounds.crown_margins(network, bounds.linf_ball(torch.rand(2, 3), 0.1), torch.zeros(2, dtype=torch.long))
    assert low.shape == (2, 0)


def test_pixels_stay_in_range() -> None:
    box = bounds.linf_ball(torch.tensor([[0.0, 0.5, 0.95]]), 0.1)
    torch.testing.assert_close(box.low, torch.tensor([[0.0, 0.4, 0.85]]))
    torch.testing.assert_close(box.high, torch.tensor([[0.1, 0.6, 1.0]]))


def test_preactivations_by_hand() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 1), nn.ReLU()).eval()
    weights(network[0], [[1, 1], [1, -1]], [0, 0])
    weights(network[3], [[1, -1]], [0])
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([2.0, -1.0]))
        network[1].running_var.fill_(1 - network[1].eps)
    first, second = bounds.preactivations(network, bounds.Box(low=BOX.low.float(), high=BOX.high.float()))
    # [-1, 3] times 2, [-2, 2] times -1; then [0, 6] - [0, 2]
    assert (first.name, second.name) == ("2", "4")
    torch.testing.assert_close(first.low, torch.tensor([[-2.0, -2.0]]))
    torch.testing.assert_close(first.high, torch.tensor([[6.0, 2.0]]))
    assert first.gamma is network[1].weight
    torch.testing.assert_close(second.low, torch.tensor([[-2.0]]))
    torch.testing.assert_close(second.high, torch.tensor([[6.0]]))
    assert second.gamma is None
