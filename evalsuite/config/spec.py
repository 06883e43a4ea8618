"""What to run, as one value: options of the command line, keys of `run.toml`, canonical text and digest."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from evalsuite.config.presets import PRESETS
from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.process.threads import MOST_THREADS

_ELSEWHERE = frozenset({"out", "engine", "device", "threads", "gate", "trust", "ckpt", "preset", "slices", "separate"})
"""Options that change where and how a run is computed, not what comes out; files count by their content."""


LIBRARIES = frozenset({"torchvision", "timm", "robustbench"})
"""Origins of architectures that are named before a colon; anything else there is a module of the user's own."""
DIRECTORY = "directory"
"""Key of a run file that is no option: the directory from which its paths are meant, relative to the file's own."""


@final
class Spec(BaseModel):
    """The resolved options of a sweep. Field names are the long options of the command line with underscores."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ckpt: Path
    arch: str | None = None
    data: str | None = None
    normalise: str | None = None
    weights: str | None = None
    classes: str | None = None
    preset: Literal["quick", "standard", "paper", "safety", "robustbench"] = "quick"
    pruner: tuple[str, ...] = ("magnitude",)
    ratios: tuple[float, ...]
    budget: Literal["parameters", "flops", "latency"] = "parameters"
    schedule: Literal["cascade", "one-shot"] = "cascade"
    retrain: str = "none"
    epochs: int | None = Field(default=None, ge=1)
    rewind: Literal["learning-rate", "weights", "none"] = "learning-rate"
    early: Path | None = None
    adapters: int | None = Field(default=None, ge=1)
    regularise: tuple[str, ...] = ()
    controls: tuple[
        Literal[
            "dense", "shuffled", "random", "reinitialised", "scratch", "scratch-budget", "width", "depth", "copycat"
        ],
        ...,
    ] = ()
    tasks: tuple[str, ...] = Field(min_length=1)
    measures: tuple[str, ...] | None = None
    require: tuple[str, ...] = ("*",)
    margin: float = Field(default=0.005, ge=0, lt=1)
    margin_for: dict[str, float] = {}
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    examples: int = Field(default=1000, ge=1)
    examples_for: dict[str, int] = {}
    slices: Path | None = None
    separate: Path | None = None
    seeds: int = Field(default=1, ge=1, le=1000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    engine: Literal["local"] = "local"
    device: str = "auto"
    threads: int | None = Field(default=None, ge=1, le=MOST_THREADS)
    gate: Path | None = None
    trust: tuple[str, ...] = ()
    strict: bool = False
    assume: tuple[str, ...] = ()
    accept_parent: bool = False
    full_paths: bool = False
    artefact_input: Literal["images", "normalised"] | None = None
    out: Path | None = None

    @field_validator("ratios")
    @classmethod
    def _increasing(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        for ratio in ratios:
            if not 0 <= ratio < 1:
                raise ValueError(f"expected every ratio in [0, 1), got {ratio:g}")
        distinct = tuple(sorted({ratio for ratio in ratios if ratio > 0}))
        if not distinct:
            raise ValueError("expected at least one ratio above 0")
        return distinct

    @field_validator("margin_for")
    @classmethod
    def _shares(cls, margins: dict[str, float]) -> dict[str, float]:
        for margin in margins.values():
            if not 0 <= margin < 1:
                raise ValueError(f"expected every margin in [0, 1), got {margin:g}")
        return margins

    def canonical(self) -> dict[str, object]:
        """What the outcome depends on, less the contents of files, in JSON's types."""
        return json.loads(self.model_dump_json(exclude=set(_ELSEWHERE)))  # type: ignore[no-any-return]


def resolve(given: Mapping[str, object]) -> Spec:
    """Options given by hand, over their preset, over the defaults.

    A margin that is given by hand is that of every task: margins of single tasks that the preset names give way to it
    as well, unless they are given too.

    Raises:
        UsageError: A key or value is not accepted; the key and what is accepted are told.
    """
    values = {**_preset(given), **({"margin_for": {}} if _overrides(given) else {}), **given}
    for key, value in values.items():
        if key not in Spec.model_fields:
            raise UnknownNameError("run option", key, Spec.model_fields)
        _check_text(key, value)
    try:
        return Spec.model_validate(values)
    except ValidationError as error:
        raise UsageError(_told(error)) from error


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
    for name, sign in {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}.items():
        if name in context:
            return f"expected a number {sign} {context[name]}"
    if kind == "literal_error":
        return f"expected {context['expected']}"
    numbers = {"int": "a whole number", "float": "a number", "bool": "true or false", "finite": "a finite number"}
    wanted = numbers.get(kind.partition("_")[0])
    return None if wanted is None else f"expected {wanted}"


def _told(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = _in_words(first["type"], first.get("ctx", {})) or first["msg"].removeprefix("Value error, ")
    return f"--{key.replace('_', '-')}: {message}" + ("" if "got" in message else f", got {first.get('input')!r}")
