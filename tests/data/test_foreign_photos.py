"""Photos that are something else: nothing is run for them, and what would take all memory is refused unread."""

import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evalsuite.data import load
from evalsuite.data._decode import formats, opened
from evalsuite.data._photos import Photos
from evalsuite.data._read_voc import Masks
from evalsuite.errors import RefusedInputError

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
1 0 0 setrgbcolor 0 0 8 8 rectfill
showpage
%%EOF
"""


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears as soon as anyone calls Ghostscript."""
    mark, folder = tmp_path / "called", tmp_path / "bin"
    folder.mkdir()
    (folder / "gs").write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
    (folder / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return mark


def test_pillow_would_have_called_ghostscript(ghostscript: Path, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(EPS)
    code = f"from PIL import Image\nImage.open({str(tmp_path / '0.png')!r}).load()"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ghostscript.exists()


@pytest.mark.parametrize("name", ["0.png", "0.jpg", "0"])
def test_a_photo_that_is_postscript(ghostscript: Path, tmp_path: Path, name: str) -> None:
    for kind in ("ant", "bee"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        Image.new("RGB", (8, 8), "white").save(tmp_path / "photos" / kind / "whole.png")
    (tmp_path / "photos" / "ant" / name).write_bytes(EPS)
    try:
        data = load(f"folder:{tmp_path / 'photos'}")
        data.test.pixels(range(len(data.test)))
    except RefusedInputError as error:
        assert f"expected {tmp_path}/photos/ant/{name} to be an image (JPEG, PNG, " in str(error)  # noqa: PT017
    else:
        assert name == "0"  # a name that promises nothing is no photo
    assert not ghostscript.exists()


def test_a_mask_that_is_postscript(ghostscript: Path, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(EPS)
    with pytest.raises(RefusedInputError, match="to be an image"):
        Masks(paths=(str(tmp_path / "0.png"),), size=4, classes=2)[torch.tensor([0])]
    assert not ghostscript.exists()


def test_an_image_to_be_enlarged_that_is_postscript(ghostscript: Path, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(EPS)
    with pytest.raises(RefusedInputError, match="to be an image"):
        load(f"super-resolution:{tmp_path}?size=2&factor=2").test.pixels([0])
    assert not ghostscript.exists()


def test_no_kind_is_read_by_another_program() -> None:
    assert not {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "ICNS"} & set(formats())
    assert {"JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM"} <= set(formats())


def bomb(path: Path, width: int, height: int) -> Path:
    """A PNG of a few bytes that says that it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("side", [2**20, 13_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_more_pixels_than_fit_are_refused_by_the_header(tmp_path: Path, side: int) -> None:
    path = bomb(tmp_path / "0.png", side, side)
    with pytest.raises(RefusedInputError, match=r"to have at most 134,217,728 pixels, got .*: make the photo smaller"):
        Photos(paths=(str(path),), size=8, channels=3)[torch.tensor([0])]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_photo_like_a_thread_is_refused_before_it_is_resized(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 2_000_000), np.uint8)).save(tmp_path / "0.png")  # 3 x 32 x 64 million values
    with pytest.raises(RefusedInputError, match=r"once its shorter side has 37, got 2000000 x 1: crop it"):
        Photos(paths=(str(tmp_path / "0.png"),), size=32, channels=3)[torch.tensor([0])]


def test_large_photos_wait_for_one_another(tmp_path: Path) -> None:
    large, small = tmp_path / "large.png", tmp_path / "small.png"
    bomb(large, 8000, 8000)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(small)
    entered: list[str] = []

    def enter(path: Path) -> None:
        with opened(str(path)):
            entered.append(path.name)

    with opened(str(large)):
        threads = [threading.Thread(target=enter, args=(path,)) for path in (large, small)]
        for thread in threads:
            thread.start()
        threads[1].join(timeout=60)
        assert entered == ["small.png"]
    threads[0].join(timeout=60)
    assert entered == ["small.png", "large.png"]
