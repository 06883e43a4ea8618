"""Two photos that come with scikit-learn, cut into patches: super-resolution without a download."""

from dataclasses import dataclass
from typing import final

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor
from typing_extensions import override

from evalsuite.data._base import Dataset, Source
from evalsuite.data.super_resolution import pairs
from evalsuite.errors import UsageError


@final
@dataclass(frozen=True, kw_only=True)
class SamplePhotos(Source):
    """Patches of a photo of a temple are trained on, those of a photo of a flower are held out (640 x 427 pixels each).

    Small images are made from them as of `super-resolution:PATH`.

    Attributes:
        factor: How many times as many pixels a side of the answer has, at least 2.
        size: Height and width of the small image, in pixels; patches have `factor` times as many.
    """

    factor: int = 2
    size: int = 16

    def __post_init__(self) -> None:
        if self.factor < 2 or not 1 <= self.size * self.factor <= 427:
            raise UsageError(f"expected factor >= 2 and patches of 1 to 427 pixels, got {self.factor} x {self.size}")

    @override
    def load(self) -> Dataset:
        train, test = (self._patches(name) for name in ("china.jpg", "flower.jpg"))
        return pairs("sample-photos", train=train, test=test, factor=self.factor, size=self.size)

    def _patches(self, name: str) -> Tensor:
        """(k, 3, side, side), uint8, side by side from the upper left corner."""
        photo = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)
        side = self.factor * self.size
        return photo.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1).contiguous()
