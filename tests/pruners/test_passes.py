"""How often a method sends data through the network: what its formula needs, and no more."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import pruners
from pruners import Context, Pruner, remaining, sgd
from pruners.coreset import Coreset
from pruners.pfp import PFP

FOLDER = Path(str(pruners.__file__)).parent
BATCHES, SIZE, STEPS = 3, 7, 5


@dataclass(kw_only=True)
class Passes:
    """Passes of at least `SIZE` images; gradients that reached the outputs of such a pass."""

    forward: int = 0
    backward: int = 0

    def watch(self, network: nn.Module) -> None:
        # a function, for copies of networks copy what a bound method is bound to
        def look(network: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            hidden = torch._C._functorch.is_functorch_wrapped_tensor(inputs[0])
            if hidden or len(inputs[0]) >= SIZE:
                self.forward += 1
                if output.requires_grad and not hidden:
                    output.register_hook(lambda _: back())

        def back() -> None:
            self.backward += 1

        network.register_forward_hook(look)


def network() -> nn.Module:
    """Two groups of channels."""
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return model.eval()


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(BATCHES):
        yield torch.rand(SIZE, 2, 6, 6, generator=generator), torch.arange(SIZE) % 3


def passes(pruner: Pruner) -> tuple[int, int]:
    watched, result = network(), Passes()
    result.watch(watched)
    train = sgd(batches, steps=STEPS, learning_rate=1e-3)
    context = Context(example=torch.zeros(1, 2, 6, 6), batches=batches, train=train)
    pruner(watched, keep=remaining(watched) // 2, context=context)
    return result.forward, result.backward


EXPECTED: dict[str, tuple[int, int]] = {
    # one look for the scores, one for what each layer reads when the rest takes over
    "correlation": (2 * BATCHES, 0),
    "fisher": (BATCHES, BATCHES),
    # all 21 examples are one batch of at most 128: the gradient; then the gradient again, and that along itself
    "grasp": (2, 3),
    # the trainer's own, and none beside
    "greg": (STEPS, STEPS),
    "hrank": (BATCHES, 0),
    "hydra": (STEPS, STEPS),
    "iss_p": (STEPS, STEPS),
    "pfp": (BATCHES, 0),
    "rni": (STEPS, STEPS),
    # ten points on the way, for each of two groups
    "singe": (2 * 10 * BATCHES, 2 * 10 * BATCHES),
    "sipp": (BATCHES, 0),
    "snip": (1, 1),
    "taylor": (BATCHES, BATCHES),
    # scores, then the factors of what stays
    "thinet": (2 * BATCHES, 0),
    # 21 examples, 16 at a time; gradients that torch.func takes are not seen
    "woodfisher": (2, 0),
}


def part(name: str) -> type[Pruner]:
    module = import_module(f"pruners.{name}")
    classes = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    (outcome,) = [each for each in classes if issubclass(each, Pruner) and not inspect.isabstract(each)]
    return outcome


PARTS = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
LOOKING = [name for name in PARTS if part(name).needs]
SEARCHING = {"constrained_rl", "greedy_allocation"}
"""How often these try is not known beforehand; their own tests count."""


def test_whatever_looks_at_data_says_how_often() -> None:
    assert set(EXPECTED) | SEARCHING >= set(LOOKING)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_as_many_passes_as_the_formula_needs(name: str) -> None:
    assert passes(part(name)()) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(set(PARTS) - set(LOOKING)))
def test_without_data_only_the_example_passes(name: str) -> None:
    assert passes(part(name)()) == (0, 0)


def test_draws_need_no_more() -> None:
    assert passes(PFP(randomised=True)) == (2 * BATCHES, 0)
    assert passes(Coreset(variant="tukan")) == (0, 0)
