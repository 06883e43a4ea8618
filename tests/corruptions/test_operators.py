"""The operators behind the corruptions, on what can be worked out by hand or asked of SciPy, Pillow and OpenCV."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from scipy.stats import kstest, poisson

from evalsuite import randomness
from evalsuite.corruptions import defocus_blur, fog, glass_blur, pixelate, shot_noise, spatter, zoom_blur
from evalsuite.corruptions._gaussian import blur, mirrored, off_centre, smooth, weights
from evalsuite.corruptions._motion import motion
from evalsuite.corruptions._plasma import plasma
from evalsuite.corruptions._zoom import clipped_zoom


def keys(count: int) -> torch.Tensor:
    return randomness.keys(2, "operators", [str(i) for i in range(count)])


def field(*shape: int) -> torch.Tensor:
    return randomness.uniform(keys(shape[0]), shape[1:], dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.05, 0.25, 0.4, 0.875, 1.5, 6.0])
@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 1, 40, 17), (1, 1, 8, 8)], ids=str)
def test_blur_is_scipys_to_the_last_bit(shape: tuple[int, ...], sigma: float) -> None:
    x = field(*shape)
    expected = ndimage.gaussian_filter(x.numpy(), (0, 0, sigma, sigma), mode="nearest", truncate=4)
    assert np.array_equal(blur(x, sigma).numpy(), expected)


@pytest.mark.parametrize("sigma", [0.0, 0.9, 6.4, 170.8])
def test_smooth_is_scipys_with_kernels_wider_than_the_image(sigma: float) -> None:
    x = field(2, 2, 32, 20)
    # SciPy takes a sigma of 0 as "leave this axis alone"
    expected = ndimage.gaussian_filter(x.numpy(), (0, 0, sigma, sigma), mode="reflect", truncate=3)
    assert np.allclose(smooth(x, sigma, 3.0).numpy(), expected, rtol=0, atol=1e-14)


def test_gaussian_weights_by_hand() -> None:
    # radius floor(4 * 0.4 + 0.5) = 2; exp(-1/0.32) = 0.04394, exp(-4/0.32) = 3.727e-6
    total = 1 + 2 * 0.0439369 + 2 * 3.7267e-6
    assert weights(0.4) == pytest.approx(np.array([3.7267e-6, 0.0439369, 1, 0.0439369, 3.7267e-6]) / total, rel=1e-4)
    assert off_centre(0.4) == pytest.approx(1 - 1 / total**2, rel=1e-4)
    assert off_centre(0.1) == 0


@pytest.mark.parametrize(("border", "mode"), [("reflect", "symmetric"), ("reflect101", "reflect")])
def test_mirrored_indices_are_numpys_padding(border: str, mode: str) -> None:
    expected = np.pad(np.arange(5), 17, mode=mode)
    assert np.array_equal(mirrored(torch.arange(-17, 22), 5, border), expected)
    assert mirrored(torch.arange(-3, 4), 1, border).tolist() == [0] * 7


@pytest.mark.parametrize(
    ("severity", "centre", "reach"),
    # CIFAR: severities 1 to 3 are 3x3 Gaussians of sigma .4, .5 and .6 on a single pixel, with centres
    # 1 / (1 + 2 exp(-1 / (2 sigma^2)))^2; 4 is a plus of five pixels hardly smoothed, 5 a 3x3 box
    [(1, 0.845, 1), (2, 0.619, 1), (3, 0.445, 1), (4, 0.2, 2), (5, 1 / 9, 2)],
)
def test_defocus_kernels_at_32_px(severity: int, centre: float, reach: int) -> None:
    kernel = defocus_blur.DefocusBlur(severity=severity)._kernel((3, 32, 32))
    assert len(kernel) <= 2 * reach + 1
    assert kernel[len(kernel) // 2, len(kernel) // 2] == pytest.approx(centre, abs=5e-4)
    assert kernel.sum() == pytest.approx(1, abs=1e-6)


def test_defocus_kernels_that_touch_their_grid_gain_weight() -> None:
    sums = [defocus_blur.DefocusBlur(severity=s)._kernel((3, 224, 224)).sum() for s in (3, 4, 5)]
    assert sums == pytest.approx([1, 1.0130, 1.0108], abs=1e-4)


@pytest.mark.parametrize(
    ("scale", "profile"),
    # a box of three pixels covers [-1.5, 1.5]. Halved it covers [-0.75, 0.75]: two thirds lie in the middle pixel.
    # Doubled it covers [-3, 3]: five whole pixels and half of one at each end. At 0.3 it fits into one pixel.
    [(0.5, [1 / 6, 2 / 3, 1 / 6]), (2.0, [1 / 12, *[1 / 6] * 5, 1 / 12]), (0.3, [1.0])],
)
def test_scaled_defocus_kernels_by_hand(scale: float, profile: list[float]) -> None:
    assert defocus_blur._disc(1.5, 0.1, 1.0) == pytest.approx(np.full((3, 3), 1 / 9), rel=1e-6)
    assert defocus_blur._disc(1.5, 0.1, scale) == pytest.approx(np.outer(profile, profile), rel=1e-6)


def test_scaled_defocus_kernels_keep_their_weight() -> None:
    whole = defocus_blur._disc(10.0, 0.5, 1.0).sum()
    assert [defocus_blur._disc(10.0, 0.5, s).sum() for s in (0.25, 0.875, 1.3)] == pytest.approx([whole] * 3, rel=1e-12)


def test_correlation_is_scipys_and_is_not_flipped() -> None:
    x = field(1, 1, 21, 16)
    kernel = field(1, 5, 5)[0]
    expected = ndimage.correlate(x[0, 0].numpy(), kernel.numpy(), mode="mirror")
    assert np.allclose(defocus_blur._correlate(x, kernel)[0, 0].numpy(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("angle", "place"), [(0, (4, 2)), (90, (2, 4)), (-90, (6, 4)), (180, (4, 6))])
def test_motion_trails_behind_on_one_side(angle: float, place: tuple[int, int]) -> None:
    # a bright pixel in the middle is seen from where the tap of index 2 finds it, and from its own place
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    x[0, 0, 4, 4] = 200
    result = motion(x, torch.tensor([angle], dtype=torch.float64), 1, 100.0)
    assert result[0, 0, 4, 4] == 67
    assert result[0, 0, place[0], place[1]] == 67
    assert (result > 0).sum() == 3


@pytest.mark.parametrize("factor", [1.0, 1.06, 1.25, 1.75, 4.5])
@pytest.mark.parametrize("side", [8, 28, 32, 41])
def test_clipped_zoom_is_scipys(side: int, factor: float) -> None:
    x = field(1, 1, side, side)
    crop = math.ceil(side / factor)
    first = (side - crop) // 2
    grown = ndimage.zoom(x[0, 0, first : first + crop, first : first + crop].numpy(), factor, order=1)
    trim = (len(grown) - side) // 2
    expected = grown[trim : trim + side, trim : trim + side]
    assert np.allclose(clipped_zoom(x, factor)[0, 0].numpy(), expected, rtol=0, atol=1e-14)


def test_number_of_zooms_follows_the_rounding_of_arange() -> None:
    small = [len(zoom_blur._factors(stop, 0.01)) for stop in (1.06, 1.11, 1.16, 1.21, 1.26)]
    large = [len(zoom_blur._factors(*pair)) for pair in zoom_blur._STOP_AND_STEP[224]]
    assert small == [7, 12, 16, 21, 26]
    assert large == [12, 16, 11, 13, 11]


@pytest.mark.parametrize(("old", "new"), [(20, 19), (32, 30), (20, 13), (224, 56), (224, 134), (299, 89), (9, 1)])
def test_box_resizing_is_pillows(old: int, new: int) -> None:
    column = (field(1, old, 4) * 256).floor().float()
    picture = Image.fromarray(column[0].numpy().astype(np.uint8)).resize((4, new), Image.Resampling.BOX)
    shrunk = pixelate._shrink(column, new)
    assert np.array_equal(shrunk[0].numpy(), np.asarray(picture))
    picture = picture.resize((4, old), Image.Resampling.BOX)
    assert np.array_equal(pixelate._enlarge(shrunk, old)[0].numpy(), np.asarray(picture))


def test_poisson_counts_invert_the_distribution_function() -> None:
    level = torch.arange(256, dtype=torch.float64).repeat(40, 1)
    draws = field(40, 256)
    for photons in (3, 60, 500):
        counts = shot_noise._counts(level, draws, photons)
        expected = poisson.ppf(draws.numpy(), level.numpy() / 255 * photons)
        # black counts none; SciPy's ppf of a mean of 0 is 0 as well
        assert np.array_equal(counts.numpy(), expected)


def test_poisson_counts_at_the_ends_of_the_draw() -> None:
    level = torch.tensor([0.0, 255.0, 0.0, 255.0], dtype=torch.float64)
    draws = torch.tensor([0.0, 0.0, 1 - 2.0**-53, 1 - 2.0**-53], dtype=torch.float64)
    counts = shot_noise._counts(level, draws, 3)
    assert counts[:3].tolist() == [0, 0, 0]
    # draws are cut at 1 - 2^-45, where next to 255 one step is 2^-45 = 2.8e-14: between P(X > 22) = 1.9e-13 and
    # P(X > 24) = 2.6e-15, the two that lie a whole step away
    assert poisson.sf([22, 24], 3) == pytest.approx([1.9e-13, 2.6e-15], rel=0.1)
    assert counts[3].item() in {23, 24}


def test_plasma_is_scaled_and_independent_between_keys() -> None:
    maps = plasma(keys(3), 16, 2.0)
    assert maps.amin((1, 2)).tolist() == [0, 0, 0]
    assert maps.amax((1, 2)).tolist() == [1, 1, 1]
    assert torch.equal(maps[1:2], plasma(keys(3)[1:2], 16, 2.0))
    assert not torch.equal(maps[0], maps[1])
    assert plasma(keys(1), 1, 2.0).tolist() == [[[0.0]]]


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [
        (32, 32, 32),
        (64, 64, 64),
        (224, 224, 256),
        (299, 299, 512),
        (28, 28, 32),
        (8, 8, 8),
        (96, 96, 128),
        (40, 56, 64),
    ],
)
def test_fog_maps_cover_the_image(height: int, width: int, side: int) -> None:
    assert fog._map_side(height, width) == side


@pytest.mark.parametrize(("delta", "passes"), [(1, 1), (2, 3), (4, 2)])
def test_glass_shuffle_is_the_double_loop(delta: int, passes: int) -> None:
    height, width = 20, 23
    got = glass_blur._shuffle(keys(2), height, width, delta, passes)
    for row, key in enumerate(keys(2).split(1)):
        expected = np.arange(height * width).reshape(height, width)
        for number in range(passes):
            draws = randomness.integers(randomness.fold(key, number), -delta, delta, (2, height, width))[0].numpy()
            assert (draws.min(), draws.max()) == (-delta, delta - 1)
            for h in range(height - delta, delta, -1):
                for w in range(width - delta, delta, -1):
                    dx, dy = draws[:, h, w]
                    expected[h, w] = expected[h + dy, w + dx]
        assert np.array_equal(got[row].view(height, width).numpy(), expected)


def test_no_liquid_means_no_water() -> None:
    dry = spatter._water(torch.zeros(2, 1, 16, 16, dtype=torch.float64), 0.5)
    assert torch.equal(dry, torch.zeros(2, 1, 16, 16))


def test_the_layer_of_water_is_clipped_where_it_would_wrap() -> None:
    # 1.02 * 255 = 260, which an 8-bit cast would turn into 4
    layer = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    layer[..., 4:12, 4:12] = 1.0
    beyond = layer * 1.02
    assert torch.equal(spatter._water(layer, 0.5), spatter._water(beyond, 0.5))
    assert spatter._water(layer, 0.5).max() == 0.5


def test_gaussian_noise_has_its_sigma() -> None:
    # at mid-gray and 3 sigma from the ends clipping touches 0.3 %; truncation takes half a level off the mean
    from evalsuite.corruptions.gaussian_noise import GaussianNoise

    images = torch.full((4, 3, 64, 64), 128 / 255)
    noise = (GaussianNoise(severity=2)(images, keys(4)) * 255 - 128 + 0.5).double().flatten().numpy() / 255
    # uniform jitter of one level undoes the rounding
    noise += np.random.default_rng(0).uniform(-0.5, 0.5, noise.shape) / 255
    assert kstest(noise, "norm", args=(0, 0.08)).pvalue > 1e-3
