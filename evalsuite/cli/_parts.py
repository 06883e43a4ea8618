"""Describes parts for people: what each is, its settings, their defaults and meanings, its source, how it is typed."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from importlib import import_module
from types import MappingProxyType
from typing import final

from evalsuite.errors import UnknownNameError
from evalsuite.parts.registry import find, names

_REQUIRED = "has to be given"
_SHOWN = 5


@final
@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of parts.

    Attributes:
        package: The folder that they stand in.
        base: What they are subclasses of, `module:class`.
        typed: How one is typed; NAME is its name.
    """

    package: str
    base: str
    typed: str

    def named(self, text: str) -> type[object]:
        """The part called `text`, with hyphens or underscores.

        Raises:
            UnknownNameError: There is none; the nearest names are told.
        """
        module, _, base = self.base.partition(":")
        return find(self.package, text.replace("-", "_"), getattr(import_module(module), base))


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "attacks": Kind(
            package="evalsuite.attacks",
            base="evalsuite.attacks._base:Attack",
            typed="--tasks 'adversarial/linf/0.0314?attack=NAME'",
        ),
        "corruptions": Kind(
            package="evalsuite.corruptions",
            base="evalsuite.corruptions._base:Corruption",
            typed="--tasks corruption/NAME/3",
        ),
        "data": Kind(package="evalsuite.data", base="evalsuite.data._source:Source", typed="--data NAME"),
        "measures": Kind(
            package="evalsuite.measures", base="evalsuite.measures._base:Metric", typed="--measures error,NAME"
        ),
        "problems": Kind(package="evalsuite.problems", base="evalsuite.problems._base:Problem", typed=""),
        "pruners": Kind(package="pruners", base="pruners:Pruner", typed="--pruner NAME"),
        "regularisers": Kind(
            package="pruners.regularisers",
            base="pruners.regularisers:Regulariser",
            typed="--retrain standard --regularise NAME",
        ),
        "recipes": Kind(package="evalsuite.training", base="evalsuite.training._base:Recipe", typed="--retrain NAME"),
        "tasks": Kind(package="evalsuite.tasks", base="evalsuite.tasks._base:Task", typed="--tasks NAME"),
    }
)


@final
@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a part: its name, its default (or value), and what it means."""

    name: str
    value: str
    meaning: str


@final
@dataclass(frozen=True, kw_only=True)
class Description:
    """One part.

    Attributes:
        title: Kind and name.
        text: Paragraphs.
        settings: In the order in which they are declared.
        source: Where it is defined, and where it was published.
        typed: Options as they are typed.
        heading: What `value` of the settings is: "default" or "value".
    """

    title: str
    text: str
    settings: tuple[Setting, ...]
    source: str
    typed: tuple[str, ...]
    heading: str = "default"

    def document(self) -> dict[str, object]:
        """For machines."""
        rows = [
            {"name": each.name, self.heading: each.value, "meaning": each.meaning or None} for each in self.settings
        ]
        return {
            "name": self.title,
            "doc": self.text,
            "settings": rows,
            "source": self.source,
            "examples": list(self.typed),
        }


def described(kind: str, name: str) -> Description:
    """The part called `name` of one of `KINDS`.

    Raises:
        UnknownNameError: There is no such part; the nearest are told.
    """
    part = KINDS[kind].named(name)
    settings = tuple(settings_of(part))
    paper = str(getattr(part, "paper", ""))
    defined = f"{part.__module__}:{part.__qualname__}"
    return Description(
        title=f"{kind}/{name}",
        text=without_attributes(inspect.getdoc(part) or ""),
        settings=settings,
        source=f"{defined}; {paper}" if paper else defined,
        typed=_typed(kind, name.replace("_", "-") if kind in {"data", "pruners", "recipes"} else name, settings, part),
    )


def described_task(text: str) -> Description:
    """A task by its whole name, or several by a pattern such as `corruption/common/1-5`.

    Raises:
        UsageError: It is no task; what is accepted is told.
    """
    from evalsuite.parts.names import part_kind, part_settings
    from evalsuite.tasks._names import expand

    tasks = expand([text])
    whole = described("tasks", part_kind(tasks[0]))
    titles = [task.title() for task in tasks[:_SHOWN]]
    if len(tasks) > _SHOWN:
        titles.append(f"and {len(tasks) - _SHOWN} more")
    passes = sum(task.forward_passes() for task in tasks)
    meant = {each.name: each.meaning for each in whole.settings}
    given = part_settings(tasks[0]) if len(tasks) == 1 else {}
    return Description(
        title=f"tasks/{text}",
        text="\n".join([*titles, f"passes per example and network: about {passes:,.0f}", "", whole.text]),
        settings=tuple(Setting(name=n, value=_shown(v), meaning=meant[n]) for n, v in given.items()) or whole.settings,
        source=whole.source,
        typed=(f"--tasks {quoted(text)}",),
        heading="value" if given else "default",
    )


def settings_of(part: type[object]) -> Iterator[Setting]:
    """Fields with their defaults; meanings stand in the docstrings, of base classes too."""
    meanings: dict[str, str] = {}
    for each in reversed(part.__mro__):
        meanings |= attributes(inspect.cleandoc(each.__doc__ or ""))
    for field in fields(part):  # type: ignore[arg-type]  # every part is a dataclass
        if field.init:
            yield Setting(name=field.name, value=_default(field), meaning=meanings.get(field.name, ""))


def attributes(doc: str) -> dict[str, str]:
    """What the section `Attributes` of a docstring says of each."""
    _, _, section = doc.partition("\nAttributes:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    pieces = re.findall(r"^ {4}(\w+): (.*(?:\n {8,}.*|\n(?=\n {8}))*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in pieces}


def without_attributes(doc: str) -> str:
    """The docstring less that section."""
    head, _, section = doc.partition("\nAttributes:\n")
    rest = re.split(r"\n(?=\S)", section, maxsplit=1)[1:]
    return "\n".join([head.rstrip(), *rest])


def quoted(text: str) -> str:
    """As a shell wants it."""
    return f"'{text}'" if set(text) & set("?&*[]@ ") else text


def _default(field: Field[object]) -> str:
    if field.default is not MISSING:
        return _shown(field.default)
    return _REQUIRED if field.default_factory is MISSING else _shown(field.default_factory())


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _typed(kind: str, name: str, settings: Sequence[Setting], part: type[object]) -> tuple[str, ...]:
    """As it stands, and with a setting where one can be typed behind it."""
    usage: tuple[str, ...] = getattr(part, "usage", ())
    if kind == "tasks" and usage:
        return tuple(f"--tasks {quoted(each)}" for each in usage)
    pattern = KINDS[kind].typed
    if not pattern:
        return ()
    required = [each.name.upper() for each in settings if each.value == _REQUIRED and kind == "data"]
    plain = ":".join([name, *required])
    optional = next((each for each in settings if each.value not in {_REQUIRED, "none", ""}), None)
    forms = [plain]
    if optional is not None and kind in {"data", "measures", "pruners", "recipes", "regularisers"}:
        forms.append(f"{plain}?{optional.name}={optional.value}")
    return tuple(pattern.replace("NAME", quoted(form) if pattern.endswith("NAME") else form) for form in forms)


def described_preset(name: str) -> Description:
    """A preset: the options that it stands for.

    Raises:
        UnknownNameError: There is none.
    """
    from evalsuite.config.options import OPTIONS
    from evalsuite.config.presets import PRESETS

    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    rows = [
        Setting(name=f"--{key.replace('_', '-')}", value=_option(value), meaning=OPTIONS[key].option.help)
        for key, value in PRESETS[name].items()
    ]
    return Description(
        title=f"presets/{name}",
        text="A named set of options; every option that is given by hand wins. docs/presets.md says what it proves.",
        settings=tuple(rows),
        source="evalsuite.config.presets:PRESETS",
        typed=(f"--preset {name}",),
        heading="value",
    )


def _option(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def described_network(arch: str) -> Description:
    """An architecture: a built-in one, one of another library, or a pattern of `evalsuite list networks`.

    Raises:
        UnknownNameError: There is none; the nearest are told.
        UsageError: The library is not installed.
    """
    from evalsuite.networks.architectures.by_name import BUILT_IN, convention, describe, unknown

    typed = (f"--arch {quoted(arch)}",)
    if arch in BUILT_IN:
        return _built_in(arch, typed)
    patterns = describe()
    if arch in patterns:
        text = f"{patterns[arch][0].upper()}{patterns[arch][1:]}."
        return Description(title=f"networks/{arch}", text=text, settings=(), source="", typed=typed)
    expects = convention(arch)
    if expects.mean is None or expects.shape is None:
        raise unknown(arch)
    numbers = {
        "images": "x".join(map(str, expects.shape)),
        "mean": ", ".join(f"{each:g}" for each in expects.mean),
        "std": ", ".join(f"{each:g}" for each in expects.std or ()),
    }
    library = arch.partition(":")[0]
    return Description(
        title=f"networks/{arch}",
        text=f"A network of {library}, untrained: weights come from the checkpoint.",
        settings=tuple(Setting(name=name, value=value, meaning=_EXPECTED[name]) for name, value in numbers.items()),
        source=library,
        typed=typed,
        heading="value",
    )


_EXPECTED = MappingProxyType(
    {
        "images": "Channels, height and width that such networks are customarily trained with.",
        "mean": "By which they customarily normalise their images.",
        "std": "By which they customarily normalise their images.",
    }
)


def _built_in(arch: str, typed: tuple[str, ...]) -> Description:
    from evalsuite.networks.architectures.by_name import BUILT_IN

    part = BUILT_IN[arch]
    rows = tuple(
        Setting(name=each.name, value=_shown(getattr(part, each.name)), meaning=each.meaning)
        for each in settings_of(type(part))
    )
    first = next((f"{arch}?{row.name}={row.value}" for row in rows if row.name != "depth"), None)
    return Description(
        title=f"networks/{arch}",
        text=without_attributes(inspect.getdoc(type(part)) or ""),
        settings=rows,
        source=f"{type(part).__module__}:{type(part).__qualname__}",
        typed=typed if first is None else (*typed, f"--arch {quoted(first)}"),
        heading="value",
    )


def spelled_out(name: str) -> list[str]:
    """KIND/NAME of all parts that are called `name`."""
    from evalsuite.config.presets import PRESETS
    from evalsuite.networks.architectures.by_name import BUILT_IN

    by_kind = {kind: names(each.package) for kind, each in KINDS.items()}
    bare = name.partition("?")[0].replace("-", "_")
    places = {**by_kind, "networks": tuple(BUILT_IN), "presets": tuple(PRESETS)}
    return [f"{kind}/{bare}" for kind, parts in places.items() if bare in parts]
