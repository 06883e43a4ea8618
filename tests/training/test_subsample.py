"""Narrow strided 1x1 convolutions train without killing the process, and compute what they did before."""

import subprocess
import sys

import torch
from torch import nn

from evalsuite.training._subsample import subsampled

TRAIN = """
import torch
from torch import nn
from evalsuite.training._subsample import subsampled
torch.set_num_threads(1)
layer = nn.Conv2d(5, 10, 1, stride=2, bias=False).to(memory_format=torch.channels_last)
images = torch.randn(64, 5, 8, 8).contiguous(memory_format=torch.channels_last)
with subsampled(layer):
    for _ in range(200):
        layer(images).square().mean().backward()
"""


def test_training_survives():
    # in a process of its own: without the way round, it dies of a corrupted heap
    assert subprocess.run([sys.executable, "-c", TRAIN], check=False, capture_output=True).returncode == 0


def test_same_outputs_and_gradients_and_everything_is_put_back():
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1, stride=(2, 3), bias=False), nn.Conv2d(4, 5, 1, bias=False)).double()
    images = torch.randn(2, 3, 7, 9, generator=generator).double()
    result = []
    for _ in range(2):
        network.zero_grad()
        if not result:
            outputs = network(images)
            outputs.square().sum().backward()
        else:
            with subsampled(network):
                assert network[0].stride == (1, 1)
                outputs = network(images)
                outputs.square().sum().backward()
        result.append((outputs.detach(), *[p.grad.clone() for p in network.parameters()]))
    for before, after in zip(*result, strict=True):
        assert torch.allclose(before, after, atol=1e-12)
    assert network[0].stride == (2, 3)
    assert torch.equal(network(images), result[0][0])


def test_wide_and_other_layers_are_left_alone():
    network = nn.Sequential(
        nn.Conv2d(8, 4, 1, stride=2), nn.Conv2d(4, 4, 3, stride=2), nn.Conv2d(4, 4, 1, 2, padding=1)
    )
    with subsampled(network):
        assert [layer.stride for layer in network] == [(2, 2)] * 3
