"""Computes mean and standard deviation per channel, for the normalisation inside the network."""

import torch

from evalsuite.data._base import Dataset, Examples
from evalsuite.data._disjoint import Files
from evalsuite.errors import UsageError

NEUTRAL_MEAN = 0.0
NEUTRAL_STD = 1.0

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of each channel of ImageNet's training images: the custom for photos."""


def channel_statistics(examples: Examples) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation (of the population, not below 1/255) of every channel over all `examples`."""
    total, squares, count = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64), 0
    for chunk in torch.arange(len(examples)).split(4096):
        pixels = examples.pixels(chunk).flatten(2)
        # float32 within an image, float64 over images: as exact as float64 throughout, at half the time
        total = total + pixels.sum(-1).double().sum(0)
        squares = squares + pixels.square().sum(-1).double().sum(0)
        count += pixels.shape[0] * pixels.shape[2]
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0.0).sqrt().clamp(min=1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def training_statistics(dataset: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel over all training images; of photos each is decoded for it.

    Raises:
        UsageError: There are no training images, and the data set does not tell the statistics of any.
    """
    if knows_statistics(dataset):
        return dataset.mean, dataset.std
    if dataset.train is None:
        raise UsageError(
            f"--normalise data: expected training examples in {dataset.name}, whose mean and standard deviation it "
            f"stands for, got none: say the numbers, --normalise MEAN/STD"
        )
    return channel_statistics(dataset.train)


def knows_statistics(dataset: Dataset) -> bool:
    """Whether `mean` and `std` of `dataset` are those of its training images; of photos they are a custom."""
    if dataset.train is None:
        computed = (dataset.mean, dataset.std) != neutral_statistics(len(dataset.mean))
        return computed and not isinstance(dataset.test.images, Files)
    return not isinstance(dataset.train.images, Files)


def neutral_statistics(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What leaves images as they are, where there are no training images to take statistics from."""
    return (NEUTRAL_MEAN,) * channels, (NEUTRAL_STD,) * channels
