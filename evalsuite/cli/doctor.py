"""`evalsuite doctor`: what works here, and what is missing for what."""

import importlib.util
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import final

import click

from evalsuite.cli._console import echo_labelled, write_json
from evalsuite.cli._options import JSON, given, run_options
from evalsuite.errors import install_hint
from evalsuite.printable import one_line
from evalsuite.version import __version__

_EXAMPLES = 1000
_NEEDED = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pyautoattack", "torch-pruning", "safetensors")


@final
@dataclass(frozen=True, kw_only=True)
class _Optional:
    """A library that some things need.

    Attributes:
        library: Its name as pip spells it.
        extra: The extra that brings it.
        purpose: What needs it.
        module: What can be imported where it is installed.
        statement: What can be executed where it works.
    """

    library: str
    extra: str
    purpose: str
    module: str
    statement: str


_OPTIONAL = (
    _Optional(
        library="timm", extra="timm", purpose="networks by name (timm:NAME)", module="timm", statement="import timm"
    ),
    _Optional(
        library="onnxruntime",
        extra="onnx",
        purpose="exported networks (.onnx)",
        module="onnxruntime",
        statement="import onnx, onnxruntime",
    ),
    _Optional(
        library="imagecorruptions-imaug",
        extra="frost",
        purpose="the published frost textures",
        module="imagecorruptions",
        # the textures are read as files: the package itself imports more than it needs
        statement="from evalsuite.corruptions._frost_texture import textures; textures('published', 1.0)",
    ),
    _Optional(
        library="robustbench",
        extra="robustbench",
        purpose="robust networks by name (robustbench:NAME)",
        module="robustbench",
        statement="from evalsuite.networks.architectures._robustbench import zoo; zoo()",
    ),
)


@click.command(
    epilog="\b\nExamples:\n  evalsuite doctor\n"
    "  evalsuite doctor --ckpt model.pt --arch torchvision:resnet18 --data folder:photos\n"
    "  evalsuite doctor --ckpt model.pt --arch resnet20 --data cifar10 --normalise data --strict",
)
@run_options("doctor")
@JSON
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, **options: object) -> None:
    """Check this installation; with --ckpt, say what is understood of a network and its data, and how good it is.

    Every line tells where its answer comes from: given by an option, recorded in a file, measured, assumed by a rule
    of evalsuite, or doubtful; what is assumed has an option that confirms or changes it.
    """
    if options.get("ckpt") is not None:
        _examine(given(options), as_json=as_json)
        return
    checks = [*_libraries(), *_optional(), _device(), *_data(), _browser()]
    if as_json:
        write_json({"checks": [{"what": what, "state": state, "says": says} for what, state, says in checks]})
    else:
        for what, state, says in checks:
            colour = {"ok": "green", "missing": "red", "optional": "yellow"}[state]
            echo_labelled(f"{state:8}", colour, f"{what:24} {says}")
    ctx.exit(2 if any(state == "missing" for _, state, _ in checks) else 0)


def _examine(options: dict[str, object], *, as_json: bool) -> None:
    """The first lines of every run, as a table; ends as a run would that must not assume what it had to assume."""
    import torch

    from evalsuite.cli._console import reporter
    from evalsuite.config.build_inputs import build_inputs
    from evalsuite.config.caution import caution
    from evalsuite.config.spec import resolve
    from evalsuite.data import choose
    from evalsuite.inputs.understanding import check, examine
    from evalsuite.pipeline import Origin

    spec = resolve(options)
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    loaded = build_inputs(spec)
    test = loaded.dataset.test
    understanding = examine(loaded, choose(test, min(_EXAMPLES, len(test)), spec.seed), confidence=spec.confidence)
    if as_json:
        names = ("topic", "taken", "source", "option")
        rows = [dict(zip(names, row, strict=True)) for row in understanding.rows()]
        write_json({"parent": dict(understanding.standard), "readings": rows})
    else:
        _table(understanding.rows())
    check(understanding, Origin(command="", **caution(spec)), reporter())


def _table(rows: list[tuple[str, str, str, str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("what", "taken", "where from", "confirmed or changed by", box=SIMPLE_HEAD)
    for row in rows:
        unsure = row[2].startswith(("assumed", "doubtful"))
        table.add_row(*(Text(one_line(cell)) for cell in row), style="yellow" if unsure else None)
    # a pipe has no width: nothing is folded there
    Console(width=None if console.is_terminal else 240).print(table, markup=False)


def _libraries() -> list[tuple[str, str, str]]:
    lines = [("evalsuite", "ok", f"{__version__}, Python {platform.python_version()} at {sys.prefix}")]
    for library in _NEEDED:
        try:
            lines.append((library, "ok", version(library)))
        except PackageNotFoundError:
            lines.append((library, "missing", install_hint()))
    return lines


def _optional() -> list[tuple[str, str, str]]:
    """Whether each works, not merely whether it is there: it is used in a process of its own, all at the same time."""
    started = {
        each.library: subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", each.statement],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in _OPTIONAL
        if importlib.util.find_spec(each.module) is not None
    }
    return [_judged(each, started.get(each.library)) for each in _OPTIONAL]


def _judged(each: _Optional, process: subprocess.Popen[str] | None) -> tuple[str, str, str]:
    way_out = f"{each.purpose}: {install_hint(each.extra)}"
    if process is None:
        return each.library, "optional", way_out
    _, error = process.communicate()
    try:
        release = version(each.library)
    except PackageNotFoundError:
        release = "of another distribution"
    if process.returncode == 0:
        return each.library, "ok", release
    last = error.strip().rpartition("\n")[2].removeprefix("evalsuite.errors.UsageError: ")
    reason = last or f"ended with {process.returncode}"
    return each.library, "optional", f"{release} is installed and does not work: {reason}; {way_out}"


def _device() -> tuple[str, str, str]:
    import torch

    if torch.cuda.is_available():
        return "device", "ok", torch.cuda.get_device_name()
    return "device", "ok", f"CPU, {torch.get_num_threads()} threads (no CUDA device)"


def _data() -> list[tuple[str, str, str]]:
    from evalsuite.data import load
    from evalsuite.errors import EvalsuiteError

    try:
        dataset = load("digits")
    except EvalsuiteError as error:
        return [("digits", "missing", str(error))]
    return [("digits", "ok", f"{len(dataset.test)} held-out examples")]


def _browser() -> tuple[str, str, str]:
    path = next((browser for name in ("chromium", "google-chrome", "chrome") if (browser := shutil.which(name))), None)
    return "browser", "ok" if path else "optional", path or "any browser opens report.html; tests use Debian's chromium"
