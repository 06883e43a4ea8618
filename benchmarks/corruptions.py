"""Corrupt the same images with evalsuite and with imagecorruptions-imaug, in one run on one thread.

    python benchmarks/corruptions.py [--write]

The package takes one Pillow image per call and knows the constants of 224 px only; evalsuite takes the batch and uses
the constants of its size. Each figure is the best of three passes, averaged over the five severities.
"""

import argparse
import io
import platform
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from evalsuite import randomness
from evalsuite.corruptions import COMMON, EXTRA
from evalsuite.corruptions._base import Corruption
from evalsuite.parts import registry

RESULT = Path(__file__).parent / "results" / "corruptions.md"
SIZES = ((32, 256), (224, 16))
THEIRS = 8
"""Images that the package is timed on; its time per image does not depend on how many there are."""


def photographs(count: int, side: int) -> np.ndarray:
    """Crops of the two photographs that scikit-learn carries, (count, side, side, 3), uint8."""
    sources = load_sample_images().images
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (427 - side, 640 - side), (count, 2))
    return np.stack([sources[i % 2][y : y + side, x : x + side] for i, (y, x) in enumerate(corners)])


def seconds(work: Callable[[], object]) -> float:
    """Best of three, after one pass that compiles and fills caches."""
    work()
    passes = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        passes.append(time.perf_counter() - start)
    return min(passes)


def ours(name: str, pictures: np.ndarray) -> float:
    """Milliseconds per image."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().contiguous() / 255
    keys = randomness.keys(0, "benchmark", [str(i) for i in range(len(images))])
    parts = [registry.find("evalsuite.corruptions", name, Corruption)(severity=s) for s in range(1, 6)]
    return 1e3 * sum(seconds(lambda part=part: part(images, keys)) for part in parts) / 5 / len(images)


def theirs(module: ModuleType, name: str, pictures: np.ndarray) -> float:
    """Milliseconds per image, with the truncation to 8 bit that its caller does."""
    images = [Image.fromarray(picture) for picture in pictures]
    function = getattr(module, name)

    def corrupt(severity: int) -> None:
        with redirect_stdout(io.StringIO()):
            for image in images:
                np.uint8(function(image, severity))

    return 1e3 * sum(seconds(lambda s=s: corrupt(s)) for s in range(1, 6)) / 5 / len(images)


def table(module: ModuleType) -> str:
    """The measured times as Markdown."""
    head = " | ".join(f"{side} px: evalsuite | imagecorruptions | ratio" for side, _ in SIZES)
    lines = [f"| milliseconds per image | {head} |", "|---|" + "---:|" * 3 * len(SIZES)]
    data = {side: photographs(count, side) for side, count in SIZES}
    for name in (*COMMON, *EXTRA):
        cells = []
        for side, _ in SIZES:
            one, other = ours(name, data[side]), theirs(module, name, data[side][:THEIRS])
            cells += [f"{one:.3f}", f"{other:.3f}", f"{other / one:.1f}x"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.parent.name}/{RESULT.name}")
    write = parser.parse_args().write
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = import_module("imagecorruptions.corruptions")
    counts = ", ".join(f"{count} images of {side} px" for side, count in SIZES)
    text = (
        "# Corruptions: evalsuite against imagecorruptions-imaug 1.1.5\n\n"
        "`python benchmarks/corruptions.py --write`: both in one run, one thread, CPU "
        f"({platform.machine()}, torch {torch.__version__}). evalsuite takes batches ({counts}), the package one image "
        "at a time. Best of three passes, mean of severities 1 to 5. At 32 px the package uses the constants of 224 px "
        "(it has no others), so there the two do not compute the same thing; at 224 px they do, except for "
        "elastic_transform, frost, zoom_blur, snow and pixelate, in which the package departs from the published code."
        "\n\n"
        f"{table(module)}\n"
    )
    if write:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
