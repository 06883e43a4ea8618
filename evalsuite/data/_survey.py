"""Surveys the headers of a folder's photos, before any is decoded: sizes, types, cameras' orientations."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, final

import numpy as np
from PIL import ExifTags, Image

from evalsuite.data._decode import WIDE, has_alpha, opaque, opened, white, wide_values
from evalsuite.data._preparation import Preparation
from evalsuite.errors import RefusedInputError
from evalsuite.interpretation import Interpretation

Item = TypeVar("Item")

_DECODED = 200
_MOST_TRAINING = 5000
# a stereo or depth image behind a photo is no further frame of it
_SINGLE: Final = frozenset({"JPEG", "MPO"})
_UPRIGHT = 1
_LEAST_SIXTEEN_BIT_WHITE = 4096


@final
@dataclass(frozen=True, kw_only=True)
class Header:
    """The fields of a photo's header.

    Attributes:
        path: The file.
        size: Width and height in pixels.
        mode: Pillow's name of what the file keeps.
        turned: Whether the camera says that the photo has to be turned, and Pillow does not by itself.
        frames: Whether it holds more than one frame.
        alpha: Whether some of it can be transparent.
    """

    path: str
    size: tuple[int, int]
    mode: str
    turned: bool
    frames: bool
    alpha: bool


def survey(train: Sequence[str], test: Sequence[str]) -> tuple[Header, ...]:
    """Headers of all held-out photos, and of up to 5000 training photos; files that are no images are left out.

    Those are refused when they are decoded.
    """
    return tuple(h for path in (*_spread(train, _MOST_TRAINING), *test) if (h := _header(path)) is not None)


def common_size(headers: Sequence[Header], *, border: int = 0) -> int | None:
    """Height and width of the photos less their border, where all are squares of one size; else None."""
    sizes = {header.size for header in headers}
    if len(sizes) != 1:
        return None
    width, height = next(iter(sizes))
    return width - 2 * border if width == height else None


def photo_readings(headers: Sequence[Header], preparation: Preparation, given: frozenset[str]) -> list[Interpretation]:
    """How the files are understood: their types, and what of them is not shown.

    Args:
        headers: Of the photos.
        preparation: How they are decoded.
        given: Names of the options that the user gave.

    Raises:
        RefusedInputError: Which value is white in files of more than 8 bits is not told.
    """
    readings = [_types(headers)] if headers else []
    wide = [header for header in headers if header.mode in WIDE]
    if wide:
        readings.append(_depth(wide, preparation))
    for counted in (_alpha, _orientation, _frames):
        reading = counted(headers, preparation, given)
        if reading is not None:
            readings.append(reading)
    return readings


def _header(path: str) -> Header | None:
    try:
        with opened(path) as file:
            return Header(
                path=path,
                size=file.size,
                mode=file.mode,
                turned=_turned(file),
                frames=file.format not in _SINGLE and getattr(file, "n_frames", 1) > 1,
                alpha=has_alpha(file),
            )
    except RefusedInputError:
        return None


def _turned(file: Image.Image) -> bool:
    # Pillow turns TIFF files itself; of PNG files it would have to read all to find an entry that stands at the end
    if file.format == "TIFF" or (file.format == "PNG" and "exif" not in file.info):
        return False
    return bool(file.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT)


def _types(headers: Sequence[Header]) -> Interpretation:
    counts = Counter(header.mode for header in headers)
    value = ", ".join(f"{count} {mode}" for mode, count in counts.most_common())
    return Interpretation(topic="types of photos", value=value, basis="recorded", reason="in Pillow's names")


def _depth(wide: Sequence[Header], preparation: Preparation) -> Interpretation:
    chosen = _spread(wide, _DECODED)
    whites, highest = set[float](), 0.0
    for header in chosen:
        with opened(header.path) as file:
            whites.add(white(file, header.path, preparation))
            highest = max(highest, float(wide_values(file, file, header.path).max()))
    value = f"{' or '.join(f'{each:g}' for each in sorted(whites))} is white in {len(wide)} photos of more than 8 bits"
    if preparation.scale is not None:
        return Interpretation(topic="pixel values", value=value, basis="given", reason="?scale=")
    if max(whites) == 2**16 - 1 and highest < _LEAST_SIXTEEN_BIT_WHITE:
        raise RefusedInputError(
            f"expected photos of 16 bits to use more than 12 of them, got values up to {highest:g} in all "
            f"{len(chosen)} that were looked at, e.g. {chosen[0].path}: add ?scale=VALUE with the value that is white, "
            f"e.g. ?scale=4095, or ?scale=65535 where they are that dark"
        )
    return Interpretation(topic="pixel values", value=value, basis="recorded", reason="by the files' types")


def _alpha(headers: Sequence[Header], preparation: Preparation, given: frozenset[str]) -> Interpretation | None:
    with_alpha = [header for header in headers if header.alpha]
    if not with_alpha:
        return None
    chosen = _spread(with_alpha, _DECODED)
    clear = sum(not _opaque(header.path) for header in chosen)
    looked_at = f"{clear} of {len(chosen)} looked at" if len(chosen) < len(with_alpha) else f"{clear}"
    counts = f"{len(with_alpha)} of {len(headers)} photos have it, and {looked_at} are transparent somewhere"
    if "alpha" in given:
        value = "dropped" if preparation.alpha == "drop" else f"laid on {preparation.alpha}"
        return Interpretation(topic="transparency", value=f"{value}: {counts}", basis="given", reason="?alpha=")
    return Interpretation(
        topic="transparency",
        value=f"dropped: {counts}",
        basis="assumed" if clear else "measured",
        reason="as torchvision's loader does, which shows the colours below it" if clear else "all of it is opaque",
        option="?alpha=drop|black|white",
    )


def _opaque(path: str) -> bool:
    try:
        with opened(path) as file:
            return opaque(file)
    except RefusedInputError:  # which is told when the photo is asked for
        return True


def _orientation(headers: Sequence[Header], preparation: Preparation, given: frozenset[str]) -> Interpretation | None:
    turned = sum(header.turned for header in headers)
    if not turned:
        return None
    value = "as the files keep them" if preparation.orientation == "ignore" else "turned upright"
    return Interpretation(
        topic="orientation",
        value=f"{value}: the camera says of {turned} of {len(headers)} photos that they have to be turned",
        basis="given" if "orientation" in given else "assumed",
        reason="?orientation=" if "orientation" in given else "as the loaders of torchvision and timm do",
        option="?orientation=exif|ignore",
    )


def _frames(headers: Sequence[Header], preparation: Preparation, given: frozenset[str]) -> Interpretation | None:
    del preparation
    several = sum(header.frames for header in headers)
    if not several:
        return None
    return Interpretation(
        topic="frames",
        value=f"the first of each: {several} of {len(headers)} photos hold several",
        basis="given" if "frames" in given else "assumed",
        reason="?frames=" if "frames" in given else "as torchvision's loader does",
        option="?frames=first",
    )


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """`items`, or `most` of them, evenly spread from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[k] for k in np.linspace(0, len(items) - 1, most).round().astype(int)]
