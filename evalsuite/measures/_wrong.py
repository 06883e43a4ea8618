"""Right or wrong, example by example: what measures of errors share."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from evalsuite.measures._base import Losses, Numbers, Stored
from evalsuite.measures._draws import average


def right(stored: Stored, labels: Numbers, readings: Mapping[str, float]) -> npt.NDArray[np.bool_]:
    """Whether the prediction is the label, in the shape of the predictions: (n,) or (n, draws).

    An abstention (-1) is wrong. Where a certified radius is stored and one is asked for, only a right prediction that
    is certified to at least the asked radius counts as right: one minus the certified accuracy of Cohen et al. 2019.
    """
    prediction = stored.columns["prediction"]
    correct: npt.NDArray[np.bool_] = prediction == labels.reshape(-1, *[1] * (prediction.ndim - 1))
    if "radius" in stored.columns and "radius" in readings:
        correct = correct & (stored.columns["radius"].astype(np.float64) >= readings["radius"])
    return correct


def wrong(stored: Stored, labels: Numbers, readings: Mapping[str, float]) -> Losses:
    """1 where the network is not `right`, else 0, shape (n,); the mean over draws where there are several."""
    return average(1.0 - right(stored, labels, readings))
