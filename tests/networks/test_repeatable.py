"""Whether a network has one answer to an image."""

import torch
from torch import Tensor, nn

from evalsuite.networks.repeatable import BATCH, RANDOM, RESEEDED, doubts

IMAGES = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Applied(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.function(self.layer(images.flatten(1)))


def test_an_ordinary_network_has() -> None:
    assert doubts(Applied(lambda x: x).eval(), IMAGES) == ()


def test_a_batch_norm_in_evaluation_mode_has() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten()).eval()
    assert doubts(network, IMAGES) == ()


def test_dropout_that_was_left_on_is_random() -> None:
    assert doubts(Applied(lambda x: nn.functional.dropout(x, 0.5, training=True)).eval(), IMAGES) == (RANDOM,)


def test_a_network_that_seeds_torch_is_doubted_and_one_that_draws_is_random() -> None:
    def seeded(x: Tensor) -> Tensor:
        torch.random.manual_seed(0)
        return x + torch.rand(1)

    seeds, draws = Applied(seeded).eval(), Applied(lambda x: x + torch.rand(1)).eval()
    before = torch.get_rng_state()
    assert doubts(seeds, IMAGES) == (RESEEDED,)
    assert doubts(draws, IMAGES) == (RANDOM,)
    # nobody else's draws are moved by asking
    assert torch.equal(torch.get_rng_state(), before)


def test_the_mean_of_the_batch_depends_on_the_batch() -> None:
    assert doubts(Applied(lambda x: x - x.mean(0, keepdim=True)).eval(), IMAGES) == (BATCH,)


def test_statistics_of_the_batch_are_such_too() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten()).eval()
    assert doubts(network, IMAGES) == (BATCH,)


def test_outputs_that_are_never_finite_are_no_chance() -> None:
    assert doubts(Applied(lambda x: x * torch.nan).eval(), IMAGES) == ()
