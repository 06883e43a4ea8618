import math
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.distributions import Categorical, kl_divergence

from evalsuite.errors import UsageError
from evalsuite.training import named
from evalsuite.training.trades import Trades, divergence


def small_cnn() -> nn.Module:
    with torch.random.fork_rng():
        torch.set_rng_state(Generator().manual_seed(0).get_state())
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
        )


def batch(n: int = 16) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(2)
    return torch.rand(n, 1, 8, 8, generator=generator), torch.randint(5, (n,), generator=generator)


def test_divergence_by_hand() -> None:
    # p = (3/4, 1/4), q = (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2), and 0 for the second example
    text = torch.tensor([[math.log(3.0), 0.0], [2.0, 2.0]])
    other = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert divergence(text, other).item() == pytest.approx(0.75 * math.log(1.5) - 0.25 * math.log(2))


def test_divergence_is_that_of_torch() -> None:
    output, other = torch.randn(2, 6, 4, generator=Generator().manual_seed(0))
    expected = kl_divergence(Categorical(logits=output), Categorical(logits=other)).sum()
    torch.testing.assert_close(divergence(output, other), expected)


def test_without_beta_it_is_the_cross_entropy() -> None:
    network, (images, labels) = small_cnn().train(), batch()
    loss, logits = Trades(beta=0.0).loss(network, images, labels, Generator())
    expected = F.cross_entropy(network(images), labels)
    assert torch.equal(logits, network(images))
    torch.testing.assert_close(loss, expected)
    result, wanted = (torch.autograd.grad(each, list(network.parameters())) for each in (loss, expected))
    torch.testing.assert_close(result, wanted)


def test_beta_weighs_the_mean_divergence() -> None:
    network, (images, labels) = small_cnn().train(), batch()
    # in copies: statistics move with every loss, and the attack is on the network in evaluation mode
    moved = Trades().attacked(deepcopy(network), images, Generator().manual_seed(3))
    one = Trades(beta=0.0).loss(deepcopy(network), images, labels, Generator().manual_seed(3))[0]
    other = Trades(beta=6.0).loss(network, images, labels, Generator().manual_seed(3))[0]
    printed, there = Categorical(logits=network(images)), Categorical(logits=network(moved))
    torch.testing.assert_close(other - one, 6 * kl_divergence(printed, there).mean(), rtol=1e-4, atol=1e-5)
    # what is said at the images learns too
    (outcome,) = torch.autograd.grad(other, [network[4].bias])
    (alone,) = torch.autograd.grad(F.cross_entropy(network(images), labels), [network[4].bias])
    target = 6 * kl_divergence(Categorical(logits=network(images)), Categorical(logits=network(moved))).mean()
    torch.testing.assert_close(outcome - alone, torch.autograd.grad(target, [network[4].bias])[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("eps", [0.03, 0.3])
def test_the_attack_parts_the_answers_and_stays_in_the_ball(eps: float) -> None:
    network, (images, _) = small_cnn().train(), batch()
    before, state = images.clone(), {name: value.clone() for name, value in network.state_dict().items()}
    moved = Trades(eps=eps).attacked(network, images, Generator().manual_seed(0))
    assert 0.9 * eps < (moved - images).abs().max() <= eps + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert torch.equal(images, before)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    network.eval()
    noise = (images + eps * torch.randn(images.shape, generator=Generator().manual_seed(1)).sign()).clamp(0, 1)
    assert divergence(network(images), network(moved)) > 2 * divergence(network(images), network(noise))


def test_it_costs_one_pass_a_step_and_three_more() -> None:
    calls = []
    network, (images, labels) = small_cnn().train(), batch(4)
    network.register_forward_hook(lambda module, _inputs, _output: calls.append(module.training))
    Trades(steps=2).loss(network, images, labels, Generator())
    assert calls == [False, False, False, True, True]


def test_what_is_prescribed() -> None:
    mnist = named("trades", architecture="lenet", data="mnist")
    assert isinstance(mnist, Trades)
    assert (mnist.beta, mnist.eps, mnist.steps, mnist.step * mnist.eps) == (1, 0.3, 40, pytest.approx(0.01))
    cifar = named("trades?beta=1", architecture="resnet20", data="cifar10")
    assert isinstance(cifar, Trades)
    assert (cifar.beta, cifar.eps, cifar.steps, cifar.step * cifar.eps) == (1, 0.031, 10, pytest.approx(0.007))


@pytest.mark.parametrize(
    ("field", "value"), [("beta", -1.0), ("eps", 0.0), ("steps", 0), ("step", math.nan), ("shift", -1)]
)
def test_hyperparameters_out_of_range(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"expected {field} to be .*, got {value}"):
        Trades(**{field: value})
