"""Semantic segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from evalsuite.problems._base import Constant, Guess, Observations, Problem

VOID = -100
"""The class number of pixels that are not judged; torch's cross-entropy leaves them out too."""


@final
@dataclass(frozen=True, kw_only=True)
class Segmentation(Problem):
    """One class a pixel; outputs are logits (n, classes, h, w), right answers class numbers (n, h, w), int64.

    The loss of an image is one minus its mean intersection over union (Everingham et al. 2010), the mean taken over
    the classes that stand in the right answer or in the network's; pixels that are `VOID` count in neither.
    """

    title: ClassVar[str] = "semantic segmentation"
    measures: ClassVar[tuple[str, ...]] = ("iou", "pixel_error", "answer_distance")
    score_title: ClassVar[str] = "IoU"
    logits: ClassVar[bool] = True
    aligned: ClassVar[bool] = True

    @override
    def outputs(self, classes: int, shape: tuple[int, int, int]) -> tuple[int, ...]:
        return (classes, *shape[1:])

    @override
    def guess(self, truths: Tensor, classes: Sequence[str]) -> Guess:
        """The class that most pixels have, everywhere."""
        judged = truths[truths != VOID]
        top = int(judged.bincount(minlength=len(classes)).argmax())
        everywhere = torch.eye(len(classes))[top][:, None, None].expand(-1, *truths.shape[1:])
        return Guess(words=f"{classes[top]!r} everywhere", answer=Constant(everywhere))

    @override
    def losses(self, outputs: Tensor, truths: Tensor) -> Tensor:
        return 1 - _mean(*_overlaps(outputs.argmax(1), truths, outputs.shape[1]))

    @override
    def observe(self, outputs: Tensor, truths: Tensor) -> Observations:
        """`iou` and `pixel_error` (n,), in [0, 1]; `intersections` and `unions` (n, classes), in pixels.

        Where outputs are not finite the first two are NaN.
        """
        predicted = outputs.argmax(1)
        intersections, unions = _overlaps(predicted, truths, outputs.shape[1])
        judged = (truths != VOID).flatten(1)
        wrong = (predicted != truths).flatten(1) & judged
        finite = outputs.flatten(1).isfinite().all(1)
        iou, pixel_error = _mean(intersections, unions), wrong.sum(1) / judged.sum(1).clamp(min=1)
        return {
            "iou": iou.where(finite, torch.nan).cpu().numpy(),
            "pixel_error": pixel_error.where(finite, torch.nan).cpu().numpy(),
            "intersections": intersections.int().cpu().numpy(),
            "unions": unions.int().cpu().numpy(),
            "map": predicted.short().flatten(1).cpu().numpy(),
        }


def _overlaps(predicted: Tensor, truths: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Pixels in which both maps have a class, and in which at least one has it, (n, classes) each."""
    judged = truths != VOID
    extra = torch.full_like(predicted, classes)  # a class for what is not judged, cut off below
    maps = (torch.where(judged, classes_map, extra).flatten(1) for classes_map in (truths, predicted))
    theirs, ours = (F.one_hot(classes_map, classes + 1)[..., :classes].bool() for classes_map in maps)
    return (theirs & ours).sum(1), (theirs | ours).sum(1)


def _mean(intersections: Tensor, unions: Tensor) -> Tensor:
    """Intersection over union, (n,), averaged over the classes that are there; 1 where nothing is judged."""
    there = unions > 0
    ratios = torch.where(there, intersections / unions.clamp(min=1), 0.0)
    count = there.sum(1)
    return torch.where(count > 0, ratios.sum(1) / count.clamp(min=1), 1.0)
