"""Names of tasks: parse and spell are inverse, digests tell what differs, errors tell what is accepted."""

import pytest

from evalsuite.errors import UsageError
from evalsuite.parts.names import part_name
from evalsuite.tasks._names import digest, expand, parse, read_parameters
from evalsuite.tasks.certified import Certified
from evalsuite.tasks.noise import Noise


@pytest.mark.parametrize(
    "text",
    [
        "clean",
        "noise/uniform/0.1",
        "noise/gaussian/0.05?draws=3&clip=true",
        "corruption/fog/3",
        "adversarial/linf/0.0314",
        "adversarial/l2/0.5?attack=pgd",
        "certified/l2/0.25",
        "certified/l2/0.1?sigma=0.12&n=500",
    ],
)
def test_round_trip(text):
    task = parse(text)
    assert part_name(task) == text
    assert parse(part_name(task)) == task
    assert digest(parse(text)) == digest(task)


def test_a_float_is_spelled_exactly():
    task = Noise(level=1 / 3)
    assert parse(part_name(task)) == task


def test_expand():
    assert [part_name(t) for t in expand(["corruption/fog/2-4"])] == [f"corruption/fog/{s}" for s in (2, 3, 4)]
    assert len(expand(["corruption/all/all"])) == 19 * 5
    assert len(expand(["corruption/common/3"])) == 15
    halves = [{t.corruption for t in expand([f"corruption/{which}/3"])} for which in ("mix1", "mix2")]
    assert [len(half) for half in halves] == [9, 10]
    assert set.union(*halves) == {t.corruption for t in expand(["corruption/all/3"])}
    assert len(expand(["clean", "clean", "corruption/all/3", "corruption/fog/3"])) == 20


def test_readings_are_not_part_of_the_address():
    near, far = Certified(radius=0.1), Certified(radius=0.3)
    assert digest(near) == digest(far)
    assert digest(near) != digest(Certified(radius=0.1, sigma=0.5))
    assert read_parameters(near) == {"radius": 0.1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corrupton/fog/3", "corruption"),
        ("corruption/fgo/3", "fog"),
        ("corruption/fog/6", "severity"),
        ("corruption/fog/3/4", "corruption/CORRUPTION/SEVERITY"),
        ("corruption", "corruption/CORRUPTION/SEVERITY"),
        ("noise/uniform/much", "level"),
        ("noise/unifrom/0.1", "uniform, gaussian"),
        ("noise/uniform/0.1?draw=3", "draws"),
        ("noise/uniform/-1", "level > 0"),
        ("adversarial/l7/0.1", "linf, l2, l1"),
        ("adversarial/l1/1?attack=pgd", "linf, l2"),
        ("certified/l2/9", "0 < radius"),
        ("noise/all/0.1", "stands for no list"),
        ("clean?x", "option=value"),
    ],
)
def test_errors_tell_what_is_accepted(text, message):
    with pytest.raises(UsageError, match=message):
        expand([text])
