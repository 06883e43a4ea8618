"""Every command and code block of README, docs and help texts works: it is run, on small stand-ins for its files.

Sweeps whose networks or data are large are planned instead, which reads every file and resolves every name alike.
"""

import json
import re
import shlex
import shutil
from importlib.util import find_spec
from itertools import chain, count, pairwise
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from evalsuite.cli import _COMMANDS, cli
from evalsuite.data import Dataset, load
from evalsuite.networks.architectures.by_name import build, convention, split
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, write
from evalsuite.networks.normalized import Normalized
from evalsuite.parts.registry import names
from evalsuite.tasks._names import expand

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = [page for page in PAGES if page.parent.name != "extending"]
"""Pages whose commands and Python are run here; those of `docs/extending` need the parts that they define."""
VERDICTS = {"sweep", "evaluate", "gate", "status"}
"""Commands whose exit code says something of the run: 0, 1 and 3 all mean that they worked."""
PLANNED = {"cifar10", "fashion-mnist", "folder:photos"}
STANDS_FOR = {"RUN": "reports/model", "NAME": "standard"}
FOR_CLASSES = {"cifar10": (3, 32), "fashion-mnist": (1, 28)}
CUT = {"EXAMPLES": "8", "RATIOS": "0.5", "EPOCHS": "1", "TASKS": "clean", "ACCEPT_PARENT": "1"}


# --- what there is


def blocks(page, language):
    """Fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def shell_lines(text):
    """Commands of evalsuite in indented and fenced blocks, as a shell would read them."""
    joined = re.sub(r"\\\n\s*", "", text)
    # far behind a command stands what it is for
    lines = (re.split(r"\s{3,}", line.strip())[0] for line in joined.splitlines())
    return [line for line in lines if re.match(r"evalsuite [a-z-]", line)]


def inline(text):
    """Commands of evalsuite in running text."""
    return [" ".join(piece.split()) for piece in re.findall(r"`(evalsuite [^`]+)`", text)]


def in_pages():
    for page in RUN:
        text = page.read_text(encoding="utf-8")
        for line in dict.fromkeys([*shell_lines(text), *inline(text)]):
            yield f"{page.relative_to(ROOT)}: {line}"


def helps():
    context = click.Context(cli)
    for name in _COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command


def in_helps():
    yield from (f"--help: {line}" for line in shell_lines(cli.help or ""))
    for name, command in helps():
        for line in shell_lines(f"{command.help}\n{command.epilog}"):
            yield f"{name} --help: {line}"


COMMANDS = [*in_pages(), *in_helps()]


def test_there_are_commands():
    assert len(COMMANDS) > 40
    assert {line.partition(": ")[0] for line in COMMANDS} >= {"README.md", "docs/gate.md", "docs/presets.md"}
    assert {shlex.split(line.partition(": ")[2])[1] for line in COMMANDS} >= set(_COMMANDS)


# --- stand-ins


def small(name) -> str:
    """A data set of the same shape and classes with few images, for one that has to be downloaded."""
    channels, side = FOR_CLASSES[name]
    path = Path(f"{name}.npz")
    if not path.exists():
        draw = np.random.default_rng(0)
        images = {
            f"x_{part}": draw.integers(0, 256, (40, side, side, channels), np.uint8) for part in ("train", "test")
        }
        np.savez(path, **images, y_train=np.arange(40) % 10, y_test=np.arange(40) % 10)
    return f"npz:{path}"


def photos(folder):
    draw = np.random.default_rng(0)
    for part, kind in ((part, kind) for part in ("train", "test") for kind in ("cat", "dog")):
        (folder / part / kind).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(draw.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / part / kind / f"{part}{k}.png")


def challenge(folder):
    """Pascal VOC's folders with four small photos."""
    root, draw = folder / "VOCdevkit" / "VOC2012", np.random.default_rng(0)
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True)
    for part, listed in (("train", ("a", "b")), ("val", ("c", "d"))):
        (root / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("\n".join(listed) + "\n")
        for name in listed:
            Image.fromarray(draw.integers(0, 256, (40, 48, 3), np.uint8)).save(root / "JPEGImages" / f"{name}.jpg")
            Image.fromarray(draw.integers(0, 21, (40, 48), np.uint8)).save(root / "SegmentationClass" / f"{name}.png")


def network(arch, data: Dataset) -> nn.Module:
    channels, side, _ = data.shape
    return build(
        arch,
        classes=data.outputs if isinstance(data.outputs, int) else data.outputs[0],
        channels=channels,
        image_size=side,
    )


def trained(path, arch, data):
    """A checkpoint of evalsuite's own, as `evalsuite train` would write it."""
    dataset, (name, arguments) = load(data), split(arch)
    normalized = Normalized(network(arch, dataset), dataset.mean, dataset.std).eval()
    write(
        path,
        Checkpoint(
            network=normalized,
            arch=name,
            arguments=arguments,
            class_count=len(dataset.classes),
            classes=dataset.classes,
            shape=dataset.shape,
            data=data,
        ),
    )


def exported(path, whole: nn.Module):
    """The same network as a program of torch.export or an ONNX file."""
    images, dynamic = torch.rand(2, 1, 8, 8), ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(whole.eval(), (images,), dynamic_shapes=dynamic)
    if path.suffix == ".pt2":
        torch.export.save(program, path)
    else:
        pytest.importorskip("onnxscript")
        torch.onnx.export(program, (images,), path, dynamo=True, verbose=False)


@pytest.fixture(scope="module")
def prepared(checkpoint, tmp_path_factory):
    """A folder with what the documents assume is there: photos, policies, a finished run, networks."""
    folder = tmp_path_factory.mktemp("documented")
    shutil.copy(checkpoint, folder / "model.safetensors")
    for pruned in ("pruned50", "pruned80"):
        parent = read(checkpoint)
        with torch.no_grad():
            for weight in parent.network.parameters():
                weight[weight.abs() < weight.abs().median()] = 0
        write(folder / f"{pruned}.safetensors", parent)
    photos(folder / "photos")
    challenge(folder / "data")
    (folder / "policy.toml").write_text(blocks(ROOT / "docs" / "gate.md", "toml")[0])
    return folder


@pytest.fixture
def here(prepared, evalsuite, monkeypatch):
    """The working directory, with `reports/model` a finished run."""
    monkeypatch.chdir(prepared)
    for command in ("SWEEP", "EVALUATE", "PLAN", "PRUNE", "DOCTOR"):
        for option, value in CUT.items():
            monkeypatch.setenv(f"EVALSUITE_{command}_{option}", value)
    if not Path("reports/model/results.json").exists():
        for run in ("model", "mine"):
            ended = evalsuite("sweep", "--ckpt", "model.safetensors", "--out", f"reports/{run}", "--margin", "0.3")
            assert ended.code in {0, 3}, ended.err
        # as one would write it by hand: paths are meant from where the command is typed
        lines = Path("reports/model/run.toml").read_text().splitlines()
        Path("run.toml").write_text("\n".join(line for line in lines if not line.startswith("directory")))
    return prepared


def options(words):
    """Options by name, as far as they have a value."""
    return {word: value for word, value in pairwise(words) if word.startswith("--")}


def provide(words):
    """Make the files that the command reads and nobody has made yet."""
    given = options(words)
    data = given.get("--data", "digits")
    for option in ("--ckpt", "--parent", "--candidates", "--shipped"):
        for name in filter(None, given.get(option, "").split(",")):
            path = Path(name.rpartition("=")[2])
            if path.suffix in {".onnx", ".pt2"}:
                if not path.exists():
                    exported(path, read(Path("model.safetensors")).network)
            elif "--arch" in given:  # a plain state dict, each time of what the command says
                torch.save(network(given["--arch"], load(data, size=224)).state_dict(), path)
            elif not path.exists():
                trained(path, *MADE_BY[path.name])


MADE_BY = {
    # as the line before trains them
    "seg.safetensors": ("torchvision:lraspp_mobilenet_v3_large", "voc:data?size=64"),
    "espcn.safetensors": ("espcn?width=16", "sample-photos"),
    "mlp.safetensors": ("mlp?width=32", "diabetes"),
}


def adapted(words):
    """The command with small data in place of large, and a plan in place of a sweep that would take long."""
    given = options(words)
    data = given.get("--data", "").partition("?")[0]
    if data in FOR_CLASSES:
        words = [small(data) if word == data else word for word in words]
    if words[0] == "train":
        words = [*words, "--epochs", "1", *(["--data", "voc:data?size=64"] if data == "voc:data" else [])]
    if words[0] == "sweep" and (data in PLANNED or "seg.safetensors" in words):
        words = ["plan", "--no-time", *words[1:]]
    if words[0] in {"sweep", "evaluate", "prune"} and "--out" not in given:
        words = [*words, "--out", f"reports/{next(_NUMBERS)}"]  # several name the same network
    return words


_NUMBERS = count()


# --- all of them


@pytest.mark.timeout(900)
@pytest.mark.parametrize("line", COMMANDS)
def test_it_works(evalsuite, here, line):
    _, _, command = line.partition(": ")
    # what stands behind the command is the shell's
    words = shlex.split(re.split(r" (?:\||>>) ", command)[0], comments=True)[1:]
    if "..." in words or len(words) == 1:  # a mention: the command and its options are there
        check_mentioned(words)
        return
    words = [re.sub("|".join(STANDS_FOR), lambda word: STANDS_FOR[word[0]], word) for word in words]
    if words[0] == "demo":  # minutes: `make demo` runs it
        check_mentioned(words)
        return
    words = adapted(words)
    provide(words)
    ended = evalsuite(*words)
    if "--strict" in words:  # of a stand-in that learnt little something is doubtful
        assert ended.code in {0, 4}, ended.err
    else:
        assert ended.code in ({0, 1, 3} if words[0] in VERDICTS else {0}), ended.err
    assert "Traceback" not in ended.err


def check_mentioned(words):
    if words[0].startswith("-"):
        assert words == ["--help"]
        return
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    expected = set(chain.from_iterable(param.opts for param in command.params))
    assert {word for word in words if word.startswith("--")} <= expected


@pytest.mark.parametrize("page", [page for page in RUN if blocks(page, "python")], ids=lambda page: page.name)
def test_python_runs(here, evalsuite, page):
    # stand-ins: a network for its data, a dictionary of results, a run that is there, a network made elsewhere
    results = json.loads(Path("reports/model/results.json").read_text())
    scope = {"network": read(Path("model.safetensors")).network, "results": results}
    out = f"reports/python-{page.stem}"
    shutil.copy("model.safetensors", "pruned50.safetensors")
    for block in blocks(page, "python"):
        if "to_frame" in block and find_spec("pandas") is None:
            continue  # an extra
        code = block.replace('"cifar10"', '"digits"').replace('out="reports/mine"', f'out="{out}"')
        code = code.replace('"reports/mine"', '"reports/model"')
        exec(compile(code, str(page), "exec"), scope)  # noqa: S102 - that is the test
    if "result" in scope and hasattr(scope["result"], "deployable"):
        assert scope["result"].folder == Path(out)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_that_are_mentioned_exist(page):
    truth = set(chain.from_iterable(param.opts for _, command in helps() for param in command.params))
    truth |= {"--help", "--version"}
    mentioned = re.findall(r"`(--[a-z][a-z-]*)", page.read_text(encoding="utf-8"))
    assert set(mentioned) <= truth


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_networks_that_are_mentioned_exist(page):
    text = page.read_text(encoding="utf-8")
    for arch in re.findall(r"`((?:torchvision|timm):[a-z0-9_.]+)`", text):
        assert convention(arch).shape
    for arch in re.findall(r"--arch[ =]'?([^\s'`]+)", text):
        if arch.isupper() or arch.endswith("factory"):
            continue
        assert build(arch, classes=2, channels=3, image_size=64)


COLUMNS = {"| task |": "tasks", "| measure |": "measures", "| pruner |": "pruners"}
FOLDERS = {"measures": "evalsuite.measures", "pruners": "pruners"}


@pytest.mark.parametrize("head", COLUMNS)
def test_names_in_the_tables_of_the_readme_exist(head, tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index(f"\n{head}") :].split("\n\n")[0].splitlines()[2:]
    cells = [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in table]
    assert len(cells) > 5
    for name in chain.from_iterable(cells):
        if COLUMNS[head] == "tasks":
            if "..." not in name and "at=" not in name and not name.startswith("?"):
                assert expand([name])
        else:
            assert name.partition("?")[0].replace("-", "_") in names(FOLDERS[COLUMNS[head]])


def test_what_make_is_told_to_do_is_there():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    message = [
        t for page in PAGES for t in re.findall(r"^    make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert message
    assert set(message) <= targets


def test_files_that_are_linked_are_there():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
