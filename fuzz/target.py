"""What is fuzzed: a reader, honest inputs for it, and how they are changed."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from random import Random
from typing import Final, final

from fuzz import targets
from fuzz.mutations import Mutation
from fuzz.mutations.plain import BYTES

_MOST_CHANGES: Final = 6
LONGEST: Final = 2_000_000
"""Bytes of an input, at most."""


@final
@dataclass(frozen=True, kw_only=True)
class Target:
    """One reader of bytes or text from outside.

    Attributes:
        name: As it is typed.
        honest: Inputs that the reader accepts, small ones; made by code, in a folder that is empty.
        read: Hands the bytes to the reader as a user's file or option would; the folder is its own to write to.
        mutations: Those of the format; those of bytes are added.
        odd: More inputs to begin with, which the reader refuses.
        guided: Modules whose branches a coverage-guided fuzzer follows; empty where the work is done in native code.
    """

    name: str
    honest: Callable[[Path], Sequence[bytes]]
    read: Callable[[bytes, Path], object]
    mutations: tuple[Mutation, ...] = ()
    odd: Callable[[], Sequence[bytes]] = field(default=tuple)
    guided: tuple[str, ...] = ()

    def corpus(self, folder: Path) -> tuple[bytes, ...]:
        """What inputs are made from."""
        return (*self.honest(folder), *self.odd())


def all_targets() -> tuple[Target, ...]:
    """Those of every file in `fuzz/targets`."""
    files = sorted(module.name for module in iter_modules(targets.__path__))
    return tuple(target for file in files for target in import_module(f"fuzz.targets.{file}").TARGETS)


def chosen(names: Iterable[str]) -> tuple[Target, ...]:
    """The targets called so; all where no name is given.

    Raises:
        ValueError: There is no such target.
    """
    expected = {target.name: target for target in all_targets()}
    if missing := [name for name in names if name not in expected]:
        raise ValueError(f"expected targets out of {', '.join(expected)}, got {', '.join(missing)}")
    return tuple(expected[name] for name in names) or tuple(expected.values())


def mutant(target: Target, corpus: Sequence[bytes], seed: int, number: int) -> bytes:
    """Input `number` of a target: the same for the same seed, corpus and mutations."""
    random = Random(f"{seed}/{target.name}/{number}")
    data = random.choice(corpus)
    mutations = [*target.mutations, *target.mutations, *BYTES] if target.mutations else list(BYTES)
    for _ in range(min(_MOST_CHANGES, 1 + int(random.expovariate(0.8)))):
        with suppress(Exception):  # of what was mutated before, not every piece can be taken apart again
            data = random.choice(mutations)(random, data)
        if random.random() < 0.05:
            other = random.choice(corpus)
            data = data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]
        data = data[:LONGEST]
    return data
