"""Networks that only seem robust are found out; honest ones are not suspected."""

import pytest
import torch
from torch import nn

from evalsuite.attacks._validity import doubts, unbounded, zero_gradient
from evalsuite.extend import Batch, Flag


def honest(seed=0):
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network.eval().requires_grad_(requires_grad=False)


def batch(network, n=40):
    images = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    return Batch(images=images, labels=network(images).argmax(1), ids=tuple(f"{number:04x}" for number in range(n)))


class Rounded(nn.Module):
    """Gradients are zero almost everywhere."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner((4 * x).round() / 4)


class Constant(nn.Module):
    def forward(self, x):
        return torch.eye(4)[1].expand(len(x), 4)


def test_honest_networks_are_not_suspected():
    network = honest()
    examples = batch(network)
    assert doubts(network, examples.images) == frozenset()
    assert not zero_gradient(network, examples).any()
    # four classes, all of which some image has
    assert not unbounded(network, examples, seed=0).any()


def test_masked_gradients():
    network = Rounded(honest())
    examples = batch(network)
    assert zero_gradient(network, examples).all()
    # noise is given some class, and without gradients that is where it stays
    survives = unbounded(network, examples, seed=0)
    assert 0 < survives.sum() < len(examples)


def test_no_image_is_given_another_class():
    examples = batch(Constant())
    assert unbounded(Constant(), examples, seed=0).all()
    assert zero_gradient(Constant(), examples).all()


def test_examples_know_nothing_of_their_neighbours():
    network = Rounded(honest())
    examples = batch(network)
    whole = unbounded(network, examples, seed=0)
    for number in (0, 7):
        alone = Batch(
            images=examples.images[number : number + 1],
            labels=examples.labels[number : number + 1],
            ids=examples.ids[number : number + 1],
        )
        assert unbounded(network, alone, seed=0)[0] == whole[number]


def test_outputs():
    network = honest()
    images = batch(network).images

    class Noisy(nn.Module):
        def forward(self, x):
            return network(x + 0.1 * torch.rand_like(x))

    assert doubts(Noisy(), images) == {Flag.RANDOMISED}
    assert doubts(nn.Sequential(network, nn.Softmax(1)), images) == {Flag.PROBABILITIES}


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_small_logits_are_no_probabilities(scale):
    network = honest()

    class Scaled(nn.Module):
        def forward(self, x):
            return network(x) * scale

    assert doubts(Scaled(), batch(network).images) == frozenset()
