"""Reads the two photos that come with scikit-learn."""

from dataclasses import replace

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor

from evalsuite.data._base import Dataset
from evalsuite.data._read_super_resolution import enlargement_readings, pairs
from evalsuite.data.sample_photos import SIZE, SamplePhotos
from evalsuite.data.super_resolution import FACTOR


def read(source: SamplePhotos) -> Dataset:
    """Patches of one photo to train on, those of the other are held out."""
    factor, size = source.scale
    train, test = (_patches(name, factor * size) for name in ("china.jpg", "flower.jpg"))
    dataset = pairs("sample-photos", train=train, test=test, factor=factor, size=size)
    readings = enlargement_readings(source.factor, source.size, factor=FACTOR, size=SIZE)
    return replace(dataset, interpretations=tuple(readings))


def _patches(name: str, side: int) -> Tensor:
    """(k, 3, side, side), uint8, side by side from the upper left corner."""
    photo = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)
    return photo.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1).contiguous()
