"""Random networks and data, kept and told in random ways: evalsuite computes what their author does, asks, or refuses.

What is meant is computed by numpy, Pillow and torch (the grammars beside this file). For every sentence of the
grammars: where all is told or recorded, every example has the pixels, the class and the logits that its author gives
it. What nobody tells is refused, or stands in the readings as not confirmed, with the option that would tell it. No
wrong answer is silent, and nothing crashes.
"""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import grammar_of_data
import grammar_of_networks
import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from grammar_of_data import NUMBERS, SELF_EVIDENT, Decoding, Layout, Written, layouts, write
from grammar_of_networks import (
    Design,
    Kept,
    Saving,
    Statistics,
    count_by_hand,
    designs,
    keep,
    logits,
    savings,
    skilled,
    with_tensors,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from evalsuite.cli import cli
from evalsuite.config.build_inputs import build_inputs
from evalsuite.config.options import Spec
from evalsuite.config.spec import resolve
from evalsuite.data import choose
from evalsuite.errors import EvalsuiteError
from evalsuite.inputs.read import Inputs
from evalsuite.inputs.understanding import examine
from evalsuite.interpretation import Interpretation
from evalsuite.networks.checkpoints import checkpoint
from evalsuite.networks.normalized import Normalized
from evalsuite.records.store import Address, reading

_CASES = int(os.environ.get("EVALSUITE_PROPERTY_CASES", "0"))
"""Cases of each test, drawn anew each time; 0: a few, always the same."""

_NUMBER = count()

pytestmark = [
    pytest.mark.timeout(100_000 if _CASES else 1200),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.slow,
]


def some(cases: int) -> settings:
    return settings(
        max_examples=_CASES or cases,
        derandomize=not _CASES,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# --- what is said


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """What the author knows, and what of it they tell.

    Attributes:
        rule: By what the network was trained: "none", "numbers", "imagenet" or "data" (of the training examples).
        normalise: Whether they say it.
        classes: How they say what the outputs stand for: not at all, or "data", "names", "file", "?order" or
            "?classes".
        scale: Whether they say what is white, where the type does not.
        size: Whether they say the size of images.
        decoding: How they make images of photos.
        resizing: Whether they say how photos become images of that size.
        appearance: Whether they say what is to become of transparency and of photos that are turned.
        channels: Whether they say that images are gray.
        weights: Whether they say which set of weights is meant, and that a pickle may run.
        origin: "named" or "nameless", where the file is evalsuite's own: whether it names its classes.
        signature: What the factory wants to be told.
    """

    rule: str = "numbers"
    normalise: bool = True
    classes: str = ""
    scale: bool = True
    size: bool = True
    decoding: Decoding = field(default_factory=Decoding)
    resizing: bool = True
    appearance: bool = True
    channels: bool = True
    weights: bool = True
    origin: str = ""
    signature: str = "num_classes, in_chans"


@dataclass(frozen=True, kw_only=True)
class Case:
    layout: Layout
    design: Design
    saving: Saving
    sentence: Sentence


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case:
    layout = draw(layouts(kind))
    design = draw(designs(layout.shape, layout.classes))
    origin = draw(st.sampled_from(["", "", "", "", "", "named", "nameless"]))
    saving = Saving(format="safetensors") if origin else draw(savings())
    if {"weight norm", "spectral norm"} & set(design.blocks) and saving.container == "whole":
        saving = replace(saving, container="model")  # torch refuses to pickle parametrised networks as a whole
    return Case(layout=layout, design=design, saving=saving, sentence=draw(sayings(layout, design, origin)))


@st.composite
def sayings(draw: st.DrawFn, layout: Layout, design: Design, origin: str) -> Sentence:
    rules = ["numbers", "none", "data", *(["imagenet"] if layout.shape[0] == 3 else [])]
    decoding = Decoding(
        crop=draw(st.sampled_from([0.875, 1.0, 0.8])) if layout.fit != "exact" else 0.0,
        resample=draw(st.sampled_from(["bilinear", "bicubic"])),
        alpha=draw(st.sampled_from(["drop", "white", "black"])),
        upright=layout.photos == "png turned" and draw(st.booleans()),
    )
    often = st.sampled_from([True, True, True, False])
    return Sentence(
        rule="none" if design.inside is not None else draw(st.sampled_from(rules)),
        normalise=draw(often),
        classes=draw(st.sampled_from([*([] if _misnumbered(layout) else [""]), *_ways(layout)])),
        scale=draw(often),
        size=draw(often),
        decoding=decoding,
        resizing=draw(often),
        appearance=draw(often),
        channels=draw(often),
        weights=draw(often),
        origin=origin,
        signature=draw(st.sampled_from(["num_classes, in_chans", "classes", "", "in_channels=3, image_size=8"])),
    )


def _misnumbered(layout: Layout) -> bool:
    """Whether folders are called by numbers, and the outputs have others: nobody leaves that to be guessed."""
    return layout.kind == "folder" and layout.named in NUMBERS and layout.network_order == "neither"


def _ways(layout: Layout) -> list[str]:
    """Ways to tell, truly, what the outputs stand for."""
    outputs = layout.outputs
    if layout.kind == "npz":
        in_order = list(layout.order) == sorted(layout.order)
        return (["data"] if in_order else []) + (["names", "file"] if layout.named else [])
    ways = ["names", "file", "?classes"]
    by_number = layout.named != "words" and outputs == sorted(outputs, key=lambda name: int(name.split("_")[-1]))
    return ways + (["?order"] if by_number or outputs == sorted(outputs) else [])


# --- what has to come of it


@dataclass(frozen=True, kw_only=True)
class Due:
    """What evalsuite owes.

    Attributes:
        refused: Why the case has to be refused; empty where it has not to be.
        refusable: Whether it may be.
        untold: Topics of which nobody tells what evalsuite has to know → what stands in the option that would.
    """

    refused: str
    refusable: bool
    untold: dict[str, str]


def due(case: Case) -> Due:
    layout, sentence = case.layout, case.sentence
    untold = _of_photos(layout, sentence) if layout.kind == "folder" else {}
    if not sentence.origin and not _is_recorded(case.saving) and not sentence.normalise:
        untold["normalisation"] = "--normalise"
    if _order_is_open(layout, sentence):
        untold["class order"] = "class"
    beside = "projector" in case.saving.extras and not _elsewhere(case.saving)
    # of two sets that are the same, one has no further layer
    if beside and not sentence.weights and (case.saving.prefix or case.saving.averaged != "same"):
        untold["keys ignored"] = "--weights"
    refusable = (
        # there are no training examples of which the data could have statistics
        sentence.normalise and sentence.rule == "data" and not layout.trained,
        layout.kind == "folder" and layout.named == "numbers with gaps",
        layout.fit == "alike" and not sentence.size,
    )
    return Due(refused=_refused(case), refusable=any(refusable), untold=untold)


def _refused(case: Case) -> str:
    layout, saving, sentence = case.layout, case.saving, case.sentence
    folder = layout.kind == "folder"
    wide = layout.photos == "png 12 of 16" if folder else layout.stored not in SELF_EVIDENT
    reasons = {
        "what is white": wide and not sentence.scale,
        "colours for a gray network": folder and layout.shape[0] == 1 and not sentence.channels,
        "the size of images": folder and layout.fit == "various" and not (sentence.size or sentence.origin),
        "a pickle that may run code": saving.container == "whole" and not sentence.weights,
        "a normalisation of other images": _is_recorded(saving) and saving.units != 1 and not sentence.normalise,
        "a layer more": "projector" in saving.extras and not saving.prefix and _is_taken_with_it(saving, sentence),
        "two sets of weights": saving.averaged in {"keys", "prefixes"} and not sentence.weights,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def _of_photos(layout: Layout, sentence: Sentence) -> dict[str, str]:
    sized = sentence.size or bool(sentence.origin)
    questions = {
        "image size": ("?size=", not sized),
        "resizing": ("?crop=", layout.fit != "exact" and sized and not sentence.resizing),
        "transparency": ("?alpha=", "alpha" in layout.photos and not sentence.appearance),
        "orientation": ("?orientation=", layout.photos == "png turned" and not sentence.appearance),
    }
    return {topic: option for topic, (option, holds) in questions.items() if holds}


def _is_taken_with_it(saving: Saving, sentence: Sentence) -> bool:
    """Whether the weights that are meant stand in one set with what else is there, and no other set does as well."""
    taken = {"": True, "keys": saving.meant == "raw", "same": sentence.weights, "prefixes": False}
    return taken[saving.averaged]


def _is_recorded(saving: Saving) -> bool:
    """Whether a normalisation stands beside the weights that are meant."""
    return bool(saving.beside) and not _elsewhere(saving)


def _elsewhere(saving: Saving) -> bool:
    """Whether what is meant stands under another key than everything else."""
    return saving.averaged == "keys" and saving.meant == "averaged"


def _order_is_open(layout: Layout, sentence: Sentence) -> bool:
    """Whether nothing tells the order of the network's outputs."""
    if sentence.classes:
        return False
    if not layout.outputs[0].isdecimal():
        return sentence.origin != "named"
    # numbers that stand in the file's and in the data's names count where they are the same
    in_order = layout.outputs == sorted(layout.outputs, key=int)
    if sentence.origin == "named" or not in_order:
        return not in_order
    # folders' own numbers tell it, unless text and number are two orders
    return layout.kind == "npz" or layout.named not in NUMBERS or layout.outputs != sorted(layout.outputs)


# --- the two answers


@dataclass(frozen=True, kw_only=True)
class Meant:
    """What the author means; `noise` is what single precision makes of the logits, `weights` is for `--weights`."""

    written: Written
    statistics: Statistics
    network: nn.Module
    logits: Tensor
    noise: float
    weights: str


def prepare(case: Case) -> tuple[dict[str, str], Meant]:
    """Write everything into the working folder; options by name, and what they mean."""
    layout, sentence = case.layout, case.sentence
    written = write(layout, Path(), sentence.decoding)
    statistics = _statistics(case, written)
    both = [part for part in (written.train, written.test) if part is not None]
    images = torch.from_numpy(np.concatenate([part.pixels for part in both]))
    labels = torch.from_numpy(np.concatenate([part.labels for part in both]))
    mean, std = (torch.tensor(each)[:, None, None] for each in statistics)
    network = skilled(case.design, case.saving, (images - mean) / std, labels, layout.seed)
    arch = _module(case)
    path = Path(f"saved{case.saving.suffix}")
    kept = _keep(case, network, path, statistics, arch)
    answer, exact = logits(kept.network, torch.from_numpy(written.test.pixels), statistics)
    meant = Meant(
        written=written,
        statistics=statistics,
        network=kept.network,
        logits=answer,
        noise=float((answer - exact).abs().max()),
        weights=kept.weights,
    )
    return {"ckpt": str(path), **_options(case, meant, path, arch)}, meant


def _statistics(case: Case, written: Written) -> Statistics:
    channels = case.layout.shape[0]
    if case.sentence.rule == "none":
        return (0.0,) * channels, (1.0,) * channels
    if case.sentence.rule == "imagenet":
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    if case.sentence.rule == "data" and written.train is not None:
        pixels = written.train.pixels.astype(np.float64)
        return tuple(pixels.mean((0, 2, 3)).tolist()), tuple(pixels.std((0, 2, 3)).tolist())
    return (0.4, 0.5, 0.45)[:channels], (0.3, 0.2, 0.25)[:channels]


def _module(case: Case) -> str:
    """What `--arch` names; of a factory the module is written."""
    if case.design.built_in:
        return case.design.arch
    name = f"net_{next(_NUMBER)}"
    wanted = [part.split("=")[0].strip() for part in case.sentence.signature.split(",") if part.strip()]
    fields = {"num_classes": "classes", "classes": "classes", "in_chans": "channels", "in_channels": "channels"}
    changes = ", ".join(f"{fields[each]}={each}" for each in wanted if each in fields)
    head = "from dataclasses import replace\n\nfrom grammar_of_networks import Design, build\n\n"
    body = f"def make({case.sentence.signature}):\n    return build(replace(DESIGN, {changes}))\n"
    Path(f"{name}.py").write_text(f"{head}DESIGN = {case.design!r}\n\n\n{body}", encoding="utf-8")
    return f"{name}:make"


def _keep(case: Case, network: nn.Module, path: Path, statistics: Statistics, arch: str) -> Kept:
    if not case.sentence.origin:
        return keep(network, case.saving, path, statistics, case.layout.seed)
    name, _, given_settings = arch.partition("?")
    pairs = (pair.split("=") for pair in given_settings.split("&") if pair)
    whole = checkpoint.Checkpoint(
        network=Normalized(network, *statistics),
        arch=name,
        arguments={key: int(value) if value.isdigit() else value for key, value in pairs},
        class_count=case.layout.classes,
        classes=tuple(case.layout.outputs) if case.sentence.origin == "named" else None,
        shape=case.layout.shape,
    )
    checkpoint.write(path, whole)
    return Kept(network=network, weights="")


def _options(case: Case, meant: Meant, path: Path, arch: str) -> dict[str, str]:
    sentence, whole = case.sentence, case.saving.container == "whole"
    numbers = "/".join(",".join(map(str, each)) for each in meant.statistics)
    if sentence.classes == "file":
        Path("classes.txt").write_text("\n".join(case.layout.outputs), encoding="utf-8")
    options = {
        "data": f"{case.layout.kind}:{meant.written.path}{_query(case)}",
        "arch": "" if whole else arch,
        # an own file that was trained by other data says itself how
        "normalise": (numbers if sentence.rule == "numbers" else sentence.rule) if _says_rule(sentence) else "",
        "classes": {"data": "data", "names": ",".join(case.layout.outputs), "file": "classes.txt"}.get(
            sentence.classes, ""
        ),
        "weights": meant.weights if sentence.weights else "",
        "trust": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" if whole and sentence.weights else "",
    }
    return {name: value for name, value in options.items() if value}


def _says_rule(sentence: Sentence) -> bool:
    return sentence.normalise and not (sentence.origin and sentence.rule == "data")


def _query(case: Case) -> str:
    layout, sentence = case.layout, case.sentence
    if layout.kind == "folder":
        options = _photo_options(layout, sentence)
    else:
        white = grammar_of_data.ARRAYS[layout.stored][1]
        options = {f"scale={white}": sentence.scale and layout.stored not in SELF_EVIDENT}
    given = [option for option, holds in options.items() if holds]
    return "?" + "&".join(given) if given else ""


def _photo_options(layout: Layout, sentence: Sentence) -> dict[str, bool]:
    decoding = sentence.decoding
    Path("listed.txt").write_text("\n".join(layout.outputs), encoding="utf-8")
    resizing = layout.fit != "exact" and sentence.resizing and (sentence.size or bool(sentence.origin))
    return {
        f"size={layout.shape[1]}": sentence.size,
        "channels=1": layout.shape[0] == 1 and sentence.channels,
        f"crop={decoding.crop:g}&interpolation={decoding.resample}": resizing,
        "scale=4095": layout.photos == "png 12 of 16" and sentence.scale,
        f"alpha={decoding.alpha}": "alpha" in layout.photos and sentence.appearance,
        f"orientation={'exif' if decoding.upright else 'ignore'}": layout.photos == "png turned"
        and sentence.appearance,
        f"order={'text' if layout.outputs == sorted(layout.outputs) else 'number'}": sentence.classes == "?order",
        "classes=listed.txt": sentence.classes == "?classes",
    }


@dataclass(frozen=True, kw_only=True)
class Read:
    """What evalsuite read, or why it did not."""

    refusal: str = ""
    inputs: Inputs | None = None
    readings: tuple[Interpretation, ...] = ()

    @property
    def unconfirmed(self) -> list[Interpretation]:
        """Readings that nobody vouches for; what was tried on a few examples is a suspicion, and may be wrong."""
        return [each for each in self.readings if not (each.confirmed or each.reason.startswith("tried on"))]


def spec_of(options: dict[str, str]) -> Spec:
    trust = {"trust": (options["trust"],)} if "trust" in options else {}
    return resolve(
        {"ratios": (0.3, 0.6), "tasks": ("clean",), "device": "cpu", "accept_parent": True, **options, **trust}
    )


def flags(options: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def read(options: dict[str, str]) -> Read:
    """What evalsuite makes of it; only its own errors, of one line, count as a refusal."""
    try:
        result = build_inputs(spec_of(options))
        examples = choose(result.dataset.test, len(result.dataset.test), 0)
        return Read(inputs=result, readings=examine(result, examples, confidence=0.95).readings)
    except EvalsuiteError as error:
        refusal = error
    assert_one_clear_line(refusal)
    return Read(refusal=str(refusal))


def assert_one_clear_line(error: BaseException | None) -> None:
    assert isinstance(error, EvalsuiteError), repr(error)
    assert error.exit_code in {2, 4}
    assert "\n" not in str(error)
    assert len(str(error)) < 1500


def difference(result: Inputs, meant: Meant) -> str:
    """How evalsuite's examples and answers differ from those that are meant; empty where they do not."""
    test, held = result.dataset.test, meant.written.test
    keys = keys_of(result)
    if sorted(map(str, keys)) != sorted(str(key) for key in held.keys if key not in held.left):
        return f"other examples: {len(keys)} of {len(held.keys)}"
    places = [held.keys.index(key) for key in keys]
    batch = test.batch(0, len(test))
    pixels = torch.from_numpy(held.pixels[places])
    if batch.images.shape != pixels.shape or not torch.allclose(batch.images, pixels, rtol=0, atol=1e-6):
        return f"other pixels, of shape {tuple(batch.images.shape)}"
    if batch.labels.tolist() != held.labels[places].tolist():
        return "other classes"
    with torch.inference_mode():
        return distance(result.parent.network(batch.images), meant, places)


def keys_of(result: Inputs) -> list[object]:
    """Where evalsuite's held-out examples stand, in the author's words."""
    paths = getattr(result.dataset.test.images, "paths", None)
    return [at if paths is None else paths[at] for at in result.dataset.test.positions.tolist()]


def distance(answer: Tensor, meant: Meant, places: list[int]) -> str:
    wanted = meant.logits[places]
    if answer.shape != wanted.shape:
        return f"logits of shape {tuple(answer.shape)}"
    furthest = float((answer - wanted).abs().max())
    near = 1e-5 * float(wanted.abs().max()) + 10 * meant.noise
    return "" if furthest <= near else f"other logits, by {furthest}"


@contextlib.contextmanager
def working_folder() -> Iterator[None]:
    """An empty one; modules that are written there are forgotten."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        before = set(sys.modules)
        yield
        for name in set(sys.modules) - before:
            if name.startswith("net_"):
                del sys.modules[name]


# --- the properties


def check_read_as_meant(case: Case) -> None:
    with working_folder():
        options, meant = prepare(case)
        result, owed = read(options), due(case)
        if result.inputs is None:
            assert owed.refused or owed.refusable, result.refusal
            return
        assert not owed.refused
        differs = difference(result.inputs, meant)
        for topic, option in owed.untold.items():
            assert any(each.topic == topic and option in each.option for each in result.unconfirmed), (topic, differs)
        if not owed.untold:
            assert not differs
            assert not result.unconfirmed


@given(cases("npz"))
@some(150)
def test_archives_are_read_as_meant_or_not_at_all(case: Case) -> None:
    check_read_as_meant(case)


@given(cases("folder"))
@some(150)
def test_folders_are_read_as_meant_or_not_at_all(case: Case) -> None:
    check_read_as_meant(case)


@st.composite
def damaged(draw: st.DrawFn) -> Case:
    """A case that would be read, but for one thing that is wrong with a file or with what is said of it."""
    kind = draw(st.sampled_from(["npz", "folder"]))
    case = draw(cases(kind))
    owed = due(case)
    assume(not owed.refused and not owed.refusable)
    if case.saving.container != "whole" and not case.sentence.origin and draw(st.booleans()):
        return replace(case, saving=replace(case.saving, damage=draw(st.sampled_from(grammar_of_networks.DAMAGES))))
    damages = [each for each in grammar_of_data.DAMAGES[kind] if not _makes_sense(case.layout, each)]
    return replace(case, layout=replace(case.layout, damage=draw(st.sampled_from(damages))))


def _makes_sense(layout: Layout, damage: str) -> bool:
    """Whether what is left may be meant: darkness where white is told, a validation set where no test set is left."""
    dark = damage == "all dark" and layout.stored not in SELF_EVIDENT
    return dark or (damage == "nothing held out" and layout.trained and bool(layout.split[2]))


@given(damaged())
@some(60)
def test_what_is_damaged_or_does_not_fit_is_refused(case: Case) -> None:
    with working_folder():
        options, _ = prepare(case)
        assert read(options).refusal


@given(cases("npz") | cases("folder"))
@some(12)
def test_a_run_stores_what_the_author_gets_example_by_example(case: Case) -> None:
    owed = due(case)
    assume(not owed.refused and not owed.refusable and not owed.untold)
    with working_folder():
        options, meant = prepare(case)
        parent = [flag.replace("--ckpt", "--parent") for flag in flags(options)]
        arguments = [*parent, "--tasks=clean", "--out=run", "--accept-parent", "--examples=1000"]
        result = CliRunner().invoke(cli, ["evaluate", *arguments])
        assert not isinstance(result.exception, Exception), result.exception
        result = build_inputs(spec_of(options))
        examples = choose(result.dataset.test, len(result.dataset.test), 0)
        keys = keys_of(replace(result, dataset=replace(result.dataset, test=examples)))
        places = [meant.written.test.keys.index(key) for key in keys]
        stored = _predictions(Path("run"))
        wanted = meant.logits[places]
        top = wanted.topk(2).values
        # answers that single precision cannot tell apart may fall either way
        clear = (top[:, 0] - top[:, 1] > 1e-4 * float(wanted.abs().max()) + 10 * meant.noise).numpy()
        assert len(stored) == len(places)
        assert (stored[clear] == wanted.argmax(1).numpy()[clear]).all()


def _predictions(folder: Path) -> np.ndarray:
    with reading(folder) as store:
        (task,) = store.tasks()
        network = store.meta().parent.digest
        addresses = [Address(task=task.digest, network=network, examples=each, seed=0) for each in task.shards]
        columns = [store.read(address) for address in addresses]
    return np.concatenate([each["prediction"] for each in columns if each is not None])


# --- pruning


COMPUTED = frozenset(
    {"standardised", "weight norm", "old weight norm", "spectral norm", "old spectral norm"},
)
"""Blocks that compute with other weights than they store: a stored zero is no zero in use, or not the only one."""


@given(cases("npz"), st.sampled_from(["magnitude", "filter-norm"]))
@some(40)
def test_what_is_pruned_stands_in_the_file_and_is_counted_as_by_hand(case: Case, pruner: str) -> None:
    owed = due(case)
    assume(not owed.refused and not owed.refusable and not owed.untold and case.saving.container != "whole")
    with working_folder():
        options, meant = prepare(case)
        entries, left = count_by_hand(meant.network, torch.from_numpy(meant.written.test.pixels))
        sparsity = 1 - left / entries
        arguments = [*flags(options), f"--pruner={pruner}", "--ratios=0.3,0.6", "--json", "--out=run"]
        result = CliRunner().invoke(cli, ["prune", *arguments, "--accept-parent"])
        if isinstance(result.exception, Exception):
            assert_one_clear_line(result.exception)
            assert pruner == "filter-norm" or COMPUTED & set(case.design.blocks) or sparsity >= 0.6, result.exception
            return
        networks = json.loads(result.stdout)["networks"]
        assert networks or pruner == "filter-norm"
        for facts in networks:
            check_pruned(case, meant, Path("run") / facts["file"], facts["prune_ratio"], options)


def check_pruned(case: Case, meant: Meant, file: Path, ratio: float, options: dict[str, str]) -> None:
    tensors = safetensors.torch.load_file(file)
    statistics = tuple(tensors.pop("mean").tolist()), tuple(tensors.pop("std").tolist())
    assert np.allclose(statistics, meant.statistics, rtol=1e-6)
    origin = with_tensors(case.design, {name.removeprefix("network."): each for name, each in tensors.items()})
    pixels = torch.from_numpy(meant.written.test.pixels)
    entries, _ = count_by_hand(meant.network, pixels)
    _, left = count_by_hand(origin, pixels)
    assert ratio == pytest.approx(1 - left / entries, abs=1e-12)
    result = build_inputs(spec_of({"ckpt": str(file), "data": options["data"], "arch": options["arch"]}))
    answer, exact = logits(origin, pixels, statistics)
    noise = float((answer - exact).abs().max())
    same = replace(meant, logits=answer, noise=noise)
    assert not difference(result, same)
