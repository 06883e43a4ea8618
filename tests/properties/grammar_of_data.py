"""A grammar of data sets as people keep them, archives of arrays and folders of photos; it never calls evalsuite.

`Layout` is a sentence of the grammar; `write` puts the data into a folder and says what they mean: every held-out
example's pixels in [0, 1] and its class.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from PIL import Image

Pixels = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[np.generic]]

# how numbers are stored, and what is white
ARRAYS = {
    "uint8": (np.uint8, 255),
    "float32": (np.float32, 1),
    "float64": (np.float64, 1),
    "float16": (np.float16, 1),
    "bool": (np.bool_, 1),
    "uint16": (np.uint16, 65535),
    "twelve bits": (np.uint16, 4095),
    "int64": (np.int64, 255),
    "bytes as floats": (np.float32, 255),
    "sixteen levels": (np.uint8, 16),
}
SELF_EVIDENT = frozenset({"uint8", "float32", "float64", "float16", "bool"})
LABELS = ("plain", "column", "one-hot", "floats", "uint8", "one-hot floats")
PHOTOS = {
    "png gray": ("L", ".png"),
    "png": ("RGB", ".png"),
    "bmp": ("RGB", ".bmp"),
    "tiff": ("RGB", ".tif"),
    "ppm": ("RGB", ".PPM"),
    "webp": ("RGB", ".webp"),
    "png palette": ("P", ".png"),
    "png one bit": ("1", ".png"),
    "png alpha": ("RGBA", ".png"),
    "png gray alpha": ("LA", ".PNG"),
    "png 16": ("I;16", ".png"),
    "tiff 16": ("I;16", ".tiff"),
    "png 12 of 16": ("I;16", ".png"),
    "png turned": ("RGB", ".png"),
}
NAMES = {
    "numbers": lambda k: [str(number) for number in range(k)],
    "numbers from 1": lambda k: [str(number + 1) for number in range(k)],
    "padded numbers": lambda k: [f"{number:03d}" for number in range(k)],
    "words": lambda k: ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "jay", "koi", "owl"][:k],
    "numbered words": lambda k: [f"class_{number}" for number in range(k)],
    "numbers with gaps": lambda k: [str(7 + 2 * number) for number in range(k)],
}
NUMBERS = frozenset({"numbers", "numbers from 1", "padded numbers"})
SPLITS = (
    ("train", "test", ""),
    ("train", "val", ""),
    ("Training", "Testing", ""),
    ("train_set", "Validation-set", ""),
    ("TRAIN", "dev", ""),
    ("train", "test", "val"),
    ("train", "valid", "unlabelled test"),
)
DAMAGES = {
    "npz": (
        *("cut short", "labels from one", "below black", "one image fewer", "no labels", "four channels"),
        *("halves", "words as labels", "one more name", "all dark"),
    ),
    "folder": ("cut short", "no photo", "stranger", "nothing held out"),
}
LITTER = ("README.txt", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a data set is kept.

    Attributes:
        kind: "npz" or "folder".
        shape: (channels, height, width) of the images that the network takes.
        classes: Their number.
        count: Held-out examples.
        trained: Whether there are training examples.
        seed: Of everything that is drawn.
        repeated: Held-out examples that stand before them too, and as many that are training examples too.
        stored: Of an archive: how pixels are stored, a key of `ARRAYS`.
        axes: Of an archive: "nhwc", "nchw" or "nhw".
        labels: Of an archive, one of `LABELS`.
        named: Whether an archive names its classes; of folders a key of `NAMES`.
        order: The number that the data give to each of the network's outputs.
        photos: Of a folder: a key of `PHOTOS`.
        fit: Of a folder: "exact", "alike" (squares of another size) or "various" sizes.
        split: Of a folder with training photos: one of `SPLITS`.
        litter: Whether tools and systems have left files there.
        network_order: Of a folder: the order of the network's outputs, by "text", "number" or "neither".
        damage: What was done to it, of `DAMAGES`.
    """

    kind: str
    shape: tuple[int, int, int]
    classes: int
    count: int
    trained: bool = True
    seed: int = 0
    repeated: int = 0
    stored: str = "uint8"
    axes: str = "nhwc"
    labels: str = "plain"
    named: str = ""
    order: tuple[int, ...] = ()
    photos: str = "png"
    fit: str = "exact"
    split: tuple[str, str, str] = SPLITS[0]
    litter: bool = False
    network_order: str = "text"
    damage: str = ""

    @property
    def outputs(self) -> list[str]:
        """What the network's outputs stand for, in order; of data without names the numbers that the data give them."""
        if self.kind == "npz":
            return NAMES["words"](self.classes) if self.named else [str(number) for number in self.order]
        names = NAMES[self.named](self.classes)
        return {"number": names, "text": sorted(names), "neither": names[1:] + names[:1]}[self.network_order]


@dataclass(frozen=True, kw_only=True)
class Held:
    """One half of the data as it is meant.

    Attributes:
        pixels: (n, c, h, w), in [0, 1].
        labels: (n,), by the network's outputs.
        keys: Where each example stands: positions in an array, or paths.
        left: Which of them are no further examples: in training too, or the same as one before.
    """

    pixels: Pixels
    labels: Numbers
    keys: tuple[object, ...]
    left: frozenset[object] = field(default_factory=frozenset)


@dataclass(frozen=True, kw_only=True)
class Written:
    """A data set on disk.

    Attributes:
        path: Relative to the folder that it was written to.
        test: Held-out examples.
        train: Training examples.
    """

    path: str
    test: Held
    train: Held | None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the author makes images of photos.

    Attributes:
        crop: What share of the shorter side the centre keeps; 0: the photos have the size already.
        resample: Pillow's filter.
        alpha: "drop", "white" or "black".
        upright: Whether photos are turned as their files say.
    """

    crop: float = 0.0
    resample: str = "bilinear"
    alpha: str = "drop"
    upright: bool = False


@st.composite
def layouts(draw: st.DrawFn, kind: str) -> Layout:
    """Archives ("npz"), or folders of photos ("folder")."""
    classes = draw(st.sampled_from([3, 4, 2, 5, 11]))
    channels, height = draw(st.sampled_from([1, 3])), draw(st.sampled_from([8, 10, 12, 9]))
    width = draw(st.sampled_from([height, height, 8])) if kind == "npz" else height
    common = Layout(
        kind=kind,
        shape=(channels, height, width),
        classes=classes,
        count=draw(st.integers(max(20, 2 * classes), 50)),
        trained=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
        repeated=draw(st.sampled_from([0, 0, 2])),
    )
    return draw(_archives(common) if kind == "npz" else _folders(common))


@st.composite
def _archives(draw: st.DrawFn, common: Layout) -> Layout:
    same = tuple(range(common.classes))
    axes = ["nhwc", "nchw", "nhw"] if common.shape[0] == 1 else ["nhwc", "nchw"]
    return replace(
        common,
        stored=draw(st.sampled_from([*ARRAYS])),
        axes=draw(st.sampled_from(axes)),
        labels=draw(st.sampled_from(LABELS)),
        named=draw(st.sampled_from(["", "words"])),
        order=tuple(draw(st.permutations(same))) if draw(st.booleans()) else same,
    )


@st.composite
def _folders(draw: st.DrawFn, common: Layout) -> Layout:
    gray = {"png gray", "png one bit", "png 16", "tiff 16", "png 12 of 16", "png gray alpha"}
    return replace(
        common,
        named=draw(st.sampled_from([*NAMES])),
        photos=draw(st.sampled_from([name for name in PHOTOS if common.shape[0] == 1 or name not in gray])),
        fit=draw(st.sampled_from(["exact", "various", "alike"])),
        split=draw(st.sampled_from(SPLITS)),
        litter=draw(st.booleans()),
        network_order=draw(st.sampled_from(["text", "number", "neither"])),
    )


def write(layout: Layout, folder: Path, decoding: Decoding) -> Written:
    """Put the data into `folder`, and say what they mean to an author who decodes photos so."""
    return _write_archive(layout, folder) if layout.kind == "npz" else _write_folder(layout, folder, decoding)


def _drawn(
    layout: Layout, count: int, generator: np.random.Generator, size: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], Numbers]:
    """Images (n, c, h, w) in [0, 1] that show their class, every class in turn."""
    classes = np.random.default_rng(layout.seed).permutation(np.arange(count) % layout.classes)
    shades = np.random.default_rng(layout.seed + 1).random((layout.classes, layout.shape[0], 4, 4))
    rows, columns = (np.arange(n) * 4 // n for n in size)
    noise = generator.random((count, layout.shape[0], *size))
    # of black and white alone, less noise would leave images that are the same by chance
    share = 0.7 if layout.stored == "bool" or layout.photos == "png one bit" else 0.3
    images = (1 - share) * shades[:, :, rows][:, :, :, columns][classes] + share * noise
    images[:, :, 0, 0], images[:, :, 0, 1] = 0, 1  # black and white are there
    return images, classes


# --- archives


def _write_archive(layout: Layout, folder: Path) -> Written:
    generator = np.random.default_rng([layout.seed, 2])
    halves = {"test": layout.count, **({"train": layout.count} if layout.trained else {})}
    arrays, stored = Arrays(), Arrays()
    classes: dict[str, Numbers] = {}
    for part, count in halves.items():
        images, classes[part] = _drawn(layout, count, generator, layout.shape[1:])
        stored[part] = _stored(images, layout.stored)
    left = _repeat(layout, stored, classes)
    for part in halves:
        arrays[f"x_{part}"] = _arranged(stored[part], layout.axes)
        arrays[f"y_{part}"] = _labelled(np.array(layout.order)[classes[part]], layout)
    if layout.named:
        names = layout.outputs
        arrays["classes"] = np.array([names[layout.order.index(number)] for number in range(layout.classes)])
    arrays = _harmed(arrays, layout)
    path = folder / "data.npz"
    np.savez(path, **arrays)
    if layout.damage == "cut short":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    held = {
        part: Held(
            pixels=(stored[part].astype(np.float64) / ARRAYS[layout.stored][1]).astype(np.float32),
            labels=classes[part],
            keys=tuple(range(count)),
            left=left if part == "test" else frozenset(),
        )
        for part, count in halves.items()
    }
    return Written(path="data.npz", test=held["test"], train=held.get("train"))


def _harmed(arrays: Arrays, layout: Layout) -> Arrays:
    images, labels = arrays["x_test"], arrays["y_test"]
    numbers = labels if labels.ndim == 1 else np.arange(len(labels)) % layout.classes
    colours = images.reshape(len(images), -1)[:, :64].reshape(-1, 8, 8)
    ways: dict[str, Callable[[], Arrays]] = {
        "labels from one": lambda: {"y_test": numbers.astype(np.int64) + 1},
        "below black": lambda: {"x_test": images.astype(np.float64) - 0.5},
        "one image fewer": lambda: {"x_test": images[:-1]},
        "no labels": lambda: {"y_test": labels[:0]},
        "four channels": lambda: {"x_test": np.stack([colours] * 4, 1)},
        "halves": lambda: {"y_test": numbers.astype(np.float64) + 0.5},
        "words as labels": lambda: {"y_test": numbers.astype(str)},
        "one more name": lambda: {"classes": np.array([str(number) for number in range(layout.classes + 1)])},
        "all dark": lambda: {"x_test": (images > 0).astype(np.uint8)},
    }
    return {**arrays, **ways[layout.damage]()} if layout.damage in ways else arrays


def _stored(images: npt.NDArray[np.float64], how: str) -> npt.NDArray[np.generic]:
    kind, white = ARRAYS[how]
    if how == "bool":
        return images > 0.5
    return images.astype(kind) if white == 1 else np.rint(images * white).astype(kind)


def _repeat(layout: Layout, stored: Arrays, classes: dict[str, Numbers]) -> frozenset[object]:
    """The last held-out examples become those at the start again; those before them stand in training too."""
    test, n = stored["test"], layout.repeated
    if not n:
        return frozenset()
    left = set(range(layout.count - n, layout.count))
    test[-n:], classes["test"][-n:] = test[:n], classes["test"][:n]
    if "train" in stored:
        test[-2 * n : -n], classes["test"][-2 * n : -n] = stored["train"][:n], classes["train"][:n]
        left |= set(range(layout.count - 2 * n, layout.count - n))
    return frozenset(left)


def _arranged(values: npt.NDArray[np.generic], axes: str) -> npt.NDArray[np.generic]:
    if axes == "nhw":
        return values[:, 0]
    return values.transpose(0, 2, 3, 1) if axes == "nhwc" else values


def _labelled(numbers: Numbers, layout: Layout) -> npt.NDArray[np.generic]:
    one_hot = np.eye(layout.classes)[numbers]
    ways: dict[str, Callable[[], npt.NDArray[np.generic]]] = {
        "plain": lambda: numbers,
        "column": lambda: numbers[:, None],
        "one-hot": lambda: one_hot.astype(np.uint8),
        "floats": lambda: numbers.astype(np.float32),
        "uint8": lambda: numbers.astype(np.uint8),
        "one-hot floats": lambda: one_hot.astype(np.float32),
    }
    return ways[layout.labels]()


# --- folders


def _write_folder(layout: Layout, folder: Path, decoding: Decoding) -> Written:
    generator = np.random.default_rng([layout.seed, 3])
    root = folder / "photos"
    train, test, third = layout.split if layout.trained else ("", "", "")
    for name in layout.outputs:
        (root / test / name).mkdir(parents=True)
        if train:
            (root / train / name).mkdir(parents=True)
    paths = {"test": _photos(layout, root / test, layout.count, generator)}
    if train:
        paths["train"] = _photos(layout, root / train, layout.count, generator)
    left = _copied(layout, paths)
    _third_split(root, third, [path for path, _ in paths["test"][:3]])
    if layout.litter:
        _litter(root / test, layout.outputs)
    held = {part: _decoded(layout, result, decoding) for part, result in paths.items()}
    _harm(root / test, paths["test"][0][0], layout.damage)
    return Written(path="photos", test=replace(held["test"], left=left), train=held.get("train"))


def _harm(tree: Path, photo: Path, damage: str) -> None:
    match damage:
        case "cut short":
            photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
        case "no photo":
            photo.write_bytes(b"This is no photo.")
        case "stranger":
            (tree / "zebra").mkdir()
            shutil.copy(photo, tree / "zebra")
        case "nothing held out":
            shutil.rmtree(tree)
            tree.mkdir()


def _photos(layout: Layout, tree: Path, count: int, generator: np.random.Generator) -> list[tuple[Path, int]]:
    sizes = _sizes(layout, count, generator)
    classes = np.arange(count) % layout.classes
    outcome = []
    for number, (size, label) in enumerate(zip(sizes, classes.tolist(), strict=True)):
        images, drawn = _drawn(layout, layout.classes, generator, size)
        path = tree / layout.outputs[label] / f"{number:03d}{PHOTOS[layout.photos][1]}"
        _save(images[drawn.tolist().index(label)], layout.photos, path, generator)
        outcome.append((path, label))
    return outcome


def _sizes(layout: Layout, count: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    side = layout.shape[1]
    if layout.fit == "exact":
        return [(side, side)] * count
    if layout.fit == "alike":
        return [(side + 4, side + 4)] * count
    drawn = generator.integers(side + 2, 2 * side, (count, 2)).tolist()
    return [(height, width) for height, width in drawn]


def _save(image: npt.NDArray[np.float64], kind: str, path: Path, generator: np.random.Generator) -> None:
    """One photo (c, h, w)."""
    mode, _ = PHOTOS[kind]
    colours = np.rint(np.broadcast_to(image, (3, *image.shape[1:])) * 255).astype(np.uint8).transpose(1, 2, 0)
    if mode == "I;16":
        white = 4095 if "12" in kind else 65535
        Image.fromarray(np.rint(image[0] * white).astype(np.uint16)).save(path)
        return
    photo = Image.fromarray(np.ascontiguousarray(colours)).convert(
        "L" if mode in {"1", "LA"} else mode.replace("A", "")
    )
    if mode in {"LA", "RGBA"}:
        alpha = (generator.random(image.shape[1:]) * 255).astype(np.uint8)
        photo.putalpha(Image.fromarray(alpha))
    more: dict[str, object] = {"lossless": True} if kind == "webp" else {}
    if kind == "png turned":
        exif = Image.Exif()
        exif[0x0112] = 3  # upside down
        more["exif"] = exif
    (photo.convert("1") if mode == "1" else photo).save(path, **more)  # type: ignore[arg-type]


def _copied(layout: Layout, paths: dict[str, list[tuple[Path, int]]]) -> frozenset[object]:
    left: set[object] = set()
    for source in ("test", *(["train"] if "train" in paths else [])):
        for path, label in paths[source][: layout.repeated]:
            folder = paths["test"][label][0].parent
            twin = folder / f"z_{source}_{path.name}"
            shutil.copy(path, twin)
            paths["test"].append((twin, label))
            left.add(str(twin))
    return frozenset(left)


def _third_split(root: Path, third: str, photos: list[Path]) -> None:
    """A validation set beside a test set, or a test set whose photos nobody has sorted into classes."""
    for path in photos if third else []:
        place = root / "test" if third == "unlabelled test" else root / third / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / f"other_{path.name}")
    if third == "val":
        # other photos than those that are held out
        for path in (root / third).rglob("other_*"):
            with Image.open(path) as photo:
                photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)


def _litter(tree: Path, classes: list[str]) -> None:
    for name in LITTER:
        (tree / classes[0] / name).write_bytes(b"left behind")
    (tree / "__MACOSX" / classes[0]).mkdir(parents=True)
    (tree / ".ipynb_checkpoints").mkdir()
    (tree / "notes.csv").write_text("nothing", encoding="utf-8")


def _decoded(layout: Layout, paths: list[tuple[Path, int]], decoding: Decoding) -> Held:
    pixels = np.stack([_pixels(path, layout, decoding) for path, _ in paths])
    labels = np.array([label for _, label in paths])
    return Held(pixels=pixels, labels=labels, keys=tuple(str(path) for path, _ in paths))


def _pixels(path: Path, layout: Layout, decoding: Decoding) -> Pixels:
    """As ImageFolder, Resize, CenterCrop and ToTensor do it; of 16 bits the upper eight, rounded."""
    with Image.open(path) as file:
        photo = file.transpose(Image.Transpose.ROTATE_180) if decoding.upright else file.copy()
    if photo.mode.startswith("I;16"):
        white = 4095 if "12" in layout.photos else 65535
        photo = Image.fromarray(np.rint(np.asarray(photo) / white * 255).astype(np.uint8))
    elif decoding.alpha != "drop" and photo.mode in {"LA", "RGBA"}:
        colours = np.asarray(photo.convert("RGBA")).astype(np.float64)
        alpha, ground = colours[..., 3:] / 255, 255.0 if decoding.alpha == "white" else 0.0
        photo = Image.fromarray(np.rint(colours[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8))
    photo = photo.convert("RGB")
    if layout.shape[0] == 1:
        photo = photo.convert("L")
    if decoding.crop:
        photo = _fitted(photo, layout.shape[1], decoding)
    values = np.asarray(photo, dtype=np.float32) / np.float32(255)
    return values[None] if layout.shape[0] == 1 else np.ascontiguousarray(values.transpose(2, 0, 1))


def _fitted(photo: Image.Image, side: int, decoding: Decoding) -> Image.Image:
    short = round(side / decoding.crop)
    width, height = photo.size
    size = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    large = photo.resize(size, Image.Resampling[decoding.resample.upper()])
    left, top = (round((length - side) / 2) for length in large.size)
    return large.crop((left, top, left + side, top + side))
