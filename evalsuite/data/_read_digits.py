"""Reads the optical digits that come with scikit-learn."""

import torch
from sklearn.datasets import load_digits

from evalsuite.data._base import Dataset, Examples
from evalsuite.data._choose import choose
from evalsuite.data._class_order import published_classes
from evalsuite.data._source import Source
from evalsuite.data._statistics import channel_statistics
from evalsuite.interpretation import Interpretation


def read(_source: Source) -> Dataset:
    """Training and held-out examples."""
    bunch = load_digits()
    images = torch.from_numpy(bunch.images / 16.0).float().unsqueeze(1)
    order = choose(Examples.from_labels(images, torch.from_numpy(bunch.target)), len(images), seed=0)
    test, train = order.select(torch.arange(600)), order.select(torch.arange(600, len(order)))
    mean, std = channel_statistics(train)
    classes = tuple(str(digit) for digit in range(10))
    return Dataset(
        name="digits",
        classes=classes,
        shape=(1, 8, 8),
        train=train,
        test=test,
        mean=mean,
        std=std,
        interpretations=(
            published_classes(classes),
            Interpretation(
                topic="held-out images",
                value=f"{len(test)} of {len(order)}, chosen once and for all",
                basis="recorded",
                reason="there is no published split",
            ),
        ),
    )
