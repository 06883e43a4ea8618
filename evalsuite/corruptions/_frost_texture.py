"""Pictures of frost: the published ones where they are installed, otherwise drawn."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evalsuite.corruptions._motion import motion
from evalsuite.corruptions._plasma import plasma
from evalsuite.errors import UsageError, install_hint
from evalsuite.randomness import derive, fold, uniform

Texture = Literal["published", "procedural"]

_FILES: Final = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
"""The five that the published generator draws from (a sixth is never reached; the second and third are the same)."""
_DRAWN_SIDE: Final = 512
_DIRECTIONS: Final = 8
_TONES: Final = ((78, 149, 166), (201, 205, 214), (201, 205, 214), (138, 153, 165), (112, 123, 135))
"""Mean colours of the published pictures, given to the drawn ones."""


def available_texture() -> Texture:
    """What `Frost` uses by default: "published" where imagecorruptions(-imaug) is installed, else "procedural"."""
    return "procedural" if _folder() is None else "published"


def _folder() -> Path | None:
    # found, not imported: importing that package compiles code
    spec = find_spec("imagecorruptions")
    for place in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(place) / "frost"
        if all((folder / name).is_file() for name in _FILES):
            return folder
    return None


@lru_cache(maxsize=8)
def textures(kind: Texture, scale: float) -> tuple[Tensor, tuple[tuple[int, int], ...]]:
    """The five pictures resized by `scale`, and their heights and widths.

    Returns:
        (5, 3, h, w), uint8, red first, each in the upper left corner of a common frame; and (height, width) of each.

    Raises:
        UsageError: The published pictures are asked for and not installed.
    """
    pictures = [cv2.resize(picture, (0, 0), fx=scale, fy=scale) for picture in _pictures(kind)]
    sizes = tuple((picture.shape[0], picture.shape[1]) for picture in pictures)
    frame = np.zeros((len(pictures), max(h for h, _ in sizes), max(w for _, w in sizes), 3), np.uint8)
    for number, (height, width) in enumerate(sizes):
        frame[number, :height, :width] = pictures[number]
    return torch.from_numpy(frame).permute(0, 3, 1, 2), sizes


def _pictures(kind: Texture) -> list[NDArray[np.uint8]]:
    if kind == "procedural":
        return [_draw(number) for number in range(len(_TONES))]
    folder = _folder()
    if folder is None:
        raise UsageError(
            "expected texture 'procedural', or the package imagecorruptions-imaug to be installed "
            f"({install_hint('frost')}), got 'published'"
        )
    return [_read(folder / name) for name in _FILES]


def _read(file: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(file))
    if picture is None:
        raise UsageError(f"expected a picture of frost in {file.name}, got a file that cannot be read")
    # OpenCV puts blue first
    return picture[..., ::-1].astype(np.uint8)


@lru_cache(maxsize=len(_TONES))
def _draw(number: int) -> NDArray[np.uint8]:
    """Ours, not the published set's: patches of streaks, each in a direction of its own, over slow changes of shade."""
    key = torch.tensor([derive("frost", number)])
    side = _DRAWN_SIDE
    grain = uniform(fold(key, 0), (1, side, side), dtype=torch.float64).pow(4).mul(2550)
    angles = torch.arange(_DIRECTIONS, dtype=torch.float64) * (180 / _DIRECTIONS)
    streaks = motion(grain.expand(_DIRECTIONS, -1, -1, -1), angles, 10, 5.0)[:, 0]
    patch = (plasma(fold(key, 1), side, 1.4) * 7 * _DIRECTIONS).long() % _DIRECTIONS
    needles = streaks.gather(0, patch)[0]
    shade = plasma(fold(key, 2), side, 1.6)[0]
    relief = (needles - needles.mean()) / needles.std() + (shade - shade.mean()) / shade.std()
    drawn = torch.tensor(_TONES[number]) + 18 * relief[..., None]
    return drawn.clamp(0, 255).to(torch.uint8).numpy()
