"""The optical digits that come with scikit-learn: no download, training in seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from sklearn.datasets import load_digits
from typing_extensions import override

from evalsuite.data._base import Dataset, Examples, Source
from evalsuite.data._choose import choose
from evalsuite.data._class_order import published_classes
from evalsuite.data._statistics import channel_statistics
from evalsuite.interpretation import Interpretation


@final
@dataclass(frozen=True, kw_only=True)
class Digits(Source):
    """1797 handwritten digits, 1 x 8 x 8, from 0 to 16 levels of ink (Alpaydin and Kaynak 1998).

    There is no published split of this selection; 600 examples are held out by a fixed stratified choice.
    """

    @override
    def load(self) -> Dataset:
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

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
