"""Right or wrong, example by example: what `error` and `worst_class` share."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from evalsuite.measures._base import Losses, Stored
from evalsuite.measures._draws import average


def wrong(stored: Stored, labels: npt.NDArray[np.int64], readings: Mapping[str, float]) -> Losses:
    """1 where the prediction is not the label, else 0, shape (n,); the mean over draws where there are several.

    An abstention (-1) is wrong. Where a certified radius is stored and one is asked for, only a right prediction that
    is certified to at least the asked radius counts as right: one minus the certified accuracy of Cohen et al. 2019.
    """
    prediction = stored.own["prediction"]
    right = prediction == _along(labels, prediction.ndim)
    if "radius" in stored.own and "radius" in readings:
        right = right & (stored.own["radius"].astype(np.float64) >= readings["radius"])
    return average(1.0 - right)


def _along(labels: npt.NDArray[np.int64], ndim: int) -> npt.NDArray[np.int64]:
    return labels.reshape(-1, *[1] * (ndim - 1))
