"""Columns that measures read, each with an example such as tasks write; what one measure alone reads stands with it."""

import numpy as np

from evalsuite.measures._base import Answers, Column, ReadColumn


def uniform(name: str, low: float = 0.0, high: float = 1.0, *, to_parent: bool = False) -> ReadColumn:
    """A column of numbers between `low` and `high`, by example evenly spread."""

    def example(answers: Answers) -> Column:
        return answers.draw.uniform(low, high, answers.shape).astype(np.float32)

    return ReadColumn(name=name, to_parent=to_parent, example=example)


def _normal(name: str) -> ReadColumn:
    return ReadColumn(name=name, example=lambda answers: answers.draw.normal(size=answers.shape).astype(np.float32))


def _truth(answers: Answers) -> Column:
    labels = np.broadcast_to(answers.labels.reshape(-1, *[1] * (len(answers.shape) - 1)), answers.shape)
    return np.take_along_axis(answers.probabilities, labels[..., None], -1)[..., 0].astype(np.float32)


PREDICTION = ReadColumn(name="prediction", example=lambda answers: answers.probabilities.argmax(-1).astype(np.int32))
CONFIDENCE = ReadColumn(name="confidence", example=lambda answers: answers.probabilities.max(-1).astype(np.float32))
TRUTH = ReadColumn(name="truth", example=_truth)
SQUARES = ReadColumn(name="squares", example=lambda answers: (answers.probabilities**2).sum(-1).astype(np.float32))
ENERGY = _normal("energy")
KNN = _normal("knn")
OUTLIERS = {
    "confidence": (CONFIDENCE, uniform("out_confidence", 0.25)),
    "energy": (ENERGY, _normal("out_energy")),
    "knn": (KNN, _normal("out_knn")),
}
"""Scores of examples and of outliers, by the name of the score."""
