"""Declares every option of a run, once: type, default, bounds, help, the commands that take it, what it affects.

Flags and their help, keys of run files, environment variables, the canonical text of a request, the identity of a run
and the addresses of its networks are derived from these declarations. A new option is one field here; where parts of
the pipeline need its value as it is typed, the field stands in `PruningOptions` or `EvaluationOptions`, which
`PruningSettings` and `EvaluationSettings` (in `evalsuite.config.settings`) inherit.

The module imports neither torch nor pydantic, so that `--help` answers at once.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypedDict, Union, final, get_args, get_origin

from evalsuite.process.threads import MOST_THREADS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Budget = Literal["parameters", "flops", "latency"]
Rewind = Literal["learning-rate", "weights", "none"]
Control = Literal[
    "dense", "shuffled", "random", "reinitialised", "scratch", "scratch-budget", "width", "depth", "copycat"
]
Effect = Literal["networks", "verdicts", "nothing"]

_MAKE: Final = frozenset({"sweep", "plan", "prune"})
_JUDGE: Final = frozenset({"sweep", "plan", "evaluate"})
_ALL: Final = _MAKE | _JUDGE
_READ: Final = _ALL | {"doctor"}
_EVALUATE: Final = frozenset({"evaluate"})


class Bounds(TypedDict, total=False):
    """Bounds of a number: >=, >, <=, <."""

    ge: float
    gt: float
    le: float
    lt: float


@final
@dataclass(frozen=True, kw_only=True)
class Option:
    """Declaration of an option, beside its type and default.

    Attributes:
        help: What a user reads.
        commands: Names of the commands that take it as a flag; run files may hold it for all of them.
        affects: "networks": what is made, so that addresses and the request change with it. "verdicts": what is decided
            or told of networks that stay the same. "nothing": where and how a run is computed.
        bounds: Of numbers.
        check: Gives the value that is meant, and raises ValueError where there is none.
        after: In help, the option that it follows; None: the one that is declared before it.
    """

    help: str
    commands: frozenset[str]
    affects: Effect
    bounds: Bounds = field(default_factory=Bounds)
    check: Callable[..., object] | None = None
    after: str | None = None

    def checked(self, value: object) -> object:
        """The value that is meant by `value`, which is of the option's type.

        Raises:
            ValueError: It is out of bounds, or refused by `check`.
        """
        for bound, limit in self.bounds.items():
            sign, holds = _BOUNDS[bound]
            if value is not None and not holds(value, limit):
                shown = float(limit) if isinstance(value, float) and isinstance(limit, int) else limit
                raise ValueError(f"expected a number {sign} {shown}")
        return value if self.check is None else self.check(value)


_BOUNDS: Final[Mapping[str, tuple[str, Callable[..., bool]]]] = MappingProxyType(
    {"ge": (">=", operator.ge), "gt": (">", operator.gt), "le": ("<=", operator.le), "lt": ("<", operator.lt)}
)


@final
@dataclass(frozen=True, kw_only=True)
class InAddress:
    """Mark of what stands in the address of each network in another way than by its name and value.

    Attributes:
        key: Its name there; None: it decides which networks there are, not what each of them is.
        value: From the value to the one that stands there.
    """

    key: str | None
    value: Callable[..., object] | None = None


@final
class _Always:
    """Type of `ALWAYS`."""


ALWAYS: Final = _Always()
"""Mark of what stands in digests at its default too, as runs that are kept were digested with it.

What is declared without this mark is left out of digests while it is at its default, so that an option that is added
changes no digest and no address of an earlier run.
"""
CHOOSES: Final = InAddress(key=None)
"""Mark of what decides which networks there are, not what each of them is."""


@final
@dataclass(frozen=True, kw_only=True)
class Declared:
    """A field of a settings class with its marks.

    Attributes:
        name: Of the field.
        type: Without marks.
        default: None where it has to be given.
        required: Whether it has to be given.
        marks: What stands beside its type: `Option`, `InAddress`, `ALWAYS`.
    """

    name: str
    type: object
    default: object
    required: bool
    marks: tuple[object, ...]

    @property
    def option(self) -> Option:
        """Its declaration as an option of a run, which every field of `Spec` has."""
        (option,) = [mark for mark in self.marks if isinstance(mark, Option)]
        return option

    @property
    def address(self) -> InAddress:
        """How it stands in the address of each network: where nothing else is marked, by its name and value."""
        return next((mark for mark in self.marks if isinstance(mark, InAddress)), InAddress(key=self.name))

    def left_out(self, value: object) -> bool:
        """Whether digests do not tell this value: it is at a default that earlier runs did not know."""
        return not (self.required or ALWAYS in self.marks) and value == self.default


def declared(settings: "type[DataclassInstance]") -> Iterator[Declared]:
    """The fields of a settings class, in the order of declaration, those of its bases first."""
    for each in fields(settings):
        kind, *marks = get_args(each.type) if get_origin(each.type) is Annotated else (each.type,)
        yield Declared(
            name=each.name,
            type=kind,
            default=_default(each),
            required=each.default is MISSING and each.default_factory is MISSING,
            marks=tuple(marks),
        )


def _default(each: Field[object]) -> object:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return None if each.default is MISSING else each.default


def plain(value: object) -> object:
    """A value of an option in JSON's types: paths as text, sequences as lists, mappings in the order of their keys."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _increasing(ratios: tuple[float, ...]) -> tuple[float, ...]:
    for ratio in ratios:
        if not 0 <= ratio < 1:
            raise ValueError(f"expected every ratio in [0, 1), got {ratio:g}")
    distinct = tuple(sorted({ratio for ratio in ratios if ratio > 0}))
    if not distinct:
        raise ValueError("expected at least one ratio above 0")
    return distinct


def _margins(margins: dict[str, float]) -> dict[str, float]:
    for margin in margins.values():
        if not 0 <= margin < 1:
            raise ValueError(f"expected every margin in [0, 1), got {margin:g}")
    return margins


def _some(tasks: tuple[str, ...]) -> tuple[str, ...]:
    if not tasks:
        raise ValueError("expected at least one task")
    return tasks


@dataclass(frozen=True, kw_only=True)
class PruningOptions:
    """Options of pruning that the pipeline takes as they are typed.

    Attributes:
        ratios: Target prune ratios in (0, 1), increasing.
        budget: What ratios are shares of: prunable "parameters", "flops" (of what stands: dense operations of networks
            whose channels go, nonzero weights of masked ones) or measured "latency" of one image.
        rewind: Where retraining starts (Renda, Frankle and Carbin 2020, arXiv:2003.02389). "learning-rate": the
            schedule starts again, from the weights that survived. "weights": these take their early values first.
            "none": fine-tuning, at a small constant rate.
        adapters: Rank of low-rank adapters that are trained instead of the weights, and merged afterwards; None trains
            the weights.
        controls: Networks to hold the pruned ones against, see `evalsuite.pruning.controls`.
        seeds: Families per pruner.
    """

    ratios: Annotated[
        tuple[float, ...],
        Option(
            help="Prune ratios: 0.3,0.5 or 0.1:0.9:0.1 or lottery:16.",
            commands=_MAKE,
            affects="networks",
            check=_increasing,
        ),
        CHOOSES,
    ]
    budget: Annotated[
        Budget, Option(help="What the ratios are shares of.", commands=_MAKE, affects="networks"), ALWAYS
    ] = "parameters"
    rewind: Annotated[
        Rewind,
        Option(
            help="The schedule again; early weights too; or none: fine-tuning at a small rate.",
            commands=_MAKE,
            affects="networks",
        ),
        ALWAYS,
        InAddress(key="fine-tuning", value=lambda rewind: rewind == "none"),
    ] = "learning-rate"
    adapters: Annotated[
        int | None,
        Option(
            help="Retrain low-rank adapters of this rank, then merge.",
            commands=_MAKE,
            affects="networks",
            bounds={"ge": 1},
        ),
        ALWAYS,
    ] = None
    controls: Annotated[
        tuple[Control, ...],
        Option(
            help="Networks to compare with: dense, shuffled, random, reinitialised, scratch, scratch-budget, width, "
            "depth, copycat.",
            commands=_MAKE,
            affects="networks",
        ),
        ALWAYS,
        CHOOSES,
    ] = ()
    seeds: Annotated[
        int,
        Option(
            help="Families per pruner, differing in their seed.",
            commands=_MAKE,
            affects="networks",
            bounds={"ge": 1, "le": 1000},
        ),
        ALWAYS,
        CHOOSES,
    ] = 1


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of evaluation that the pipeline takes as they are typed.

    Attributes:
        seed: Every random draw is derived from it, those of pruning and retraining too.
        margin: Largest mean loss difference to the parent that counts as commensurate, in [0, 1).
        margin_for: Other margins for some tasks, by full name or kind.
        confidence: Of the run's claims, in (0.5, 1).
        examples: Held-out examples.
        examples_for: Fewer for some tasks, by full name or kind.
    """

    seed: Annotated[
        int,
        Option(help="The run's seed.", commands=_ALL, affects="networks", bounds={"ge": 0, "le": 2**63 - 1}),
        ALWAYS,
    ] = 0
    margin: Annotated[
        float,
        Option(
            help="How much worse a pruned network may be (default 0.005).",
            commands=_JUDGE,
            affects="verdicts",
            bounds={"ge": 0, "lt": 1},
        ),
        ALWAYS,
    ] = 0.005
    margin_for: Annotated[
        Mapping[str, float],
        Option(help="Other margins: adversarial=0.02,...", commands=_JUDGE, affects="verdicts", check=_margins),
        ALWAYS,
    ] = field(default_factory=dict)
    confidence: Annotated[
        float,
        Option(
            help="Confidence of every claim (default 0.95).",
            commands=_JUDGE,
            affects="verdicts",
            bounds={"gt": 0.5, "lt": 1},
        ),
        ALWAYS,
    ] = 0.95
    examples: Annotated[
        int,
        Option(help="Held-out examples to judge on.", commands=_JUDGE, affects="verdicts", bounds={"ge": 1}),
        ALWAYS,
    ] = 1000
    examples_for: Annotated[
        Mapping[str, int],
        Option(help="Fewer for dear tasks: adversarial=200,...", commands=_JUDGE, affects="verdicts"),
        ALWAYS,
    ] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class Spec(EvaluationOptions, PruningOptions):
    """All options of a run; field names are the long flags with underscores, and the keys of run files.

    Files count by their content (`evalsuite.cli._rerun.request_digest`).
    """

    ckpt: Annotated[
        Path,
        Option(
            help="The trained network: evalsuite's own file, or a state dict with --arch.",
            commands=_MAKE | {"doctor"},
            affects="networks",
        ),
    ]
    artefact_input: Annotated[
        Literal["images", "normalised"] | None,
        Option(
            help="What .pt2 and ONNX files take: images in [0, 1] (default), or normalised as for the parent.",
            commands=_EVALUATE,
            affects="networks",
        ),
        ALWAYS,
    ] = None
    arch: Annotated[
        str | None,
        Option(
            help="resnet8, torchvision:NAME, timm:NAME, robustbench:NAME@DATASET/THREAT, pkg.mod:factory; with "
            "settings: resnet20?shortcut=padding.",
            commands=_READ,
            affects="networks",
        ),
        ALWAYS,
    ] = None
    data: Annotated[
        str | None,
        Option(
            help="digits, fashion-mnist, cifar10, ..., folder:PATH, npz:PATH, pkg.mod:factory.",
            commands=_READ,
            affects="networks",
        ),
        ALWAYS,
    ] = None
    weights: Annotated[
        str | None,
        Option(
            help="Entry of the file that holds the weights, where it has several: state_dict_ema.",
            commands=_READ,
            affects="networks",
        ),
        ALWAYS,
    ] = None
    normalise: Annotated[
        str | None,
        Option(
            help="What stands before the network: none, data, imagenet or MEAN/STD (0.13/0.31), for images in [0, 1]. "
            "Default: what the file records or its library's custom says, else none.",
            commands=_READ,
            affects="networks",
        ),
        ALWAYS,
    ] = None
    classes: Annotated[
        str | None,
        Option(
            help="What the network's outputs stand for: data (its order), NAME,NAME,... or a file of names.",
            commands=_READ,
            affects="networks",
        ),
        ALWAYS,
    ] = None
    strict: Annotated[
        bool,
        Option(help="Refuse to assume anything; a gate implies it.", commands=_READ, affects="verdicts"),
        ALWAYS,
    ] = False
    assume: Annotated[
        tuple[str, ...],
        Option(
            help="With --strict: topics that may be assumed even so, as they are told: 'class order'.",
            commands=_READ,
            affects="verdicts",
        ),
        ALWAYS,
    ] = ()
    accept_parent: Annotated[
        bool,
        Option(
            help="Go on with a parent that is no better than a trivial answer; every verdict is inconclusive.",
            commands=_READ,
            affects="verdicts",
        ),
        ALWAYS,
    ] = False
    trust: Annotated[
        tuple[str, ...],
        Option(help="sha256:... of a pickle that may run its code.", commands=_READ, affects="nothing"),
    ] = ()
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, or auto (default).", commands=_READ, affects="nothing")] = (
        "auto"
    )
    threads: Annotated[
        int | None,
        Option(
            help="CPU threads (default: all).",
            commands=_READ,
            affects="nothing",
            bounds={"ge": 1, "le": MOST_THREADS},
        ),
    ] = None
    pruner: Annotated[
        tuple[str, ...],
        Option(help="magnitude, filter-norm, ...; several make families.", commands=_MAKE, affects="networks"),
        ALWAYS,
    ] = ("magnitude",)
    schedule: Annotated[
        Literal["cascade", "one-shot"],
        Option(help="Step by step, or each from the parent.", commands=_MAKE, affects="networks", after="budget"),
        ALWAYS,
    ] = "cascade"
    retrain: Annotated[
        str,
        Option(help="Recipe that retrains every pruned network, or none.", commands=_MAKE, affects="networks"),
        ALWAYS,
    ] = "none"
    epochs: Annotated[
        int | None,
        Option(
            help="Epochs of retraining per step (default: the recipe's).",
            commands=_MAKE,
            affects="networks",
            bounds={"ge": 1},
        ),
        ALWAYS,
    ] = None
    early: Annotated[
        Path | None,
        Option(
            help="Early checkpoint for --rewind weights (written by evalsuite train).",
            commands=_MAKE,
            affects="networks",
            after="rewind",
        ),
        ALWAYS,
    ] = None
    regularise: Annotated[
        tuple[str, ...],
        Option(help="Added to the loss: see list regularisers.", commands=_MAKE, affects="networks", after="adapters"),
        ALWAYS,
    ] = ()
    tasks: Annotated[
        tuple[str, ...],
        Option(
            help="clean, noise/uniform/0.1, corruption/all/3, ...",
            commands=_JUDGE,
            affects="verdicts",
            check=_some,
            after="seed",
        ),
    ]
    measures: Annotated[
        tuple[str, ...] | None,
        Option(
            help="error, calibration, ood_auroc?score=energy, ..., or all: see list measures.",
            commands=_JUDGE,
            affects="verdicts",
        ),
        ALWAYS,
    ] = None
    require: Annotated[
        tuple[str, ...],
        Option(help="Tasks that bind the deployable ratio (patterns).", commands=_JUDGE, affects="verdicts"),
        ALWAYS,
    ] = ("*",)
    slices: Annotated[
        Path | None,
        Option(
            help="CSV, a row for each held-out example: attributes, for the worst slice's error.",
            commands=_JUDGE,
            affects="verdicts",
            after="examples_for",
        ),
    ] = None
    separate: Annotated[
        Path | None,
        Option(
            help="A network trained apart: how far from the parent a stranger is.",
            commands=_JUDGE,
            affects="networks",
        ),
    ] = None
    engine: Annotated[
        str,
        Option(
            help="Where shards are computed: local (default), or an engine that is installed.",
            commands=_JUDGE,
            affects="nothing",
        ),
    ] = "local"
    full_paths: Annotated[
        bool,
        Option(
            help="Let results and report tell where files lie on this machine.", commands=_JUDGE, affects="verdicts"
        ),
        ALWAYS,
    ] = False
    gate: Annotated[
        Path | None,
        Option(
            help="Policy (TOML) to hold the result against; sets the exit code.", commands=_JUDGE, affects="nothing"
        ),
    ] = None
    preset: Annotated[
        str,
        Option(
            help="quick (default), standard, paper, safety or robustbench: a named set of options.",
            commands=_ALL,
            affects="nothing",
        ),
    ] = "quick"
    out: Annotated[Path | None, Option(help="Run folder (default reports/NAME).", commands=_ALL, affects="nothing")] = (
        None
    )

    def document(self) -> dict[str, object]:
        """All options by name, in JSON's types."""
        return {name: plain(getattr(self, name)) for name in OPTIONS}

    def canonical(self) -> dict[str, object]:
        """What the outcome depends on, in JSON's types; of files the paths, in whose place contents have to stand."""
        values = ((each, getattr(self, name)) for name, each in OPTIONS.items() if each.option.affects != "nothing")
        return {each.name: plain(value) for each, value in values if not each.left_out(value)}

    def files(self) -> dict[str, Path]:
        """Paths of files that the outcome depends on, by option."""
        values = {name: getattr(self, name) for name, each in OPTIONS.items() if each.option.affects != "nothing"}
        return {name: value for name, value in values.items() if isinstance(value, Path)}


def alternatives(kind: object) -> tuple[object, ...]:
    """The types that a value may have, None left out: `int | None` → (int,)."""
    members = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    return tuple(member for member in members if member is not type(None))


def _in_order() -> dict[str, Declared]:
    """Options as help lists them: those that `Spec` adds are put among those that it inherits."""
    every = {each.name: each for each in declared(Spec)}
    inherited = {each.name for base in (PruningOptions, EvaluationOptions) for each in declared(base)}
    order = [name for name in every if name in inherited]
    place = 0
    for name, each in every.items():
        if name not in inherited:
            after = each.option.after
            place = place if after is None else order.index(after) + 1
            order.insert(place, name)
            place += 1
    return {name: every[name] for name in order}


OPTIONS: Final[Mapping[str, Declared]] = MappingProxyType(_in_order())
"""Every option of a run by name, in the order of help."""
