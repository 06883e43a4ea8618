"""Control networks: what each of them shares with the pruned network that it stands beside."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from evalsuite.config.build import check_pruning
from evalsuite.config.options import Control
from evalsuite.config.settings import PruningSettings
from evalsuite.data import load
from evalsuite.errors import UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, write
from evalsuite.networks.normalized import Normalized
from evalsuite.progress import Silent
from evalsuite.pruning.controls import control_count, controls_per_network, make_control, total_epochs
from evalsuite.pruning.family import build_family
from evalsuite.pruning.retraining import Retraining
from evalsuite.records.store import opened
from evalsuite.training.standard import Standard
from pruners import prunable, prune, remaining
from pruners.filter_norm import FilterNorm
from pruners.greg import GReg
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

RECIPE = Standard(epochs=1, batch_size=256)
EXAMPLE = torch.zeros(1, 1, 8, 8)


def parent(depth: int = 14) -> Checkpoint:
    bare = build("resnet20", classes=10, channels=1, image_size=8, arguments={"depth": depth, "width": 4})
    network = Normalized(bare, (0.3,), (0.4,)).eval()
    arguments = {"depth": depth, "width": 4}
    return Checkpoint(
        network=network,
        arch="resnet20",
        arguments=arguments,
        class_count=10,
        classes=None,
        shape=(1, 8, 8),
        data="digits",
    )


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return Inputs(parent=parent(), dataset=load("digits"), device=torch.device("cpu"))


def retraining(inputs: Inputs, **options: object) -> Retraining:
    pruners = (Magnitude(), FilterNorm())
    making = PruningSettings(pruners=pruners, ratios=(0.5,), recipe=RECIPE, full=RECIPE, **options)  # type: ignore[arg-type]
    return Retraining(inputs, making, Silent())


def counts(network: nn.Module) -> list[int]:
    return [int(weight.count_nonzero()) for weight in prunable(network).values()]


@pytest.mark.parametrize("control", ["shuffled", "random", "reinitialised", "scratch", "scratch-budget"])
@pytest.mark.parametrize("pruner", [Magnitude(), FilterNorm()])
def test_as_many_weights_in_every_layer(inputs: Inputs, control: Control, pruner: Magnitude | FilterNorm) -> None:
    pruned = prune(inputs.parent.network, pruner, 0.7, example=EXAMPLE)
    made = make_control(control, pruned, pruned, retraining(inputs), seed=1, trials=1)
    assert made is not None
    assert counts(made.network) == counts(pruned)
    assert [w.shape for w in prunable(made.network).values()] == [w.shape for w in prunable(pruned).values()]
    same = [torch.equal(a, b) for a, b in zip(prunable(made.network).values(), prunable(pruned).values(), strict=True)]
    assert not any(same)


@pytest.mark.parametrize("control", ["width", "copycat"])
def test_dense_controls_have_the_budget_of_the_pruned_network(inputs: Inputs, control: Control) -> None:
    reference = prune(inputs.parent.network, FilterNorm(allocation="global"), 0.3, example=EXAMPLE)
    pruned = prune(inputs.parent.network, Magnitude(), 0.6, example=EXAMPLE)
    made = make_control(control, pruned, reference, retraining(inputs), seed=1, trials=1)
    assert made is not None
    assert remaining(made.network) == pytest.approx(remaining(pruned), rel=0.1)
    assert remaining(made.network) == sum(weight.numel() for weight in prunable(made.network).values())


def test_the_shallower_control_is_the_deepest_that_fits(inputs: Inputs, tmp_path: Path) -> None:
    eight = remaining(parent(8).network)
    for keep, depth in ((remaining(inputs.parent.network) - 1, 8), (eight, 8), (eight - 1, None)):
        ratio = 1 - keep / remaining(inputs.parent.network)
        pruned = prune(inputs.parent.network, Magnitude(), ratio, example=EXAMPLE)
        assert remaining(pruned) == keep
        made = make_control("depth", pruned, pruned, retraining(inputs), seed=1, trials=1)
        assert (None if made is None else made.arguments["depth"]) == depth
        if made is not None:
            write(tmp_path / "d.safetensors", made)
            assert remaining(read(tmp_path / "d.safetensors").network) == eight


def test_networks_that_no_name_builds_have_no_fresh_controls(inputs: Inputs) -> None:
    nameless = Inputs(
        parent=Checkpoint(
            network=inputs.parent.network, arch=None, class_count=10, classes=None, shape=(1, 8, 8), data="digits"
        ),
        dataset=inputs.dataset,
        device=inputs.device,
    )
    with pytest.raises(UsageError, match="can be built by name"):
        make_control("scratch", inputs.parent.network, inputs.parent.network, retraining(nameless), seed=1, trials=1)


def test_another_recipe_for_training_in_full_is_another_run(inputs: Inputs, tmp_path: Path) -> None:
    def made(full: Standard) -> dict[str, tuple[str, str]]:
        making = PruningSettings(
            pruners=(Magnitude(),), ratios=(0.5,), recipe=RECIPE, full=full, controls=("shuffled", "scratch")
        )
        with opened(tmp_path, create=True) as store:
            family = build_family(inputs, making, store, tmp_path, seed=0, reporter=Silent())
        return {ref.id: (address, ref.digest) for address, ref in zip(family.addresses, family.networks, strict=True)}

    short, long = Standard(epochs=1, batch_size=256), Standard(epochs=2, batch_size=256)
    first, again, second = made(short), made(short), made(long)
    assert first == again
    assert first["shuffled-magnitude-0-0.5"] == second["shuffled-magnitude-0-0.5"]
    scratch = "scratch-magnitude-0-0.5"
    assert first[scratch][0] != second[scratch][0]
    assert first[scratch][1] != second[scratch][1]
    plain = PruningSettings(pruners=(Magnitude(),), ratios=(0.5,), recipe=RECIPE)
    assert replace(plain, full=short).identity() != replace(plain, full=long).identity()
    assert "full" not in plain.identity()


def test_copycats_stand_beside_channels_only() -> None:
    controls: tuple[Control, ...] = ("dense", "shuffled", "copycat")
    assert controls_per_network(controls, Magnitude()) == ("shuffled",)
    assert controls_per_network(controls, FilterNorm()) == ("shuffled", "copycat")
    making = PruningSettings(
        pruners=(Magnitude(), FilterNorm()), ratios=(0.5, 0.8), controls=controls, seeds=3, recipe=RECIPE
    )
    # per seed: one control beside two networks, two beside two, and the dense one
    assert control_count(making) == 3 * (1 * 2 + 2 * 2 + 1)
    # 4 pruned; shuffled ones are trained as long as their network was retrained, 2 * (1 + 2); 2 copycats in full; the
    # dense one once a ratio
    assert total_epochs(making) == 3 * (4 + 6 + 2 + 2)


def test_methods_that_train_count_twice() -> None:
    making = PruningSettings(pruners=(GReg(), Magnitude()), ratios=(0.5, 0.8), recipe=Standard(epochs=3))
    assert total_epochs(making) == 3 * (2 * 2 + 2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pruners": (GReg(),)}, "--pruner greg prunes while it trains: add --retrain RECIPE"),
        ({"adapters": 2}, "--adapters is about retraining"),
        ({"controls": ("dense",)}, "--controls is about retraining"),
        ({"recipe": RECIPE, "controls": ("copycat",)}, "expected a pruner of channels"),
        ({"pruners": (FilterNorm(),), "rewind": "weights"}, "--rewind weights: expected pruners of weights"),
    ],
)
def test_what_cannot_be_made_is_refused_at_once(inputs: Inputs, options: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        check_pruning(PruningSettings(**{"pruners": (Magnitude(),), "ratios": (0.5,), **options}), inputs)  # type: ignore[arg-type]


def test_controls_of_a_run_stand_in_its_results(evalsuite_run) -> None:
    folder = evalsuite_run("--controls", "dense,shuffled,width", "--retrain", "standard", "--epochs", "1")
    networks = json.loads((folder / "results.json").read_text())["networks"]
    assert [n["id"] for n in networks if n["role"] == "control"] == [
        "shuffled-magnitude-0-0.5",
        "width-magnitude-0-0.5",
        "control-0",
    ]
    assert all(n["family"] is None for n in networks if n["role"] == "control")


@pytest.fixture
def evalsuite_run(tmp_path: Path):
    import os
    import subprocess
    import sys

    def run(*options: str) -> Path:
        write(tmp_path / "parent.safetensors", parent(8))
        command = [sys.executable, "-m", "evalsuite", "sweep", "--ckpt", str(tmp_path / "parent.safetensors")]
        command += [
            "--ratios",
            "0.5",
            "--tasks",
            "clean",
            "--examples",
            "50",
            "--schedule",
            "one-shot",
            "--accept-parent",
        ]
        command += ["--out", str(tmp_path / "run"), *options]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
        assert ended.returncode == 0, ended.stderr
        return tmp_path / "run"

    return run
