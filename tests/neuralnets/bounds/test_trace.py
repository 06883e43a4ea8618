from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evalsuite.networks.architectures.densenet import DenseNet
from evalsuite.networks.architectures.lenet import LeNet
from evalsuite.networks.architectures.resnet import ResNet
from evalsuite.networks.architectures.vgg import VGG
from evalsuite.networks.architectures.vit import ViT
from evalsuite.networks.architectures.wide_resnet import WideResNet
from evalsuite.networks.normalized import Normalized
from evalsuite.training._subsample import subsampled
from neuralnets import bounds

pytestmark = pytest.mark.slow

BUILT_IN = {
    "lenet": LeNet(),
    "projection": ResNet(depth=8, width=4),
    "padding": ResNet(depth=8, width=4, shortcut="padding"),
    "vgg": VGG(depth=11),
    "densenet": DenseNet(depth=10, growth=4),
    "wide": WideResNet(depth=10, width=1),
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_networks(name: str) -> None:
    # of its own making, here to mean "the network, exactly": at a single point all bounds meet in what it puts out
    inner = BUILT_IN[name](classes=5, channels=1, image_size=8)
    network = Normalized(inner, [0.3], [0.2]).eval().double()
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        logits = network(images)
        graph = bounds.trace(network, images[:1])
        for method in (bounds.interval, bounds.crown_ibp, bounds.crown):
            point = method(graph, bounds.Box(low=images, high=images))
            torch.testing.assert_close(point.low, logits, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(point.high, logits, rtol=1e-9, atol=1e-9)


class Functional(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


REFUSED = {
    "GELU": nn.GELU(),
    "LayerNorm": nn.LayerNorm(6),
    "MultiheadAttention": Functional(nn.MultiheadAttention(6, 1)),
    "softmax": Functional(lambda x: x.softmax(1)),
    "sigmoid": Functional(torch.sigmoid),
    "product of two activations": Functional(lambda x: x * F.relu(x)),
    "division by activations": Functional(lambda x: 1 / x),
    "weights that depend on the input": Functional(lambda x: F.conv2d(x, x)),
    "cannot be traced": Functional(lambda x: x if x.sum() > 0 else -x),
    "same shape": Functional(lambda x: x + x.mean((2, 3), keepdim=True)),
    "one over the axes": Functional(lambda x: x.mean((0, 1))),
    "slices within examples": Functional(lambda x: x[0]),
    "joined within examples": Functional(lambda x: torch.cat((x, x))),
    "keep 1 examples apart": Functional(lambda x: x.flatten()),
    "usual arguments": Functional(lambda x: x.mean()),
    "unexpected keyword": Functional(lambda x: F.avg_pool2d(x, 2, wrong=True)),
    "running statistics": nn.BatchNorm2d(2, track_running_stats=False),
    "change in place": Functional(lambda x: F.relu(x, inplace=True) + x),
    "padding alike": nn.Conv2d(2, 2, 2, padding="same"),
    "windows of equal size": nn.AdaptiveMaxPool2d(4),
    "with_indices": Functional(lambda x: F.max_pool2d(x, 2, return_indices=True)[0]),
    "one tensor": Functional(lambda x: (x, x)),
    "constant that fits": Functional(lambda x: x + torch.ones(3, 2, 6, 6)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        bounds.trace(nn.Sequential(REFUSED[name]), torch.rand(1, 2, 6, 6))


def test_a_refusal_names_the_module_and_what_is_accepted() -> None:
    with pytest.raises(ValueError, match=r"ReLU network of linear layers.*got GELU \(in 1\)"):
        bounds.trace(nn.Sequential(nn.Flatten(), nn.GELU()), torch.rand(1, 2))
    transformer = ViT(dim=12, heads=2, depth=1)(classes=3, channels=1, image_size=8)
    with pytest.raises(ValueError, match=r"got (transpose|LayerNorm|softmax)"):
        bounds.interval(transformer, bounds.linf_ball(torch.rand(2, 1, 8, 8), 0.1))
    with pytest.raises(ValueError, match="float32 or float64"):
        bounds.trace(nn.Flatten(), torch.rand(1, 2, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match="radius >= 0"):
        bounds.l2_ball(torch.rand(1, 2), -0.1)


def test_a_trace_that_is_not_the_network_is_refused() -> None:
    class Alternating(nn.Module):
        """Does one thing while it is traced and another when it is called."""

        def forward(self, x: Tensor) -> Tensor:
            return x if isinstance(x, torch.fx.Proxy) else 2 * x

    with pytest.raises(ValueError, match="other outputs"):
        bounds.trace(Alternating(), torch.rand(1, 2))


def test_nothing_is_changed(network: nn.Module, images: Tensor) -> None:
    network.train()
    next(network.modules()).register_forward_hook(lambda *_: None)
    before = deepcopy(network.state_dict())
    modes = [module.training for module in network.modules()]
    kept = images.clone()
    for method in (bounds.interval, bounds.crown_ibp, bounds.crown):
        method(network, bounds.linf_ball(images, 0.01))
    bounds.preactivations(network, bounds.l2_ball(images, 0.01))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(images, kept)
    assert all(not isinstance(value, torch.fx.Proxy) for m in network.modules() for value in vars(m).values())


def test_training_mode_makes_no_difference(network: nn.Module, images: Tensor) -> None:
    region = bounds.linf_ball(images, 0.01)
    evaluated, trained = bounds.interval(network.eval(), region), bounds.interval(network.train(), region)
    assert torch.equal(evaluated.low, trained.low)
    assert torch.equal(evaluated.high, trained.high)


def test_a_graph_follows_its_network(network: nn.Module, images: Tensor) -> None:
    region = bounds.linf_ball(images, 0.01)
    graph = bounds.trace(network, images[:1])
    before = bounds.interval(graph, region)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(1)
    after = bounds.interval(graph, region)
    assert not torch.allclose(before.low, after.low)
    assert torch.equal(after.low, bounds.interval(network, region).low)
    single = bounds.interval(network.float() and graph, bounds.linf_ball(images.float(), 0.01))
    torch.testing.assert_close(single.low.double(), after.low, rtol=1e-4, atol=1e-5)


def test_hooks_count() -> None:
    # a strided 1 x 1 convolution that is trained by way of a hook and a step of 1: the same function
    network = ResNet(depth=8, width=2)(classes=3, channels=1, image_size=8).eval()
    region = bounds.linf_ball(torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), 0.1)
    plain = bounds.crown_ibp(network, region)
    with subsampled(network):
        assert network.layer2[0].downsample[0].stride == (1, 1)
        hooked = bounds.crown_ibp(network, region)
    torch.testing.assert_close(hooked.low, plain.low, rtol=1e-5, atol=1e-5)


def test_inference_mode(network: nn.Module, images: Tensor) -> None:
    region = bounds.linf_ball(images, 0.01)
    with torch.no_grad():
        expected = bounds.crown(network, region)
    with torch.inference_mode():
        assert torch.equal(bounds.crown(network, region).low, expected.low)


class Halved(nn.Module):
    """A network whose weights are computed from others before they are used."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.factor = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def weights(self) -> dict[str, Tensor]:
        return {name: self.factor * value for name, value in self.network.named_parameters() if value.ndim > 1}

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.functional_call(self.network, self.weights(), (x,))


def test_networks_called_with_other_weights(network: nn.Module, images: Tensor) -> None:
    twin = deepcopy(network)
    halved = Halved(network)
    region = bounds.linf_ball(images, 0.02)
    graph = bounds.trace(halved, images[:1])
    for factor in (0.5, 0.25):
        # the second after the trace was made
        with torch.no_grad():
            halved.factor.fill_(factor)
            for one, other in zip(twin.parameters(), network.parameters(), strict=True):
                one.copy_(factor * other if other.ndim > 1 else other)
        for method in (bounds.interval, bounds.crown_ibp, bounds.crown):
            result, expected = method(graph, region), method(twin, region)
            torch.testing.assert_close(result.low, expected.low, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(result.high, expected.high, rtol=1e-10, atol=1e-10)
    bounds.interval(graph, region).low.sum().backward()
    assert halved.factor.grad != 0


def test_other_weights_than_those_that_are_told_are_refused(images: Tensor) -> None:
    class Untold(Halved):
        def weights(self) -> dict[str, Tensor]:
            return dict(self.network.named_parameters())

        def forward(self, x: Tensor) -> Tensor:
            return torch.func.functional_call(self.network, Halved.weights(self), (x,))

    flat = nn.Sequential(nn.Flatten(), nn.Linear(72, 3)).double()
    with pytest.raises(ValueError, match="other outputs"):
        bounds.trace(Untold(flat), images[:1])
