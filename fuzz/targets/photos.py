"""Photos and what stands beside them: image formats, folders, lists of classes, mappings, Pascal VOC."""

import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from fuzz.mutations.archives import png_chunks
from fuzz.mutations.documents import json_tree
from fuzz.mutations.plain import TEXT
from fuzz.target import Target

_FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "tif": "TIFF", "bmp": "BMP", "webp": "WEBP", "ppm": "PPM"}


def _drawn(form: str, mode: str = "RGB") -> bytes:
    image = Image.new("RGB", (6, 5))
    image.putdata([(k * 7 % 256, k * 31 % 256, k * 13 % 256) for k in range(30)])
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, form)
    return buffer.getvalue()


def _photos(suffix: str) -> Callable[[Path], Sequence[bytes]]:
    modes = {"png": ("RGB", "L", "P", "RGBA", "LA", "1"), "tif": ("RGB", "L", "CMYK", "RGBA")}

    def honest(_: Path) -> Sequence[bytes]:
        return [_drawn(_FORMATS[suffix], mode) for mode in modes.get(suffix, ("RGB", "L"))]

    return honest


def _wide() -> Sequence[bytes]:
    """More than 8 bits a channel, of which a few values are used: what is white has to be said."""
    return [_drawn("PNG", "I;16"), _drawn("TIFF", "I;16"), _drawn("TIFF", "F")]


def _read_photo(suffix: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> object:
        from evalsuite.data import load

        for name in ("cat", "dog"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "cat" / f"0.{suffix}").write_bytes(data)
        (folder / "dog" / "0.png").write_bytes(_DOG)
        dataset = load(f"folder:{folder}?size=4")
        return dataset.test.pixels([0, 1]), dataset.test.ids

    return read


_DOG = _drawn("PNG", "L")


def _names(_: Path) -> Sequence[bytes]:
    return [b"cat\ndog\nowl", b"0\n1\n2", b"class1\nclass2\nclass10", "Straße\nkøter\nネコ".encode()]


def _lists(_: Path) -> Sequence[bytes]:
    return [b"cat\ndog\nowl\n", "dog\r\ncat\r\nÉmeu".encode("utf-16")]


def _read_names(data: bytes, _: Path) -> object:
    """Names of folders as they are, since systems of files allow nearly all."""
    from evalsuite.data._class_order import class_order

    texts = data.replace(b"\0", b"").replace(b"/", b"").split(b"\n")
    names = list(dict.fromkeys(os.fsdecode(text) for text in texts if 0 < len(text) < 256))
    orders = (None,) if len(names) % 2 else (None, "text", "number")
    return [class_order(names, order, "photos") for order in orders]


def _read_listed(data: bytes, folder: Path) -> object:
    from evalsuite.data._class_order import listed_classes

    (folder / "classes.txt").write_bytes(data)
    return listed_classes(folder / "classes.txt", ["cat", "dog"], "photos")


def _output_names(_: Path) -> Sequence[bytes]:
    documents = (["cat", "dog"], {"cat": 0, "dog": 1}, {"0": "cat", "1": "dog"})
    return [b"cat\ndog\nowl\n", *(json.dumps(each).encode() for each in documents)]


def _read_output_names(data: bytes, folder: Path) -> object:
    from evalsuite.inputs.class_order import names_given

    (folder / "names.json").write_bytes(data)
    return names_given(str(folder / "names.json"))


def _mappings(_: Path) -> Sequence[bytes]:
    return [b'{"cat": "cat", "dog": ["dog", "owl"], "fox": 2}', b'{"cat": 0, "dog": [1, 2]}']


def _mapping_tables(_: Path) -> Sequence[bytes]:
    return [b"folder,class\ncat,cat\ndog,dog\ndog,owl\n", b"class;folder\r\n0;cat\r\n1;dog\r\n"]


def _read_mapping(suffix: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> object:
        from evalsuite.data._class_folders import class_folders

        for name in ("cat", "dog"):
            (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
            (folder / "photos" / name / "0.png").write_bytes(_DOG)
        file = folder / f"mapping.{suffix}"
        file.write_bytes(data)
        return class_folders(folder / "photos", ("cat", "dog", "owl"), (3, 4, 4), mapping=file)

    return read


def _voc_list(_: Path) -> Sequence[bytes]:
    return [b"0\n1\n", b"1\r\n0", b"0\n0\n1\n"]


def _masks(_: Path) -> Sequence[bytes]:
    mask = Image.new("P", (6, 5))
    mask.putdata([k % 5 if k % 7 else 255 for k in range(30)])
    mask.putpalette([k % 256 for k in range(768)])
    buffers = [io.BytesIO() for _ in range(3)]
    mask.save(buffers[0], "PNG")
    mask.convert("L").point(lambda v: v % 21).save(buffers[1], "PNG")
    mask.save(buffers[2], "GIF")
    return [buffer.getvalue() for buffer in buffers]


def _read_voc(what: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> object:
        from evalsuite.data import load

        root = folder / "VOCdevkit" / "VOC2012"
        if not root.exists():
            for place in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
                (root / place).mkdir(parents=True)
            for k in range(3):
                (root / "JPEGImages" / f"{k}.jpg").write_bytes(_drawn("JPEG", ("RGB", "L", "CMYK")[k]))
        for k in range(3):
            (root / "SegmentationClass" / f"{k}.png").write_bytes(_masks(folder)[k % 2])
        lists = root / "ImageSets" / "Segmentation"
        (lists / "train.txt").write_bytes(b"2\n")
        (lists / "val.txt").write_bytes(data if what == "list" else b"0\n1\n")
        if what == "mask":
            (root / "SegmentationClass" / "0.png").write_bytes(data)
        if what == "photo":
            (root / "JPEGImages" / "0.jpg").write_bytes(data)
        test = load(f"voc:{folder}?size=4").test
        return test.pixels([0]), test.ids

    return read


def _read_super_resolution(data: bytes, folder: Path) -> object:
    from evalsuite.data import load

    shutil.rmtree(folder / "photos", ignore_errors=True)
    (folder / "photos").mkdir()
    (folder / "photos" / "a.png").write_bytes(data)
    (folder / "photos" / "b").write_bytes(data)
    test = load(f"super-resolution:{folder / 'photos'}?size=2").test
    return test.pixels([0]), test.ids


TARGETS = (
    *(
        Target(
            name=f"photo-{suffix}",
            honest=_photos(suffix),
            odd=_wide if suffix in {"png", "tif"} else tuple,
            read=_read_photo(suffix),
            mutations=(png_chunks,) if suffix == "png" else (),
        )
        for suffix in _FORMATS
    ),
    Target(name="super-resolution", honest=_photos("png"), read=_read_super_resolution, mutations=(png_chunks,)),
    Target(name="voc-list", honest=_voc_list, read=_read_voc("list"), mutations=TEXT),
    Target(name="voc-mask", honest=_masks, read=_read_voc("mask"), mutations=(png_chunks,)),
    Target(name="voc-photo", honest=_photos("jpg"), read=_read_voc("photo")),
    Target(
        name="folder-names", honest=_names, read=_read_names, mutations=TEXT, guided=("evalsuite.data._class_order",)
    ),
    Target(
        name="listed-classes",
        honest=_lists,
        read=_read_listed,
        mutations=TEXT,
        guided=("evalsuite.data._class_order", "evalsuite.files.delimited"),
    ),
    Target(
        name="output-names",
        honest=_output_names,
        read=_read_output_names,
        mutations=(json_tree, *TEXT),
        guided=("evalsuite.inputs.class_order",),
    ),
    Target(
        name="class-mapping-json",
        honest=_mappings,
        read=_read_mapping("json"),
        mutations=(json_tree, *TEXT),
        guided=("evalsuite.data._class_folders", "evalsuite.files.delimited"),
    ),
    Target(name="class-mapping-csv", honest=_mapping_tables, read=_read_mapping("csv"), mutations=TEXT),
)
