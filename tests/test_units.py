"""Amounts in units of 255 are refused with the amount in [0, 1]; fractions are read as they are written."""

import pytest

from evalsuite.errors import UsageError
from evalsuite.extend import Domain
from evalsuite.parts.names import part_name
from evalsuite.tasks._names import expand, parse
from evalsuite.training import named
from evalsuite.units import check_reach

DOMAIN = Domain(shape=(3, 32, 32), classes=10)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("adversarial/linf/8", r"8/255 is 0\.03137"),
        ("bounds/linf/2", r"2/255 is 0\.007843"),
        ("noise/gaussian/25", r"25/255 is 0\.09804"),
        ("noise/uniform/25.5", r"25\.5/255 is 0\.1"),
        ("certified/l2/0.5?sigma=25", r"25/255 is 0\.09804"),
        ("noise/uniform/1000", "<= 1, since images are in"),
    ],
)
def test_units_of_255_are_refused(text: str, meant: str) -> None:
    with pytest.raises(UsageError, match=meant):
        parse(text)


@pytest.mark.parametrize("recipe", ["pgd?eps=8", "trades?eps=8", "gaussian?sigma=25", "ibp?eps=2", "crown_ibp?eps=2"])
def test_recipes_too(recipe: str) -> None:
    with pytest.raises(UsageError, match="since images are"):
        named(recipe, architecture="resnet8", data="digits")


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("adversarial/linf/8/255", "eps", 8 / 255),
        ("bounds/linf/2/255?method=interval", "eps", 2 / 255),
        ("adversarial/l2/128/255?attack=pgd", "eps", 128 / 255),
        ("noise/gaussian/25.5/255", "level", 0.1),
        ("certified/l2/0.1?sigma=64/255", "sigma", 64 / 255),
    ],
)
def test_fractions_are_read_as_they_are_written(text: str, field: str, value: float) -> None:
    (task,) = expand([text])
    assert getattr(task, field) == value
    assert getattr(parse(part_name(task)), field) == value  # the one spelling reads back to the very same number


@pytest.mark.parametrize("text", ["adversarial/linf/8/0", "adversarial/linf/8/x", "adversarial/linf/8/255/255"])
def test_other_slashes_are_not(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("adversarial/l2/128?attack=pgd", "0.502"), ("adversarial/l1/3060", "12"), ("bounds/l2/128", "0.502")],
)
def test_balls_that_reach_most_images_are_no_budgets(text: str, meant: str) -> None:
    # 128 is 0.5 in units of 255: a root mean square change of 128 / sqrt(3072) = 2.3 of a range of 1
    with pytest.raises(ValueError, match=f"in units of 255 it would be {meant}$"):
        parse(text).check(DOMAIN)


@pytest.mark.parametrize(
    "text", ["adversarial/l2/0.5", "adversarial/l1/12", "bounds/l2/0.1", "noise/uniform/1", "clean"]
)
def test_small_balls_are(text: str) -> None:
    parse(text).check(DOMAIN)


def test_a_budget_grows_with_the_image() -> None:
    check_reach("l2", 3.0, (3, 224, 224))
    with pytest.raises(ValueError, match="3x224x224"):
        check_reach("l2", 3.0 * 255, (3, 224, 224))
