"""What a hook is handed and when, and batches for those who only look."""

import torch
from torch import Tensor, nn

from evalsuite.data import load
from evalsuite.training import batches, train
from evalsuite.training.standard import Standard


class Recorder:
    def __init__(self, factor: float = 0.0) -> None:
        self.factor, self.called, self.done = factor, [], []

    def penalty(self, network: nn.Module, images: Tensor, labels: Tensor, done: float) -> Tensor | None:
        self.called.append("penalty")
        self.done.append(done)
        assert all(p.grad is None for p in network.parameters())
        assert len(images) == len(labels)
        return self.factor * sum(p.square().sum() for p in network.parameters()) if self.factor else None

    def after_backward(self, network: nn.Module, done: float) -> None:
        self.called.append("backward")
        assert all(p.grad is not None for p in network.parameters())

    def after_step(self, network: nn.Module, done: float) -> None:
        self.called.append("step")


def linear() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
    return network


def trained(hook: Recorder | None, rate: float | None = None, **options: float) -> nn.Module:
    recipe = Standard(epochs=1, batch_size=256, shift=0, **options)  # type: ignore[arg-type]
    examples = load("digits").train
    assert examples is not None
    return train(linear(), examples, recipe, seed=0, device=torch.device("cpu"), hook=hook, constant_rate=rate)


def test_the_order_of_a_step() -> None:
    hook = Recorder()
    trained(hook)
    steps = len(hook.done)
    assert hook.called == ["penalty", "backward", "step"] * steps
    assert hook.done == [step / steps for step in range(steps)]


def test_a_hook_that_adds_nothing_changes_nothing() -> None:
    assert torch.equal(trained(Recorder()).get_parameter("1.weight"), trained(None).get_parameter("1.weight"))


def test_a_penalty_on_the_squares_is_weight_decay() -> None:
    # the gradient of (d / 2) |w|^2 is d w, which is what the optimiser adds for weight_decay = d
    decayed = trained(None, weight_decay=0.1).get_parameter("1.weight")
    penalised = trained(Recorder(0.05), weight_decay=0.0).get_parameter("1.weight")
    assert torch.allclose(decayed, penalised, atol=1e-6)
    assert not torch.allclose(decayed, trained(None, weight_decay=0.0).get_parameter("1.weight"), atol=1e-4)


def test_a_constant_rate_replaces_the_schedule() -> None:
    # without momentum and decay, a step of half the rate on the same gradient goes half as far; one step is enough
    recipe = Standard(epochs=1, batch_size=2000, momentum=0, nesterov=False, weight_decay=0, shift=0)
    examples = load("digits").train
    assert examples is not None
    start = linear().get_parameter("1.weight")
    moved = [
        train(linear(), examples, recipe, seed=0, device=torch.device("cpu"), constant_rate=rate).get_parameter(
            "1.weight"
        )
        - start
        for rate in (0.2, 0.1)
    ]
    assert torch.allclose(moved[0], 2 * moved[1], atol=1e-6)
    assert moved[0].abs().max() > 0


def test_batches_go_once_through_all_examples_in_a_drawn_order() -> None:
    examples = load("digits").train
    assert examples is not None
    again = batches(examples, seed=3, device=torch.device("cpu"), size=500)
    first, second = list(again()), list(again())
    assert [len(labels) for _, labels in first] == [500] * (len(examples) // 500) + [len(examples) % 500]
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(first, second, strict=True))
    assert first[0][0].min() >= 0
    assert first[0][0].max() <= 1
    labels = torch.cat([labels for _, labels in first])
    assert torch.equal(labels.sort().values, examples.labels.sort().values)
    other = next(iter(batches(examples, seed=4, device=torch.device("cpu"), size=500)()))
    assert not torch.equal(other[1], first[0][1])
