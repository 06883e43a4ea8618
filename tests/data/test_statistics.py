import numpy as np
import pytest
import torch

from evalsuite.data import Examples
from evalsuite.data._statistics import channel_statistics, neutral_statistics


def test_mean_and_standard_deviation_are_numpys() -> None:
    images = torch.randint(0, 256, (5000, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = channel_statistics(Examples.of(images, torch.zeros(5000)).select(torch.arange(4999)))
    reference = images[:4999].numpy() / 255
    np.testing.assert_allclose(mean, reference.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std, reference.std((0, 2, 3)), rtol=1e-6)


def test_a_constant_channel_can_still_be_divided_by() -> None:
    # the floor is one grey level of 255
    _, std = channel_statistics(Examples.of(torch.full((2, 1, 3, 3), 0.5), torch.zeros(2)))
    assert std == pytest.approx((1 / 255,))


def test_neutral_statistics_leave_images_as_they_are() -> None:
    assert neutral_statistics(3) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
