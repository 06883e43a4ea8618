"""Options and the small languages in them: ratios, tasks, names, normalisation, run files, policies."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fuzz.mutations.documents import toml_tree
from fuzz.mutations.plain import TEXT, encoded
from fuzz.target import Target


def _lines(*texts: str) -> Callable[[Path], Sequence[bytes]]:
    return lambda _: [encoded(text) for text in texts]


def _argument(data: bytes) -> str:
    """As a shell hands it over: no null characters, and bytes that are no UTF-8 as Python has them."""
    return data.replace(b"\0", b"").decode("utf-8", "surrogateescape")


def _options(*given: str) -> dict[str, object]:
    from evalsuite.cli._options import given as merged
    from evalsuite.cli.sweep import command

    with command.make_context("sweep", ["--ckpt", "model.pt", *given], auto_envvar_prefix="EVALSUITE") as context:
        context.params.pop("as_json", None)
        names = {option: value for option, value in context.params.items() if option not in {"amend", "no_time"}}
        return merged(names)


def _resolved(*given: str) -> object:
    from evalsuite.config.spec import resolve, to_toml

    spec = resolve(_options(*given))
    return spec, spec.canonical(), to_toml(spec.document())


def _option(name: str) -> Callable[[bytes, Path], object]:
    return lambda data, _: _resolved(f"{name}={_argument(data)}")


def _parts(name: str) -> Callable[[bytes, Path], object]:
    """As `_option`, and the parts that are named."""

    def read(data: bytes, _: Path) -> object:
        from evalsuite.config.build import build_evaluation_settings
        from evalsuite.config.spec import resolve

        spec = resolve(_options(f"{name}={_argument(data)}"))
        return build_evaluation_settings(spec), _made(spec.pruner, spec.regularise, spec.retrain, spec.epochs)

    return read


def _made(pruner: Sequence[str], regularise: Sequence[str], retrain: str, epochs: int | None) -> object:
    from evalsuite.config.build import recipe_for
    from evalsuite.parts.names import parse_part, part_name
    from pruners import Pruner
    from pruners.regularisers import Regulariser

    parts = [parse_part("pruners", each, Pruner) for each in pruner]
    assert [parse_part("pruners", part_name(part), Pruner) for part in parts] == parts
    more = [parse_part("pruners.regularisers", each, Regulariser) for each in regularise]
    return parts, more, recipe_for(retrain, "lenet5", "digits", epochs, retraining=True)


def _checked_tasks(data: bytes, _: Path) -> object:
    """Tasks on a small data set, as far as they are checked before anything is computed."""
    import torch

    from evalsuite.config.spec import resolve
    from evalsuite.data import Dataset, Examples
    from evalsuite.evaluation.examples import check_task, domain_of
    from evalsuite.parts.names import part_name
    from evalsuite.tasks._names import address, digest, expand

    spec = resolve(_options(f"--tasks={_argument(data)}"))
    tasks = expand(spec.tasks)
    again = expand([part_name(task) for task in tasks])
    assert [part_name(task) for task in again] == [part_name(task) for task in tasks]
    blank = Examples.from_labels(torch.zeros(3, 3, 8, 8, dtype=torch.uint8), torch.arange(3))
    dataset = Dataset(
        name="blank", classes=("a", "b", "c"), shape=(3, 8, 8), train=None, test=blank, mean=(0.0,) * 3, std=(1.0,) * 3
    )
    for task in tasks:
        check_task(task, dataset)
        task.unsupported_reason(domain_of(dataset))
    return [(address(task), digest(task), task.title()) for task in tasks]


def _normalisation(data: bytes, _: Path) -> object:
    from evalsuite.networks.checkpoints.normalisation import statistics_for

    mean, std = statistics_for(_argument(data), ((0.5,) * 3, (0.5,) * 3), 3)
    assert len(mean) == len(std) == 3
    return mean, std


def _data(data: bytes, _: Path) -> object:
    """Names of data; those that name code of the user's own are left alone."""
    from evalsuite.data import load
    from evalsuite.data._by_name import data_files
    from evalsuite.parts.data_names import parse_data_name
    from evalsuite.parts.registry import names

    text = _argument(data)
    parsed = parse_data_name(text)
    if parsed.kind.replace("-", "_") not in names("evalsuite.data") and parsed.argument:
        return parsed
    if parsed.kind.replace("-", "_") in {"cifar10", "cifar100", "mnist", "fashion_mnist", "svhn"}:
        return parsed  # would be downloaded
    return load(text), data_files(text)


def _architecture(data: bytes, _: Path) -> object:
    from evalsuite.networks.architectures.by_name import build, convention, runs_users_code, split

    text = _argument(data)
    if runs_users_code(text):
        return split(text)
    return convention(text), build(text, classes=3, channels=3, image_size=32)


def _device(data: bytes, _: Path) -> object:
    from evalsuite.inputs.read import chosen_device

    return chosen_device(_argument(data))


def _class_list(data: bytes, _: Path) -> object:
    from evalsuite.inputs.class_order import names_given

    return names_given(_argument(data))


def _shown(data: bytes, _: Path) -> object:
    from evalsuite.cli.show import _part

    text = _argument(data)
    return None if ":" in text else _part(text).document()


def _shown_names(_: Path) -> Sequence[bytes]:
    return [b"tasks/corruption/fog/3", b"networks/lenet5", b"presets/quick", b"pruners/magnitude", b"data/npz"]


_RUN: Final = """\
directory = "."
ckpt = "model.safetensors"
arch = "lenet5"
data = "digits"
preset = "quick"
pruner = ["magnitude", "filter_norm?p=1"]
ratios = [0.3, 0.5]
tasks = ["clean", "noise/uniform/0.1", "corruption/fog/3"]
measures = ["error", "calibration"]
margin = 0.01
margin_for = {"adversarial" = 0.02}
examples = 500
examples_for = {"adversarial" = 100}
seed = 3
trust = []
strict = true
"""


def _run_file(data: bytes, folder: Path) -> object:
    from evalsuite.cli._options import given
    from evalsuite.config.build import build_evaluation_settings
    from evalsuite.config.spec import resolve

    (folder / "run.toml").write_bytes(data)
    try:
        spec = resolve(given({"config": folder / "run.toml"}))
    finally:
        os.chdir(folder)
    judged = None if spec.slices else build_evaluation_settings(spec)
    return spec.canonical(), judged, _made(spec.pruner, spec.regularise, spec.retrain, spec.epochs)


_POLICY: Final = """\
[policy]
name = "release"
min_deployable = 0.5
margin = 0.01
confidence = 0.95
min_examples = 100
assumptions = ["class order"]

[[require]]
task = "corruption/*"
min_commensurate = 0.5

[[require]]
task = "clean"
measure = "error"
max_loss = 0.1
verdict = "commensurate"
"""


def _policy(data: bytes, folder: Path) -> object:
    from evalsuite.gate.policy import read_policy

    (folder / "policy.toml").write_bytes(data)
    return read_policy(folder / "policy.toml")


def _trust(data: bytes, _: Path) -> object:
    from evalsuite.config.build_inputs import reading_for
    from evalsuite.config.spec import resolve

    return reading_for(resolve(_options(f"--trust={_argument(data)}", "--ratios=0.5")))


_SMALL = ("evalsuite.cli._options", "evalsuite.config.spec")

TARGETS = (
    Target(
        name="ratios",
        honest=_lines("0.3,0.5", "0.1:0.9:0.1", "lottery:16,0.99", "0.5"),
        read=_option("--ratios"),
        mutations=TEXT,
        guided=_SMALL,
    ),
    Target(
        name="tasks",
        honest=_lines(
            "clean",
            "noise/uniform/0.1,corruption/fog/1-5",
            "adversarial/linf/8/255?attack=pgd",
            "corruption/common/3",
            "certified/l2/0.5?sigma=0.25",
            "ood/noise",
            "bounds/linf/0.01",
            "saliency",
            "shift/cifar-c/fog/3?at=.",
            "features/0.5",
        ),
        read=_checked_tasks,
        mutations=TEXT,
        guided=("evalsuite.parts.names", "evalsuite.tasks._names"),
    ),
    Target(
        name="measures",
        honest=_lines("error,calibration", "all", "ood_auroc?score=energy"),
        read=_parts("--measures"),
        mutations=TEXT,
    ),
    Target(
        name="pruners",
        honest=_lines("magnitude", "filter-norm?p=1", "magnitude?allocation=erk,snip"),
        read=_parts("--pruner"),
        mutations=TEXT,
    ),
    Target(
        name="recipes", honest=_lines("standard?epochs=3", "trades", "none"), read=_parts("--retrain"), mutations=TEXT
    ),
    Target(name="regularisers", honest=_lines("nrs"), read=_parts("--regularise"), mutations=TEXT),
    Target(
        name="normalise",
        honest=_lines("none", "data", "imagenet", "0.13/0.31", "0.4,0.5,0.6/0.2,0.2,0.2"),
        read=_normalisation,
        mutations=TEXT,
        guided=("evalsuite.networks.checkpoints.normalisation",),
    ),
    Target(
        name="data-name",
        honest=_lines("digits", "diabetes", "sample-photos"),
        odd=lambda: [
            b"folder:photos?size=64&channels=1",
            b"npz:set.npz?scale=255",
            b"csv:t.csv?target=a",
            b"voc:x?year=2007",
        ],
        read=_data,
        mutations=TEXT,
        guided=("evalsuite.parts.data_names", "evalsuite.data._load"),
    ),
    Target(
        name="architecture",
        honest=_lines("lenet5", "resnet8?shortcut=padding", "mlp?depth=1&width=3"),
        odd=lambda: [b"torchvision:resnet18x", b"timm:resnet_x"],
        read=_architecture,
        mutations=TEXT,
    ),
    Target(name="device", honest=_lines("cpu", "auto"), odd=lambda: [b"cuda:1"], read=_device, mutations=TEXT),
    Target(name="class-list", honest=_lines("data", "cat,dog,owl"), read=_class_list, mutations=TEXT),
    Target(
        name="margin-for", honest=_lines("adversarial=0.02,certified=0.5"), read=_option("--margin-for"), mutations=TEXT
    ),
    Target(name="examples-for", honest=_lines("adversarial=200"), read=_option("--examples-for"), mutations=TEXT),
    Target(name="numbers", honest=_lines("5", "1000"), read=_option("--seed"), mutations=TEXT),
    Target(name="margin", honest=_lines("0.01"), read=_option("--margin"), mutations=TEXT),
    Target(name="preset", honest=_lines("quick", "paper"), read=_option("--preset"), mutations=TEXT),
    Target(name="require", honest=_lines("*", "clean,corruption/*"), read=_option("--require"), mutations=TEXT),
    Target(name="trust", honest=_lines("sha256:" + "0" * 64), read=_trust, mutations=TEXT),
    Target(name="shown-part", honest=_shown_names, read=_shown, mutations=TEXT),
    Target(
        name="run-file",
        honest=_lines(_RUN),
        read=_run_file,
        mutations=(toml_tree, toml_tree, *TEXT),
        guided=("evalsuite.config.spec", "evalsuite.cli._options", "tomllib"),
    ),
    Target(
        name="policy",
        honest=_lines(_POLICY),
        read=_policy,
        mutations=(toml_tree, toml_tree, *TEXT),
        guided=("evalsuite.gate.policy", "tomllib"),
    ),
)
