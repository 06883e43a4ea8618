import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from evalsuite.data import load
from evalsuite.errors import UsageError
from evalsuite.training import Recipe, named, train
from evalsuite.training.gaussian import Gaussian
from evalsuite.training.standard import Standard

CPU = torch.device("cpu")


class Recorder(nn.Module):
    """Remembers what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images)
        return images.flatten(1)[:, :10]


def test_what_is_seen_is_the_images_and_noise_of_that_size() -> None:
    images = torch.full((50, 1, 20, 20), 0.9)
    network = Recorder()
    loss, logits = Gaussian(sigma=0.5).loss(network, images, torch.arange(50) % 10, Generator().manual_seed(0))
    noise = network.shown[0] - images
    # 20 000 draws: mean within 4 * 0.5 / sqrt(20000), standard deviation within 4 * 0.5 / sqrt(40000)
    assert abs(noise.mean().item()) < 0.0142
    assert abs(noise.std().item() - 0.5) < 0.01
    assert network.shown[0].max() > 1.5  # not cut off
    assert images.eq(0.9).all()
    assert torch.equal(loss, F.cross_entropy(logits, torch.arange(50) % 10))
    again = Recorder()
    Gaussian(sigma=0.5).loss(again, images, torch.arange(50) % 10, Generator().manual_seed(0))
    assert torch.equal(again.shown[0], network.shown[0])


def test_without_noise_it_is_the_standard_recipe() -> None:
    images = torch.rand(4, 1, 4, 4, generator=Generator().manual_seed(0))
    result, wanted = (
        recipe.loss(Recorder(), images, torch.arange(4), Generator().manual_seed(0))[0]
        for recipe in (Gaussian(sigma=0.0), Standard())
    )
    assert torch.equal(result, wanted)


def test_digits_trained_with_it_are_read_through_noise() -> None:
    digits = load("digits")
    images = digits.test.pixels(range(300))
    noisy = images + 0.4 * torch.randn(images.shape, generator=Generator().manual_seed(1))

    def right(recipe: Recipe) -> float:
        with torch.random.fork_rng():
            torch.set_rng_state(Generator().manual_seed(0).get_state())
            network = nn.Sequential(
                nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10)
            )
        trained = train(network, digits.train, recipe, seed=0, device=CPU)
        with torch.no_grad():
            return (trained(noisy).argmax(1) == digits.test.labels[:300]).double().mean().item()

    # 300 examples: a difference of 0.1 is more than three standard errors
    assert right(Gaussian(epochs=5, sigma=0.4)) > right(Standard(epochs=5)) + 0.1


def test_by_name() -> None:
    recipe = named("gaussian?sigma=0.5", architecture="resnet8", data="cifar10")
    assert isinstance(recipe, Gaussian)
    assert (recipe.sigma, recipe.flip, recipe.shift) == (0.5, True, 4)


@pytest.mark.parametrize("sigma", [-0.1, float("nan")])
def test_hyperparameters_out_of_range(sigma: float) -> None:
    with pytest.raises(UsageError, match=rf"expected sigma to be in \[0, 1\], since images are, got {sigma}"):
        Gaussian(sigma=sigma)
