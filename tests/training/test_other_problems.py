"""Training where the answers are no classes of images."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import nn

from evalsuite.data import Examples
from evalsuite.errors import UsageError
from evalsuite.problems.regression import Regression
from evalsuite.problems.segmentation import VOID, Segmentation
from evalsuite.training import Recipe, batches, named, score, train

CPU = torch.device("cpu")


def regression(n: int = 128) -> Examples:
    """Answers that are a linear function of two columns."""
    columns = torch.rand(n, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    answers = 0.3 + 0.5 * columns[:, 0, 0] - 0.2 * columns[:, 1, 0]
    return Examples.from_targets(Regression(scale=(1.0,)), columns, answers)


def segmentation(n: int = 32) -> Examples:
    """The class of a pixel is whether it is bright; the first row is void."""
    images = torch.rand(n, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    masks = (images[:, 0] > 0.5).long()
    masks[:, 0] = VOID
    return Examples.from_targets(Segmentation(), images, masks)


def test_a_linear_network_finds_a_linear_function() -> None:
    examples = regression()
    recipe = named("standard?epochs=200&weight_decay=0&batch_size=32", architecture="", data="")
    result = train(nn.Sequential(nn.Flatten(), nn.Linear(2, 1)), examples, recipe, seed=0, device=CPU)
    assert result[1].weight.flatten().tolist() == pytest.approx([0.5, -0.2], abs=1e-2)
    assert result[1].bias.tolist() == pytest.approx([0.3], abs=1e-2)
    assert score(result, examples, device=CPU) > 0.995


def test_a_convolution_learns_what_is_bright() -> None:
    examples, message = segmentation(), []
    recipe = named("standard?epochs=60&learning_rate=0.5&batch_size=8", architecture="", data="")
    train(nn.Conv2d(1, 2, 1), examples, recipe, seed=0, device=CPU, progress=message.append)
    assert message[-1].score > 0.9
    assert message[0].score < message[-1].score


class Columns(nn.Module):
    """Says of each column what it always says of it."""

    def __init__(self):
        super().__init__()
        self.says = nn.Parameter(torch.zeros(2, 1, 2))

    def forward(self, images):
        return self.says.expand(len(images), 2, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Mirrored(Recipe):
    """Fails where an image is mirrored alone, and notes where its answer is asked to go along."""

    wanted: list[int] = field(default_factory=list)

    epochs: int = 1
    batch_size: int = 8
    learning_rate: float = 0.1

    def rate(self, step, steps_per_epoch):
        return 0.1

    def augment(self, images, generator):
        raise AssertionError("a mirrored image has another answer")

    def augment_together(self, images, truths, generator):
        self.wanted.append(len(truths))
        return images, truths


def test_images_are_not_shifted_or_mirrored_without_their_answers() -> None:
    pixels, numbers = Mirrored(), Mirrored()
    train(nn.Conv2d(1, 2, 1), segmentation(), pixels, seed=0, device=CPU)
    train(nn.Sequential(nn.Flatten(), nn.Linear(2, 1)), regression(), numbers, seed=0, device=CPU)
    assert pixels.wanted == [8] * 4
    assert not numbers.wanted


def test_mirrored_masks_teach_which_side_is_which() -> None:
    # of images that are all bright on the left, a network that sees nothing but the column learns "left" from them,
    # and "either" from these and their mirror images
    images = torch.zeros(64, 1, 1, 2)
    images[..., 0] = 1
    examples = Examples.from_targets(Segmentation(), images, images[:, 0].long())
    for flip, certain in (("false", True), ("true", False)):
        recipe = named(f"standard?epochs=30&weight_decay=0&flip={flip}", architecture="", data="")
        blind = train(Columns(), examples, recipe, seed=0, device=CPU)
        left = blind(images[:1]).softmax(1)[0, 1, 0, 0].item()
        assert (left > 0.9) == certain
        assert certain or left == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("recipe", ["trades", "ibp", "crown-ibp", "augmented"])
def test_recipes_that_ask_about_classes_or_move_pixels_are_refused(recipe: str) -> None:
    requested = replace(named(recipe, architecture="", data=""), epochs=1)
    with pytest.raises(UsageError, match="expected a recipe for semantic segmentation, got"):
        train(nn.Conv2d(1, 2, 1), segmentation(), requested, seed=0, device=CPU)


@pytest.mark.parametrize("recipe", ["pgd", "gaussian"])
def test_robust_recipes_know_other_losses(recipe: str) -> None:
    request = replace(named(recipe, architecture="", data=""), epochs=1, batch_size=8)
    for network, examples in (
        (nn.Conv2d(1, 2, 1), segmentation()),
        (nn.Sequential(nn.Flatten(), nn.Linear(2, 1)), regression(16)),
    ):
        train(network, examples, request, seed=0, device=CPU)


def test_answers_that_do_not_fit_in_memory_are_read_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = segmentation()
    whole = list(batches(examples, seed=0, device=CPU, size=8)())
    monkeypatch.setattr("evalsuite.training._loader._held", lambda *_: pytest.fail("expected nothing to be held"))
    monkeypatch.setattr("evalsuite.training._loader.feed.__kwdefaults__", {"memory": 10})
    again = list(batches(examples, seed=0, device=CPU, size=8)())
    for (images, truths), (same, answers) in zip(whole, again, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(truths, answers)
        assert truths.shape == (8, 6, 6)


def test_a_network_that_is_frozen_as_a_whole_is_told() -> None:
    with pytest.raises(UsageError, match="parameters to train, got none that requires a gradient"):
        train(nn.Conv2d(1, 2, 1).requires_grad_(requires_grad=False), segmentation(), Mirrored(), seed=0, device=CPU)
