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

from evalsuite.corruptions._plasma import plasma
from evalsuite.errors import UsageError
from evalsuite.randomness import derive, uniform

Texture = Literal["published", "procedural"]

_FILES: Final = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
"""The five that the published generator draws from (a sixth is never reached; the second and third are the same)."""
_DRAWN_SIDE: Final = 512
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
            "expected texture 'procedural', or the package imagecorruptions-imaug to be installed, got 'published'"
        )
    return [_read(folder / name) for name in _FILES]


def _read(file: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(file))
    if picture is None:
        raise UsageError(f"expected a picture of frost in {file.name}, got a file that cannot be read")
    # OpenCV puts blue first
    return picture[..., ::-1].astype(np.uint8)


def _draw(number: int) -> NDArray[np.uint8]:
    """Ours, not the published set's: ferns of ice as the crests of plasma fractals, over a fine grain."""
    key = torch.tensor([derive("frost", number)])
    crest = 1 - (2 * plasma(key, _DRAWN_SIDE, 1.6)[0].numpy() - 1) ** 2
    grain = uniform(key, (_DRAWN_SIDE, _DRAWN_SIDE))[0].numpy()
    relief = crest**4 + 0.3 * grain
    relief = (relief - relief.mean()) / relief.std()
    shade = np.array(_TONES[number]) + 25 * relief[..., None]
    drawn: NDArray[np.uint8] = np.clip(shade, 0, 255).astype(np.uint8)
    return drawn
