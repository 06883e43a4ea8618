"""Every recipe trains on the device, and what is measured anew after pruning is measured there."""

import math

import pytest
import torch

from evalsuite.parts.registry import names
from evalsuite.training import named, recalibrate, score, train

SETTINGS = {"pgd": "&eps=0.03"}
"""Two epochs are too few for the radius that it takes for digits."""
CHANCE = 0.1


@pytest.mark.parametrize("name", names("evalsuite.training"))
def test_two_epochs_are_better_than_chance(name, untrained, digits, device):
    recipe = named(f"{name}?epochs=2&batch_size=32{SETTINGS.get(name, '')}", architecture="", data="digits")
    message = []
    trained = train(untrained, digits.train, recipe, seed=0, device=device, progress=message.append)
    assert all(parameter.device.type == device.type for parameter in trained.parameters())
    assert len(message) == 2
    assert all(math.isfinite(each.loss) for each in message)
    # of 600 held-out examples chance gives 60, give or take 8
    assert score(trained, digits.test, device=device) > 2 * CHANCE


def test_training_does_not_move_the_random_state_of_the_device(untrained, digits, device):
    state = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    train(untrained, digits.train, named("standard?epochs=1", architecture="", data="digits"), seed=0, device=device)
    after = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    assert torch.equal(after, state)


def test_statistics_are_measured_as_on_the_cpu(family, digits, device):
    here, there = (
        recalibrate(family.networks[1], digits.train, seed=0, device=each, batches=4).cpu()
        for each in (family.device, device)
    )
    for (name, ours), theirs in zip(here.named_buffers(), there.buffers(), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5, msg=name)
