"""Decodes photos of any format to 8 bits a channel, gray or RGB."""

import contextlib
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from evalsuite.data._preparation import Preparation
from evalsuite.errors import RefusedInputError

# colours of 8 bits a channel, which Pillow converts
_COLOURS: Final = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})
_TRANSPARENT: Final = frozenset({"LA", "PA", "RGBA", "La", "RGBa"})
_SIXTEEN_BITS: Final = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
WIDE: Final = frozenset({*_SIXTEEN_BITS, "I", "F"})
"""Pillow's modes of more than 8 bits a channel, all of them gray."""

# formats whose files of mode I hold 16 bits: older releases of Pillow read PNG so, all of them PGM
_SIXTEEN_IN_THIRTY_TWO: Final = frozenset({"PNG", "PPM"})
_BLACK_IS_ZERO = 1

# each is read by Pillow or a library in its process; of others, EPS is handed to Ghostscript, which runs what it says
_FORMATS: Final = ("JPEG", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP", "JPEG2000", "GIF", "AVIF", "HEIF", "QOI")
MOST_PIXELS: Final = 2**27
"""Half a gigabyte when it is decoded; a file of some kilobytes may say that it holds as many."""
_LARGE: Final = 2**25
"""Pixels of photos that are decoded one after another, so that no folder takes the memory of all threads at once."""
_one_at_a_time = threading.RLock()

# what Pillow's readers raise for bytes that are no image, or a damaged one
_BROKEN: Final = (
    *(OSError, ValueError, TypeError, RuntimeError, SyntaxError, EOFError, LookupError, ArithmeticError),
    *(struct.error, zlib.error),
)


# a limit of its own is told by evalsuite, and half of it by Pillow, in words that name no way out
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextlib.contextmanager
def opened(path: str) -> Iterator[Image.Image]:
    """The file at `path`, of which only the header has been read; its name's ending is not believed.

    Raises:
        RefusedInputError: It is no image of a kind that is read, has too many pixels, or is damaged where it is read
            within the context.
    """
    try:
        with Image.open(path, formats=formats()) as file, _taking_turns(_checked_size(file, path)):
            yield file
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from error
    except UnidentifiedImageError as error:
        kinds = ", ".join(formats())
        raise RefusedInputError(f"expected {path} to be an image ({kinds}), got what is none of these") from error
    except _BROKEN as error:
        raise RefusedInputError(f"expected {path} to be an image, got an error: {error}") from error


def formats() -> tuple[str, ...]:
    """The kinds of files that are read as photos, in Pillow's names, as far as this installation reads them."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _checked_size(file: Image.Image, path: str) -> int:
    width, height = file.size
    if width * height > MOST_PIXELS:
        raise _too_large(path, f"{width} x {height}")
    return width * height


def _too_large(path: str, got: str) -> RefusedInputError:
    return RefusedInputError(
        f"expected {path} to have at most {MOST_PIXELS:,} pixels, got {got}: make the photo smaller, or cut it up"
    )


@contextlib.contextmanager
def _taking_turns(pixels: int) -> Iterator[None]:
    with _one_at_a_time if pixels > _LARGE else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def decoding(path: str, channels: int, preparation: Preparation) -> Iterator[Image.Image]:
    """The photo at `path` in Pillow's mode L (`channels` 1) or RGB (3), turned upright where that is asked for.

    Of files with several frames it is the first. Large photos wait for one another until the context is left.

    Raises:
        RefusedInputError: The file cannot be decoded, or its values cannot be told to be black or white.
    """
    with opened(path) as file:
        image: Image.Image = file
        if preparation.orientation == "exif":
            image = ImageOps.exif_transpose(file)
        if file.mode in WIDE:
            values = wide_values(file, image, path)
            gray = Image.fromarray(_eight_bits(values, white(file, path, preparation), path))
            yield gray.convert("RGB") if channels == 3 else gray
        else:
            yield _converted(image, path, channels, preparation)


def has_alpha(image: Image.Image) -> bool:
    """Whether some of the photo can be transparent: by a channel, or by a colour that counts as such."""
    return image.mode in _TRANSPARENT or "transparency" in image.info


def opaque(image: Image.Image) -> bool:
    """Whether nothing of a photo with an alpha channel is transparent."""
    alpha = _with_alpha(image).getchannel("A")
    lowest, _ = alpha.getextrema()
    return lowest == 255


def white(file: Image.Image, path: str, preparation: Preparation) -> float:
    """The value that is white in a file of a mode in `WIDE`.

    Raises:
        RefusedInputError: The file does not tell, and `preparation` does not either.
    """
    if preparation.scale is not None:
        return preparation.scale
    if file.mode == "F":
        return 1.0
    if file.mode == "I" and file.format not in _SIXTEEN_IN_THIRTY_TWO:
        raise RefusedInputError(
            f"expected {path} to tell which value is white, got whole numbers of {_tag(file, BITSPERSAMPLE, 32)} bits: "
            f"add ?scale=VALUE, e.g. ?scale=65535, or store 8 or 16 bits without a sign"
        )
    return float(2 ** _tag(file, BITSPERSAMPLE, 16) - 1)


def wide_values(file: Image.Image, image: Image.Image, path: str) -> npt.NDArray[np.float64]:
    """Values (h, w) of `image`, which `file` at `path` holds in a mode in `WIDE`: 0 is black.

    Raises:
        RefusedInputError: 0 is white, and nothing tells what is black.
    """
    values: npt.NDArray[np.float64] = np.asarray(image).astype(np.float64)
    # Pillow inverts such files of 8 bits, and none of more
    if _tag(file, PHOTOMETRIC_INTERPRETATION, _BLACK_IS_ZERO) == _BLACK_IS_ZERO:
        return values
    if file.mode not in _SIXTEEN_BITS:
        raise RefusedInputError(f"expected 0 to be black in {path}, got a TIFF file that says that 0 is white")
    white_value = float(2 ** _tag(file, BITSPERSAMPLE, 16) - 1)
    return white_value - values


def _tag(file: Image.Image, tag: int, default: int) -> int:
    """A TIFF file's entry; `default` where the file has none or is of another format."""
    value = file.tag_v2.get(tag, default) if isinstance(file, TiffImageFile) else default
    return int(value[0] if isinstance(value, tuple) else value)


def _eight_bits(values: npt.NDArray[np.float64], white_value: float, path: str) -> npt.NDArray[np.uint8]:
    low, high = values.min(), values.max()
    # written so that a NaN is refused too
    if not (low >= 0 and high <= white_value):
        raise RefusedInputError(
            f"expected values of {path} from 0 to {white_value:g}, which is white, got values from {low:g} to "
            f"{high:g}: add ?scale=VALUE with the value that is white"
        )
    return np.rint(values * (255 / white_value)).astype(np.uint8)


def _converted(image: Image.Image, path: str, channels: int, preparation: Preparation) -> Image.Image:
    if image.mode not in _COLOURS | _TRANSPARENT:
        raise RefusedInputError(f"expected {path} to hold gray, colours or a palette, got Pillow's mode {image.mode}")
    mode = "RGB" if channels == 3 else "L"
    if preparation.alpha != "drop" and has_alpha(image):
        colours = _with_alpha(image)
        ground = Image.new("RGBA", colours.size, preparation.alpha)
        return Image.alpha_composite(ground, colours).convert("RGB").convert(mode)
    if has_alpha(image):
        image = _with_alpha(image)
    # where luminance is asked for, it is that of the colours
    return image.convert(mode) if image.mode in {"1", "L"} else image.convert("RGB").convert(mode)


def _with_alpha(image: Image.Image) -> Image.Image:
    # gray that is multiplied by its alpha is converted to plain gray with alpha only
    return image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
