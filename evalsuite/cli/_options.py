"""Options that several commands share; every one is also a key of a run file and an environment variable."""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, final

import click
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.process.threads import MOST_THREADS

if TYPE_CHECKING:
    from evalsuite.config.spec import Spec

Command = TypeVar("Command", bound=Callable[..., object])


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
    found = tuple(part.strip() for value in values for part in value.split(",") if part.strip())
    return found or None


def ratios(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """`0.5,0.7`, `0.1:0.9:0.1` (first:last:step, both ends included), `lottery:16` (20 % of what is left, 16 times)."""
    if value is None:
        return None
    found: list[float] = []
    for part in value.split(","):
        kind, _, rounds = part.strip().partition(":")
        if kind == "lottery" and rounds.isdigit() and rounds.strip("0"):
            found.extend(round(1 - 0.8**k, 10) for k in range(1, _few(rounds, part) + 1))
        else:
            found.extend(_numbers(part))
    return tuple(found)


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
    found: dict[str, float] = {}
    for part in (part for value in values for part in value.split(",") if part.strip()):
        name, equals, text = part.rpartition("=")
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not equals or number < 0:
            raise UsageError(f"{param.opts[0]}: expected TASK=NUMBER, e.g. adversarial=200, got {part!r}")
        found[name.strip()] = int(number) if number.is_integer() else number
    return found or None


_CKPT = click.option(
    "--ckpt", type=PLACE, help="The trained network: evalsuite's own file, or a state dict with --arch."
)
_READING = (
    click.option(
        "--arch",
        help="resnet8, torchvision:NAME, timm:NAME, robustbench:NAME@DATASET/THREAT, pkg.mod:factory; with settings: "
        "resnet20?shortcut=padding.",
    ),
    click.option("--data", help="digits, fashion-mnist, cifar10, ..., folder:PATH, npz:PATH, pkg.mod:factory."),
    click.option("--weights", help="Entry of the file that holds the weights, where it has several: state_dict_ema."),
    click.option(
        "--normalise",
        help="What stands before the network: none, data, imagenet or MEAN/STD (0.13/0.31), for images in [0, 1]. "
        "Default: what the file records or its library's custom says, else none.",
    ),
    click.option(
        "--classes", help="What the network's outputs stand for: data (its order), NAME,NAME,... or a file of names."
    ),
    click.option("--strict", is_flag=True, default=None, help="Refuse to assume anything; a gate implies it."),
    click.option(
        "--assume",
        multiple=True,
        callback=split,
        help="With --strict: topics that may be assumed even so, as they are told: 'class order'.",
    ),
    click.option(
        "--accept-parent",
        is_flag=True,
        default=None,
        help="Go on with a parent that is no better than a trivial answer; every verdict is inconclusive.",
    ),
    click.option("--trust", multiple=True, callback=split, help="sha256:... of a pickle that may run its code."),
    click.option("--device", help="cpu, cuda, cuda:1, or auto (default)."),
    click.option("--threads", type=click.IntRange(1, MOST_THREADS), help="CPU threads (default: all)."),
)
_PRUNE = (
    click.option("--pruner", multiple=True, callback=split, help="magnitude, filter-norm, ...; several make families."),
    click.option("--ratios", callback=ratios, help="Prune ratios: 0.3,0.5 or 0.1:0.9:0.1 or lottery:16."),
    click.option(
        "--budget", type=click.Choice(["parameters", "flops", "latency"]), help="What the ratios are shares of."
    ),
    click.option(
        "--schedule", type=click.Choice(["cascade", "one-shot"]), help="Step by step, or each from the parent."
    ),
    click.option("--retrain", help="Recipe that retrains every pruned network, or none."),
    click.option("--epochs", type=click.IntRange(min=1), help="Epochs of retraining per step (default: the recipe's)."),
    click.option(
        "--rewind",
        type=click.Choice(["learning-rate", "weights", "none"]),
        help="The schedule again; early weights too; or none: fine-tuning at a small rate.",
    ),
    click.option("--early", type=PLACE, help="Early checkpoint for --rewind weights (written by evalsuite train)."),
    click.option("--adapters", type=click.IntRange(min=1), help="Retrain low-rank adapters of this rank, then merge."),
    click.option("--regularise", multiple=True, callback=split, help="Added to the loss: see list regularisers."),
    click.option(
        "--controls",
        multiple=True,
        callback=split,
        help="Networks to compare with: dense, shuffled, random, reinitialised, scratch, scratch-budget, width, depth,"
        " copycat.",
    ),
    click.option("--seeds", type=click.IntRange(min=1), help="Families per pruner, differing in their seed."),
    click.option("--seed", type=click.IntRange(min=0), help="The run's seed."),
)
_JUDGE = (
    click.option("--tasks", multiple=True, callback=split, help="clean, noise/uniform/0.1, corruption/all/3, ..."),
    click.option(
        "--measures",
        multiple=True,
        callback=split,
        help="error, calibration, ood_auroc?score=energy, ..., or all: see list measures.",
    ),
    click.option("--require", multiple=True, callback=split, help="Tasks that bind the deployable ratio (patterns)."),
    click.option("--margin", type=float, help="How much worse a pruned network may be (default 0.005)."),
    click.option("--margin-for", multiple=True, callback=by_task, help="Other margins: adversarial=0.02,..."),
    click.option("--confidence", type=float, help="Confidence of every claim (default 0.95)."),
    click.option("--examples", type=int, help="Held-out examples to judge on."),
    click.option("--examples-for", multiple=True, callback=by_task, help="Fewer for dear tasks: adversarial=200,..."),
    click.option(
        "--slices", type=PLACE, help="CSV, a row for each held-out example: attributes, for the worst slice's error."
    ),
    click.option("--separate", type=PLACE, help="A network trained apart: how far from the parent a stranger is."),
    click.option("--engine", type=click.Choice(["local"]), help="Where shards are computed."),
    click.option(
        "--full-paths", is_flag=True, default=None, help="Let results and report tell where files lie on this machine."
    ),
    click.option("--gate", type=PLACE, help="Policy (TOML) to hold the result against; sets the exit code."),
)
_RUN = (
    click.option("--preset", help="quick (default), standard, paper, safety or robustbench: a named set of options."),
    click.option("--config", type=PLACE, help="Run file (TOML) with any of these options; flags win."),
    click.option("--out", type=PLACE, help="Run folder (default reports/NAME)."),
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
RUN = click.argument("run", type=PLACE, metavar="RUN")


def network_options(command: Command) -> Command:
    """Which network, which data, how both are read, on which device."""
    return _with((_CKPT, *_READING), command)


def reading_options(command: Command) -> Command:
    """The same for commands that name the network otherwise."""
    return _with(_READING, command)


def prune_options(command: Command) -> Command:
    """How the family is made."""
    return _with(_PRUNE, command)


def judge_options(command: Command) -> Command:
    """What the family is asked, and how sure the answers must be."""
    return _with(_JUDGE, command)


def run_options(command: Command) -> Command:
    """Preset, run file and run folder."""
    return _with(_RUN, command)


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


def settled(options: Mapping[str, object]) -> "Spec":
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


def _with(options: tuple[Callable[[Command], Command], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
