"""From what stands behind `--data` to a data set whose training and held-out examples do not mix."""

from dataclasses import MISSING, Field, fields, replace
from importlib.util import find_spec
from typing import get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from evalsuite.data._base import Dataset, Examples, Source
from evalsuite.data._disjoint import shared
from evalsuite.data._factory import from_factory
from evalsuite.errors import RefusedInputError, UnknownNameError, UsageError
from evalsuite.registry import find, names

_PACKAGE = "evalsuite.data"


def load(name: str) -> Dataset:
    """The data set called `name`: built in, `folder:PATH`, `npz:PATH` or `package.module:factory`.

    Options stand behind a question mark, e.g. `folder:photos?size=64&channels=1`. Held-out examples whose image
    stands in the training examples too are left out and counted in `overlap`.

    Raises:
        UsageError: There is no such data set, or its files are missing.
        RefusedInputError: A file is corrupt, or what was read is not examples with images in [0, 1].
    """
    head, colon, rest = name.partition(":")
    kind, mark, options = head.partition("?")
    if kind.replace("-", "_") in names(_PACKAGE):
        # one spelling per data set: what goes by the name of the data must not depend on how it was typed
        name = kind.replace("_", "-") + mark + options + colon + rest
        found = _source(name).load()
    elif colon and rest.isidentifier() and _is_module(head):
        found = from_factory(head, rest)
    else:
        known = [part.replace("_", "-") for part in names(_PACKAGE)]
        raise UnknownNameError("data set", head if colon else name, [*known, "package.module:factory"])
    return _separated(_checked(replace(found, name=name)))


def _is_module(name: str) -> bool:
    # a dotted name is meant as a module even where it cannot be found: the import then says which part is missing
    return "." in name or (name.isidentifier() and find_spec(name) is not None)


def _source(name: str) -> Source:
    path, mark, options = name.rpartition("?")
    if not mark or "=" not in options:
        path, options = name, ""
    head, _, argument = path.partition(":")
    kind = find(_PACKAGE, head.replace("-", "_"), Source)
    accepted = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # every part is a dataclass
    required = [field.name for field in accepted.values() if _is_required(field)]
    if bool(argument) != bool(required):
        raise UsageError(f"expected {':'.join([head, *(r.upper() for r in required)])} as a data set, got {name!r}")
    given = dict(zip(required, [argument], strict=False))
    for option in options.split("&") if options else ():
        key, _, value = option.partition("=")
        if key not in accepted or key in given:
            known = ", ".join(sorted(accepted.keys() - set(required))) or "none"
            raise UsageError(f"expected an option of the data set {head} ({known}), got {option!r}")
        given[key] = value
    hints = get_type_hints(kind)
    return kind(**{key: _converted(key, value, hints[key]) for key, value in given.items()})


def _is_required(field: Field[object]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _converted(key: str, value: str, hint: type[object]) -> object:
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise UsageError(f"expected {key} to be of type {hint.__name__}, got {value!r}") from error


def _checked(dataset: Dataset) -> Dataset:
    for part, examples in (("train", dataset.train), ("test", dataset.test)):
        if examples is None:
            continue
        if not len(examples):
            raise RefusedInputError(f"expected {part} of {dataset.name} to hold examples, got none")
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
    images = examples.images if isinstance(examples.images, Tensor) else first
    if images.dtype == torch.uint8:
        return
    low, high = float(images.min()), float(images.max())
    # written so that a NaN is refused too
    if not (low >= 0.0 and high <= 1.0):
        raise RefusedInputError(f"expected images of {where} in [0, 1] or uint8, got values from {low} to {high}")


def _separated(dataset: Dataset) -> Dataset:
    if dataset.train is None:
        return dataset
    twins = shared(dataset.train, dataset.test)
    if not len(twins):
        return dataset
    own = torch.ones(len(dataset.test), dtype=torch.bool)
    own[twins] = False
    if not own.any():
        raise RefusedInputError(
            f"expected held-out examples in {dataset.name} that are not training examples, got none: "
            f"all {len(twins)} stand in both"
        )
    return replace(dataset, test=dataset.test.select(own.nonzero()[:, 0]), overlap=dataset.overlap + len(twins))
