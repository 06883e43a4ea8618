"""What every measure and statistic keeps to, found by scanning the folder."""

import dataclasses

import numpy as np
import pytest

from evalsuite.measures._base import Annotations, Figure, Measure, Statistic, Stored
from evalsuite.parts.names import parse_part, part_name
from evalsuite.parts.registry import names
from evalsuite.statistics.bootstrap import compare_sampled
from evalsuite.statistics.compare import compare

PACKAGE = "evalsuite.measures"
N = 40
EVERY = names(PACKAGE)


def figure(name):
    return parse_part(PACKAGE, name, Figure)


def observed(seed, draws=None):
    """Everything that any task writes down, for `N` examples of four classes."""
    draw = np.random.default_rng(seed)
    shape = (N,) if draws is None else (N, draws)
    probabilities = draw.dirichlet(np.ones(4), size=shape)
    labels = known().labels.reshape(-1, *[1] * (len(shape) - 1))
    truth = np.take_along_axis(probabilities, np.broadcast_to(labels, shape)[..., None], -1)[..., 0]
    own = {
        "prediction": probabilities.argmax(-1).astype(np.int32),
        "confidence": probabilities.max(-1).astype(np.float32),
        "truth": truth.astype(np.float32),
        "squares": (probabilities**2).sum(-1).astype(np.float32),
        "energy": draw.normal(size=shape).astype(np.float32),
        "out_confidence": draw.uniform(0.25, 1, shape).astype(np.float32),
        "out_energy": draw.normal(size=shape).astype(np.float32),
        "radius": draw.uniform(0, 1, shape).astype(np.float32),
        "survives": draw.random(shape) < 0.5,
        "own_confidence": draw.uniform(0, 1, shape).astype(np.float32),
        "iou": draw.uniform(0, 1, shape).astype(np.float32),
        "pixel_error": draw.uniform(0, 1, shape).astype(np.float32),
        "psnr": draw.uniform(10, 60, shape).astype(np.float32),
        "ssim": draw.uniform(-1, 1, shape).astype(np.float32),
        "scaled_error": draw.uniform(0, 1, shape).astype(np.float32),
        "intersections": draw.integers(0, 20, (*shape, 4)).astype(np.int32),
        "unions": draw.integers(20, 40, (*shape, 4)).astype(np.int32),
    }
    to_parent = {
        "softmax_distance": draw.uniform(0, np.sqrt(2), shape).astype(np.float32),
        "lent_confidence": draw.uniform(0, 1, shape).astype(np.float32),
        "salient_overlap": draw.uniform(0, 1, shape).astype(np.float32),
        "answer_distance": draw.uniform(0, 1, shape).astype(np.float32),
    }
    return Stored(own=own, to_parent=to_parent)


def known():
    draw = np.random.default_rng(100)
    slices = {"site": draw.integers(3, size=N), "camera": draw.integers(-1, 2, size=N)}
    return Annotations(labels=draw.integers(4, size=N), slices=slices)


def compared(part, child, parent):
    found = part(child, parent, known(), {})
    if isinstance(part, Measure):
        return compare(found, margin=0.1, confidence=0.95)
    top = 1.0 if part.unit == "share" else np.inf
    return compare_sampled(found, margin=0.1, confidence=0.95, top=top)


def readable(part):
    columns = {**observed(0).own, **observed(0).to_parent}
    lacking = set(part.needs) - set(columns)
    assert not lacking, f"this test has to make up the columns {lacking}"
    return part


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
    part, child, parent = readable(figure(name)), observed(1), observed(2)
    before = [column.copy() for of in (child, parent) for column in (*of.own.values(), *of.to_parent.values())]
    found = compared(part, child, parent)
    after = [column for of in (child, parent) for column in (*of.own.values(), *of.to_parent.values())]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert found.n == N
    assert 0 <= found.low <= found.loss + 1e-12
    assert found.loss <= found.high + 1e-12
    if part.unit == "share":
        assert found.high <= 1


@pytest.mark.parametrize("name", EVERY)
def test_a_network_that_is_its_parent_shows_no_difference(name):
    part = readable(figure(name))
    if set(part.needs) <= set(observed(3).own):
        found = compared(part, observed(3), observed(3))
        assert abs(found.difference) < 1e-12
        assert found.difference_low <= 0 <= found.difference_high


@pytest.mark.parametrize("name", EVERY)
def test_examples_may_have_several_draws(name):
    part = readable(figure(name))
    assert compared(part, observed(4, draws=3), observed(5, draws=3)).n == N


@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_examples_does_not_matter(name):
    part, child, parent = readable(figure(name)), observed(6), observed(7)
    moved = np.random.default_rng(8).permutation(N)

    def turned(stored):
        own = {column: values[moved] for column, values in stored.own.items()}
        return Stored(own=own, to_parent={column: values[moved] for column, values in stored.to_parent.items()})

    facts = known()
    other = Annotations(labels=facts.labels[moved], slices={a: of[moved] for a, of in facts.slices.items()})
    one, two = part(child, parent, facts, {}), part(turned(child), turned(parent), other, {})
    if isinstance(part, Measure):
        np.testing.assert_allclose(one.child[moved], two.child, atol=1e-12)
        np.testing.assert_allclose(one.parent[moved], two.parent, atol=1e-12)
    else:
        weights = np.ones((1, N))
        assert one.child(weights) == pytest.approx(two.child(weights), abs=1e-12)
        assert one.child_excess == pytest.approx(two.child_excess, abs=1e-12)
