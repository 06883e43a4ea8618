"""Which table holds for which size, and the two tables that no other test uses (64 and 299 px), typed once more."""

from importlib import import_module

import pytest

from evalsuite import corruptions
from evalsuite.corruptions import _constants, glass_blur, shot_noise
from evalsuite.errors import UsageError
from evalsuite.extend import Corruption
from evalsuite.parts import registry

NAMES = (*corruptions.COMMON, *corruptions.EXTRA)
SNOW_64 = (
    (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
    (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
    (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
    (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
)
SNOW_299 = (
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
SPATTER_64 = (
    (0.62, 0.1, 0.7, 0.7, 0.6),
    (0.65, 0.1, 0.8, 0.7, 0.6),
    (0.65, 0.3, 1, 0.69, 0.6),
    (0.65, 0.1, 0.7, 0.68, 0.6),
    (0.65, 0.1, 0.5, 0.67, 0.6),
)
SPATTER_299 = (
    (0.65, 0.3, 4, 0.69, 0.9),
    (0.65, 0.3, 3.5, 0.68, 0.9),
    (0.65, 0.3, 3, 0.68, 0.8),
    (0.65, 0.3, 1.2, 0.65, 1.8),
    (0.67, 0.4, 1.2, 0.65, 1.8),
)
ZOOM_64 = ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01))
ZOOM_299 = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
ELASTIC_64 = ((0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03), (0.16, 0.03, 0.02))
ELASTIC_299 = ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
DEFOCUS_64 = ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1))
GLASS_64 = ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2))
GLASS_299 = ((0.8, 1, 3), (1, 3, 1), (1.1, 2, 4), (1.2, 4, 2), (1.6, 5, 2))
TABLES = {
    "gaussian_noise": ((0.04, 0.08, 0.12, 0.15, 0.18), (0.09, 0.13, 0.19, 0.27, 0.4)),
    "shot_noise": ((250, 100, 50, 30, 15), (50, 20, 10, 5, 3)),
    "impulse_noise": ((0.01, 0.02, 0.05, 0.08, 0.14), (0.04, 0.07, 0.1, 0.18, 0.28)),
    "speckle_noise": ((0.15, 0.2, 0.25, 0.3, 0.35), (0.16, 0.21, 0.36, 0.46, 0.61)),
    "gaussian_blur": ((0.5, 0.75, 1, 1.25, 1.5), (1.5, 2.5, 3.5, 4.5, 6.5)),
    "glass_blur": (GLASS_64, GLASS_299),
    "defocus_blur": (DEFOCUS_64, ((4, 0.1), (5, 0.5), (7, 0.5), (10, 0.5), (12, 0.5))),
    "motion_blur": (
        ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        ((12, 4), (17, 6), (17, 9), (17, 13), (22, 16)),
    ),
    "zoom_blur": (ZOOM_64, ZOOM_299),
    "snow": (SNOW_64, SNOW_299),
    "frost": (
        ((1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)),
        ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    ),
    "fog": (
        ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        ((1.5, 2), (2, 2), (2.5, 1.8), (2.5, 1.6), (3, 1.5)),
    ),
    "brightness": ((0.1, 0.2, 0.3, 0.4, 0.5),) * 2,
    "contrast": ((0.4, 0.3, 0.2, 0.1, 0.05),) * 2,
    "saturate": (
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    ),
    "elastic_transform": (ELASTIC_64, ELASTIC_299),
    "pixelate": ((0.9, 0.8, 0.7, 0.6, 0.5), (0.5, 0.4, 0.3, 0.25, 0.2)),
    "jpeg_compression": ((65, 58, 50, 40, 25), (23, 16, 13, 8, 5)),
    "spatter": (SPATTER_64, SPATTER_299),
}


def published(name: str) -> dict[int, tuple[object, ...]]:
    module = registry.find("evalsuite.corruptions", name, Corruption).__module__
    values = vars(import_module(module)).values()
    tables = [v for v in values if isinstance(v, dict) and set(v) == {32, 64, 224, 299}]
    (table,) = [t for t in tables if isinstance(t[32], tuple)]
    return table


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_of_64_and_299_px(name: str) -> None:
    table = published(name)
    assert (tuple(table[64]), tuple(table[299])) == TABLES[name]


@pytest.mark.parametrize(
    ("shape", "side", "text"),
    [
        ((3, 32, 32), 32, "32 px table"),
        ((3, 64, 64), 64, "64 px table"),
        ((3, 224, 224), 224, "224 px table"),
        ((3, 299, 299), 299, "299 px table"),
        ((1, 28, 28), 32, "32 px table, lengths scaled by 0.875"),
        ((1, 8, 8), 32, "32 px table, lengths scaled by 0.25"),
        # ln(96/64) = 0.41, ln(224/96) = 0.85
        ((3, 96, 96), 64, "64 px table, lengths scaled by 1.5"),
        # the geometric mean of 64 and 224 is 119.7
        ((3, 119, 119), 64, "64 px table, lengths scaled by 1.86"),
        ((3, 120, 120), 224, "224 px table, lengths scaled by 0.536"),
        ((3, 512, 512), 299, "299 px table, lengths scaled by 1.71"),
        # the shorter side decides
        ((3, 40, 56), 32, "32 px table, lengths scaled by 1.25"),
        ((3, 300, 32), 32, "32 px table"),
    ],
)
def test_the_nearest_table_is_taken_and_lengths_scaled(shape: tuple[int, int, int], side: int, text: str) -> None:
    assert _constants.table_side(shape) == side
    assert _constants.label(shape) == text
    assert _constants.length_scale(shape) == min(shape[1:]) / side


@pytest.mark.parametrize("severity", [0, 6, -1, True, 2.5])
@pytest.mark.parametrize("part", [shot_noise.ShotNoise, glass_blur.GlassBlur])
def test_a_severity_that_was_not_published_is_an_error(part: type[Corruption], severity: int) -> None:
    with pytest.raises(UsageError, match=f"expected a severity of 1, 2, 3, 4 or 5, got {severity!r}"):
        part(severity=severity)
