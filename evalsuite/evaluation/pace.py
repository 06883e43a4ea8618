"""Tells how long the rest of an evaluation takes, from the pace of every task."""

from collections.abc import Mapping
from typing import final


@final
class Pace:
    """Every task goes on at its own pace as soon as that is known, and at that of the others until then."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """`weights`: the work of every task, in any unit."""
        self._left = dict(weights)
        self._done: dict[str, tuple[float, float]] = {}  # weight and seconds by task

    def took(self, task: str, weight: float, seconds: float) -> None:
        """Take note of finished work."""
        before, spent = self._done.get(task, (0.0, 0.0))
        self._done[task] = (before + weight, spent + seconds)
        self._left[task] -= weight

    def give_up(self, task: str) -> None:
        """Nothing more is done of a task."""
        self._left[task] = 0.0

    def left(self) -> float:
        """Seconds; asked once something is finished."""
        weights, seconds = (sum(column) for column in zip(*self._done.values(), strict=True))
        total = 0.0
        for task, weight in self._left.items():
            done, spent = self._done.get(task, (weights, seconds))
            total += weight * spent / done
        return total
