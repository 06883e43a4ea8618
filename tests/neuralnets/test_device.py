import torch
from torch import nn

from neuralnets.device import device_of


def test_parameters_come_first() -> None:
    network = nn.Linear(2, 2, device="meta")
    network.register_buffer("mean", torch.zeros(1))
    assert device_of(network) == torch.device("meta")


def test_buffers_do_where_there_are_no_parameters() -> None:
    assert device_of(nn.BatchNorm2d(1, affine=False, device="meta")) == torch.device("meta")


def test_a_network_without_tensors_runs_on_the_cpu() -> None:
    assert device_of(nn.Flatten()) == torch.device("cpu")
