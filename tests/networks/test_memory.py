"""Peaks worked out by hand."""

import pytest
import torch
from torch import nn

from evalsuite.networks.costs.memory import peak_megabytes


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


def test_two_neighbours_are_alive_at_once():
    network = nn.Sequential(nn.Flatten(), linear(4, 1000), nn.ReLU(), linear(1000, 10))
    # weights; 100 images of 4 numbers, of which flattening makes a view; the layer and its ReLU, 1000 numbers each
    expected = 4 * (4 * 1000 + 1000 * 10) + 4 * 100 * (4 + 2 * 1000)
    assert peak_megabytes(network, (1, 2, 2), batch=100) == pytest.approx(expected / 1e6, rel=1e-9)


def test_what_a_shortcut_keeps_stays_alive():
    class Shortcut(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = linear(4, 4), linear(4, 4)

        def forward(self, x):
            return x + self.second(self.first(x))

    # 16 images of 4 numbers: the input, first, second; then the input, second and the sum
    expected = 4 * (2 * 16) + 4 * 16 * (3 * 4)
    assert peak_megabytes(nn.Sequential(nn.Flatten(), Shortcut()), (1, 2, 2), batch=16) == pytest.approx(expected / 1e6)


def test_work_in_place_takes_nothing():
    plain, in_place = (nn.Sequential(nn.Flatten(), linear(4, 50), nn.ReLU(inplace=way)) for way in (False, True))
    saved = peak_megabytes(plain, (1, 2, 2)) - peak_megabytes(in_place, (1, 2, 2))
    assert saved == pytest.approx(4 * 50 / 1e6)


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    # shared storage counts once: weights 18 + 2, batch norm 2 + 2 + 2 + 2 and a counter of 8 bytes
    held = 4 * (18 + 2 + 8) + 8
    assert peak_megabytes(network, (1, 4, 4)) >= held / 1e6
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
