from collections.abc import Callable, Iterable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.training_hook import Hook
from neuralnets.weights import prunable, remaining
from pruners import Context, hold_zeros, sgd
from pruners.hydra import Hydra, Scored
from pruners.magnitude import Magnitude

Build = Callable[[str], nn.Module]


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        yield torch.rand(6, 3, 8, 8, generator=generator), torch.randint(4, (6,), generator=generator)


def context(steps: int = 6, learning_rate: float = 0.05) -> Context:
    train = sgd(batches, steps=steps, learning_rate=learning_rate)
    return Context(example=torch.zeros(1, 3, 8, 8), train=train)


def linear(weight: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
    return layer


def test_gradients_by_hand() -> None:
    # y = (w * m) x; L = y_0 + 2 y_1; dL/ds = sign(s) * dL/dm = sign(w) * row * x * w = row * x * |w|
    scored = Scored(linear([[4.0, -1.0, 0.5], [-2.0, 3.0, 0.25]]), {"weight": 2})
    x = torch.tensor([[1.0, 10.0, 100.0]])
    y = scored(x)
    # kept are 4 and 3
    assert y.tolist() == [[4.0, 30.0]]
    (y @ torch.tensor([1.0, 2.0])).sum().backward()
    assert scored.scores[0].grad.tolist() == [[4.0, 10.0, 50.0], [4.0, 60.0, 50.0]]
    assert scored.network.weight.grad is None


def test_scores_start_at_scaled_weights() -> None:
    # fan-in 2: sqrt(6 / 2) * w / 4
    scored = Scored(linear([[4.0, -1.0], [2.0, 0.0]]), {"weight": 1})
    expected = 3**0.5 * torch.tensor([[1.0, -0.25], [0.5, 0.0]])
    torch.testing.assert_close(scored.scores[0].detach(), expected)
    assert [name for name, p in scored.named_parameters() if p.requires_grad] == ["scores.0"]


def test_untrained_scores_are_magnitudes(network: nn.Module) -> None:
    keep = remaining(network) // 3
    context = Context(example=torch.zeros(1, 3, 8, 8), train=lambda scored, _: deepcopy(scored))
    result = Hydra()(network, keep=keep, context=context)
    expected = Magnitude(allocation="uniform")(network, keep=keep, context=context)
    assert all(torch.equal(one, other) for one, other in zip(result.parameters(), expected.parameters(), strict=True))


def test_training_finds_the_small_weight_that_matters() -> None:
    # the class is the sign of the second input, which only the smallest weights see: magnitude pruning cuts them
    network = linear([[2.0, 1.0], [-2.0, -1.0]])

    def informative() -> Iterable[tuple[Tensor, Tensor]]:
        inputs = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        yield inputs, (inputs[:, 1] < 0).long()

    context = Context(example=torch.zeros(1, 2), train=sgd(informative, steps=200, learning_rate=0.1))
    assert Hydra()(network, keep=2, context=context).weight.tolist() == [[0, 1], [0, -1]]
    assert Magnitude()(network, keep=2, context=context).weight.tolist() == [[2, 0], [-2, 0]]


def test_it_is_the_callers_loss_that_is_minimised() -> None:
    network = linear([[2.0, 1.0], [-2.0, -1.0]])

    def upside_down(scored: nn.Module, hook: Hook) -> nn.Module:
        student = deepcopy(scored)
        optimizer = torch.optim.SGD(student.parameters(), 0.1)
        for _ in range(100):
            optimizer.zero_grad()
            student(torch.tensor([[1.0, 0.0]]))[0, 0].square().backward()
            optimizer.step()
        return student

    context = Context(example=torch.zeros(1, 2), train=upside_down)
    # the square of the first logit at (1, 0) is least without the weight 2 that makes it
    assert Hydra()(network, keep=3, context=context).weight.tolist() == [[0, 1], [-2, -1]]


def test_the_wrapper_lives_as_any_network_does(build: Build) -> None:
    network = build("transformer")
    network.head.weight.data[0, :3] = 0
    scored = Scored(network, {name: weight.numel() // 2 for name, weight in prunable(network).items()})
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    first = scored(images)
    copied = deepcopy(scored)  # also after a forward pass
    assert torch.equal(copied(images), first)
    assert list(prunable(copied)) == [f"network.{name}" for name in prunable(network)]
    hold_zeros(scored)(copied)
    assert torch.equal(copied(images), first)
    F.cross_entropy(copied(images), torch.tensor([0, 1])).backward()
    assert all(score.grad is not None for score in copied.scores)
    assert not copied.scores[-1].grad[0, :3].any()  # what is pruned cannot be learnt


def test_exact_in_every_layer_and_values_kept(network: nn.Module) -> None:
    keep = round(0.3 * remaining(network))
    if is_decoder(network):
        pytest.skip("puts out a picture, not classes")
    pruned = Hydra()(network, keep=keep, context=context())
    assert remaining(pruned) == keep
    for new, old in zip(prunable(pruned).values(), prunable(network).values(), strict=True):
        assert abs(int(new.count_nonzero()) - 0.3 * old.numel()) <= 1
        assert torch.equal(new, old * (new != 0))
    assert all(torch.equal(a, b) for a, b in zip(pruned.buffers(), network.buffers(), strict=True))


def is_decoder(network: nn.Module) -> bool:
    return any(isinstance(module, nn.ConvTranspose2d) for module in network.modules())


def test_a_trainer_that_returns_something_else_is_refused() -> None:
    context = Context(example=torch.zeros(1, 2), train=lambda scored, _: scored.network)
    with pytest.raises(TypeError, match="expected training to return a copy of what it was given, got Linear"):
        Hydra()(linear([[1.0, 2.0]]), keep=1, context=context)
