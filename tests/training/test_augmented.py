import pytest
import torch
from torch import Generator, Tensor, nn

from evalsuite.corruptions import MIX1
from evalsuite.data import Examples
from evalsuite.errors import UsageError
from evalsuite.extend import Corruption
from evalsuite.parts.registry import find
from evalsuite.training import named, train
from evalsuite.training.augmented import Augmented, usable
from evalsuite.training.standard import Standard

CPU = torch.device("cpu")


def images(n: int, side: int = 28) -> Tensor:
    raw = torch.randint(0, 256, (n, 1, side, side), generator=Generator().manual_seed(1), dtype=torch.uint8)
    return raw.float() / 255


def changed(recipe: Augmented, given: Tensor, seed: int = 0) -> Tensor:
    return recipe.prepare_images(given, Generator().manual_seed(seed))


def test_each_image_gets_nothing_or_one_of_the_nine() -> None:
    given = images(60)
    kept = given.clone()
    result = changed(Augmented(), given)
    assert torch.equal(given, kept)
    # the documented draws: keys first, then a number for each image
    generator = Generator().manual_seed(0)
    keys = torch.randint(1 << 62, (60,), generator=generator)
    which = torch.randint(10, (60,), generator=generator).tolist()
    assert len(set(which)) == 10
    for i, number in enumerate(which):
        alone = given[i : i + 1]
        if number:
            alone = find("evalsuite.corruptions", MIX1[number - 1], Corruption)(severity=3)(alone, keys[i : i + 1])
        assert torch.equal(result[i : i + 1], alone), MIX1[number - 1]


def test_shares_are_a_tenth_each() -> None:
    recipe = Augmented(severity=2)
    kinds, severities = recipe._drawn(20_000, usable((1, 28, 28), (2,)), Generator().manual_seed(0))
    counts = torch.bincount(torch.where(severities > 0, kinds + 1, 0))
    assert severities.unique().tolist() == [0, 2]
    assert len(counts) == 10
    # 2000 expected of each; the standard deviation is sqrt(20000 * 0.1 * 0.9) = 42
    assert (counts - 2000).abs().max() < 4 * 42.5


def test_all_severities_as_the_authors() -> None:
    recipe = Augmented(levels="all")
    assert recipe.severities == (1, 2, 3, 4, 5)
    kinds, severities = recipe._drawn(20_000, usable((3, 32, 32), recipe.severities), Generator().manual_seed(0))
    counts = torch.bincount(torch.where(severities > 0, 9 * severities + kinds - 8, 0))
    # a sixth stays clean: 3333, standard deviation 53; each of the 45 others: 370, standard deviation 19
    assert abs(int(counts[0]) - 3333) < 4 * 53
    assert len(counts) == 46
    assert (counts[1:] - 370.4).abs().max() < 4.5 * 19


def test_corruptions_that_refuse_small_images_are_left_out() -> None:
    kinds = {MIX1[k] for k in usable((1, 8, 8), (3,))}
    assert "gaussian_blur" not in kinds  # its sigma would be a sixth of a pixel
    assert {"contrast", "impulse_noise"} <= kinds
    outcome = changed(Augmented(), images(40, side=8))
    assert (outcome != images(40, side=8)).flatten(1).any(1).sum() > 20


class Recorder(nn.Module):
    """Remembers what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(28 * 28, 10)
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x.detach().clone())
        return self.fc(x.flatten(1))


def test_a_network_sees_each_image_once_an_epoch_and_most_of_them_corrupted() -> None:
    given = images(48)
    examples = Examples.from_labels((given * 255).round().to(torch.uint8), torch.arange(48) % 10)
    shown: list[Tensor] = []

    class Spy(Recorder):
        def forward(self, x: Tensor) -> Tensor:
            shown.append(x.detach().clone())
            return self.fc(x.flatten(1))

    recipe = Augmented(epochs=1, batch_size=4, shift=0)
    train(Spy(), examples, recipe, seed=0, device=CPU)
    assert [len(batch) for batch in shown] == [4] * 12  # 12 steps: one and a half times as far as is looked ahead
    observed = torch.cat(shown)
    order = torch.randperm(48, generator=Generator().manual_seed(_train_seed()))
    same = (observed == given[order]).flatten(1).all(1)
    # a tenth is left as it is
    assert 0 < int(same.sum()) < 16
    # contrast, blur and noise keep an image nearer to itself than to the next one
    near = (observed - given[order]).flatten(1).norm(dim=1) < (observed - given[order].roll(1, 0)).flatten(1).norm(
        dim=1
    )
    assert near.float().mean() > 0.8


def _train_seed() -> int:
    from evalsuite.randomness import derive

    return derive(0, "train")


def test_other_recipes_see_what_they_saw() -> None:
    recipe = Standard(epochs=1, batch_size=4)
    assert recipe.ahead == 1
    given = images(4)
    assert recipe.prepare_images(given, Generator()) is given


def test_by_name() -> None:
    assert named("augmented", architecture="resnet8", data="fashion-mnist") == Augmented(epochs=6, flip=True)
    requested = named("augmented?severity=5&levels=all", architecture="resnet8", data="digits")
    assert (requested.severity, requested.levels, requested.epochs) == (5, "all", 20)
    for text in ("augmented?severity=6", "augmented?severity=0", "augmented?levels=some"):
        with pytest.raises(UsageError, match="expected"):
            named(text, architecture="", data="digits")
