from collections.abc import Iterable
from copy import deepcopy
from dataclasses import fields, is_dataclass
from importlib import import_module
from inspect import isabstract, isclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pruners import Hook, regularisers, sgd
from pruners.regularisers import Regulariser, hook
from pruners.regularisers._neurons import neurons

pytestmark = pytest.mark.slow

FOLDER = Path(str(regularisers.__file__)).parent
PARTS = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def part(name: str) -> type[Regulariser]:
    module = import_module(f"pruners.regularisers.{name}")
    classes = [each for each in vars(module).values() if isclass(each) and each.__module__ == module.__name__]
    (result,) = [each for each in classes if issubclass(each, Regulariser) and not isabstract(each)]
    return result


def network() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    outcome = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(80, 3),
    )
    with torch.no_grad():
        for parameter in outcome.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return outcome


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    yield torch.rand(12, 2, 6, 6, generator=generator), torch.randint(3, (12,), generator=generator)


IMAGES, LABELS = next(iter(batches()))


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_what_the_folder_says(name: str) -> None:
    actual = part(name)
    assert actual.__name__.lower() == name.replace("_", "")
    assert getattr(actual, "__final__", False)
    assert is_dataclass(actual)
    assert all(field.kw_only for field in fields(actual))
    assert actual.paper
    assert hash(actual()) == hash(actual())
    assert (Path(__file__).parent / f"test_{name}.py").is_file()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", PARTS)
def test_a_penalty_is_a_scalar_with_gradients_and_leaves_no_trace(name: str, training: bool) -> None:
    model = network().train(training)
    before, images = deepcopy(model.state_dict()), IMAGES.clone()
    penalty = part(name)()(model, images, LABELS)
    assert penalty.shape == ()
    penalty.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert any(gradient.any() for gradient in gradients)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(module.training == training for module in model.modules())
    assert torch.equal(images, IMAGES)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", PARTS)
def test_the_weight_is_a_factor_and_the_rest_is_repeatable(name: str) -> None:
    model = network()
    one, three = (part(name)(weight=weight)(model, IMAGES, LABELS) for weight in (1.0, 3.0))
    torch.testing.assert_close(three, 3 * one)
    assert torch.equal(part(name)(weight=1.0)(model, IMAGES, LABELS), one)
    assert not part(name)(weight=0.0)(model, IMAGES, LABELS)


@pytest.mark.parametrize("name", PARTS)
def test_training_with_it_brings_it_down(name: str) -> None:
    regulariser = part(name)(weight=1.0)
    one, other = (sgd(batches, steps=15, learning_rate=0.003)(network(), each) for each in hooks(regulariser))
    with torch.no_grad():
        assert regulariser(other.train(), IMAGES, LABELS) < regulariser(one.train(), IMAGES, LABELS)


def hooks(regulariser: Regulariser) -> tuple[Hook, Hook]:
    return hook(part(type(regulariser).__module__.rpartition(".")[2])(weight=0.0)), hook(regulariser)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_weights_out_of_range(name: str, weight: float) -> None:
    with pytest.raises(ValueError, match=f"expected weight >= 0, got {weight}"):
        part(name)(weight=weight)


def test_neurons_are_what_layers_read() -> None:
    model = network().eval()
    computed = neurons(model, IMAGES)
    assert torch.equal(computed.logits, model(IMAGES))
    assert [layer.shape for layer in computed.hidden] == [(12, 6, 6, 6), (12, 80)]
    assert torch.equal(computed.hidden[0], model[:3](IMAGES))
    assert torch.equal(computed.hidden[1], model[:7](IMAGES))


def test_what_two_layers_read_is_there_once() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(2, 3)
            self.left = nn.Linear(3, 2)
            self.right = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x).relu()
            return self.left(y) + self.right(y)

    assert [layer.shape for layer in neurons(Fork(), torch.rand(5, 2)).hidden] == [(5, 3)]
