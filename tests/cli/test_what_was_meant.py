"""The front door: what is assumed is said and can be refused, the parent is judged first, nothing old passes as new."""

import json
import os
import shutil
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from PIL import Image

from evalsuite.data import load
from evalsuite.networks.architectures.by_name import build

pytestmark = pytest.mark.slow

FAST = ("--ratios", "0.5", "--tasks", "clean", "--examples", "200")


def readings(run: Path) -> dict[str, dict[str, str]]:
    """By topic, what was taken; what is doubtful beside it is left out."""
    rows = json.loads((run / "results.json").read_text())["readings"]
    return {row["topic"]: row for row in rows if row["basis"] != "doubtful"}


def parent_error(run: Path) -> float:
    cells = json.loads((run / "results.json").read_text())["cells"]
    return next(c["loss"] for c in cells if (c["network"], c["measure"]) == ("parent", "error"))


@pytest.fixture
def untrained(tmp_path):
    path = tmp_path / "untrained.pt"
    torch.save(build("lenet5", classes=10, channels=1, image_size=8, seed=3).state_dict(), path)
    return path


@pytest.fixture
def plain(state_dict):
    """A state dict that was trained with mean 0.3 and std 0.4, which it does not tell."""
    return ("--ckpt", state_dict, "--arch", "lenet5", "--data", "digits")


# --- the parent is judged first


def test_a_network_at_chance_is_no_standard(evalsuite, untrained, tmp_path):
    typed = ("sweep", "--ckpt", untrained, "--arch", "lenet5", "--data", "digits", *FAST, "--out", tmp_path / "run")
    ended = evalsuite(*typed)
    assert ended.code == 4
    last = ended.err.splitlines()[-1]
    for word in ("better than a trivial answer", "--normalise", "--classes", "--weights", "--accept-parent", "n = 200"):
        assert word in last
    assert not (tmp_path / "run" / "networks").exists()  # before anything is pruned
    assert not (tmp_path / "run" / "results.json").exists()


def test_where_it_is_accepted_nothing_is_decided(evalsuite, untrained, tmp_path):
    run, policy = tmp_path / "run", tmp_path / "policy.toml"
    typed = ("--ckpt", untrained, "--arch", "lenet5", "--data", "digits", *FAST, "--margin", "0.5", "--out", run)
    ended = evalsuite("sweep", *typed, "--accept-parent")
    assert ended.code == 0, ended.err
    assert "Nothing is decided" in ended.out
    results = json.loads((run / "results.json").read_text())
    assert {c["verdict"] for c in results["cells"] if c["network"] != "parent"} == {"inconclusive"}
    assert "the parent itself is no standard" in (run / "report.html").read_text()
    policy.write_text('[policy]\nmin_deployable = 0.1\nassumptions = ["*"]\n')
    assert evalsuite("gate", run, "--policy", policy).code == 3


def test_a_run_that_was_refused_may_be_begun_anew_with_the_option_that_was_missing(evalsuite, plain, tmp_path):
    inverted = tmp_path / "inverted.npz"
    images = load("digits").test.pixels(range(600))[:, 0].numpy()
    np.savez(inverted, x_test=1 - images, y_test=load("digits").test.labels.numpy())
    typed = ("sweep", *plain[:4], "--data", f"npz:{inverted}", *FAST, "--out", tmp_path / "run")
    refused = evalsuite(*typed)
    np.savez(inverted, x_test=images, y_test=load("digits").test.labels.numpy())
    ended = evalsuite(*typed, "--normalise", "0.3/0.4")
    assert refused.code == 4, refused.out
    assert ended.code == 0, ended.err
    assert parent_error(tmp_path / "run") < 0.2


def test_the_parents_own_figures_come_first_and_are_right(evalsuite, checkpoint, lenet, tmp_path):
    ended = evalsuite("sweep", "--ckpt", checkpoint, *FAST, "--examples", "600", "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    test = load("digits").test
    with torch.no_grad():
        right = (lenet(test.pixels(range(600))).argmax(1) == test.labels).float().mean()
    lines = [line for line in ended.err.splitlines() if line.startswith("  ")]
    assert lines[0].split()[:3] == ["parent", "accuracy", f"{right:.1%}"]
    assert f"n = {len(test)}" in lines[0]


# --- normalisation


def test_one_rule_for_both_front_doors(evalsuite, state_dict, lenet, tmp_path):
    import evalsuite as package

    for rule in (None, "none", "0.3/0.4", "data"):
        message = () if rule is None else ("--normalise", rule)
        typed = (
            "--parent",
            state_dict,
            "--arch",
            "lenet5",
            "--data",
            "digits",
            "--tasks",
            "clean",
            "--examples",
            "200",
        )
        run = tmp_path / f"cli-{message[1:]}".replace("/", "_")
        assert evalsuite("evaluate", *typed, *message, "--out", run).code == 0
        by_python = package.sweep(
            lenet.network, "digits", out=tmp_path / f"py-{run.name}", ratios=(0.5,), tasks=["clean"],
            examples=200, normalise=rule, accept_parent=True,
        )  # fmt: skip
        assert parent_error(run) == parent_error(by_python.folder)
        basis = "assumed" if rule is None else "given"
        assert readings(run)["normalisation"]["basis"] == readings(by_python.folder)["normalisation"]["basis"] == basis


def test_the_judged_network_does_not_depend_on_what_lies_beside_it(evalsuite, state_dict, tmp_path):
    digits = load("digits")
    test = {"x_test": digits.test.pixels(range(200))[:, 0].numpy(), "y_test": digits.test.labels[:200].numpy()}
    train = {"x_train": digits.train.pixels(range(300))[:, 0].numpy(), "y_train": digits.train.labels[:300].numpy()}
    np.savez(tmp_path / "with.npz", **test, **train)
    np.savez(tmp_path / "without.npz", **test)
    for number, image in enumerate(test["x_test"]):
        place = tmp_path / "photos" / str(test["y_test"][number])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255).round().astype(np.uint8)).save(place / f"{number}.png")
    errors = []
    for data in (f"npz:{tmp_path}/with.npz", f"npz:{tmp_path}/without.npz", f"folder:{tmp_path}/photos?channels=1"):
        typed = ("--parent", state_dict, "--arch", "lenet5", "--tasks", "clean", "--normalise", "0.3/0.4")
        ended = evalsuite("evaluate", *typed, "--data", data, "--out", tmp_path / "run", "--amend")
        assert ended.code == 0, ended.err
        errors.append(parent_error(tmp_path / "run"))
    assert errors[0] == errors[1] < 0.2
    assert errors[2] == pytest.approx(errors[0], abs=0.02)  # 8-bit photos of the same digits


def test_a_candidate_is_normalised_as_its_parent(evalsuite, checkpoint, state_dict, tmp_path):
    run = tmp_path / "run"
    typed = ("--parent", checkpoint, "--candidates", state_dict, "--arch", "lenet5", "--data", "digits")
    assert evalsuite("evaluate", *typed, "--tasks", "clean", "--out", run).code == 0
    cells = json.loads((run / "results.json").read_text())["cells"]
    losses = {c["network"]: c["loss"] for c in cells if c["measure"] == "error"}
    assert losses["parent"] == losses["lenet5"] < 0.2
    assert "as the parent" in readings(run)["normalisation of lenet5"]["reason"]


# --- strict


def test_strict_refuses_what_is_assumed_and_names_the_option(evalsuite, plain, tmp_path):
    ended = evalsuite("sweep", *plain, *FAST, "--strict", "--out", tmp_path / "run")
    assert ended.code == 4
    assert "--normalise" in ended.err
    sure = evalsuite("sweep", *plain, *FAST, "--strict", "--normalise", "0.3/0.4", "--out", tmp_path / "run")
    assert sure.code == 0, sure.err


def test_a_gate_implies_it_unless_its_policy_accepts(evalsuite, plain, tmp_path):
    policy = tmp_path / "policy.toml"
    typed = ("sweep", *plain, *FAST, "--margin", "0.5", "--gate", policy, "--out", tmp_path / "run")
    policy.write_text("[policy]\nmin_deployable = 0.4\n")
    assert evalsuite(*typed).code == 4
    # who accepts that nothing is said does not accept what is far better with another normalisation
    policy.write_text('[policy]\nmin_deployable = 0.4\nassumptions = ["normalisation"]\n')
    ended = evalsuite(*typed)
    assert (ended.code, "--normalise data changes it" in ended.err) == (4, True)
    policy.write_text('[policy]\nmin_deployable = 0.4\nassumptions = ["normalisation", "doubtful normalisation"]\n')
    ended = evalsuite(*typed)
    assert ended.code in {0, 3}, ended.err
    assert "normalisation" not in [line for line in ended.out.splitlines() if line.startswith("incomplete")]


def test_doctor_tells_the_same_as_a_run(evalsuite, plain, checkpoint):
    result = json.loads(evalsuite("doctor", *plain, "--json").out)
    assumed, doubtful = (row for row in result["readings"] if row["topic"] == "normalisation")
    assert assumed["source"].startswith("assumed")
    assert assumed["option"].startswith("--normalise")
    assert doubtful["option"] == "--normalise data"  # which is nearly what it was trained with
    assert result["parent"]["n"] == 600
    assert "recorded" in evalsuite("doctor", "--ckpt", checkpoint).out
    assert evalsuite("doctor", *plain, "--strict").code == 4
    assert evalsuite("doctor", "--ckpt", checkpoint, "--strict").code == 0


# --- what was done before


def test_a_run_file_is_run_again_from_anywhere(evalsuite, checkpoint, tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(checkpoint, work / "model.safetensors")
    monkeypatch.chdir(work)
    assert evalsuite("sweep", "--ckpt", "model.safetensors", *FAST, "--out", "runs/a").code == 0
    for place, file in (
        (work, "runs/a/run.toml"),
        (work / "runs" / "a", "run.toml"),
        (tmp_path, "work/runs/a/run.toml"),
    ):
        monkeypatch.chdir(place)
        again = evalsuite("sweep", "--config", file)
        assert again.code == 0, again.err
        assert "finished before, nothing to do" in again.err
    monkeypatch.chdir(tmp_path)
    work.rename(tmp_path / "moved")
    assert "nothing to do" in evalsuite("sweep", "--config", "moved/runs/a/run.toml").err
    monkeypatch.chdir(tmp_path)  # a run file takes the process to where its command was typed
    moved = evalsuite("sweep", "--config", "moved/runs/a/run.toml", "--out", tmp_path / "other")
    assert moved.code == 0, moved.err
    assert (tmp_path / "other" / "results.json").exists()


def test_exchanged_data_are_not_finished_before(evalsuite, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    digits = load("digits")
    images, labels = digits.test.pixels(range(200))[:, 0].numpy(), digits.test.labels[:200].numpy()
    file = tmp_path / "d.npz"
    np.savez(file, x_test=images, y_test=labels)
    before = file.stat()
    typed = ("sweep", "--ckpt", checkpoint, "--data", "npz:~/d.npz", *FAST, "--out", tmp_path / "run")
    assert evalsuite(*typed).code == 0
    assert "nothing to do" in evalsuite(*typed).err
    wrong = labels.copy()
    wrong[:20] = (wrong[:20] + 1) % 10
    np.savez(file, x_test=images, y_test=wrong)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # same name, size and date
    assert file.stat().st_size == before.st_size
    changed = evalsuite(*typed)
    assert "nothing to do" not in changed.err
    assert changed.code == 2
    assert "differs in data" in changed.err


def test_what_code_makes_is_never_finished_before(evalsuite, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_data.py").write_text(
        "from dataclasses import replace\nfrom evalsuite.data import load\ndef make():\n    return load('digits')\n"
    )
    typed = ("sweep", "--ckpt", checkpoint, "--data", "mine_data:make", *FAST, "--out", tmp_path / "run")
    assert evalsuite(*typed).code == 0
    again = evalsuite(*typed)
    assert again.code == 0
    assert "nothing to do" not in again.err


# --- networks that learnt nothing are asked like any other


def test_a_network_without_parameters_is_asked_every_task(evalsuite, tmp_path, monkeypatch):
    code = """
        from torch import nn

        class Pixels(nn.Module):
            def __init__(self):
                super().__init__()
                self.bn = nn.BatchNorm2d(1, affine=False)

            def forward(self, x):
                return self.bn(x).flatten(1)[:, :10]
    """
    (tmp_path / "pixels.py").write_text(dedent(code))
    monkeypatch.chdir(tmp_path)
    torch.save(torch.nn.BatchNorm2d(1, affine=False).state_dict(prefix="bn."), "pixels.pt")
    tasks = "clean,ood/blobs,adversarial/linf/0.02,bounds/linf/0.02,certified/l2/0.1,features/0.1,saliency/0.1"
    typed = ("--parent", "pixels.pt", "--candidates", "pixels.pt", "--arch", "pixels:Pixels", "--data", "digits")
    ended = evalsuite("evaluate", *typed, "--accept-parent", "--tasks", tasks, "--examples", "20", "--out", "run")
    assert ended.code == 0, ended.err
    cells = json.loads(Path("run/results.json").read_text())["cells"]
    assert {c["task"] for c in cells if c["measure"] == "error"} >= {"clean", "adversarial/linf/0.02"}
    assert "no prunable weight" in ended.out


def test_an_option_that_is_no_number_is_told_with_its_task(evalsuite, untrained, tmp_path):
    typed = ("--parent", untrained, "--arch", "lenet5", "--data", "digits", "--out", tmp_path / "run")
    ended = evalsuite("evaluate", *typed, "--tasks", "noise/uniform/x")
    assert (ended.code, ended.err.splitlines()[-1]) == (
        2,
        "evalsuite: 'noise/uniform/x': expected level to be of type float, got 'x'",
    )


def test_code_that_was_changed_is_another_network(evalsuite, plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = """
        from torch import nn
        from evalsuite.networks.architectures.by_name import build

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = build("lenet5", classes=10, channels=1, image_size=8)

            def forward(self, x):
                return self.net({})
    """

    torch.save({f"net.{key}": tensor for key, tensor in torch.load(plain[1]).items()}, "own.pt")

    def swept(expression):
        monkeypatch.delitem(sys.modules, "own_lenet", raising=False)
        Path("own_lenet.py").write_text(dedent(code).format(expression))
        typed = ("--ckpt", "own.pt", "--arch", "own_lenet:Net", "--data", "digits", *FAST, "--normalise", "0.3/0.4")
        return evalsuite("sweep", *typed, "--out", "run")

    # corrected before anything was made: judged anew
    assert swept("x * 0").code == 4
    ended = swept("x")
    assert ended.code == 0, ended.err
    assert parent_error(Path("run")) < 0.2
    before = Path("run/results.json").read_bytes()
    # changed after: nothing old passes for the new
    ended = swept("x * 0.2")
    assert (ended.code, Path("run/results.json").read_bytes()) == (2, before)
    assert "its code computes something else" in ended.err
    assert swept("x + 0 * x").code == 0  # written otherwise, the same function
    # images of the run itself tell what a few others do not show
    ended = swept("x if len(x) < 50 else -x")
    assert ended.code == 2
    assert "whose code computes something else: its mean loss on the run's" in ended.err
    assert not Path("run/results.json").exists()  # of a run that is taken up nothing stands there until it has ended
    assert swept("x").code == 0
    assert Path("run/results.json").exists()


def test_what_is_not_asked_is_told_before_any_work(evalsuite, plain, tmp_path):
    ended = evalsuite("sweep", *plain, *FAST, "--tasks", "corruption/saturate/3", "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    (messages,) = [n for n, line in enumerate(lines) if line.startswith("  not asked: corruption/saturate/3: ")]
    assert messages < next(n for n, line in enumerate(lines) if line.startswith("Pruning"))


@pytest.mark.parametrize("command", ["sweep", "plan"])
def test_a_budget_in_units_of_255_is_no_task(evalsuite, plain, tmp_path, command):
    place = ("--out", tmp_path / "run") if command == "sweep" else ()
    ended = evalsuite(command, *plain, *FAST, "--tasks", "adversarial/l2/128", *place)
    assert ended.code == 2
    assert "adversarial/l2/128: expected an l2 budget that is a small change" in ended.err
    assert "0.502" in ended.err


def test_what_no_option_confirms_can_be_accepted_by_name(evalsuite, plain, tmp_path):
    """A file with a head of another network beside the weights: nobody can say more than that it is not used."""
    weights = {f"net.{key}": tensor for key, tensor in torch.load(plain[1]).items()}
    torch.save({**weights, "head.weight": torch.ones(3, 84)}, tmp_path / "more.pt")
    typed = ("doctor", "--ckpt", tmp_path / "more.pt", *plain[2:], "--normalise", "0.3/0.4", "--strict")
    refused = evalsuite(*typed)
    assert refused.code == 4
    last = refused.err.splitlines()[-1]
    assert last == "  accepted as they are by --strict --assume 'keys ignored', or by a policy's assumptions"
    assert evalsuite(*typed, "--assume", "keys ignored").code == 0
    assert evalsuite(*typed, "--assume", "class order").code == 4


def test_a_set_of_weights_is_no_part_of_a_file_that_holds_one(evalsuite, checkpoint):
    ended = evalsuite("doctor", "--ckpt", checkpoint, "--weights", "ema")
    assert ended.code == 0, ended.err
    assert "which holds one set; --weights ema is not taken" in " ".join(ended.out.split())


# --- where results go


def test_a_tilde_is_the_users_home_behind_an_equals_sign_too(evalsuite, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    ended = evalsuite("evaluate", "--parent", checkpoint, "--tasks", "clean", "--examples", "50", "--out=~/run")
    assert ended.code == 0, ended.err
    assert (tmp_path / "home" / "run" / "results.json").exists()
    assert not Path("~").exists()


def test_the_root_of_all_files_is_no_run_folder(evalsuite, checkpoint):
    ended = evalsuite("evaluate", "--parent", checkpoint, "--tasks", "clean", "--examples", "50", "--out", "/")
    assert ended.code == 2
    assert "expected a folder for the run, got the root of all files: /" in ended.err
    assert not (Path("/") / "progress.json").exists()


# --- what files say beside their weights


@pytest.fixture
def named(tmp_path):
    """Digits with names, none of which stands for a number."""
    data = load("digits")
    parts = {"train": data.train, "test": data.test}
    arrays = {f"x_{part}": outcome.pixels(range(len(outcome)))[:, 0].numpy() for part, outcome in parts.items()}
    labels = {f"y_{part}": outcome.labels.numpy() for part, outcome in parts.items()}
    np.savez(tmp_path / "named.npz", **arrays, **labels, classes=np.array([f"n{k}" for k in range(10)]))
    return f"npz:{tmp_path / 'named.npz'}"


@pytest.mark.parametrize("key", ["class_to_idx", "classes"])
def test_names_in_a_foreign_file_decide_the_order(evalsuite, plain, named, tmp_path, key):
    order = torch.tensor([6, 1, 2, 3, 4, 5, 0, 7, 8, 9])
    weights = torch.load(plain[1])
    weights = {**weights, "fc3.weight": weights["fc3.weight"][order], "fc3.bias": weights["fc3.bias"][order]}
    names = [f"n{k}" for k in order.tolist()]
    value = {name: place for place, name in enumerate(names)} if key == "class_to_idx" else names
    typed = ("--arch", "lenet5", "--data", named, "--normalise", "0.3/0.4", "--json")
    right = json.loads(evalsuite("doctor", "--ckpt", plain[1], *typed).out)
    torch.save({"state_dict": weights, key: value}, tmp_path / "swapped.pt")
    actual = json.loads(evalsuite("doctor", "--ckpt", tmp_path / "swapped.pt", *typed).out)
    assert actual["parent"]["loss"] == right["parent"]["loss"]
    (reading,) = [row for row in actual["readings"] if row["topic"] == "class order"]
    assert "matched" in reading["taken"]
    # without the names nobody can know, and two classes of ten are told all the same
    torch.save({"state_dict": weights}, tmp_path / "swapped.pt")
    actual = json.loads(evalsuite("doctor", "--ckpt", tmp_path / "swapped.pt", *typed).out)
    assert actual["parent"]["loss"] > right["parent"]["loss"] + 0.1
    assert any("in another order" in row["taken"] for row in actual["readings"])


def test_lists_of_names_that_differ_are_asked_about(evalsuite, plain, named, tmp_path):
    names = [f"n{k}" for k in range(10)]
    torch.save({"state_dict": torch.load(plain[1]), "classes": names, "names": names[::-1]}, tmp_path / "two.pt")
    typed = ("doctor", "--ckpt", tmp_path / "two.pt", "--arch", "lenet5", "--data", named, "--normalise", "0.3/0.4")
    refused = evalsuite(*typed)
    assert (refused.code, "say --classes" in refused.err) == (4, True)
    assert evalsuite(*typed, "--classes", ",".join(names)).code == 0


def test_a_normalisation_beside_the_weights_is_taken_and_not_overruled_in_silence(evalsuite, plain, tmp_path):
    torch.save({"state_dict": torch.load(plain[1]), "mean": [0.3], "std": [0.4]}, tmp_path / "beside.pt")
    typed = ("doctor", "--ckpt", tmp_path / "beside.pt", *plain[2:], "--json")
    computed = json.loads(evalsuite(*typed).out)
    (reading,) = [row for row in computed["readings"] if row["topic"] == "normalisation"]
    assert (reading["taken"], reading["source"]) == ("mean 0.3, std 0.4", "recorded: 'mean' beside the weights")
    text = json.loads(evalsuite(*typed, "--normalise", "0.31/0.39").out)
    (reading,) = [row for row in text["readings"] if row["topic"] == "normalisation"]
    assert reading["source"] == "given: and not mean 0.3, std 0.4, which the file records"


# --- code that cannot be taken at its word


FACTORIES = """
    import torch
    from torch import nn
    from evalsuite.networks.architectures.by_name import build

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = build("lenet5", classes=10, channels=1, image_size=8)

        def forward(self, x):
            return self.net(x)

    class Shifted(Net):
        def __init__(self):
            super().__init__()
            self.register_buffer("shift", torch.randn(10), persistent=False)

        def forward(self, x):
            return self.net(x) + self.shift

    class Hot(Net):
        def __init__(self):
            super().__init__()
            self.temperature = torch.rand(10)

        def forward(self, x):
            return self.net(x) / self.temperature

    class Permuted(Net):
        def __init__(self):
            super().__init__()
            self.places = torch.randperm(64).tolist()

        def forward(self, x):
            return self.net(x.flatten(2)[..., self.places].view_as(x))

    class Unused(Net):
        def __init__(self):
            super().__init__()
            self.example = torch.rand(10)

    class Fixed(Net):
        def __init__(self):
            super().__init__()
            self.register_buffer("shift", torch.arange(10.0), persistent=False)
            self.temperature = torch.rand(10, generator=torch.Generator().manual_seed(7))
            self.places = [3, 1, 2]

    class Counting(Net):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen += len(x)
            return self.net(x)

    def lazy():
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
"""


@pytest.fixture
def own_code(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    Path("own_code.py").write_text(dedent(FACTORIES))
    weights = {f"net.{key}": tensor for key, tensor in torch.load(plain[1]).items()}
    torch.save(weights, "own.pt")
    torch.save({**weights, "seen": torch.zeros(1)}, "counting.pt")
    return ("--data", "digits", "--normalise", "0.3/0.4")


@pytest.mark.parametrize(("factory", "name"), [("Shifted", "shift"), ("Hot", "temperature"), ("Permuted", "places")])
def test_numbers_that_no_file_keeps_are_refused(evalsuite, own_code, factory, name):
    ended = evalsuite("doctor", "--ckpt", "own.pt", "--arch", f"own_code:{factory}", *own_code)
    assert ended.code == 4
    assert f"got {name}, which its constructor draws at random" in ended.err


@pytest.mark.parametrize("factory", ["Fixed", "Unused"])
def test_numbers_that_are_always_the_same_or_change_nothing_are_not(evalsuite, own_code, factory):
    assert evalsuite("doctor", "--ckpt", "own.pt", "--arch", f"own_code:{factory}", *own_code).code == 0


def test_lazy_layers_are_one_line(evalsuite, own_code):
    ended = evalsuite("doctor", "--ckpt", "own.pt", "--arch", "own_code:lazy", *own_code)
    assert ended.code == 2
    assert "got a lazy layer (1.weight)" in ended.err


def test_a_network_that_changes_itself_is_refused_before_any_work(evalsuite, own_code):
    typed = ("--ckpt", "counting.pt", "--arch", "own_code:Counting", *own_code, *FAST, "--out", "run")
    ended = evalsuite("sweep", *typed)
    assert ended.code == 2
    assert "one that changes itself in evaluation mode: the parent" in ended.err
    assert not Path("run/networks").exists()


# --- results that are no longer those of the run


def test_an_amended_run_that_is_refused_does_not_pass_by_its_old_results(evalsuite, plain, named, tmp_path):
    run, policy = tmp_path / "run", tmp_path / "policy.toml"
    policy.write_text('[policy]\nmin_deployable = 0.4\nassumptions = ["*"]\n')
    file = Path(named.removeprefix("npz:"))
    typed = ("sweep", *plain[:4], "--data", named, "--normalise", "0.3/0.4", *FAST, "--margin", "0.5", "--out", run)
    assert evalsuite(*typed).code == 0
    assert evalsuite("gate", run, "--policy", policy).code == 0
    arrays = dict(np.load(file))
    np.savez(file, **{**arrays, "x_test": 1 - arrays["x_test"]})
    assert evalsuite(*typed, "--amend").code == 4
    ended = evalsuite("gate", run, "--policy", policy)
    assert ended.code == 3, ended.out


def test_a_ratio_of_nothing_is_not_enough(evalsuite, plain, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("[policy]\nmin_deployable = 0.0005\n")
    typed = ("--ratios", "0.98", "--tasks", "clean", "--margin", "0.03", "--normalise", "0.3/0.4")
    ended = evalsuite("sweep", *plain, *typed, "--gate", policy, "--out", tmp_path / "run")
    assert ended.code == 3, ended.out


@pytest.mark.parametrize(
    ("option", "value"), [("--seed", "9" * 23), ("--ratios", "0.1:0.9:1e-9"), ("--ratios", "0.1:0.9:0.0001")]
)
def test_numbers_beyond_all_use_are_refused_at_once(evalsuite, plain, option, value):
    ended = evalsuite("sweep", *plain, option, value)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("content", ['{"accuracy": 0.9}', "[1, 2]", "not JSON", "\xff"])
def test_results_of_others_are_not_written_over(evalsuite, plain, tmp_path, content):
    run = tmp_path / "run"
    run.mkdir()
    (run / "results.json").write_text(content, encoding="latin-1")
    ended = evalsuite("sweep", *plain, "--normalise", "0.3/0.4", *FAST, "--out", run)
    assert ended.code == 2
    assert "which holds other files: 'results.json'; choose another --out" in ended.err
    assert [file.name for file in run.iterdir()] == ["results.json"]
    assert (run / "results.json").read_text(encoding="latin-1") == content


def test_a_file_is_no_run_folder(evalsuite, plain, tmp_path):
    (tmp_path / "run").write_text("mine")
    ended = evalsuite("sweep", *plain, "--normalise", "0.3/0.4", *FAST, "--out", tmp_path / "run")
    assert ended.code == 2
    assert "expected a folder for the run, got a file" in ended.err
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--examples", "-1", "--examples: expected a number >= 1, got -1"),
        ("--margin", "-0.5", "--margin: expected a number >= 0.0, got -0.5"),
    ],
)
def test_ranges_are_told_in_our_words(evalsuite, plain, option, value, sentence):
    ended = evalsuite("sweep", *plain, option, value)
    assert ended.code == 2
    assert sentence in ended.err, ended.err
    assert "greater than" not in ended.err


@pytest.mark.parametrize("command", ["sweep", "evaluate"])
def test_an_empty_place_is_not_the_working_folder(evalsuite, plain, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    network = ("--parent" if command == "evaluate" else "--ckpt", *plain[1:])
    ended = evalsuite(command, *network, "--normalise", "0.3/0.4", "--tasks", "clean", "--out", "")
    assert ended.code == 2
    assert "expected a path, got none" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_whose_architecture_is_code_of_yours_can_be_shown(evalsuite, own_code):
    typed = ("--ckpt", "own.pt", "--arch", "own_code:Fixed", *own_code, "--ratios", "0.5", "--retrain", "none")
    assert evalsuite("prune", *typed, "--out", "run").code == 0
    (made,) = Path("run/networks").glob("*.safetensors")
    assert evalsuite("show", made).code == 4
    ended = evalsuite("show", made, "--arch", "own_code:Fixed")
    assert ended.code == 0, ended.err
    assert "own_code:Fixed" in ended.out


def test_photos_of_another_size_than_was_assumed_are_a_cause_that_is_named(evalsuite, tmp_path):
    network = build("torchvision:squeezenet1_1", classes=2, channels=3, image_size=64, seed=0)
    torch.save(network.state_dict(), tmp_path / "bad.pt")
    for place in range(24):
        folder = tmp_path / "photos" / "test" / str(place % 2)
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(place).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{place}.png")
    typed = ("--arch", "torchvision:squeezenet1_1", "--data", f"folder:{tmp_path / 'photos'}", "--normalise", "none")
    ended = evalsuite("doctor", "--ckpt", tmp_path / "bad.pt", *typed)
    assert ended.code == 4
    assert "the photos have 32 x 32): ?size=32" in ended.err
