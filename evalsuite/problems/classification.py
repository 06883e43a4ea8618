"""Image classification."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.problems._base import Constant, Guess, Observations, Problem
from evalsuite.problems._logits import are_probabilities, decided, probabilities

# figures that are dear to resample have to be asked for
_DEFAULT_MEASURES = (
    "error",
    "disagreement",
    "softmax_distance",
    "worst_class",
    "worst_slice",  # where slices are given
    "feature_confidence",  # of informative features
    "saliency_disagreement",
    "ood_auroc",  # of tasks with outliers
    "ood_fpr95",
)


@final
@dataclass(frozen=True, kw_only=True)
class Classification(Problem):
    """One class an image; outputs are logits (n, classes), right answers class numbers (n,), int64."""

    title: ClassVar[str] = "classification"
    measures: ClassVar[tuple[str, ...]] = _DEFAULT_MEASURES
    score_title: ClassVar[str] = "accuracy"
    logits: ClassVar[bool] = True
    views: ClassVar[bool] = True

    @override
    def outputs(self, classes: int, shape: tuple[int, int, int]) -> tuple[int, ...]:
        del shape
        return (classes,)

    @override
    def guess(self, truths: Tensor, classes: Sequence[str]) -> Guess:
        """The class that is most frequent."""
        top = int(truths.bincount(minlength=len(classes)).argmax())
        return Guess(words=f"always {classes[top]!r}", answer=Constant(torch.eye(len(classes))[top]))

    @override
    def losses(self, outputs: Tensor, truths: Tensor) -> Tensor:
        return (decided(outputs) != truths).float()

    @override
    def observe(self, outputs: Tensor, truths: Tensor) -> Observations:
        """`prediction` and what proper scores, calibration and rejection are read off, each (n,).

        `confidence` is the probability of the prediction, `truth` that of the true class, `squares` the sum of all
        squared probabilities and `energy` the log of the summed exponentials of the logits. A network that puts out
        probabilities is taken at its word; its energy is NaN, since that takes logits.
        """
        logits = outputs.float()
        shares = probabilities(logits)
        # of probabilities the logits are known but for a constant, and the energy is just that constant
        energy = logits.logsumexp(-1).masked_fill(
            are_probabilities(logits) | are_probabilities(logits.exp()), torch.nan
        )
        return {
            "prediction": decided(logits).int().cpu().numpy(),
            "confidence": shares.amax(-1).cpu().numpy(),
            "truth": shares.gather(-1, truths[:, None])[:, 0].cpu().numpy(),
            "squares": shares.square().sum(-1).cpu().numpy(),
            "energy": energy.cpu().numpy(),
            "probabilities": shares.cpu().numpy(),
        }
