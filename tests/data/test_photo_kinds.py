"""Every kind of file that Pillow reads becomes the right picture, computed by numpy, or is refused with the way out."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from evalsuite.data import load
from evalsuite.data._decode import decoding
from evalsuite.data._preparation import TORCHVISION, Preparation
from evalsuite.errors import RefusedInputError

Array = npt.NDArray[np.generic]

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (6, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 6), dtype=np.uint16)
UNIT = RNG.random((6, 6)).astype(np.float32)
ALPHA = RNG.integers(0, 256, (6, 6), dtype=np.uint8)


def decoded(path: str, channels: int, preparation: Preparation) -> Image.Image:
    with decoding(path, channels, preparation) as image:
        return image.copy()


def luminance(colour: Array) -> Array:
    """ITU-R 601-2, as Pillow documents it, in its fixed point."""
    weights = np.array([19595, 38470, 7471])
    return ((colour.astype(np.int64) * weights).sum(-1) + 0x8000) >> 16


def png(path: Path, pixels: Array, colour_type: int) -> None:
    """A PNG file of 16 bits a channel, which Pillow does not write but for gray."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    )


def tiff(path: Path, values: Array, *, bits: int, photometric: int = 1, sample_format: int = 1) -> None:
    """An uncompressed gray TIFF file, written by hand: any number of bits, packed as the format asks."""
    height, width = values.shape
    if bits == 12:
        packed = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(height, width, 2), axis=-1)[..., 4:]
        data = b"".join(np.packbits(row).tobytes() for row in packed.reshape(height, -1))
    else:
        data = values.tobytes()
    entries = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8)]
    entries += [(277, 3, 1), (278, 3, height), (279, 4, len(data)), (339, 3, sample_format)]
    data += b"\0" * (len(data) % 2)
    table = struct.pack("<H", len(entries))
    table += b"".join(
        struct.pack("<HHI", tag, kind, 1)
        + struct.pack("<HH" if kind == 3 else "<I", *((value, 0) if kind == 3 else (value,)))
        for tag, kind, value in entries
    )
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + table + struct.pack("<I", 0))


def saved(image: Image.Image) -> Callable[[Path], None]:
    return image.save


def premultiplied(mode: str) -> Image.Image:
    straight = np.dstack([GRAY, ALPHA]) if mode == "La" else np.dstack([COLOUR, ALPHA])
    return Image.fromarray(straight, {"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)


def gray3(values: Array) -> Array:
    return np.repeat(values[..., None], 3, axis=-1)


DEEP_AS_8 = np.rint(DEEP / 257).astype(np.uint8)
TWELVE = (DEEP >> 4).astype(np.uint16)
PALETTED = Image.fromarray(COLOUR).quantize(16)
TABLE = np.array(PALETTED.getpalette()).reshape(-1, 3)
FEW = GRAY % len(TABLE)

KINDS: dict[str, tuple[str, Callable[[Path], None], Array]] = {
    "1": ("a.png", saved(Image.fromarray(GRAY > 127)), gray3(np.where(GRAY > 127, 255, 0))),
    "L": ("a.png", saved(Image.fromarray(GRAY)), gray3(GRAY)),
    "LA": ("a.png", saved(Image.fromarray(np.dstack([GRAY, ALPHA]))), gray3(GRAY)),
    "P": ("a.png", saved(PALETTED), TABLE[np.asarray(PALETTED)]),
    "RGB": ("a.png", saved(Image.fromarray(COLOUR)), COLOUR),
    "RGBA": ("a.png", saved(Image.fromarray(np.dstack([COLOUR, ALPHA]))), COLOUR),
    "CMYK": (
        "a.tif",
        saved(Image.fromarray(np.dstack([255 - COLOUR, 0 * GRAY]), "CMYK")),
        COLOUR,  # without black ink, a colour is what its inks leave
    ),
    "I;16 of PNG": ("a.png", saved(Image.fromarray(DEEP)), gray3(DEEP_AS_8)),
    "I;16 of TIFF": ("a.tif", saved(Image.fromarray(DEEP)), gray3(DEEP_AS_8)),
    "I;16B": ("a.tif", saved(Image.frombytes("I;16B", (6, 6), DEEP.astype(">u2").tobytes())), gray3(DEEP_AS_8)),
    "I;16 of JPEG 2000": ("a.jp2", saved(Image.fromarray(DEEP)), gray3(DEEP_AS_8)),
    "I of PGM": ("a.pgm", saved(Image.fromarray(DEEP)), gray3(DEEP_AS_8)),
    "12 bits": ("a.tif", lambda path: tiff(path, TWELVE, bits=12), gray3(np.rint(TWELVE / 4095 * 255))),
    "16 bits, 0 is white": ("a.tif", lambda path: tiff(path, DEEP, bits=16, photometric=0), gray3(255 - DEEP_AS_8)),
    "8 bits, 0 is white": ("a.tif", lambda path: tiff(path, GRAY, bits=8, photometric=0), gray3(255 - GRAY)),
    "F": ("a.tif", saved(Image.fromarray(UNIT)), gray3(np.rint(UNIT * 255))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_is_what_the_numbers_say(tmp_path: Path, kind: str) -> None:
    name, write, expected = KINDS[kind]
    write(tmp_path / name)
    rgb = np.asarray(decoded(str(tmp_path / name), 3, TORCHVISION))
    np.testing.assert_array_equal(rgb, expected)
    gray = np.asarray(decoded(str(tmp_path / name), 1, TORCHVISION))
    # of equal channels the luminance is that value
    np.testing.assert_array_equal(gray, luminance(expected))


def test_colours_of_48_bits_are_within_one_step(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (6, 6, 3), dtype=np.uint16)
    png(tmp_path / "a.png", deep, 2)
    rgb = np.asarray(decoded(str(tmp_path / "a.png"), 3, TORCHVISION)).astype(int)
    assert np.abs(rgb - deep / 257).max() <= 1


@pytest.mark.parametrize("mode", [*Image.MODES, "I;16L", "I;16N"])
def test_every_mode_of_pillow_is_a_picture_or_refused(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of which no file is known: what a plug-in may open."""
    image = premultiplied(mode) if mode in {"La", "RGBa"} else Image.new(mode, (6, 6))
    monkeypatch.setattr("evalsuite.data._decode.Image.open", lambda _path, formats: image)
    if mode == "I":
        with pytest.raises(RefusedInputError, match=r"which value is white.*\?scale=65535"):
            decoded("a.png", 3, TORCHVISION)
        return
    rgb, gray = (np.asarray(decoded("a.png", channels, TORCHVISION)) for channels in (3, 1))
    assert (rgb.shape, gray.shape) == ((6, 6, 3), (6, 6))
    np.testing.assert_array_equal(gray, luminance(rgb))
    if mode in {"La", "RGBa"}:
        # what multiplying and dividing by the alpha leaves, to half a step of it
        clear = ALPHA > 0
        straight = gray3(GRAY) if mode == "La" else COLOUR
        steps = 255 / ALPHA[clear].astype(float)[:, None]
        assert (np.abs(rgb[clear].astype(float) - straight[clear]) <= steps + 1).all()


def test_lab_is_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    # sRGB's red is L 53.24, a 80.09, b 67.20 (D65), and 54.29, 80.81, 69.89 by the profiles' white (D50)
    image = Image.new("LAB", (1, 1), (round(54.29 * 2.55), 128 + 81, 128 + 70))
    monkeypatch.setattr("evalsuite.data._decode.Image.open", lambda _path, formats: image)
    assert np.abs(np.asarray(decoded("a.tif", 3, TORCHVISION))[0, 0].astype(int) - [255, 0, 0]).max() <= 12


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (saved(Image.fromarray(UNIT * 255)), r"from 0 to 1, which is white, got .* add \?scale=VALUE"),
        (saved(Image.fromarray(np.where(UNIT > 0.5, np.nan, UNIT).astype(np.float32))), "got values from nan"),
        (saved(Image.fromarray(-UNIT)), "from 0 to 1, which is white"),
        (saved(Image.fromarray(DEEP.astype(np.int32))), r"got whole numbers of 32 bits: add \?scale=VALUE"),
        (lambda path: tiff(path, DEEP.astype(np.int16), bits=16, sample_format=2), "whole numbers of 16 bits"),
        (lambda path: tiff(path, UNIT, bits=32, sample_format=3, photometric=0), "that 0 is white"),
    ],
)
def test_what_the_file_does_not_tell_is_refused(tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path / "a.tif")
    with pytest.raises(RefusedInputError, match=message):
        decoded(str(tmp_path / "a.tif"), 3, TORCHVISION)


def test_and_taken_when_the_user_tells_it(tmp_path: Path) -> None:
    for values, scale in ((UNIT * 255, 255), (DEEP.astype(np.int32), 65535), (TWELVE, 4095)):
        Image.fromarray(values).save(tmp_path / "a.tif")
        gray = np.asarray(decoded(str(tmp_path / "a.tif"), 1, Preparation(scale=scale)))
        np.testing.assert_array_equal(gray, np.rint(values.astype(np.float64) / scale * 255))


@pytest.mark.parametrize("ground", ["black", "white"])
def test_transparency_can_be_laid_on_a_ground(tmp_path: Path, ground: str) -> None:
    Image.fromarray(np.dstack([COLOUR, ALPHA])).save(tmp_path / "a.png")
    rgb = np.asarray(decoded(str(tmp_path / "a.png"), 3, Preparation(alpha=ground))).astype(float)
    share = ALPHA[..., None] / 255
    assert np.abs(rgb - (share * COLOUR + (1 - share) * (255 if ground == "white" else 0))).max() <= 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_photos_are_turned_as_the_camera_says(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held turned: rotate by 90 degrees clockwise
    flat = np.zeros((16, 24, 3), np.uint8)
    flat[:8] = 200
    path = str(tmp_path / f"a.{suffix}")
    Image.fromarray(flat).save(path, exif=exif)
    turned = np.asarray(decoded(path, 1, Preparation(orientation="exif"))).astype(int)
    assert turned.shape == (24, 16)
    assert np.abs(turned - np.rot90(flat[..., 0], -1)).max() <= 25  # JPEG and WebP lose some
    as_kept = np.asarray(decoded(path, 1, TORCHVISION))
    # Pillow turns TIFF files by itself, for torchvision too
    assert as_kept.shape == ((24, 16) if suffix == "tif" else (16, 24))


def photos(folder: Path, *images: Image.Image, suffix: str = "png", **options: object) -> str:
    (folder / "ant").mkdir(parents=True)
    for number, image in enumerate(images):
        image.save(folder / "ant" / f"{number}.{suffix}", **options)
    return f"folder:{folder}"


def reading(name: str, topic: str):
    (result,) = [each for each in load(name).interpretations if each.topic == topic]
    return result


def test_what_is_not_shown_of_photos_is_told(tmp_path: Path) -> None:
    clear = Image.fromarray(np.dstack([COLOUR, ALPHA]))
    opaque = Image.fromarray(np.dstack([COLOUR[::-1], 0 * ALPHA + 255]))
    plain = Image.fromarray(COLOUR[:, ::-1])
    name = photos(tmp_path / "alpha", clear, opaque, plain)
    messages = reading(name, "transparency")
    assert messages.value == "dropped: 2 of 3 photos have it, and 1 are transparent somewhere"
    assert (messages.basis, messages.option) == ("assumed", "?alpha=drop|black|white")
    assert reading(f"{name}?alpha=white", "transparency").basis == "given"
    assert reading(photos(tmp_path / "opaque", opaque), "transparency").basis == "measured"
    exif = Image.Exif()
    exif[0x0112] = 3
    messages = reading(photos(tmp_path / "exif", plain, suffix="jpg", exif=exif), "orientation")
    assert (messages.basis, messages.option) == ("assumed", "?orientation=exif|ignore")
    assert "1 of 1 photos" in messages.value
    for suffix in ("gif", "png", "webp", "tif"):
        several = {"save_all": True, "append_images": [opaque.convert("RGB")]}
        name = photos(tmp_path / suffix, plain, suffix=suffix, **several)
        assert reading(name, "frames").basis == "assumed"
        assert reading(f"{name}?frames=first", "frames").basis == "given"
    topics = {each.topic for each in load(photos(tmp_path / "plain", plain)).interpretations}
    assert not topics & {"transparency", "orientation", "frames", "pixel values"}


def test_the_first_frame_is_taken(tmp_path: Path) -> None:
    first, second = Image.fromarray(GRAY), Image.fromarray(255 - GRAY)
    for suffix in ("gif", "png", "tif"):
        name = photos(tmp_path / suffix, first, suffix=suffix, save_all=True, append_images=[second])
        (image,) = load(f"{name}?channels=1").test.pixels([0])
        np.testing.assert_array_equal((image[0] * 255).round(), GRAY)


def test_deep_photos_that_use_a_sixteenth_of_their_range_are_refused(tmp_path: Path) -> None:
    name = photos(tmp_path, Image.fromarray(TWELVE), Image.fromarray(TWELVE[::-1].copy()))
    with pytest.raises(RefusedInputError, match=r"got values up to \d+ in all 2 .* \?scale=4095"):
        load(name)
    pixels = load(f"{name}?scale=4095&channels=1").test.pixels([0])[0, 0]
    assert torch.allclose(pixels, torch.from_numpy(TWELVE / 4095).float(), atol=0.5 / 255 + 1e-6)
    assert reading(f"{name}?scale=4095", "pixel values").basis == "given"


@pytest.mark.filterwarnings("ignore")  # Pillow also warns of what it leaves out
def test_damaged_files_of_every_kind_are_refused(tmp_path: Path) -> None:
    """Pillow's readers raise what their bytes lead to: RuntimeError for AVIF, TypeError for TIFF."""
    colour = Image.fromarray(COLOUR)
    draw = np.random.default_rng(3)
    for suffix in ("png", "jpg", "tif", "webp", "gif", "jp2", "avif", "bmp", "ppm"):
        path = tmp_path / f"a.{suffix}"
        colour.save(path)
        whole = path.read_bytes()
        for _ in range(60):
            content = bytearray(whole[: draw.integers(1, len(whole))])
            content[draw.integers(0, len(content))] = draw.integers(0, 256)
            path.write_bytes(content)
            try:
                decoded(str(path), 3, TORCHVISION)
            except RefusedInputError as error:
                assert str(path) in str(error)  # noqa: PT017 - some damage is none
