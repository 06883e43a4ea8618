import pytest
import torch
from torch import nn

from evalsuite.networks.answers import answers, changed
from evalsuite.networks.architectures._initialisation import seeded

SHAPE = (1, 6, 6)


class Scaled(nn.Module):
    def __init__(self, layer: nn.Module, factor: float) -> None:
        super().__init__()
        self.layer = layer
        self._factor = factor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images * self._factor)


@pytest.fixture
def layer() -> nn.Module:
    with seeded(0):
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5)).eval()


def test_the_same_network_answers_the_same(layer: nn.Module) -> None:
    first, again = answers(layer, SHAPE), answers(layer, SHAPE)
    assert first is not None
    assert again is not None
    assert not changed(first, again)
    with torch.no_grad():
        assert torch.tensor(first).shape == layer(torch.zeros(6, *SHAPE)).shape


def test_other_threads_are_no_other_network(layer: nn.Module) -> None:
    first = answers(layer, SHAPE)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        again = answers(layer, SHAPE)
    finally:
        torch.set_num_threads(threads)
    assert first is not None
    assert again is not None
    assert not changed(first, again)


@pytest.mark.parametrize("factor", [0.2, 0.98, -1.0])
def test_another_function_of_the_same_weights_is(layer: nn.Module, factor: float) -> None:
    first, other = answers(layer, SHAPE), answers(Scaled(layer, factor).eval(), SHAPE)
    assert first is not None
    assert other is not None
    assert changed(first, other)


def test_random_answers_tell_nothing(layer: nn.Module) -> None:
    assert answers(nn.Sequential(layer, nn.Dropout(0.5)).train(), SHAPE) is None


def test_of_a_map_some_numbers_are_kept() -> None:
    result = answers(nn.Conv2d(1, 20, 1).eval(), (1, 30, 30))
    assert result is not None
    assert torch.tensor(result).shape == (6, 64)


def test_outputs_that_are_not_finite_equal_themselves() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Threshold(2.0, float("nan"))).eval()
    first, again = answers(network, SHAPE), answers(network, SHAPE)
    assert first is not None
    assert again is not None
    assert not changed(first, again)
