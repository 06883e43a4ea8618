"""Derives flags from the options declared in `evalsuite.config.options`, and reads what is typed behind them."""

import math
import os
from collections import abc
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeVar, final, get_args, get_origin

import click
from typing_extensions import override

from evalsuite.config.options import OPTIONS, Bounds, Declared, Spec, alternatives
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded

Command = TypeVar("Command", bound=Callable[..., object])
Callback = Callable[[click.Context, click.Parameter, tuple[str, ...]], object]


@final
class _Place(click.Path):
    """A path, with `~` as shells have it: they leave `--out=~/run` alone."""

    @override
    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not os.fspath(value):  # of a variable of the shell that is not set; the working folder would be taken
            self.fail("expected a path, got none", param, ctx)
        return expanded(os.fspath(value))


PLACE = _Place(path_type=Path)
_MOST_RATIOS: Final = 1000
_SHOWN: Final = 60


def split(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    """`--tasks a,b --tasks c` → (a, b, c); None where the option was not given."""
    pieces = tuple(part.strip() for value in values for part in value.split(",") if part.strip())
    return pieces or None


def ratios(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """`0.5,0.7`, `0.1:0.9:0.1` (first:last:step, both ends included), `lottery:16` (20 % of what is left, 16 times)."""
    if value is None:
        return None
    every: list[float] = []
    for part in value.split(","):
        kind, _, rounds = part.strip().partition(":")
        if kind == "lottery" and rounds.isdigit() and rounds.strip("0"):
            every.extend(round(1 - 0.8**k, 10) for k in range(1, _few(rounds, part) + 1))
        else:
            every.extend(_numbers(part))
    return tuple(every)


def _few(rounds: str, part: str) -> int:
    """A number of ratios that can be worked through."""
    # not all digits at once: Python refuses to read thousands of them
    if len(rounds) > len(str(_MOST_RATIOS)) or int(rounds) > _MOST_RATIOS:
        raise UsageError(f"--ratios: expected at most {_MOST_RATIOS} ratios, got more: {part[:_SHOWN]}")
    return int(rounds)


def _numbers(part: str) -> list[float]:
    """A number, or first:last:step."""
    try:
        numbers = [float(number) for number in part.split(":")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        expected = "expected finite numbers like 0.5,0.7 or 0.1:0.9:0.1 or lottery:16"
        raise UsageError(f"--ratios: {expected}, got {part[:_SHOWN]!r}")
    if len(numbers) == 1:
        return numbers
    if len(numbers) != 3 or numbers[2] <= 0:
        raise UsageError(f"--ratios: expected a number or first:last:step with step > 0, got {part[:_SHOWN]!r}")
    first, last, step = numbers
    steps = (last - first) / step
    if steps > _MOST_RATIOS:
        raise UsageError(f"--ratios: expected at most {_MOST_RATIOS} ratios, got more: {part[:_SHOWN]}")
    return [round(first + k * step, 10) for k in range(int(steps + 1e-9) + 1)]


def by_task(_ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, float] | None:
    """`adversarial=200,certified=100` → {"adversarial": 200, "certified": 100}."""
    numbers: dict[str, float] = {}
    for part in (part for value in values for part in value.split(",") if part.strip()):
        name, equals, text = part.rpartition("=")
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not equals or number < 0:
            raise UsageError(f"{param.opts[0]}: expected TASK=NUMBER, e.g. adversarial=200, got {part!r}")
        numbers[name.strip()] = int(number) if number.is_integer() else number
    return numbers or None


_CONFIG = click.option("--config", type=PLACE, help="Run file (TOML) with any of these options; flags win.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
RUN = click.argument("run", type=PLACE, metavar="RUN")


def run_options(command: str) -> Callable[[Command], Command]:
    """Adds the options of `command`; where it makes a run folder, `--config` too, which reads them from a file."""
    taken = [name for name, option in OPTIONS.items() if command in option.option.commands]
    flags = [_flag(name, OPTIONS[name]) for name in taken]
    if "out" in taken:
        flags.insert(taken.index("out"), _CONFIG)

    def decorate(function: Command) -> Command:
        for flag in reversed(flags):
            function = flag(function)
        return function

    return decorate


def _flag(name: str, declared: Declared) -> Callable[[Command], Command]:
    """The flag of an option; what is not given is None, so that run files, presets and defaults come behind it."""
    flag, (kind, *_), text = f"--{name.replace('_', '-')}", alternatives(declared.type), declared.option.help
    if kind is bool:
        return click.option(flag, is_flag=True, default=None, help=text)
    if kind == tuple[float, ...]:
        return click.option(flag, callback=ratios, help=text)
    if (callback := _LISTS.get(get_origin(kind))) is not None:
        return click.option(flag, multiple=True, callback=callback, help=text)
    return click.option(flag, type=_value_type(kind, declared.option.bounds), help=text)


def _value_type(kind: object, bounds: Bounds) -> object:
    """What click takes as the type of one value."""
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if kind is int and bounds:
        least, most = (None if limit is None else int(limit) for limit in (bounds.get("ge"), bounds.get("le")))
        return click.IntRange(least, most)
    return PLACE if kind is Path else kind


_LISTS: Final[Mapping[object, Callback]] = MappingProxyType({tuple: split, abc.Mapping: by_task})
"""How values are read that may be given several times, by their type."""


def given(options: Mapping[str, object]) -> dict[str, object]:
    """The options that were really given, over those of the run file.

    A run file may say from which `directory` (relative to the file's own) its command was typed: the process goes
    there, so that every path in it, in whatever option, means the same file from wherever it is run again.

    Raises:
        UsageError: There is no such run file or directory.
    """
    from evalsuite.config.spec import DIRECTORY, read_config

    config = options.get("config")
    from_file = read_config(config) if isinstance(config, Path) else {}
    by_hand = {key: value for key, value in options.items() if value is not None and key not in {"config", "as_json"}}
    directory = from_file.pop(DIRECTORY, None)
    if directory is not None:
        assert isinstance(config, Path)  # noqa: S101 - only a run file names a directory
        by_hand = {key: value.absolute() if isinstance(value, Path) else value for key, value in by_hand.items()}
        _enter(config.parent / str(directory), config)
    return {**from_file, **by_hand}


def settled(options: Mapping[str, object]) -> Spec:
    """The options of a run; what of its preset gives way to another option is said on stderr."""
    from evalsuite.cli._console import echo
    from evalsuite.config.spec import overridden, resolve

    by_hand = given(options)
    spec = resolve(by_hand)
    line = overridden(by_hand, spec)
    if line is not None:
        echo(line, err=True)
    return spec


def _enter(directory: Path, config: Path) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise UsageError(
            f"--config {config}: expected the directory from which its paths are meant, got {directory} "
            f"({error.strerror}); correct its key 'directory'"
        ) from error
