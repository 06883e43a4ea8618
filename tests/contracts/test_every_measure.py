"""What every measure and statistic keeps to, found by scanning the folder."""

import dataclasses

import numpy as np
import pytest

from evalsuite.extend import Annotations, Answers, Measure, Metric, Statistic, Stored
from evalsuite.parts.names import parse_part, part_name
from evalsuite.parts.registry import names
from evalsuite.statistics.bootstrap import compare_sampled
from evalsuite.statistics.compare import compare

PACKAGE = "evalsuite.measures"
N = 40
EVERY = names(PACKAGE)


def figure(name):
    return parse_part(PACKAGE, name, Metric)


def observed(part, seed, draws=None):
    """What the columns of a measure hold by its own examples, for `N` examples of four classes."""
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.ones(4), size=(N,) if draws is None else (N, draws))
    answers = Answers(probabilities=probabilities, labels=expected().labels, draw=draw)
    columns = {column: column.example(answers) for column in part.reads()}
    return Stored(
        columns={column.name: values for column, values in columns.items() if not column.to_parent},
        to_parent={column.name: values for column, values in columns.items() if column.to_parent},
    )


def expected():
    draw = np.random.default_rng(100)
    slices = {"site": draw.integers(3, size=N), "camera": draw.integers(-1, 2, size=N)}
    return Annotations(labels=draw.integers(4, size=N), slices=slices)


def compared(part, child, parent):
    result = part(child, parent, expected(), {})
    if isinstance(part, Measure):
        return compare(result, margin=0.1, confidence=0.95)
    top = 1.0 if part.unit == "share" else np.inf
    return compare_sampled(result, margin=0.1, confidence=0.95, top=top)


@pytest.mark.parametrize("name", EVERY)
def test_it_says_what_it_is(name):
    part = figure(name)
    assert isinstance(part, Measure) != isinstance(part, Statistic)
    assert dataclasses.is_dataclass(part)
    assert type(part).__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(part))
    assert part_name(part) == name
    assert part.needs
    assert part.title
    assert len(type(part).__doc__.splitlines()) > 2
    if isinstance(part, Statistic):
        assert not part.required


def test_titles_tell_them_apart():
    titles = [figure(name).title for name in EVERY]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", EVERY)
def test_figures_are_of_their_unit_and_inputs_stay(name):
    part = figure(name)
    child, parent = observed(part, 1), observed(part, 2)
    before = [
        column.copy()
        for subject in (child, parent)
        for column in (*subject.columns.values(), *subject.to_parent.values())
    ]
    outcome = compared(part, child, parent)
    after = [
        column for subject in (child, parent) for column in (*subject.columns.values(), *subject.to_parent.values())
    ]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert outcome.n == N
    assert 0 <= outcome.low <= outcome.loss + 1e-12
    assert outcome.loss <= outcome.high + 1e-12
    if part.unit == "share":
        assert outcome.high <= 1


@pytest.mark.parametrize(
    "name", [name for name in EVERY if not any(column.to_parent for column in figure(name).reads())]
)
def test_a_network_that_is_its_parent_shows_no_difference(name):
    part = figure(name)
    actual = compared(part, observed(part, 3), observed(part, 3))
    assert abs(actual.difference) < 1e-12
    assert actual.difference_low <= 0 <= actual.difference_high


@pytest.mark.parametrize("name", EVERY)
def test_examples_may_have_several_draws(name):
    part = figure(name)
    assert compared(part, observed(part, 4, draws=3), observed(part, 5, draws=3)).n == N


@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_examples_does_not_matter(name):
    part = figure(name)
    child, parent = observed(part, 6), observed(part, 7)
    moved = np.random.default_rng(8).permutation(N)

    def turned(stored):
        columns = {column: values[moved] for column, values in stored.columns.items()}
        return Stored(columns=columns, to_parent={column: values[moved] for column, values in stored.to_parent.items()})

    facts = expected()
    other = Annotations(labels=facts.labels[moved], slices={a: source[moved] for a, source in facts.slices.items()})
    one, two = part(child, parent, facts, {}), part(turned(child), turned(parent), other, {})
    if isinstance(part, Measure):
        np.testing.assert_allclose(one.child[moved], two.child, atol=1e-12)
        np.testing.assert_allclose(one.parent[moved], two.parent, atol=1e-12)
    else:
        weights = np.ones((1, N))
        assert one.child(weights) == pytest.approx(two.child(weights), abs=1e-12)
        assert one.child_excess == pytest.approx(two.child_excess, abs=1e-12)
