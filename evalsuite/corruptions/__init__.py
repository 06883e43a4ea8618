"""Common corruptions as batched tensor functions (Hendrycks and Dietterich 2019, arXiv:1903.12261).

Names only, so that listing them costs no import of torch; `evalsuite.parts.registry.find` leads from a name to its
class.
"""

from typing import Final

COMMON: Final = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
"""The 15 test corruptions, in the order of the paper: the ones that are averaged."""

EXTRA: Final = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""The four validation corruptions; never part of the average."""

MIX1: Final = (
    "contrast",
    "elastic_transform",
    "gaussian_blur",
    "impulse_noise",
    "motion_blur",
    "pixelate",
    "shot_noise",
    "snow",
    "zoom_blur",
)
"""The nine that Lost in Pruning (Liebenwein et al. 2021) trains robust networks on, drawn at random once."""

MIX2: Final = (
    "brightness",
    "defocus_blur",
    "fog",
    "frost",
    "gaussian_noise",
    "glass_blur",
    "jpeg_compression",
    "saturate",
    "spatter",
    "speckle_noise",
)
"""The other ten, on which it tests them."""

SETS: Final = {"common": COMMON, "extra": EXTRA, "mix1": MIX1, "mix2": MIX2, "all": (*COMMON, *EXTRA)}
"""By the names that stand for them in names of tasks."""
