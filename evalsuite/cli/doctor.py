"""`evalsuite doctor`: what works here, and what is missing for what."""

import importlib.util
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

import click

from evalsuite.cli._console import write_json
from evalsuite.cli._options import JSON, given, network_options
from evalsuite.version import __version__

_EXAMPLES = 1000
_NEEDED = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pyautoattack", "torch-pruning", "safetensors")
_OPTIONAL = {
    "timm": ("timm", "networks by name (timm:NAME): pip install 'evalsuite[timm]'"),
    "onnxruntime": ("onnxruntime", "exported networks (.onnx): pip install 'evalsuite[onnx]'"),
    "imagecorruptions-imaug": ("imagecorruptions", "the published frost textures: pip install 'evalsuite[frost]'"),
    "robustbench": ("robustbench", "robust networks by name (robustbench:NAME): pip install 'evalsuite[robustbench]'"),
}


@click.command(
    epilog="\b\nExamples:\n  evalsuite doctor\n"
    "  evalsuite doctor --ckpt model.pt --arch torchvision:resnet18 --data folder:photos\n"
    "  evalsuite doctor --ckpt model.pt --arch resnet20 --data cifar10 --normalise data --strict",
)
@network_options
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
            click.echo(f"{click.style(f'{state:8}', fg=colour)} {what:24} {says}")
    ctx.exit(2 if any(state == "missing" for _, state, _ in checks) else 0)


def _examine(options: dict[str, object], *, as_json: bool) -> None:
    """The first lines of every run, as a table; ends as a run would that must not assume what it had to assume."""
    import torch

    from evalsuite.cli._caution import caution
    from evalsuite.cli._console import reporter
    from evalsuite.data import choose
    from evalsuite.inputs import inputs
    from evalsuite.pipeline import Origin
    from evalsuite.spec import resolve
    from evalsuite.understanding import check, examine

    spec = resolve(options)
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    loaded = inputs(spec)
    test = loaded.dataset.test
    found = examine(loaded, choose(test, min(_EXAMPLES, len(test)), spec.seed), confidence=spec.confidence)
    if as_json:
        names = ("topic", "taken", "source", "option")
        rows = [dict(zip(names, row, strict=True)) for row in found.rows()]
        write_json({"parent": dict(found.standard), "readings": rows})
    else:
        _table(found.rows())
    check(found, Origin(command="", **caution(spec)), reporter())


def _table(rows: list[tuple[str, str, str, str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("what", "taken", "where from", "confirmed or changed by", box=SIMPLE_HEAD)
    for row in rows:
        unsure = row[2].startswith(("assumed", "doubtful"))
        table.add_row(*row, style="yellow" if unsure else None)
    # a pipe has no width: nothing is folded there
    Console(width=None if console.is_terminal else 240).print(table, markup=False)


def _libraries() -> list[tuple[str, str, str]]:
    found = [("evalsuite", "ok", f"{__version__}, Python {platform.python_version()} at {sys.prefix}")]
    for library in _NEEDED:
        try:
            found.append((library, "ok", version(library)))
        except PackageNotFoundError:
            found.append((library, "missing", "pip install evalsuite"))
    return found


def _optional() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for library, (module, says) in _OPTIONAL.items():
        there = importlib.util.find_spec(module) is not None
        found.append((library, "ok" if there else "optional", version(library) if there else says))
    return found


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
    path = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
    return "browser", "ok" if path else "optional", path or "any browser opens report.html; tests use Debian's chromium"
