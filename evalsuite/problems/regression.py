"""Regression of one or several numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.problems._base import Constant, Guess, Observations, Problem


@final
@dataclass(frozen=True, kw_only=True)
class Regression(Problem):
    """Outputs and right answers are numbers (n, outputs), in one and the same unit.

    The loss of an example is its absolute error in units of `scale`, cut to 1 and averaged over the outputs.

    Attributes:
        scale: Of each output, above 0: what an error is held against, e.g. the range of the training answers.
    """

    title: ClassVar[str] = "regression"
    measures: ClassVar[tuple[str, ...]] = ("scaled_error", "answer_distance")
    version: ClassVar[int] = 2
    score_title: ClassVar[str] = "1 - scaled error"

    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.scale or not all(each > 0 for each in self.scale):
            raise ValueError(f"expected scales above 0, one for each output, got {self.scale}")

    @override
    def outputs(self, classes: int, shape: tuple[int, int, int]) -> tuple[int, ...]:
        del shape
        return (classes,)

    @override
    def guess(self, truths: Tensor, classes: Sequence[str]) -> Guess:
        """The median of each number: among constants it has the least absolute error."""
        del classes
        return Guess(words="always the median", answer=Constant(truths.median(0).values))

    @override
    def losses(self, outputs: Tensor, truths: Tensor) -> Tensor:
        return ((outputs - truths).abs() / outputs.new_tensor(self.scale)).clamp(max=1).mean(1)

    @override
    def observe(self, outputs: Tensor, truths: Tensor) -> Observations:
        """`scaled_error` (n,), in [0, 1]; NaN where outputs are not finite: infinity would be cut to 1."""
        numbers = outputs.float().where(outputs.isfinite().all(1, keepdim=True), torch.nan)
        return {
            "scaled_error": self.losses(numbers, truths).cpu().numpy(),
            "values": (numbers / numbers.new_tensor(self.scale)).cpu().numpy(),
        }
