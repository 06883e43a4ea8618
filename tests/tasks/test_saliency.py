"""Salient pixels against closed forms of gradients, and their intersection against sets."""

import numpy as np
import pytest
import torch
from torch import nn

from evalsuite.data import Batch
from evalsuite.extend import Domain
from evalsuite.tasks.saliency import Saliency


class Squares(nn.Module):
    """Logit k is the sum of weight_k * image², whose gradient is 2 weight_k * image."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float32), requires_grad=False)

    def forward(self, images):
        return torch.einsum("nchw,kchw->nk", images.square(), self.weight)


def case(n=7, channels=3, side=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, channels, side, side, generator=generator)
    weight = torch.randn(4, channels, side, side, generator=generator)
    return Squares(weight), Batch(images=images, labels=torch.zeros(n).long(), ids=tuple(map(str, range(n))))


def pixels(observed, count):
    return [set(np.flatnonzero(row)) for row in np.unpackbits(observed["salient"], axis=1, count=count)]


def test_the_closed_form_of_the_gradient():
    network, shard = case()
    (observed,) = Saliency(share=0.25).observe([network], shard, seed=0).networks
    result = pixels(observed, 36)
    for image, salient, top in zip(shard.images.numpy(), result, observed["top"], strict=True):
        weight = network.weight.numpy()
        assert top == (weight * image**2).sum((1, 2, 3)).argmax()
        slope = np.abs(2 * weight[top] * image).sum(0).ravel()
        assert salient == set(np.argsort(-slope)[:9])


def test_overlap_is_that_of_sets():
    first, shard = case()
    second = case(seed=3)[0]
    task = Saliency(share=0.25)
    child, parent = task.observe([first, second], shard, seed=0).networks
    expected = [len(a & b) / 9 for a, b in zip(pixels(child, 36), pixels(parent, 36), strict=True)]
    outcome = task.compare(child, parent)["salient_overlap"]
    np.testing.assert_allclose(outcome, expected, rtol=1e-6)
    assert 0 < outcome.mean() < 1
    assert task.compare(child, child)["salient_overlap"].tolist() == [1.0] * 7


def test_of_equals_the_first_is_taken():
    network = Squares(torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)]))
    shard = Batch(images=torch.ones(1, 1, 4, 4), labels=torch.tensor([0]), ids=("0",))
    (recorded,) = Saliency(share=0.1).observe([network], shard, seed=0).networks
    assert pixels(recorded, 16) == [{0, 1}]
    assert recorded["top"].tolist() == [1]


class Stepped(nn.Module):
    """Its outputs are cut off from its inputs."""

    def forward(self, images):
        return images.flatten(1)[:, :3].detach()


def test_networks_without_gradients_have_no_salient_pixels():
    domain = Domain(shape=(3, 6, 6), classes=3)
    assert "has no gradients" in Saliency().unsupported_network_reason(Stepped(), domain)
    assert Saliency().unsupported_network_reason(case()[0], domain) is None


def test_where_it_makes_no_sense():
    assert "one pixel" in Saliency().unsupported_reason(Domain(shape=(3, 1, 1), classes=2))
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match="expected 0 < share < 1"):
            Saliency(share=share)
