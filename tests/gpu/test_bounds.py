"""Bounds on the device are those of the CPU, to the digits of float32."""

import pytest
import torch
from torch import nn

from evalsuite.networks.architectures.by_name import build
from neuralnets import bounds

METHODS = ("interval", "crown_ibp", "crown")


SIDES = {"lenet5": 16, "mlp": 16, "resnet8": 8}
"""Pixels; linear bounds of a residual network are dear."""


def network(arch):
    made = build(arch, classes=10, channels=1, image_size=SIDES[arch], seed=3).train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(3):
            made(
                torch.rand(32, 1, SIDES[arch], SIDES[arch], generator=generator)
            )  # statistics that no constructor sets
    return made.eval()


@pytest.fixture(scope="module", params=list(SIDES))
def sides(request, device):
    """The network, images and labels on the CPU and on the device."""
    here = network(request.param)
    side = SIDES[request.param]
    images = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([3, 9])
    there = network(request.param).to(device)
    return (here, images, labels), (there, images.to(device), labels.to(device))


@pytest.mark.parametrize("ball", [bounds.linf_ball, bounds.l2_ball])
@pytest.mark.parametrize("method", METHODS)
def test_outputs_and_margins_are_bounded_alike(method, ball, sides):
    result = []
    for net, images, labels in sides:
        with torch.no_grad():
            graph = bounds.trace(net, images[:1])
            region = ball(images, 0.02)
            box = getattr(bounds, method)(graph, region)
            margins = getattr(bounds, f"{method}_margins")(graph, region, labels)
            outputs = net(images)
        assert box.low.device.type == margins.device.type == images.device.type
        assert bool(((box.low <= outputs + 1e-4) & (outputs <= box.high + 1e-4)).all())
        result.append((box.low.cpu(), box.high.cpu(), margins.cpu()))
    for here, there in zip(*result, strict=True):
        # widths and heights of loose bounds are sums of large numbers
        torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4 * float(here.abs().max()))


@pytest.fixture
def rounded():
    """What torch does by default: TF32, which keeps 10 bits of 23."""
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "tf32"
    yield
    assert convolutions.fp32_precision == "tf32"
    convolutions.fp32_precision = before


def test_float32_is_computed_in_full(rounded, device):
    """TF32 is off by a thousand times what bounds may be off by; radius 0 leaves nothing but rounding."""
    images = torch.rand(2, 16, 16, 16, generator=torch.Generator().manual_seed(1)).to(device)
    layer = nn.Conv2d(16, 8, 3, padding=1)
    with torch.no_grad():
        layer.weight.normal_(generator=torch.Generator().manual_seed(2))
    flat = nn.Sequential(layer, nn.Flatten()).to(device)
    with torch.no_grad():
        box = bounds.interval(bounds.trace(flat, images[:1]), bounds.Box(low=images, high=images))
        exact = flat.double()(images.double())
    for bound in (box.low, box.high):
        torch.testing.assert_close(bound.double(), exact, rtol=1e-5, atol=1e-4)
