"""Which class is this?"""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor
from typing_extensions import override

from evalsuite.presets import MEASURES
from evalsuite.problems._base import Observations, Problem


@final
@dataclass(frozen=True, kw_only=True)
class Classification(Problem):
    """One class an image; outputs are logits (n, classes), right answers class numbers (n,), int64."""

    title: ClassVar[str] = "classification"
    measures: ClassVar[tuple[str, ...]] = MEASURES
    score_title: ClassVar[str] = "accuracy"
    logits: ClassVar[bool] = True
    views: ClassVar[bool] = True

    @override
    def outputs(self, classes: int, shape: tuple[int, int, int]) -> tuple[int, ...]:
        del shape
        return (classes,)

    @override
    def losses(self, outputs: Tensor, truths: Tensor) -> Tensor:
        return (outputs.argmax(1) != truths).float()

    @override
    def observe(self, outputs: Tensor, truths: Tensor) -> Observations:
        """`prediction` and what proper scores, calibration and rejection are read off, each (n,).

        `confidence` is the probability of the prediction, `truth` that of the true class, `squares` the sum of all
        squared probabilities and `energy` the log of the summed exponentials of the logits.
        """
        logits = outputs.float()
        probabilities = logits.softmax(-1)
        confidence, prediction = probabilities.max(-1)
        return {
            "prediction": prediction.int().cpu().numpy(),
            "confidence": confidence.cpu().numpy(),
            "truth": probabilities.gather(-1, truths[:, None])[:, 0].cpu().numpy(),
            "squares": probabilities.square().sum(-1).cpu().numpy(),
            "energy": logits.logsumexp(-1).cpu().numpy(),
            "probabilities": probabilities.cpu().numpy(),
        }
