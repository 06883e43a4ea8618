from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners import coupled_channels
from pruners._channels import ChannelGroup, mask_channels
from pruners._gates import gate_gradients, gated

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
# what ends in four logits; "decoder" ends in a picture
CLASSIFIERS = ["chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "transformer", "mixed"]


def groups_of(network: nn.Module, images: Tensor) -> tuple[ChannelGroup, ...]:
    return coupled_channels(network, images[:1])


def some(size: int, seed: int) -> Tensor:
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed)) < (size + 1) // 2


def losses(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(network(images), labels, reduction="none")


def labels_for(images: Tensor) -> Tensor:
    return torch.arange(len(images)) % 4


def test_a_gate_at_zero_is_a_masked_channel(network: nn.Module, images: Tensor) -> None:
    groups = groups_of(network, images)
    keep = {group: some(group.size, number) for number, group in enumerate(groups)}
    network, images = network.double(), images.double()
    plain = network(images)
    with gated(network, groups, [keep[group].double()[None] for group in groups]):
        result = network(images)
    torch.testing.assert_close(result, mask_channels(network, keep)(images), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(result, plain)
    # and it is over afterwards
    torch.testing.assert_close(network(images), plain, rtol=0, atol=0)


def test_a_gate_at_one_changes_nothing(network: nn.Module, images: Tensor) -> None:
    groups = groups_of(network, images)
    with gated(network, groups, [torch.ones(1, group.size) for group in groups]):
        outcome = network(images)
    torch.testing.assert_close(outcome, network(images), rtol=0, atol=0)


def test_each_example_has_a_gate_of_its_own(network: nn.Module, images: Tensor) -> None:
    groups = groups_of(network, images)
    generator = torch.Generator().manual_seed(3)
    gates = [torch.rand(len(images), group.size, generator=generator) for group in groups]
    with gated(network, groups, gates):
        actual = network(images)
    for row, image in enumerate(images):
        with gated(network, groups, [gate[row : row + 1] for gate in gates]):
            torch.testing.assert_close(actual[row : row + 1], network(image[None]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("at", [1.0, 0.3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_gradients_are_finite_differences(build: Build, images: Tensor, name: str, at: float) -> None:
    network = build(name)
    groups, labels = groups_of(network, images), labels_for(images)
    computed = gate_gradients(network, groups, images, labels, at=at)
    network, images, step = network.double(), images.double(), 1e-6
    for number, group in enumerate(groups):
        for channel in {0, group.size - 1}:
            sides = []
            for shift in (-step, step):
                gates = [torch.full((1, each.size), at, dtype=torch.float64) for each in groups]
                gates[number][0, channel] += shift
                with gated(network, groups, gates):
                    sides.append(losses(network, images, labels))
            slope = (sides[1] - sides[0]) / (2 * step)
            torch.testing.assert_close(computed[number][:, channel].double(), slope, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_gradients_of_a_batch_are_those_of_its_examples(build: Build, images: Tensor, name: str) -> None:
    network = build(name)
    groups, labels = groups_of(network, images), labels_for(images)
    together = gate_gradients(network, groups, images, labels)
    for row in range(len(images)):
        alone = gate_gradients(network, groups, images[row : row + 1], labels[row : row + 1])
        for result, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(result[row : row + 1], expected, rtol=1e-4, atol=1e-5)


def test_by_hand() -> None:
    # one weight per layer: logits (v1 g1 a1 + v2 g2 a2, 0) with a = relu(w x); of the loss L = -log p(0) it is
    # dL/dg_k = -p(1) v_k a_k; x = 1, a = (2, 0), v = (0.5, 3): logit 1, p(1) = 1 / (1 + e)
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0], [-1.0]]))
        network[2].weight.copy_(torch.tensor([[0.5, 3.0], [0.0, 0.0]]))
    (group,) = coupled_channels(network, torch.zeros(1, 1))
    (result,) = gate_gradients(network, [group], torch.ones(1, 1), torch.tensor([0]))
    assert result.tolist() == [[pytest.approx(-1 / (1 + torch.e)), 0]]


def test_one_pass_for_all_channels_and_examples(build: Build, images: Tensor) -> None:
    network = build("projection")
    groups, calls = groups_of(network, images), []
    network.get_submodule("1").register_forward_hook(lambda *_: calls.append(1))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gate_gradients(network, groups, images, labels_for(images))
    assert len(calls) == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


class Halves(nn.Module):
    """Takes every picture apart into two rows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.last = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.first(x.reshape(-1, 2)))).reshape(len(x), 2, 4).sum(1)


def test_rows_that_are_not_examples_are_refused() -> None:
    network = Halves()
    groups = coupled_channels(network, torch.zeros(1, 4))
    assert len(groups) == 1
    with pytest.raises(ValueError, match="expected one row per example at Linear, got 6 rows for 3"):
        gate_gradients(network, groups, torch.rand(3, 4), torch.tensor([0, 1, 2]))
