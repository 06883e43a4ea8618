"""The last linear layer is found by what it puts out, and what goes into it is what the network's own code says."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor

from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.normalized import Normalized
from evalsuite.tasks._penultimate import classifier, penultimate

IMAGES = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def image(shape=(3, 32, 32)):
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(1))


class Unordered(nn.Module):
    """Its classifier is registered first."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 3)
        self.body = nn.Linear(3072, 4)

    def forward(self, images):
        return self.out(self.body(images.flatten(1)).relu())


class Scaled(Unordered):
    def forward(self, images):
        return 2 * super().forward(images)


def test_what_torchvision_calls_features():
    network = resnet18(num_classes=7).eval()
    extract = create_feature_extractor(network, ["flatten"])
    wrapped = Normalized(network, (0.5,) * 3, (0.2,) * 3).eval()
    assert classifier(wrapped, image()) is network.fc
    with torch.inference_mode(), penultimate([wrapped], image()) as features:
        wrapped(IMAGES)
    with torch.inference_mode():
        expected = extract((IMAGES - 0.5) / 0.2)["flatten"]
    assert torch.allclose(features[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    "arch", ["lenet5", "resnet8", "vgg16_bn?width=8", "densenet22", "wrn16_8?width=1", "vit_small?depth=1"]
)
def test_our_own_networks_have_one(arch):
    network = build(arch, classes=10, channels=3, image_size=32).eval()
    result = classifier(network, image())
    assert result is not None
    assert result.out_features == 10


def test_by_what_it_puts_out_and_not_by_its_place():
    network = Unordered().eval()
    assert classifier(network, image()) is network.out
    with torch.inference_mode(), penultimate([network, network], image()) as features:
        network(IMAGES)
    assert torch.equal(features[0], network.body(IMAGES.flatten(1)).relu())
    assert torch.equal(features[0], features[1])
    assert not network.out._forward_pre_hooks
    assert not network.out._forward_hooks


def test_the_last_batch_counts():
    network = Unordered().eval()
    with torch.inference_mode(), penultimate([network], image()) as features:
        network(IMAGES)
        first = features[0]
        network(IMAGES[:2])
        assert features[0].shape == (2, 4)
    assert torch.allclose(first[:2], features[0], atol=1e-6)


def test_networks_that_have_none():
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert classifier(pooled, image()) is None
    assert classifier(Scaled().eval(), image()) is None
    last = nn.Sequential(nn.Flatten(), nn.Linear(3072, 3), nn.Softmax(1))
    assert classifier(last, image()) is None
    assert not last[1]._forward_hooks


def test_a_broken_network_has_its_classifier_still():
    network = Unordered().eval()
    with torch.no_grad():
        network.body.weight.fill_(torch.nan)
    assert classifier(network, image()) is network.out
