"""Exported files through the command line: judged, held against what was tested, refused."""

import json
import zipfile

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, write
from evalsuite.networks.normalized import Normalized

pytestmark = pytest.mark.slow

ANY = ({0: torch.export.Dim.DYNAMIC},)
QUICK = ("--tasks", "clean,noise/uniform/0.1", "--examples", 60, "--margin", 0.2)
N = 60


def export(network, path):
    torch.export.save(torch.export.export(network.eval(), (torch.rand(2, 1, 8, 8),), dynamic_shapes=ANY), path)
    return path


@pytest.fixture(scope="module")
def files(checkpoint, tmp_path_factory):
    """The untrained LeNet as it was exported: whole, without its normalisation, tampered with."""
    folder = tmp_path_factory.mktemp("exported")
    network = read(checkpoint).network
    export(network, folder / "same.pt2")
    export(network.network, folder / "bare.pt2")
    with zipfile.ZipFile(folder / "same.pt2") as old, zipfile.ZipFile(folder / "tampered.pt2", "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name.endswith("weights/weight_9"):  # the last bias: class 3 gains
                part = np.frombuffer(part, np.float32).copy()
                part[3] += 0.25
                part = part.tobytes()
            new.writestr(name, part)
    return folder


def judged(evalsuite, checkpoint, out, *options):
    ended = evalsuite("evaluate", "--parent", checkpoint, *options, "--out", out, "--json")
    assert ended.out, ended.err
    return ended.code, json.loads(ended.out)


def test_a_program_is_judged_like_any_candidate(evalsuite, checkpoint, files, tmp_path):
    code, result = judged(evalsuite, checkpoint, tmp_path / "run", "--candidates", files / "same.pt2", *QUICK)
    assert code == 0
    parent, same = result["networks"]
    assert same["id"] == "same"
    assert (same["prune_ratio"], same["flop_reduction"]) == (0, 0)
    counts = ("parameters", "nonzero", "prunable", "flops", "dense_flops")
    assert [same[key] for key in counts] == [parent[key] for key in counts]
    assert same["megabytes"] == pytest.approx((files / "same.pt2").stat().st_size / 1e6)
    cells = {(c["task"], c["measure"], c["network"]): c for c in result["cells"]}
    for task in ("clean", "noise/uniform/0.1"):
        assert cells[task, "error", "same"]["loss"] == cells[task, "error", "parent"]["loss"]
        assert cells[task, "softmax_distance", "same"]["loss"] < 1e-6
    # nothing of it is pruned, and it is as good as the parent
    assert result["deployable"]["network"] == "same"
    text = evalsuite("show", tmp_path / "run").out
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<code>same</code> is shown to be deployable." in page or "same is shown to be deployable." in text
    assert 'id="shipped"' not in page


def test_a_shipped_file_that_is_the_network(evalsuite, checkpoint, files, tmp_path):
    code, outcome = judged(evalsuite, checkpoint, tmp_path / "run", "--shipped", f"parent={files / 'same.pt2'}", *QUICK)
    assert code == 0
    (shipped,) = outcome["shipped"]
    assert (shipped["id"], shipped["of"], shipped["kind"]) == ("same.pt2", "parent", "torch.export")
    assert (shipped["verdict"], shipped["holds"], shipped["disagreements"]) == ("same outputs", True, 0)
    exact = binomtest(0, N).proportion_ci(confidence_level=0.95, method="exact")
    assert (shipped["low"], shipped["high"]) == (pytest.approx(exact.low), pytest.approx(exact.high))
    assert 0 <= shipped["median"] <= shipped["largest"] <= shipped["tolerance"]
    # asked every task
    assert {c["task"] for c in outcome["cells"] if c["network"] == "same.pt2"} == {"clean", "noise/uniform/0.1"}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert 'id="shipped"' in page
    assert "✓ same outputs" in page


def test_a_tampered_file_is_told(evalsuite, checkpoint, files, tmp_path):
    out = tmp_path / "run"
    options = ("--candidates", files / "same.pt2", "--shipped", f"same={files / 'tampered.pt2'}", *QUICK)
    code, actual = judged(evalsuite, checkpoint, out, *options)
    assert code == 1
    (shipped,) = actual["shipped"]
    assert (shipped["verdict"], shipped["holds"], shipped["hint"]) == ("differs", False, None)
    assert shipped["largest"] == pytest.approx(0.25, rel=1e-3)  # what was added
    assert shipped["median"] < shipped["tolerance"]  # nine logits of ten are the same
    assert 0 < shipped["disagreements"] <= N
    exact = binomtest(shipped["disagreements"], N).proportion_ci(confidence_level=0.95, method="exact")
    assert (shipped["low"], shipped["high"]) == (pytest.approx(exact.low), pytest.approx(exact.high))
    ended = evalsuite("show", out)
    assert "The shipped file is another network." in ended.out
    assert "what was shown for same does not hold for it" in ended.out
    policy = tmp_path / "policy.toml"
    policy.write_text('[policy]\nname = "p"\n[[require]]\ntask = "clean"\nmax_loss = 1.0\n', encoding="utf-8")
    gated = evalsuite("gate", out, "--policy", policy)
    assert gated.code == 1, gated.out + gated.err
    assert "tampered.pt2, shipped as same" in gated.out + gated.err


def test_a_file_that_takes_normalised_images(evalsuite, checkpoint, files, tmp_path):
    shipped = ("--shipped", f"parent={files / 'bare.pt2'}", *QUICK)
    _, computed = judged(evalsuite, checkpoint, tmp_path / "as_is", *shipped)
    assert computed["shipped"][0]["verdict"] != "same outputs"
    assert computed["shipped"][0]["hint"] == "with --artefact-input normalised its outputs are the same"
    code, computed = judged(evalsuite, checkpoint, tmp_path / "normalised", *shipped, "--artefact-input", "normalised")
    assert code == 0
    assert computed["shipped"][0]["verdict"] == "same outputs"


class Int8(nn.Module):
    """Without gradients: its images are rounded to integers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randint(-9, 10, (10, 64), generator=torch.Generator().manual_seed(0)))

    def forward(self, images):
        return ((images.flatten(1) * 255).to(torch.int32).float() @ self.weight.float().t()) / 255


def test_tasks_that_need_gradients_name_the_way_out(evalsuite, checkpoint, tmp_path):
    export(Int8(), tmp_path / "int8.pt2")
    tasks = "clean,adversarial/linf/0.9?attack=pgd,adversarial/linf/0.9?attack=square,bounds/linf/0.01"
    tasks += ",certified/l2/0.1?n0=4&n=20,ood/noise"
    options = ("--tasks", tasks, "--examples", 20, "--examples-for", "adversarial=3,certified=2")
    _, result = judged(evalsuite, checkpoint, tmp_path / "run", "--candidates", tmp_path / "int8.pt2", *options)
    why = {task["name"]: task["unavailable"] for task in result["tasks"]}
    assert "adversarial/linf/0.9?attack=square asks for outputs only" in why["adversarial/linf/0.9?attack=pgd"]
    assert "run as it is" in why["bounds/linf/0.01"]
    requested = {name for name, reason in why.items() if reason is None}
    assert {"clean", "adversarial/linf/0.9?attack=square", "ood/noise"} < requested
    square = [c for c in result["cells"] if c["task"].endswith("square") and c["network"] == "int8"]
    # no gradients are no sign that gradients are hidden
    assert all(cell["reason"] is None and cell["n"] == 3 for cell in square)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_network_that_torch_quantised_is_judged_where_its_file_is_trusted(evalsuite, checkpoint, tmp_path):
    quantised = torch.ao.quantization.quantize_dynamic(read(checkpoint).network, {nn.Linear}, dtype=torch.qint8)
    path = tmp_path / "int8.pt"
    torch.save(quantised, path)
    out = tmp_path / "run"
    tasks = "clean,adversarial/linf/0.1?attack=pgd"
    options = ("--parent", checkpoint, "--candidates", path, "--tasks", tasks, "--examples", 20, "--out", out, "--json")
    refused = evalsuite("evaluate", *options)
    assert refused.code == 4
    trust = refused.err.partition("--trust ")[2].split()[0]
    result = json.loads(evalsuite("evaluate", *options, "--trust", trust).out)
    parent, int8 = result["networks"]
    assert (int8["parameters"], int8["dense_flops"]) == (parent["parameters"], parent["dense_flops"])
    assert 0 < int8["prune_ratio"] < 0.1
    assert "needs gradients" in result["tasks"][1]["unavailable"]
    assert {c["network"] for c in result["cells"] if c["task"] == "clean"} == {"parent", "int8"}


class Uncounted(nn.Module):
    """Its weights are not where weights are looked for."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.weight = nn.Parameter(torch.eye(10))

    def forward(self, images):
        return torch.einsum("nc,cd->nd", images.flatten(1)[:, :10], self.weight)


def test_a_file_that_does_not_tell_its_weights(evalsuite, checkpoint, tmp_path):
    export(Uncounted(nn.Identity()), tmp_path / "other.pt2")
    _, result = judged(evalsuite, checkpoint, tmp_path / "run", "--candidates", tmp_path / "other.pt2", *QUICK)
    _, other = result["networks"]
    for key in ("prune_ratio", "flop_reduction", "parameters", "nonzero", "flops", "dense_flops"):
        assert other[key] is None
    assert "no weights of convolutions or linear layers" in other["uncounted"]
    verdicts = {c["verdict"] for c in result["cells"] if c["network"] == "other" and c["measure"] == "error"}
    output = evalsuite("show", tmp_path / "run").out
    assert ("other is shown to be deployable" in output) == (verdicts == {"commensurate"})
    assert "It has no prune ratio" in output
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "parameters and FLOPs of" in page


def test_an_exported_parent(evalsuite, files, tmp_path):
    ended = evalsuite("evaluate", "--parent", files / "same.pt2", *QUICK, "--out", tmp_path / "run")
    assert (ended.code, "expected --data NAME beside an exported file" in ended.err) == (2, True)
    options = ("--data", "digits", "--candidates", files / "tampered.pt2", *QUICK)
    code, result = judged(evalsuite, files / "same.pt2", tmp_path / "run", *options)
    assert code == 0
    assert [network["id"] for network in result["networks"]] == ["parent", "tampered"]
    ended = evalsuite("sweep", "--ckpt", files / "same.pt2", "--data", "digits", *QUICK, "--out", tmp_path / "sweep")
    assert (ended.code, "cannot be pruned" in ended.err) == (2, True)


def test_refusals(evalsuite, checkpoint, files, tmp_path):
    def ended(*options):
        result = evalsuite("evaluate", "--parent", checkpoint, *options, *QUICK, "--out", tmp_path / "run")
        assert "Traceback" not in result.err
        return result.code, result.err

    half = tmp_path / "half.pt2"
    half.write_bytes((files / "same.pt2").read_bytes()[:60_000])
    code, printed = ended("--candidates", half)
    assert (code, "damaged" in printed, "half.pt2" in printed) == (4, True, True)
    code, printed = ended("--shipped", f"parent={half}")
    assert (code, "damaged" in printed) == (4, True)
    code, printed = ended("--shipped", files / "same.pt2")
    assert (code, "expected NAME=FILE" in printed) == (2, True)
    code, printed = ended("--shipped", f"parnt={files / 'same.pt2'}")
    assert (code, "'parent'" in printed) == (2, True)
    export(nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), tmp_path / "seven.pt2")
    code, printed = ended("--candidates", tmp_path / "seven.pt2")
    assert (code, "10 classes of the data, got one for 7" in printed) == (2, True)
    assert not (tmp_path / "run").exists()


def test_two_files_of_one_name(evalsuite, checkpoint, files, tmp_path):
    """Neither may take the other's place."""
    copy = tmp_path / "same.safetensors"
    network = read(checkpoint)
    assert isinstance(network.network, Normalized)
    write(copy, Checkpoint(network=network.network, arch="lenet5", class_count=10, shape=(1, 8, 8), data="digits"))
    both = f"{files / 'same.pt2'},{copy}"
    code, result = judged(evalsuite, checkpoint, tmp_path / "run", "--candidates", both, *QUICK)
    assert code == 0
    assert [each["id"] for each in result["networks"]] == ["parent", "same.pt2", "same.safetensors"]
