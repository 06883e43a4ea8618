import math
from dataclasses import replace

import pytest
import torch
from torch import Generator

from evalsuite.data._by_name import training_advice
from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.parts.names import part_name
from evalsuite.parts.registry import find, names
from evalsuite.training import Recipe, named
from evalsuite.training.lost_in_pruning import LostInPruning
from evalsuite.training.standard import Standard


def test_recipes_are_found_by_their_file() -> None:
    assert set(names("evalsuite.training")) >= {"standard", "lost_in_pruning"}
    for recipe in names("evalsuite.training"):
        assert issubclass(find("evalsuite.training", recipe, Recipe), Recipe)


def test_standard_rises_linearly_and_falls_by_a_cosine() -> None:
    # 2 epochs of 5 steps, 2 of which (0.2 * 10) rise: 0.4 * 1/2, 0.4 * 2/2; then 8 steps of a half cosine from the top
    recipe = Standard(epochs=2, learning_rate=0.4, warm_up=0.2)
    rates = [recipe.rate(step, 5) for step in range(10)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.4])
    assert rates[6] == pytest.approx(0.2)  # half way down: cos(pi / 2) = 0
    assert rates[4] == pytest.approx(0.2 * (1 + math.sqrt(0.5)))  # a quarter of the way: cos(pi / 4)
    assert rates[9] == pytest.approx(0.2 * (1 - math.cos(math.pi / 8)))
    assert all(rate > 0 for rate in rates)


@pytest.mark.parametrize("warm_up", [0.0, 1.0])
def test_standard_without_a_rise_or_a_fall(warm_up: float) -> None:
    recipe = Standard(epochs=1, learning_rate=1.0, warm_up=warm_up)
    rates = [recipe.rate(step, 4) for step in range(4)]
    if warm_up:
        assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0])
    else:
        assert rates == pytest.approx([(1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)])


def rate_at_epoch(recipe: Recipe, epoch: float, steps: int = 10) -> float:
    return recipe.rate(round(epoch * steps), steps)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        # epoch → learning rate, by the paper's table of hyperparameters: linear from 0, then steps down
        ("resnet20", {0: 0.0, 2.5: 0.05, 5: 0.1, 90.9: 0.1, 91: 0.01, 135.9: 0.01, 136: 0.001, 181.9: 0.001}),
        ("vgg16", {0: 0.0, 5: 0.025, 10: 0.05, 29.9: 0.05, 30: 0.025, 60: 0.0125, 299: 0.05 * 0.5**9}),
        ("densenet22", {1: 0.01, 10: 0.1, 149.9: 0.1, 150: 0.01, 225: 0.001}),
        ("wrn16_8", {5: 0.1, 60: 0.02, 120: 0.004, 160: 0.0008}),
        ("torchvision:resnet18", {5: 0.1, 30: 0.01, 60: 0.001, 80: 0.0001}),
    ],
)
def test_lost_in_pruning_schedules(architecture: str, expected: dict[float, float]) -> None:
    recipe = named("lost-in-pruning", architecture=architecture, data="cifar10")
    for epoch, rate in expected.items():
        assert rate_at_epoch(recipe, epoch) == pytest.approx(rate), epoch


@pytest.mark.parametrize(
    ("architecture", "epochs", "retrain", "batch", "decay", "nesterov"),
    [
        ("resnet56", 182, 182, 128, 1e-4, False),
        ("vgg16", 300, 150, 256, 5e-4, False),
        ("vgg16_bn?dropout=0.1", 300, 150, 256, 5e-4, False),
        ("densenet22", 300, 300, 64, 1e-4, True),
        ("wrn16-8", 200, 200, 128, 5e-4, True),
        ("torchvision:resnet101", 90, 90, 256, 1e-4, False),
        ("my.own:network", 182, 182, 128, 1e-4, False),
    ],
)
def test_lost_in_pruning_hyperparameters(
    architecture: str, epochs: int, retrain: int, batch: int, decay: float, nesterov: bool
) -> None:
    recipe = named("lost-in-pruning", architecture=architecture, data="cifar10")
    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay, recipe.nesterov) == (epochs, batch, decay, nesterov)
    assert recipe.momentum == 0.9
    assert recipe.for_retraining().epochs == retrain
    # retraining runs through the first epochs of the same schedule
    assert rate_at_epoch(recipe.for_retraining(), 33) == rate_at_epoch(recipe, 33)


def test_digits_are_never_mirrored() -> None:
    for data in ("digits", "mnist", "svhn"):
        assert not named("standard", architecture="resnet8", data=data).flip
        assert not named("lost-in-pruning", architecture="vgg16", data=data).flip
    for data in ("fashion-mnist", "cifar10", "cifar100"):
        assert named("standard", architecture="resnet8", data=data).flip
    assert not named("standard", architecture="resnet8", data="folder:signs").flip


def test_where_the_files_of_a_data_set_lie_changes_no_recipe() -> None:
    elsewhere = named("standard", architecture="resnet8", data="fashion-mnist?package=elsewhere")
    assert elsewhere == named("standard", architecture="resnet8", data="fashion-mnist")
    assert elsewhere != Standard()


def test_fewer_epochs_squeeze_the_standard_schedule() -> None:
    short = replace(Standard(epochs=8, learning_rate=0.4), epochs=2)
    assert short.rate(2 * 10 - 1, 10) < 0.01
    assert max(short.rate(step, 10) for step in range(20)) == pytest.approx(0.4)


def test_what_is_asked_for_by_name_counts_more_than_what_is_prescribed() -> None:
    recipe = named("standard?epochs=8&flip=false", architecture="resnet8", data="cifar10")
    prescribed = named("standard", architecture="resnet8", data="cifar10")
    assert prescribed.epochs != 8
    assert recipe == replace(prescribed, epochs=8, flip=False)
    vgg = named("lost-in-pruning?epochs=3", architecture="vgg16", data="cifar10")
    assert (vgg.epochs, vgg.batch_size, vgg.flip) == (3, 256, True)
    assert part_name(Standard()) == "standard"
    assert named("standard", architecture="?", data="?") == Standard()


def test_what_was_set_by_hand_stays() -> None:
    by_hand = Standard(learning_rate=0.3, shift=0)
    advice = training_advice("cifar10")
    assert by_hand.prescribed(architecture="?", advice=advice) == replace(
        Standard().prescribed(architecture="?", advice=advice), learning_rate=0.3, shift=0
    )
    assert by_hand == Standard(learning_rate=0.3, shift=0)
    short = LostInPruning(epochs=3).prescribed(architecture="vgg16", advice=advice)
    assert (short.epochs, short.for_retraining().epochs, short.learning_rate) == (3, 3, 0.05)


def test_an_unknown_recipe_is_told_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'standard'"):
        named("standart", architecture="resnet8", data="digits")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("weight_decay", -1e-4),
        ("weight_decay", math.nan),
    ],
)
def test_hyperparameters_out_of_range_are_refused(field: str, value: float) -> None:
    for recipe in (Standard, LostInPruning):
        with pytest.raises(UsageError, match=rf"expected {field} to be .*, got {value}"):
            recipe(**{field: value})


def test_views_of_lost_in_pruning() -> None:
    images = torch.rand(6, 3, 32, 32, generator=Generator().manual_seed(0))
    for views in ("shifted", "resized"):
        observed = LostInPruning(views=views).augment(images, Generator().manual_seed(1))
        assert observed.shape == images.shape
        assert observed.min() >= 0
        assert observed.max() <= 1
        assert not torch.equal(observed, images)
