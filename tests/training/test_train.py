import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Generator, Tensor, nn

from evalsuite.data import Examples, load
from evalsuite.errors import EvalsuiteError, UsageError
from evalsuite.training import Recipe, named, score, train
from evalsuite.training._loader import feed
from evalsuite.training.standard import Standard

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.set_rng_state(Generator().manual_seed(seed).get_state())
        return build()


def small_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(512, 10),
    )


def few(n: int = 40, classes: int = 10) -> Examples:
    generator = Generator().manual_seed(3)
    images = torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return Examples.from_labels(images, torch.arange(n) % classes)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@dataclass(frozen=True, kw_only=True)
class Plain(Recipe):
    """A constant rate, no augmentation."""

    epochs: int = 1
    batch_size: int = 8
    learning_rate: float = 0.1

    def rate(self, step: int, steps_per_epoch: int) -> float:
        del steps_per_epoch
        return self.learning_rate / (1 + step)


def test_digits_are_learnt_in_seconds() -> None:
    digits = load("digits")
    recipe = named("standard", architecture="small", data="digits")
    trained = train(seeded(small_cnn), digits.train, recipe, seed=0, device=CPU)
    assert score(trained, digits.test, device=CPU) > 0.95


def test_the_same_arguments_give_the_same_bits_and_touch_nothing() -> None:
    network, examples, recipe = seeded(small_cnn), few(), Standard(epochs=2, batch_size=16)
    before, modes = state(network), [module.training for module in network.modules()]
    pixels, world = examples.images.clone(), torch.get_rng_state()
    first = train(network, examples, recipe, seed=1, device=CPU)
    assert same(state(network), before)
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(examples.images, pixels)
    assert torch.equal(torch.get_rng_state(), world)
    torch.rand(3)
    assert same(state(train(network, examples, recipe, seed=1, device=CPU)), state(first))
    assert not same(state(train(network, examples, recipe, seed=2, device=CPU)), state(first))
    assert not any(module.training for module in first.modules())


def test_steps_are_those_of_sgd_written_out() -> None:
    # Nesterov momentum with weight decay: g = grad + wd * w; v = 0.9 v + g; w -= lr * (g + 0.9 v) (Sutskever et al.)
    network = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    examples = few(8)  # one batch an epoch: its order cannot matter
    recipe = Plain(epochs=3, batch_size=8, learning_rate=0.5, weight_decay=0.01)
    trained = train(network, examples, recipe, seed=0, device=CPU)
    weight, bias = (p.detach().clone().double() for p in network.parameters())
    speed = [torch.zeros_like(weight), torch.zeros_like(bias)]
    inputs = examples.pixels(range(8)).flatten(1).double()
    for step in range(3):
        # cross-entropy of a linear map: d/dlogits = (softmax - onehot) / n
        error = ((inputs @ weight.T + bias).softmax(1) - torch.eye(10).double()[examples.labels]) / 8
        gradients = [error.T @ inputs + 0.01 * weight, error.sum(0) + 0.01 * bias]
        speed = [0.9 * v + g for v, g in zip(speed, gradients, strict=True)]
        rate = 0.5 / (1 + step)
        weight, bias = (w - rate * (g + 0.9 * v) for w, g, v in zip((weight, bias), gradients, speed, strict=True))
    torch.testing.assert_close(trained[1].weight.double(), weight, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(trained[1].bias.double(), bias, rtol=1e-5, atol=1e-6)


def test_hooks_are_called_at_every_step_with_the_network_in_training() -> None:
    network = seeded(small_cnn)
    after, early, message = [], [], []
    trained = train(
        network,
        few(40),
        Plain(epochs=3, batch_size=16),
        seed=0,
        device=CPU,
        after_step=after.append,
        early=lambda step, student: early.append((step, student[0].weight.detach().clone())),
        progress=message.append,
    )
    # 40 // 16 = 2 full batches in each of 3 epochs
    assert len(after) == 6
    assert all(student is trained for student in after)
    assert trained is not network
    assert [step for step, _ in early] == [0, 1, 2, 3, 4, 5, 6]
    assert torch.equal(early[0][1], network[0].weight)
    assert torch.equal(early[6][1], trained[0].weight)
    assert not torch.equal(early[1][1], early[0][1])
    assert [(p.epoch, p.epochs) for p in message] == [(1, 3), (2, 3), (3, 3)]
    assert message[-1].seconds_left == 0
    assert message[0].seconds_left > 0


def test_progress_reads_loss_and_accuracy_of_the_batches() -> None:
    # a frozen network that answers class 0 with logit 1: cross-entropy is ln(e + 9) - 1 on class 0, ln(e + 9) elsewhere
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(network[1].weight)
    network[1].bias.data = torch.eye(10)[0]
    network[1].weight.requires_grad_(requires_grad=False)
    messages = []
    train(
        network,
        few(40),
        Plain(learning_rate=1e-12, weight_decay=0.0),
        seed=0,
        device=CPU,
        progress=messages.append,
    )
    # 4 of 40 are of class 0
    assert messages[0].score == pytest.approx(0.1)
    assert messages[0].loss == pytest.approx(torch.tensor(torch.e + 9).log().item() - 0.1, rel=1e-6)


def test_zeros_can_be_held() -> None:
    network = seeded(small_cnn)
    with torch.no_grad():
        network[3].weight[:, ::2] = 0
    masks = {name: value != 0 for name, value in network.named_parameters() if value.dim() > 1}

    def hold(student: nn.Module) -> None:
        with torch.no_grad():
            for name, mask in masks.items():
                student.get_parameter(name).mul_(mask)

    held = train(network, few(), Plain(epochs=2), seed=0, device=CPU, after_step=hold)
    assert (held[3].weight[:, ::2] == 0).all()
    assert (held[3].weight[:, 1::2] != 0).any()
    free = train(network, few(), Plain(epochs=2), seed=0, device=CPU)
    assert (free[3].weight[:, ::2] != 0).any()


def test_frozen_parameters_stay() -> None:
    network = seeded(small_cnn)
    network[0].weight.requires_grad_(requires_grad=False)
    trained = train(network, few(), Plain(), seed=0, device=CPU)
    assert torch.equal(trained[0].weight, network[0].weight)
    assert not torch.equal(trained[3].weight, network[3].weight)


@pytest.mark.parametrize("recipe", [Plain(learning_rate=1e30), Plain(epochs=2, learning_rate=1e6)])
def test_divergence_is_told_with_advice(recipe: Recipe) -> None:
    with pytest.raises(
        EvalsuiteError, match=r"finite training loss, got (nan|inf) in epoch 1 .* smaller learning_rate"
    ):
        train(seeded(small_cnn), few(), recipe, seed=0, device=CPU)


def test_fewer_examples_than_a_batch_are_one_batch() -> None:
    steps = []
    train(seeded(small_cnn), few(5), Standard(epochs=3), seed=0, device=CPU, after_step=steps.append)
    assert len(steps) == 3


def test_no_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one training example"):
        train(small_cnn(), few(0), Standard(), seed=0, device=CPU)


def test_a_recipe_may_change_on_the_way() -> None:
    observed = []

    @dataclass(frozen=True, kw_only=True)
    class Growing(Plain):
        radius: float = 0.0

        def scheduled_at(self, done: float) -> Recipe:
            return Growing(radius=done)

        def loss(
            self, network: nn.Module, images: Tensor, labels: list[int], generator: Generator
        ) -> tuple[Tensor, Tensor]:
            observed.append(self.radius)
            return Plain().loss(network, images, labels, generator)

    train(seeded(small_cnn), few(40), Growing(epochs=2, batch_size=20), seed=0, device=CPU)
    assert observed == [0.0, 0.25, 0.5, 0.75]


def test_images_read_when_asked_for_train_to_the_same_network() -> None:
    class Files:
        def __init__(self, images: Tensor) -> None:
            self.images = images

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: Tensor) -> Tensor:
            return self.images[index]

    examples = few(20).select([*range(19, -1, -1)])
    for memory in (1 << 20, 10):
        source = feed(
            Examples(images=Files(examples.images), labels=examples.labels, positions=examples.positions),
            CPU,
            memory=memory,
        )
        assert (source.held is None) == (memory == 10)
        images, labels = source.batch(torch.tensor([3, 0]))
        torch.testing.assert_close(images, examples.pixels([3, 0]), rtol=0, atol=0)
        assert labels.tolist() == examples.labels[[3, 0]].tolist()


def test_accuracy_counts_and_leaves_modes_as_they_are() -> None:
    network = seeded(small_cnn)
    network.train()
    network[1].eval()
    modes = [module.training for module in network.modules()]
    before = state(network)
    examples = few(30)
    result = score(network, examples, device=CPU, batch_size=7)
    assert [module.training for module in network.modules()] == modes
    assert same(before, state(network))
    logits = copy.deepcopy(network).eval()(examples.pixels(range(30)))
    assert result == (logits.argmax(1) == examples.labels).double().mean().item()
    with pytest.raises(UsageError, match="at least one example"):
        score(network, few(0), device=CPU)
