from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evalsuite.data import Dataset, Examples, knows_statistics, load, training_statistics
from evalsuite.data._statistics import IMAGENET, channel_statistics, neutral_statistics
from evalsuite.errors import UsageError


def test_mean_and_standard_deviation_are_numpys() -> None:
    images = torch.randint(0, 256, (5000, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = channel_statistics(Examples.from_labels(images, torch.zeros(5000)).select(torch.arange(4999)))
    reference = images[:4999].numpy() / 255
    np.testing.assert_allclose(mean, reference.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std, reference.std((0, 2, 3)), rtol=1e-6)


def test_a_constant_channel_can_still_be_divided_by() -> None:
    # the floor is one grey level of 255
    _, std = channel_statistics(Examples.from_labels(torch.full((2, 1, 3, 3), 0.5), torch.zeros(2)))
    assert std == pytest.approx((1 / 255,))


def test_neutral_statistics_leave_images_as_they_are() -> None:
    assert neutral_statistics(3) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_of_photos_the_statistics_of_the_training_images_are_computed(tmp_path: Path) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (12, 9, 9, 3), dtype=np.uint8)
    for number, photo in enumerate(photos):
        path = tmp_path / ("test" if number % 3 == 0 else "train") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(path)
    dataset = load(f"folder:{tmp_path}")
    reference = photos[[number for number in range(12) if number % 3]] / 255
    assert (dataset.mean, dataset.std) == IMAGENET  # a custom, by which networks are trained from scratch
    assert not knows_statistics(dataset)
    mean, std = training_statistics(dataset)
    np.testing.assert_allclose(mean, reference.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, reference.std((0, 1, 2)), rtol=1e-6)


def test_in_memory_they_are_those_of_the_data_set() -> None:
    examples = Examples.from_labels(
        torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    )
    data = Dataset(
        name="d", classes=("a", "b"), shape=(1, 2, 2), train=examples, test=examples, mean=(0.4,), std=(0.2,)
    )
    assert knows_statistics(data)
    assert training_statistics(data) == ((0.4,), (0.2,))
    # who makes a data set may know the statistics of training images that are not in it
    assert training_statistics(replace(data, train=None)) == ((0.4,), (0.2,))
    with pytest.raises(UsageError, match=r"--normalise data: expected training examples in d, .* --normalise MEAN/STD"):
        training_statistics(replace(data, train=None, mean=(0.0,), std=(1.0,)))
