import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from evalsuite.attacks.pgd import Pgd as Attack
from evalsuite.data import Examples, load
from evalsuite.errors import UsageError
from evalsuite.extend import Batch, Budget
from evalsuite.training import named, score, train
from evalsuite.training._pgd_steps import ascend
from evalsuite.training.pgd import Pgd
from evalsuite.training.standard import Standard

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def small_cnn() -> nn.Module:
    with torch.random.fork_rng():
        torch.set_rng_state(Generator().manual_seed(0).get_state())
        return nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(384, 10),
        )


def digits() -> tuple[Examples, Examples]:
    result = load("digits")
    return result.train, result.test.select(range(200))


def robust_accuracy(network: nn.Module, examples: Examples, eps: float) -> float:
    network = network.requires_grad_(requires_grad=False)
    images = examples.pixels(range(len(examples)))
    batch = Batch(images=images, labels=examples.labels, ids=tuple(map(str, range(len(examples)))))
    moved = Attack(steps=20)(network, batch, Budget(norm="linf", eps=eps), seed=0).images
    with torch.no_grad():
        return (network(moved).argmax(1) == batch.labels).double().mean().item()


def batch(n: int = 16) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(2)
    return torch.rand(n, 1, 8, 8, generator=generator), torch.randint(10, (n,), generator=generator)


def test_ascent_of_a_linear_objective_ends_in_the_corner() -> None:
    # each step moves every pixel by its sign: 3 steps of 0.05 stop at eps = 0.1, or at the end of [0, 1]
    images = torch.tensor([0.5, 0.5, 0.95, 0.02]).view(1, 1, 1, 4)
    slope = torch.tensor([2.0, -0.1, 5.0, -3.0]).view(1, 1, 1, 4)
    outcome = ascend(lambda moved: (moved * slope).sum(), images, images + 0.3, eps=0.1, length=0.05, steps=5)
    torch.testing.assert_close(outcome.flatten(), torch.tensor([0.6, 0.4, 1.0, 0.0]))
    one = ascend(lambda moved: (moved * slope).sum(), images, images, eps=0.1, length=0.05, steps=1)
    torch.testing.assert_close(one.flatten(), torch.tensor([0.55, 0.45, 1.0, 0.0]))
    assert images.flatten().tolist() == pytest.approx([0.5, 0.5, 0.95, 0.02])
    assert not outcome.requires_grad


@pytest.mark.parametrize("eps", [0.03, 0.3])
def test_the_attack_raises_the_loss_and_stays_in_the_ball(eps: float) -> None:
    network, (images, labels) = small_cnn().train(), batch()
    before, state = images.clone(), {name: value.clone() for name, value in network.state_dict().items()}
    moved = Pgd(eps=eps).attacked(network, images, labels, Generator().manual_seed(0))
    assert (moved - images).abs().max() <= eps + 1e-6
    assert (moved - images).abs().max() > 0.9 * eps
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert torch.equal(images, before)
    # no trace on the network: mode, statistics, gradients
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    network.eval()
    noise = images + eps * (2 * torch.rand(images.shape, generator=Generator().manual_seed(1)) - 1)
    losses = [F.cross_entropy(network(x), labels, reduction="none") for x in (images, noise.clamp(0, 1), moved)]
    assert (losses[2] > losses[0]).all()
    assert losses[2].mean() > losses[1].mean()


def test_the_start_is_random_and_the_draw_is_the_generators() -> None:
    network, (images, labels) = small_cnn(), batch()
    recipe = Pgd(eps=0.1, steps=1)
    actual = [recipe.attacked(network, images, labels, Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(actual[0], actual[1])
    assert not torch.equal(actual[0], actual[2])


def test_the_loss_is_that_at_the_attacked_images_in_training_mode() -> None:
    network, (images, labels) = small_cnn().train(), batch()
    network[7].p = 0.0
    recipe = Pgd(eps=0.1)
    moved = recipe.attacked(network, images, labels, Generator().manual_seed(5))
    loss, logits = recipe.loss(network, images, labels, Generator().manual_seed(5))
    assert torch.equal(logits, network(moved))
    assert torch.equal(loss, F.cross_entropy(logits, labels))
    loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_it_costs_one_pass_a_step_and_one_more() -> None:
    calls = []
    network, (images, labels) = small_cnn().train(), batch(4)
    network.register_forward_hook(lambda module, _inputs, _output: calls.append(module.training))
    Pgd(steps=3).loss(network, images, labels, Generator())
    assert calls == [False, False, False, True]


def test_digits_trained_with_it_withstand_more() -> None:
    examples, held_out = digits()
    # robustness at 0.1: a tenth of the way from black to white, in every pixel
    robust, plain = (
        train(small_cnn(), examples, recipe, seed=0, device=CPU)
        for recipe in (Pgd(epochs=4, eps=0.1), Standard(epochs=4))
    )
    assert score(robust, held_out, device=CPU) > 0.85
    computed = [robust_accuracy(network, held_out, 0.1) for network in (robust, plain)]
    # 200 examples: a difference of 0.15 is more than three standard errors
    assert computed[0] > computed[1] + 0.15


@pytest.mark.parametrize("recipe", ["pgd", "trades", "gaussian"])
def test_the_schedule_is_that_of_the_standard_recipe(recipe: str) -> None:
    for data in ("digits", "mnist", "fashion-mnist", "svhn", "cifar10", "cifar100", "folder:signs"):
        mine, standard = (named(each, architecture="resnet8", data=data) for each in (recipe, "standard"))
        for field in ("epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "warm_up", "shift", "flip"):
            assert getattr(mine, field) == getattr(standard, field), (data, field)
        assert [mine.rate(step, 3) for step in range(12)] == [standard.rate(step, 3) for step in range(12)]
        images = batch()[0]
        one, other = (each.augment(images, Generator().manual_seed(1)) for each in (mine, standard))
        assert torch.equal(one, other)


def test_what_is_prescribed() -> None:
    mnist = named("pgd", architecture="lenet", data="mnist")
    assert isinstance(mnist, Pgd)
    assert (mnist.eps, mnist.steps, mnist.step * mnist.eps) == (0.3, 40, pytest.approx(0.01))
    cifar = named("pgd?epochs=3", architecture="resnet20", data="cifar10")
    assert isinstance(cifar, Pgd)
    assert (cifar.epochs, cifar.eps, cifar.steps, cifar.step * cifar.eps) == (3, 8 / 255, 7, pytest.approx(2 / 255))


@pytest.mark.parametrize(
    ("field", "value"), [("eps", 0.0), ("steps", 0), ("step", 0.0), ("warm_up", 1.5), ("shift", -1), ("epochs", 0)]
)
def test_hyperparameters_out_of_range(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"expected {field} to be .*, got {value}"):
        Pgd(**{field: value})
