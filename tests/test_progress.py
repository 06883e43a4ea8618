"""Paces and times that are left, worked out by hand on a clock that the test moves."""

import pytest

from evalsuite import progress
from evalsuite.progress import Tracker, clock


@pytest.fixture
def now(monkeypatch):
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def test_pace_and_time_left(now):
    tracker = Tracker()
    tracker.start("Pruning", 10.0)
    tracker.work_on("n", "")
    now[0] += 2
    tracker.advance(1.0, "", None, 300)
    result = tracker.position()
    assert result.rate == 150
    assert result.left == 18  # nine more of two seconds
    now[0] += 3  # pruning, which shows no examples to anybody
    tracker.work_on("m", "")
    assert tracker.position().rate == 150
    now[0] += 1
    tracker.advance(1.0, "", None, 300)
    assert tracker.position().rate == 200
    assert tracker.position().left == 6 / 2 * 8


def test_what_was_there_before_says_nothing_of_the_pace(now):
    tracker = Tracker()
    tracker.start("Pruning", 10.0)
    tracker.skip(8.0, "there")
    assert tracker.position().left is None
    assert tracker.position().share == 0.8
    now[0] += 5
    tracker.advance(1.0, "", None, 0)
    assert tracker.position().left == 5
    assert tracker.position().rate is None


def test_old_work_is_forgotten(now):
    tracker = Tracker()
    tracker.start("Evaluating", 10.0)
    for seconds, examples in ((10, 10), (60, 600)):
        now[0] += seconds
        tracker.advance(1.0, "", 40.0, examples)
    assert tracker.position().rate == 10
    now[0] += 5
    assert tracker.position().left == 35  # as the stage said, five seconds ago


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (40000, "11 h 06 min")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text
