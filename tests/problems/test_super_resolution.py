"""Columns of super-resolution, against scikit-image, and by hand."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.psnr import Psnr
from evalsuite.measures.ssim import Ssim
from evalsuite.problems.super_resolution import SuperResolution

FACTOR = 3


@pytest.mark.parametrize("channels", [1, 3])
def test_both_figures_are_those_of_scikit_image(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, channels, 6, 6, generator=generator)
    truths = torch.nn.functional.interpolate(coarse, (30, 24), mode="bilinear")
    outputs = truths + 0.1 * torch.randn(truths.shape, generator=generator)
    observed = SuperResolution(factor=FACTOR).observe(outputs, truths)
    for place in range(len(truths)):
        cut = (slice(None), slice(FACTOR, -FACTOR), slice(FACTOR, -FACTOR))
        true, result = (subject[place].double().numpy()[cut] for subject in (truths, outputs.clamp(0, 1)))
        assert observed["psnr"][place] == pytest.approx(peak_signal_noise_ratio(true, result, data_range=1), abs=1e-4)
        similar = structural_similarity(
            true,
            result,
            channel_axis=0,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert observed["ssim"][place] == pytest.approx(similar, abs=1e-6)


def test_by_hand() -> None:
    # 0.1 off in every pixel that is judged is 20 dB; the border may be anything
    truths = torch.full((2, 3, 20, 20), 0.5)
    outputs = truths + 0.1
    outputs[:, :, 0] = 0.0
    outputs[1] = truths[1]
    problem = SuperResolution(factor=2)
    recorded = problem.observe(outputs, truths)
    assert recorded["psnr"] == pytest.approx([20.0, 100.0], abs=1e-4)
    assert problem.losses(outputs, truths).tolist() == pytest.approx([1 - 20 / 50, 0.0], abs=1e-6)
    # of two constant images structural similarity compares the means alone
    mean = (2 * 0.5 * 0.6 + 1e-4) / (0.5**2 + 0.6**2 + 1e-4)
    assert recorded["ssim"] == pytest.approx([mean, 1.0], abs=1e-6)


def test_small_images_have_no_structural_similarity() -> None:
    images = torch.rand(1, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    assert "ssim" in SuperResolution(factor=1 + 1).observe(torch.rand(1, 3, 15, 15), torch.rand(1, 3, 15, 15))
    assert "ssim" not in SuperResolution(factor=2).observe(images, images)


def test_the_measures_read_what_is_stored() -> None:
    network = Stored(
        columns={"psnr": np.array([0.0, 25.0, 60.0], np.float32), "ssim": np.array([-1.0, 0.5, 1.0], np.float32)},
        to_parent={},
    )
    annotations = Annotations(labels=np.zeros(3, dtype=np.int64))
    assert Psnr()(network, network, annotations, {}).child.tolist() == [1.0, 0.5, 0.0]
    assert Psnr(top=100.0)(network, network, annotations, {}).child.tolist() == pytest.approx([1.0, 0.75, 0.4])
    assert Ssim()(network, network, annotations, {}).child.tolist() == [1.0, 0.25, 0.0]
    with pytest.raises(ValueError, match="top to be above 0, got 0"):
        Psnr(top=0)


def test_a_margin_of_half_a_point_is_a_quarter_of_a_decibel() -> None:
    truths = torch.full((1, 1, 20, 20), 0.5)
    offsets = [10 ** (-decibel / 20) for decibel in (30.0, 30.25)]
    assert math.isclose(20 * math.log10(offsets[0] / offsets[1]), 0.25, abs_tol=1e-9)
    worse, better = (float(SuperResolution(factor=2).losses(truths + offset, truths)) for offset in offsets)
    assert worse - better == pytest.approx(0.005, abs=1e-5)
