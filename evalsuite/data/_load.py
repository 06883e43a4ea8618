"""Loads a data set by its name on the command line, and checks that its two halves are disjoint."""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from evalsuite.data._base import Dataset, Examples
from evalsuite.data._by_name import PACKAGE, source_named
from evalsuite.data._disjoint import fold, shared
from evalsuite.data._factory import from_factory
from evalsuite.data._preparation import Wanted
from evalsuite.errors import RefusedInputError, UnknownNameError, UsageError
from evalsuite.interpretation import Basis, Interpretation
from evalsuite.parts.data_names import DataName, existing_path, parse_data_name
from evalsuite.parts.importing import is_module, working_folder
from evalsuite.parts.registry import names
from evalsuite.process.third_party_code import users_code

_BY_SUFFIX: Final = {".npz": "npz:{}", ".csv": "csv:{}?target=COLUMN", ".tsv": "csv:{}?target=COLUMN"}
_LOOKED_AT = 64


def load(
    name: str,
    *,
    size: int | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    basis: Basis = "assumed",
) -> Dataset:
    """The data set called `name`: built in, `folder:PATH`, `npz:PATH` or `package.module:factory`.

    Options stand behind a question mark, e.g. `folder:photos?size=64&channels=1`. Held-out examples are left out whose
    image stands in the training examples too (counted in `overlap`), or before them with the same answer
    (`duplicates`). How the data were read stands in `interpretations`.

    Args:
        name: As on the command line.
        size: What the network wants of photos, where `name` does not say it: height and width in pixels.
        crop: Likewise: the share of the resized shorter side that the centre keeps.
        interpolation: Likewise: how photos are resized.
        basis: What these three are: "recorded" in the network's file, or "assumed" by the custom of its library.

    Raises:
        UsageError: There is no such data set, its files are missing, or a user's own code fails.
        RefusedInputError: A file is corrupt, or what was read is not examples with images in [0, 1].
    """
    parsed = parse_data_name(name)
    if parsed.kind.replace("-", "_") in names(PACKAGE):
        # one spelling per data set: what goes by the name of the data must not depend on how it was typed
        name = parsed.kind.replace("_", "-") + name[len(parsed.kind) :]
        wanted = Wanted(size=size, crop=crop, interpolation=interpolation, basis=basis)
        dataset = _checked(replace(source_named(name).load_for(wanted), name=name))
    elif parsed.argument.isidentifier() and _is_module(parsed.kind):
        made = from_factory(parsed.kind, parsed.argument)
        # images may be of the user's own making, and fail when they are asked for
        with working_folder(), users_code(f"expected {name} to return a data set whose examples can be read"):
            dataset = _checked(replace(made, name=name))
    else:
        raise _unknown(parsed, name)
    return _folded(_separated(dataset))


def prepared(dataset: Dataset) -> Dataset:
    """A data set that was made in Python, held to what `load` holds all others to.

    Raises:
        RefusedInputError: It does not hold examples with images in [0, 1], or all of them are training examples.
    """
    return _folded(_separated(_checked(dataset)))


def _is_module(name: str) -> bool:
    # a dotted name is meant as a module even where it cannot be found: the import then says which part is missing
    return "." in name or is_module(name)


def _unknown(parsed: DataName, name: str) -> UsageError:
    """What was meant: a path without its kind, else a name that is nearly the one that was typed."""
    if (path := existing_path(name)) is not None:
        if path.is_dir():
            return UsageError(f"expected the name of a data set, got a folder: did you mean folder:{name}?")
        if (meant := _BY_SUFFIX.get(path.suffix.lower())) is not None:
            return UsageError(f"expected the name of a data set, got a file: did you mean {meant.format(name)}?")
    accepted = [part.replace("_", "-") for part in names(PACKAGE)]
    return UnknownNameError("data set", parsed.kind if ":" in name else name, [*accepted, "package.module:factory"])


def _checked(dataset: Dataset) -> Dataset:
    for part, examples in (("train", dataset.train), ("test", dataset.test)):
        if examples is None:
            continue
        if not len(examples):
            raise RefusedInputError(f"expected {part} of {dataset.name} to hold examples, got none")
        if examples.labels.is_floating_point():
            kind = str(examples.labels.dtype).removeprefix("torch.")
            raise RefusedInputError(f"expected labels of {part} of {dataset.name} to be whole numbers, got {kind}")
        low, high = int(examples.labels.min()), int(examples.labels.max())
        if low < 0 or high >= len(dataset.classes):
            raise RefusedInputError(
                f"expected labels of {part} of {dataset.name} from 0 to {len(dataset.classes) - 1}, "
                f"got labels from {low} to {high}"
            )
        _check_images(f"{part} of {dataset.name}", examples, dataset.shape)
    return dataset


def _check_images(where: str, examples: Examples, shape: tuple[int, int, int]) -> None:
    first = examples.pixels([0])
    if first.shape != (1, *shape):
        raise RefusedInputError(f"expected images of {where} to be {shape}, got {tuple(first.shape[1:])}")
    images = examples.images if isinstance(examples.images, Tensor) else _some_images(examples)
    if images.dtype == torch.uint8:
        return
    low, high = float(images.min()), float(images.max())
    # written so that a NaN is refused too
    if not (low >= 0.0 and high <= 1.0):
        raise RefusedInputError(f"expected images of {where} in [0, 1] or uint8, got values from {low} to {high}")


def _some_images(examples: Examples) -> Tensor:
    """The first image, and of images that are no 8-bit values further ones, evenly spread."""
    first = examples.images[examples.positions[:1]]
    if first.dtype == torch.uint8:
        return first
    chosen = torch.linspace(0, len(examples) - 1, min(len(examples), _LOOKED_AT)).round().long()
    return examples.images[examples.positions[chosen]]


def _separated(dataset: Dataset) -> Dataset:
    if dataset.train is None:
        return dataset
    twins = shared(dataset.train, dataset.test)
    if not len(twins):
        return dataset
    kept = torch.ones(len(dataset.test), dtype=torch.bool)
    kept[twins] = False
    if not kept.any():
        raise RefusedInputError(
            f"expected held-out examples in {dataset.name} that are not training examples, got none: "
            f"all {len(twins)} stand in both"
        )
    reading = Interpretation(
        topic="overlap",
        value=f"{len(twins)} of {len(dataset.test)} held-out examples are left out",
        basis="measured",
        reason="their images stand in the training examples too",
    )
    return replace(
        dataset,
        test=dataset.test.select(kept.nonzero()[:, 0]),
        overlap=dataset.overlap + len(twins),
        interpretations=(*dataset.interpretations, reading),
    )


def _folded(dataset: Dataset) -> Dataset:
    folded = fold(dataset.test)
    readings = []
    if folded.duplicates:
        readings.append(
            Interpretation(
                topic="duplicates",
                value=f"{folded.duplicates} of {len(dataset.test)} held-out examples are left out",
                basis="measured",
                reason="the same image with the same answer stands before them",
            )
        )
    if folded.contradictory:
        readings.append(
            Interpretation(
                topic="contradictory answers",
                value=f"{folded.contradictory} held-out examples have the image of another and another answer",
                basis="doubtful",
                reason="all of them are kept, and no network can be right about all",
            )
        )
    return replace(
        dataset,
        test=folded.examples,
        duplicates=dataset.duplicates + folded.duplicates,
        interpretations=(*dataset.interpretations, *readings),
    )
