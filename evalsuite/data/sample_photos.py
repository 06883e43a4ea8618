"""Two photos that come with scikit-learn, cut into patches: super-resolution without a download."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data.super_resolution import FACTOR, enlargement_readings, pairs
from evalsuite.errors import UsageError

_SIZE = 16


@final
@dataclass(frozen=True, kw_only=True)
class SamplePhotos(Source):
    """Patches of a photo of a temple are trained on, those of a photo of a flower are held out (640 x 427 pixels each).

    Small images are made from them as of `super-resolution:PATH`.

    Attributes:
        factor: How many times as many pixels a side of the answer has, at least 2; 2 unless it is said.
        size: Height and width of the small image, in pixels, 16 unless it is said; patches have `factor` times as many.
    """

    factor: int | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        factor, size = self._scale()
        if factor < 2 or not 1 <= size * factor <= 427:
            raise UsageError(f"expected factor >= 2 and patches of 1 to 427 pixels, got {factor} x {size}")

    def _scale(self) -> tuple[int, int]:
        return FACTOR if self.factor is None else self.factor, _SIZE if self.size is None else self.size

    @override
    def load(self) -> Dataset:
        factor, size = self._scale()
        train, test = (self._patches(name) for name in ("china.jpg", "flower.jpg"))
        dataset = pairs("sample-photos", train=train, test=test, factor=factor, size=size)
        readings = enlargement_readings(self.factor, self.size, factor=FACTOR, size=_SIZE)
        return replace(dataset, interpretations=tuple(readings))

    @override
    def files(self) -> tuple[Path, ...]:
        return ()

    def _patches(self, name: str) -> Tensor:
        """(k, 3, side, side), uint8, side by side from the upper left corner."""
        photo = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)
        factor, size = self._scale()
        side = factor * size
        return photo.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1).contiguous()
