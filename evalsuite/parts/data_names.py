"""The grammar of what stands behind `--data`: KIND, KIND:ARGUMENT?option=value&option=value, or package.module:factory.

It imports no torch, so that a command can tell what a name means before it has to read the data.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from evalsuite.files.given_paths import exists, expanded


@final
@dataclass(frozen=True, kw_only=True)
class DataName:
    """The parts of a name.

    Attributes:
        kind: What stands before the colon: a source with dashes for underscores, or a module.
        argument: What stands behind it: a path, or a factory's name; empty where nothing does.
        options: `option=value`, as typed.
    """

    kind: str
    argument: str
    options: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The argument as a path, with `~` replaced by the home folder."""
        return expanded(self.argument)

    def option(self, key: str) -> str | None:
        """The value of an option; None where it is not given."""
        pairs = [option.partition("=") for option in self.options]
        return next((value for name, _, value in pairs if name == key), None)


def parse_data_name(name: str) -> DataName:
    """The parts of `name`.

    A question mark may be part of a path: of several, the first counts that has an existing path before it and options
    behind it; where there is no such path, the last that has options behind it, unless all of it is a path.
    """
    head, colon, rest = name.partition(":")
    kind, mark, query = head.partition("?")
    if mark:
        return DataName(kind=kind, argument="", options=_options(query + colon + rest))
    argument, options = _split(rest)
    return DataName(kind=kind, argument=argument, options=options)


def existing_path(text: str) -> Path | None:
    """The path that `text` spells, options left out, if something is there; else None."""
    path = expanded(_split(text)[0])
    return path if text and exists(path) else None


def _split(rest: str) -> tuple[str, tuple[str, ...]]:
    places = [k for k, character in enumerate(rest) if character == "?" and "=" in rest[k:]]
    place_behind_path = next((k for k in places if rest[:k] and exists(expanded(rest[:k]))), None)
    if place_behind_path is None and (not places or exists(expanded(rest))):
        return rest, ()
    place = places[-1] if place_behind_path is None else place_behind_path
    return rest[:place], _options(rest[place + 1 :])


def _options(query: str) -> tuple[str, ...]:
    return tuple(query.split("&")) if query else ()
