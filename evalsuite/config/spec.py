"""Resolves flags, run files and presets to one value, and writes it down as digests and TOML."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter, ValidationError

from evalsuite.config.options import OPTIONS, Spec
from evalsuite.config.presets import PRESETS
from evalsuite.errors import UnknownNameError, UsageError

LIBRARIES = frozenset({"torchvision", "timm", "robustbench"})
"""Origins of architectures that are named before a colon; anything else there is a module of the user's own."""
DIRECTORY = "directory"
"""Key of a run file that is no option: the directory from which its paths are meant, relative to the file's own."""
_SPEC = TypeAdapter(Spec)


def resolve(given: Mapping[str, object]) -> Spec:
    """Options given by hand, over their preset, over the defaults.

    A margin that is given by hand is that of every task: margins of single tasks that the preset names give way to it
    as well, unless they are given too.

    Raises:
        UsageError: A key or value is not accepted; the key and what is accepted are told.
    """
    values = {**_preset(given), **({"margin_for": {}} if _overrides(given) else {}), **given}
    for key, value in values.items():
        if key not in OPTIONS:
            raise UnknownNameError("run option", key, OPTIONS)
        _check_text(key, value)
    if missing := [name for name, option in OPTIONS.items() if option.required and name not in values]:
        raise UsageError(f"--{missing[0]}: expected a value, got none")
    try:
        spec = _SPEC.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        message = _in_words(first["type"], first.get("ctx", {})) or first["msg"]
        raise _not_accepted(".".join(map(str, first["loc"])), message, first.get("input")) from error
    checked: dict[str, object] = {}
    for name, option in OPTIONS.items():
        try:
            checked[name] = option.option.checked(getattr(spec, name))
        except ValueError as error:
            raise _not_accepted(name, str(error), values.get(name)) from error
    return _SPEC.validate_python(checked)


def _not_accepted(key: str, message: str, value: object) -> UsageError:
    got = "" if "got" in message else f", got {value!r}"
    return UsageError(f"--{key.replace('_', '-')}: {message}{got}")


def overridden(given: Mapping[str, object], spec: Spec) -> str | None:
    """One line on the margins of the preset's that a margin given by hand replaces; None where no task has one."""
    if not _overrides(given):
        return None
    named = {task.partition("?")[0] for task in spec.tasks} | {task.partition("/")[0] for task in spec.tasks}
    preset = cast("Mapping[str, float]", _preset(given)["margin_for"])
    replaced = [f"{task}={margin:g}" for task, margin in preset.items() if task in named]
    if not replaced:
        return None
    listed = ",".join(replaced)
    return (
        f"margin: {spec.margin:g} for every task, as given; the preset {spec.preset} has {listed}, which "
        f"--margin-for {listed} keeps"
    )


def _preset(given: Mapping[str, object]) -> Mapping[str, object]:
    name = str(given.get("preset", "quick"))
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]


def _overrides(given: Mapping[str, object]) -> bool:
    return "margin" in given and "margin_for" not in given and "margin_for" in _preset(given)


def _check_text(key: str, value: object) -> None:
    """Refuse names that neither a run file nor results could tell again: bytes that are no text, and NUL.

    Raises:
        UsageError: There is one.
    """
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    for each in value if isinstance(value, list | tuple) else (value,):
        text = str(each)
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise UsageError(
                f"--{key.replace('_', '-')}: expected a name that can be written as text, got {text!r}; rename it, or "
                f"give it a link with such a name"
            )


def read_config(path: Path) -> dict[str, object]:
    """The options in a TOML run file.

    Raises:
        UsageError: The file is missing or is not TOML.
    """
    try:
        # some editors begin a file with a byte-order mark, which is no TOML
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config: expected a readable TOML file, got {path} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # numbers with too many digits and arrays too deep, too
        raise UsageError(f"--config: {path} is not TOML: {error}") from error


def digest(facts: Mapping[str, object]) -> str:
    """SHA-256 over canonical JSON, 64 hex digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def to_toml(values: Mapping[str, object]) -> str:
    """`values` (strings, numbers, booleans, lists and flat tables) as TOML; keys that are None are left out.

    Raises:
        UsageError: A string is no text: TOML cannot hold it.
    """
    for key, value in values.items():
        _check_text(key, value)
    plain = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join(plain) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # JSON's numbers and booleans are TOML's, and its strings too, where nothing above ASCII is escaped but DEL
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _in_words(kind: str, context: Mapping[str, object]) -> str | None:
    """What is accepted, as all messages say it; None of kinds that say it themselves."""
    if kind == "literal_error":
        return f"expected {context['expected']}"
    numbers = {"int": "a whole number", "float": "a number", "bool": "true or false", "finite": "a finite number"}
    wanted = numbers.get(kind.partition("_")[0])
    return None if wanted is None else f"expected {wanted}"
