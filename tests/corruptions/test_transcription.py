"""Agreement with the published generator, written down once more with plain loops, NumPy, SciPy, Pillow and OpenCV.

One picture at a time, as simple as it gets, with constants typed anew: for 32 px all corruptions, for 224 px those in
which the installable package departs from the published code. Both sides get the same random numbers.
Run as a script, this file prints the table of docs/verification.
"""

import colorsys
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from scipy.stats import poisson
from sklearn.datasets import load_sample_images

from evalsuite import randomness
from evalsuite.corruptions import _frost_texture
from evalsuite.extend import Corruption
from evalsuite.parts import registry
from evalsuite.randomness import fold

pytestmark = pytest.mark.slow

Picture = np.ndarray
Numbers = Sequence[float]


def photographs(count: int, side: int) -> Picture:
    """Crops of two photographs, (count, side, side, 3), uint8; some with flat black, white and mid-gray areas."""
    sources = load_sample_images().images
    rng = np.random.default_rng(side)
    crops = []
    for number in range(count):
        y, x = rng.integers(0, (427 - side, 640 - side))
        crop = sources[number % 2][y : y + side, x : x + side].copy()
        if number % 3 == 0:
            crop[: side // 3, : side // 2], crop[: side // 3, side // 2 :], crop[-side // 4 :] = 0, 255, (77, 77, 77)
        crops.append(crop)
    return np.stack(crops)


def keys(count: int) -> torch.Tensor:
    return randomness.keys(6, "agreement", [str(i) for i in range(count)])


def u(key: torch.Tensor, *shape: int) -> np.ndarray:
    return randomness.uniform(key, shape, dtype=torch.float64)[0].numpy()


def z(key: torch.Tensor, *shape: int) -> np.ndarray:
    return randomness.normal(key, shape)[0].double().numpy()


def noise(x: Picture, key: torch.Tensor) -> np.ndarray:
    return z(key, 3, *x.shape[:2]).transpose(1, 2, 0)


def gaussian(x: np.ndarray, sigma: float, mode: str = "nearest", truncate: float = 4.0) -> np.ndarray:
    sigmas = (sigma, sigma) + (0,) * (x.ndim - 2)
    return ndimage.gaussian_filter(x, sigmas, mode=mode, truncate=truncate) if sigma else x


def level(x: np.ndarray) -> Picture:
    return np.uint8(np.clip(x, 0, 1) * 255)


def gaussian_noise(x: Picture, key: torch.Tensor, sigma: float) -> Picture:
    return level(x / 255.0 + sigma * noise(x, key))


def speckle_noise(x: Picture, key: torch.Tensor, sigma: float) -> Picture:
    return level(x / 255.0 + x / 255.0 * (sigma * noise(x, key)))


def shot_noise(x: Picture, key: torch.Tensor, photons: int) -> Picture:
    draws = u(key, 3, *x.shape[:2]).transpose(1, 2, 0)
    return level(poisson.ppf(draws, x / 255.0 * photons) / photons)


def impulse_noise(x: Picture, key: torch.Tensor, amount: float) -> Picture:
    draws = u(key, 3, *x.shape[:2]).transpose(1, 2, 0)
    return np.where(draws < amount / 2, 255, np.where(draws < amount, 0, x)).astype(np.uint8)


def gaussian_blur(x: Picture, _: torch.Tensor, sigma: float) -> Picture:
    return level(gaussian(x / 255.0, sigma))


def defocus_blur(x: Picture, _: torch.Tensor, radius: float, alias: float) -> Picture:
    half, aperture = (8, 3) if radius <= 8 else (radius, 5)
    axis = np.arange(-half, half + 1)
    disc = np.array(axis[:, None] ** 2 + axis**2 <= radius**2, dtype=np.float32)
    kernel = cv2.GaussianBlur(disc / disc.sum(), (aperture, aperture), sigmaX=alias)
    return level(np.stack([cv2.filter2D(x[..., c] / 255.0, -1, kernel) for c in range(3)], -1))


def glass_blur(x: Picture, key: torch.Tensor, sigma: float, delta: int, passes: int) -> Picture:
    side = len(x)
    x = np.uint8(gaussian(x / 255.0, sigma) * 255)
    for number in range(passes):
        moves = randomness.integers(fold(key, number), -delta, delta, (2, side, side))[0].numpy()
        for h in range(side - delta, delta, -1):
            for w in range(side - delta, delta, -1):
                dx, dy = moves[:, h, w]
                x[h, w] = x[h + dy, w + dx]
    return level(gaussian(x / 255.0, sigma))


def imagemagick(x: np.ndarray, radius: float, sigma: float, angle: float) -> np.ndarray:
    """Levels in, rounded levels out, (h, w, c)."""
    height, width = x.shape[:2]
    taps = 2 * math.ceil(radius) + 1
    weights = [math.exp(-i * i / (2 * sigma * sigma)) for i in range(taps)]
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    out = np.zeros(x.shape)
    for i, weight in enumerate(weights):
        down, right = math.ceil(i * sine - 0.5), math.ceil(i * cosine - 0.5)
        rows = [min(max(y + down, 0), height - 1) for y in range(height)]
        columns = [min(max(c + right, 0), width - 1) for c in range(width)]
        out += weight / sum(weights) * x[np.ix_(rows, columns)]
    return np.floor(out + 0.5)


def motion_blur(x: Picture, key: torch.Tensor, radius: float, sigma: float) -> Picture:
    return imagemagick(x, radius, sigma, u(key).item() * 90 - 45).astype(np.uint8)


def clipped_zoom(x: np.ndarray, factor: float) -> np.ndarray:
    side = len(x)
    crop = math.ceil(side / factor)
    top = (side - crop) // 2
    x = ndimage.zoom(x[top : top + crop, top : top + crop], (factor, factor, 1), order=1)
    trim = (len(x) - side) // 2
    return x[trim : trim + side, trim : trim + side]


def zoom_blur(x: Picture, _: torch.Tensor, stop: float, step: float) -> Picture:
    image = (x / 255.0).astype(np.float32)
    factors = np.arange(1, stop, step)
    out = np.zeros_like(image)
    for factor in factors:
        out += clipped_zoom(image, factor)
    return level((image + out) / (len(factors) + 1))


def snow(x: Picture, key: torch.Tensor, *c: float) -> Picture:
    mean, deviation, factor, threshold, radius, sigma, kept = c
    layer = mean + deviation * z(fold(key, 0), *x.shape[:2])
    layer = clipped_zoom(layer[..., None], factor)
    layer[layer < threshold] = 0
    layer = imagemagick(level(layer), radius, sigma, u(fold(key, 1)).item() * 90 - 135) / 255.0
    image = np.array(x, dtype=np.float32) / 255.0
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    image = kept * image + (1 - kept) * np.maximum(image, gray * 1.5 + 0.5)
    return level(image + layer + np.rot90(layer, k=2))


def frost(x: Picture, key: torch.Tensor, of_image: float, of_frost: float) -> Picture:
    scale = {32: 0.2, 224: 1.0}[len(x)]
    number = int(u(fold(key, 0)).item() * 5)
    folder = _frost_texture._folder()
    assert folder is not None
    name = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")[number]
    pane = cv2.resize(cv2.imread(str(folder / name)), (0, 0), fx=scale, fy=scale)
    top, left = (int(v * (s - len(x))) for v, s in zip(u(fold(key, 1), 2), pane.shape, strict=False))
    pane = pane[top : top + len(x), left : left + len(x)][..., [2, 1, 0]]
    return np.uint8(np.clip(of_image * x + of_frost * pane, 0, 255))


def plasma(key: torch.Tensor, side: int, decay: float) -> np.ndarray:
    grid = np.zeros((side, side))
    wobble, step, number = 100.0, side, 0
    while step >= 2:
        half = step // 2
        draws = u(fold(key, number), 3, side // step, side // step) * 2 - 1

        def mean(places: list[tuple[int, int]], draw: float, wobble: float = wobble) -> float:
            return sum(grid[y % side, x % side] for y, x in places) / 4 + wobble * wobble * draw

        cells = [(i, j) for i in range(side // step) for j in range(side // step)]
        for i, j in cells:
            y, x = i * step, j * step
            grid[y + half, x + half] = mean(
                [(y, x), (y + step, x), (y, x + step), (y + step, x + step)], draws[0, i, j]
            )
        for i, j in cells:
            y, x = i * step, j * step
            around = [(y - half, x + half), (y + half, x + half), (y, x), (y, x + step)]
            grid[y, x + half] = mean(around, draws[1, i, j])
            around = [(y + half, x - half), (y + half, x + half), (y, x), (y + step, x)]
            grid[y + half, x] = mean(around, draws[2, i, j])
        wobble, step, number = wobble / decay, half, number + 1
    grid -= grid.min()
    return grid / grid.max()


def fog(x: Picture, key: torch.Tensor, amount: float, decay: float) -> Picture:
    image = x / 255.0
    top = image.max()
    image += amount * plasma(key, 1 << (len(x) - 1).bit_length(), decay)[: len(x), : len(x), None]
    return level(image * top / (top + amount))


def hsv(x: Picture, change: Callable[[float, float, float], tuple[float, float, float]]) -> Picture:
    flat = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*(p / 255.0)))) for p in x.reshape(-1, 3)]
    return level(np.array(flat).reshape(x.shape))


def brightness(x: Picture, _: torch.Tensor, shift: float) -> Picture:
    return hsv(x, lambda h, s, v: (h, s, min(v + shift, 1)))


def saturate(x: Picture, _: torch.Tensor, factor: float, shift: float) -> Picture:
    return hsv(x, lambda h, s, v: (h, min(s * factor + shift, 1), v))


def contrast(x: Picture, _: torch.Tensor, factor: float) -> Picture:
    means = np.mean(x / 255.0, axis=(0, 1), keepdims=True)
    return level((x / 255.0 - means) * factor + means)


def elastic_transform(x: Picture, key: torch.Tensor, alpha: float, sigma: float, affine: float) -> Picture:
    side = len(x)
    unit = {32: 32, 28: 28, 224: 244}[side]
    image = np.array(x, dtype=np.float32) / 255.0
    centre, square = np.float32((side, side)) // 2, side // 3
    points = np.float32(
        [centre + square, [centre[0] + square, centre[1] - square], centre - square],
    )
    moved = points + ((2 * u(fold(key, 0), 3, 2) - 1) * affine * unit).astype(np.float32)
    matrix = cv2.getAffineTransform(points, moved)
    image = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    field = u(fold(key, 1), 2, side, side) * 2 - 1
    dx, dy = ((gaussian(f, sigma * unit, "reflect", 3) * alpha * unit).astype(np.float32) for f in field)
    gx, gy, gz = np.meshgrid(np.arange(side), np.arange(side), np.arange(3))
    places = (gy + dy[..., None]).ravel(), (gx + dx[..., None]).ravel(), gz.ravel()
    return level(ndimage.map_coordinates(image, places, order=1, mode="reflect").reshape(x.shape))


def pixelate(x: Picture, _: torch.Tensor, ratio: float) -> Picture:
    side = len(x)
    small = Image.fromarray(x).resize((int(side * ratio), int(side * ratio)), Image.Resampling.BOX)
    return np.asarray(small.resize((side, side), Image.Resampling.BOX))


def jpeg_compression(x: Picture, _: torch.Tensor, quality: int) -> Picture:
    file = BytesIO()
    Image.fromarray(x).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def spatter(x: Picture, key: torch.Tensor, *c: float) -> Picture:
    mean, deviation, sigma, threshold, mix, mud = c
    image = np.array(x, dtype=np.float32) / 255.0
    layer = gaussian(mean + deviation * z(key, *x.shape[:2]), sigma)
    layer[layer < threshold] = 0
    if mud:
        m = gaussian(np.where(layer > threshold, 1, 0).astype(np.float32), mix)
        m[m < 0.8] = 0
        return level(image * (1 - m[..., None]) + m[..., None] * np.float32([63 / 255.0, 42 / 255.0, 20 / 255.0]))
    liquid = level(layer)
    distance = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
    _, distance = cv2.threshold(distance, 20, 20, cv2.THRESH_TRUNC)
    relief = cv2.equalizeHist(cv2.blur(distance, (3, 3)).astype(np.uint8))
    relief = cv2.filter2D(relief, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
    m = liquid * cv2.blur(relief, (3, 3)).astype(np.float32)
    m = np.zeros_like(m) if m.max() == 0 else m / m.max() * np.float32(mix)
    return level(image + m[..., None] * np.float32([175 / 255.0, 238 / 255.0, 238 / 255.0]))


# the 32 px table, severities 1 to 5
CIFAR: Mapping[Callable[..., Picture], Sequence[float | Numbers]] = {
    gaussian_noise: (0.04, 0.06, 0.08, 0.09, 0.10),
    shot_noise: (500, 250, 100, 75, 50),
    impulse_noise: (0.01, 0.02, 0.03, 0.05, 0.07),
    speckle_noise: (0.06, 0.1, 0.12, 0.16, 0.2),
    gaussian_blur: (0.4, 0.6, 0.7, 0.8, 1),
    glass_blur: ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    defocus_blur: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    motion_blur: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    zoom_blur: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    snow: (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    frost: ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    fog: ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    brightness: (0.05, 0.1, 0.15, 0.2, 0.3),
    contrast: (0.75, 0.5, 0.4, 0.3, 0.15),
    saturate: ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    elastic_transform: ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    pixelate: (0.95, 0.9, 0.85, 0.75, 0.65),
    jpeg_compression: (80, 65, 58, 50, 40),
    spatter: (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
}
# the 224 px table, where imagecorruptions-imaug does something else
IMAGENET: Mapping[Callable[..., Picture], Sequence[float | Numbers]] = {
    zoom_blur: ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    snow: (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    frost: ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    elastic_transform: ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
    pixelate: (0.6, 0.5, 0.4, 0.3, 0.25),
}
# 28 px: the 32 px table with every length times 0.875, severity 3
SCALED: Mapping[Callable[..., Picture], float | Numbers] = {
    gaussian_noise: 0.08,
    gaussian_blur: 0.7 * 0.875,
    glass_blur: (0.35, 1, 1),
    motion_blur: (5.25, 1.75),
    zoom_blur: (1.16, 0.01),
    snow: (0.15, 0.3, 1.53125, 0.55, 8.75, 3.5, 0.9),
    fog: (0.75, 2.5),
    elastic_transform: (0.08, 0.06, 0.06),
    pixelate: 0.85,
    spatter: (0.65, 0.3, 0.875, 0.69, 0.5, 0),
}


def differences(
    transcription: Callable[..., Picture], constants: float | Numbers, severity: int, side: int, count: int
) -> tuple[int, float]:
    """Largest difference in levels, and share of pixel values that differ."""
    pictures = photographs(count, side)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    part = registry.find("evalsuite.corruptions", transcription.__name__, Corruption)(severity=severity)
    got = (part(images, keys(count)) * 255).round().permute(0, 2, 3, 1).numpy()
    numbers = constants if isinstance(constants, tuple) else (constants,)
    expected = [transcription(p.copy(), k, *numbers) for p, k in zip(pictures, keys(count).split(1), strict=True)]
    gap = np.abs(got - np.stack(expected))
    return int(gap.max()), float((gap > 0).mean())


# one level, in at most this share of pixel values: colorsys takes other steps than scikit-image (equal at 224 px, see
# test_imagecorruptions.py), OpenCV warps and weighs red, green and blue in float32 with steps of its own
NEAR: Mapping[Callable[..., Picture], float] = {
    brightness: 2e-3,
    saturate: 2e-2,
    elastic_transform: 1e-4,
    snow: 1e-4,
}


def check(
    transcription: Callable[..., Picture], constants: float | Numbers, severity: int, side: int, count: int
) -> None:
    if transcription is frost and _frost_texture.available_texture() == "procedural":
        pytest.skip("the published pictures of frost (imagecorruptions-imaug) are not installed")
    if transcription is elastic_transform and int(cv2.__version__.partition(".")[0]) < 5:
        pytest.skip("the published code warps by OpenCV, which before its version 5 reads at 1/32 of a pixel")
    most, share = differences(transcription, constants, severity, side, count)
    assert most <= (1 if transcription in NEAR else 0)
    assert share <= NEAR.get(transcription, 0)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("transcription", CIFAR, ids=lambda f: f.__name__)
def test_32_px_levels_are_those_of_the_published_generator(
    transcription: Callable[..., Picture], severity: int
) -> None:
    check(transcription, CIFAR[transcription][severity - 1], severity, 32, count=6)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("transcription", IMAGENET, ids=lambda f: f.__name__)
def test_224_px_levels_are_those_of_the_published_generator(
    transcription: Callable[..., Picture], severity: int
) -> None:
    check(transcription, IMAGENET[transcription][severity - 1], severity, 224, count=1)


@pytest.mark.parametrize("transcription", SCALED, ids=lambda f: f.__name__)
def test_lengths_shrink_with_the_image(transcription: Callable[..., Picture]) -> None:
    check(transcription, SCALED[transcription], 3, 28, count=6)


if __name__ == "__main__":
    lines = []
    for title, table, width, number in (("32 px", CIFAR, 32, 60), ("224 px", IMAGENET, 224, 6)):
        lines.append(f"| {title} | severity 1 | 2 | 3 | 4 | 5 |\n|---|---|---|---|---|---|")
        for function, row in table.items():
            cells = [differences(function, row[s - 1], s, width, number) for s in range(1, 6)]
            lines.append(f"| {function.__name__} | " + " | ".join(f"{m}; {100 * d:.4f}" for m, d in cells) + " |")
    sys.stdout.write("\n".join(lines) + "\n")
