"""`evalsuite doctor`: what works here, and what is missing for what."""

import importlib.util
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

import click

from evalsuite.cli._console import write_json
from evalsuite.cli._options import JSON
from evalsuite.version import __version__

_NEEDED = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pyautoattack", "torch-pruning", "safetensors")
_OPTIONAL = {
    "timm": ("timm", "networks by name (timm:NAME): pip install 'evalsuite[timm]'"),
    "onnxruntime": ("onnxruntime", "exported networks (.onnx): pip install 'evalsuite[onnx]'"),
    "imagecorruptions-imaug": ("imagecorruptions", "the published frost textures: pip install 'evalsuite[frost]'"),
    "robustbench": ("robustbench", "robust networks by name (robustbench:NAME): pip install 'evalsuite[robustbench]'"),
}


@click.command(epilog="\b\nExample:\n  evalsuite doctor")
@JSON
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check this installation: libraries, devices, data, browser; say what is missing for what."""
    checks = [*_libraries(), *_optional(), _device(), *_data(), _browser()]
    if as_json:
        write_json({"checks": [{"what": what, "state": state, "says": says} for what, state, says in checks]})
    else:
        for what, state, says in checks:
            colour = {"ok": "green", "missing": "red", "optional": "yellow"}[state]
            click.echo(f"{click.style(f'{state:8}', fg=colour)} {what:24} {says}")
    ctx.exit(2 if any(state == "missing" for _, state, _ in checks) else 0)


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
