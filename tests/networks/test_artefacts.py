"""Programs of torch.export, against their network and torch itself; nothing in a file runs or slips through."""

import io
import json
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.networks.costs.cost import cost
from evalsuite.networks.digest import network_digest
from evalsuite.networks.programs.program import artefact_in, differentiable
from evalsuite.networks.programs.read import is_artefact, read_artefact

pytestmark = pytest.mark.slow

DIGITS = tuple("0123456789")
SHAPE = (1, 8, 8)
ANY = ({0: torch.export.Dim.DYNAMIC},)


def images(n, seed=0):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def read(path, **given):
    return read_artefact(path, **{"classes": DIGITS, "shape": SHAPE, **given})


@pytest.fixture(scope="module")
def program(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "any.pt2"
    torch.export.save(torch.export.export(network, (images(2),), dynamic_shapes=ANY), path)
    return path


def changed(source, target, change):
    """A copy of an archive; `change` gets every part's name and bytes, and gives its bytes or None."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            part = change(name, old.read(name))
            if part is not None:
                new.writestr(name, part)
    return target


def described(source, target, change):
    """A copy of an archive whose description `change` has altered."""

    def one(name, part):
        if not name.endswith("models/model.json"):
            return part
        description = json.loads(part)
        change(description)
        return json.dumps(description).encode()

    return changed(source, target, one)


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_a_program_gives_what_its_network_gives(network, program, n):
    result = read(program).network
    torch.testing.assert_close(result(images(n)), network(images(n)), atol=1e-6, rtol=0)


def test_a_program_runs_as_torch_runs_it(program):
    reference = torch.export.load(program).module()
    assert torch.equal(read(program).network(images(5)), reference(images(5)))


@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_a_program_for_batches_of_four_takes_any_number(network, n, tmp_path):
    path = tmp_path / "four.pt2"
    torch.export.save(torch.export.export(network, (images(4),)), path)
    outcome = read(path).network
    assert artefact_in(outcome).info.batch == 4
    torch.testing.assert_close(outcome(images(n)), network(images(n)), atol=1e-6, rtol=0)


def test_a_program_is_counted_like_its_network(network, program):
    counted, expected = artefact_in(read(program).network).info.cost, cost(network, SHAPE)
    same = ("parameters", "nonzero", "prunable", "prunable_nonzero", "flops", "dense_flops")
    assert [getattr(counted, each) for each in same] == [getattr(expected, each) for each in same]
    assert expected.prunable_nonzero < 0.7 * expected.prunable


def test_attention_and_norms_are_counted_like_the_network(tmp_path):
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(2),
        nn.TransformerEncoderLayer(9, 3, dim_feedforward=8, batch_first=True, dropout=0.0), nn.Flatten(),
        nn.Linear(36, 10),
    ).eval()  # fmt: skip
    path = tmp_path / "attention.pt2"
    torch.export.save(torch.export.export(network, (images(2),), dynamic_shapes=ANY), path)
    actual = read(path)
    counted, expected = artefact_in(actual.network).info.cost, cost(network, SHAPE)
    torch.testing.assert_close(actual.network(images(3)), network(images(3)), atol=1e-5, rtol=0)
    assert (counted.parameters, counted.prunable) == (expected.parameters, expected.prunable)
    assert counted.dense_flops == expected.dense_flops


def test_a_program_has_the_gradients_of_its_network(network, program):
    computed = read(program).network
    assert differentiable(computed, SHAPE)
    first, second = images(3).requires_grad_(), images(3).requires_grad_()
    computed(first).square().sum().backward()
    network(second).square().sum().backward()
    torch.testing.assert_close(first.grad, second.grad, atol=1e-6, rtol=1e-5)


def test_the_digest_is_that_of_the_file_and_its_normalisation(program, tmp_path):
    import hashlib

    copy = tmp_path / "copy.pt2"
    copy.write_bytes(program.read_bytes())
    first, second = read(program), read(copy)
    assert first.file_digest == hashlib.sha256(program.read_bytes()).hexdigest()
    assert network_digest(first.network) == network_digest(second.network)
    assert network_digest(read(program, normalisation=((0.5,), (0.5,))).network) != network_digest(first.network)
    other = changed(program, tmp_path / "other.pt2", lambda name, part: part + b"\n" if "model.json" in name else part)
    assert network_digest(read(other).network) != network_digest(first.network)


def test_normalisation_may_stand_outside(network, tmp_path):
    path = tmp_path / "bare.pt2"
    torch.export.save(torch.export.export(network.network, (images(2),), dynamic_shapes=ANY), path)
    result = read(path, normalisation=((0.3,), (0.4,))).network
    torch.testing.assert_close(result(images(4)), network(images(4)), atol=1e-6, rtol=0)
    assert not torch.allclose(read(path).network(images(4)), network(images(4)), atol=1e-3)


class Quantised(nn.Module):
    """A linear layer as pt2e quantises it: int8 weights, activations rounded to 8 bits."""

    def __init__(self):
        super().__init__()
        weight = torch.randint(-20, 21, (10, 64), generator=torch.Generator().manual_seed(0))
        self.register_buffer("weight", weight.to(torch.int8))
        self.register_buffer("scale", torch.linspace(0.01, 0.02, 10))
        self.register_buffer("zero", torch.zeros(10, dtype=torch.int64))

    def forward(self, pictures):
        ops = torch.ops.quantized_decomposed
        rounded = ops.quantize_per_tensor(pictures.flatten(1), 1 / 255, 0, 0, 255, torch.uint8)
        back = ops.dequantize_per_tensor(rounded, 1 / 255, 0, 0, 255, torch.uint8)
        weight = ops.dequantize_per_channel(self.weight, self.scale, self.zero, 0, -128, 127, torch.int8)
        return nn.functional.linear(back, weight)


def test_an_int8_program(tmp_path):
    import torch.ao.quantization.fx._decomposed

    quantised = Quantised()
    path = tmp_path / "int8.pt2"
    torch.export.save(torch.export.export(quantised, (images(2),), dynamic_shapes=ANY), path)
    result = read(path).network
    # by hand: integers times integers, scaled once
    pixels = (images(6).flatten(1) * 255).round()
    expected = (pixels @ quantised.weight.T.float()) * quantised.scale / 255
    torch.testing.assert_close(result(images(6)), expected, atol=1e-5, rtol=1e-5)
    counted = artefact_in(result).info.cost
    zeros = int((quantised.weight == 0).sum())
    assert zeros > 0
    assert (counted.prunable, counted.prunable_nonzero) == (640, 640 - zeros)
    assert not differentiable(result, SHAPE)


@pytest.mark.filterwarnings("ignore::Warning")  # of a library that is not ours
def test_a_program_that_torchao_quantised(network, tmp_path):
    pt2e = pytest.importorskip("torchao.quantization.pt2e.quantize_pt2e", reason="torchao is not installed")
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
    prepared = pt2e.prepare_pt2e(torch.export.export(network, (images(8),), dynamic_shapes=ANY).module(), quantizer)
    prepared(images(8))
    converted = pt2e.convert_pt2e(prepared)
    path = tmp_path / "int8.pt2"
    torch.export.save(torch.export.export(converted, (images(8),), dynamic_shapes=ANY), path)
    result = read(path).network
    assert torch.equal(result(images(5, seed=1)), torch.export.load(path).module()(images(5, seed=1)))
    counted, expected = artefact_in(result).info.cost, cost(network, SHAPE)
    assert (counted.parameters, counted.prunable, counted.dense_flops) == (
        expected.parameters, expected.prunable, expected.dense_flops,
    )  # fmt: skip
    assert counted.prunable_nonzero <= expected.prunable_nonzero  # small weights round to zero
    assert not differentiable(result, SHAPE)


# --- nothing in a file runs


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def code(mark):
    return f"__import__('pathlib').Path({str(mark)!r}).touch()"


def every(value, key, new):
    """Puts `new` under `key` wherever it stands in a JSON document."""
    if isinstance(value, dict):
        if key in value:
            value[key] = new
        for inner in value.values():
            every(inner, key, new)
    elif isinstance(value, list):
        for inner in value:
            every(inner, key, new)


def test_code_that_torch_would_run_is_not_even_looked_at(network, program, tmp_path):
    mark = tmp_path / "ran"

    def sample(name, part):
        if not name.endswith("sample_inputs/model.pt"):
            return part
        buffer = io.BytesIO()
        torch.save(Touch(mark), buffer)
        return buffer.getvalue()

    pickled = changed(program, tmp_path / "pickled.pt2", sample)
    expression = described(program, tmp_path / "expr.pt2", lambda d: every(d, "expr_str", code(mark)))
    guards = described(program, tmp_path / "guards.pt2", lambda d: d.update(guards_code=[code(mark)]))
    for path in (pickled, expression, guards):
        torch.testing.assert_close(read(path).network(images(2)), network(images(2)), atol=1e-6, rtol=0)
    assert not mark.exists()
    with suppress(Exception):  # it is no idle precaution
        torch.export.load(expression)
    assert mark.exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default", "torch.ops.aten.save.default", "torch.hub.load", "_operator.attrgetter",
        "torch.ops.load_library", "torch.ops.aten.relu.__class__", "os.system", "math.exp",
        "torch.ops.higher_order.cond",
    ],
)  # fmt: skip
def test_operators_that_do_more_than_compute_are_refused(program, target, tmp_path):
    def other(description):
        description["graph_module"]["graph"]["nodes"][0]["target"] = target

    path = described(program, tmp_path / "other.pt2", other)
    with pytest.raises(RefusedInputError, match=r"expected operators .*or as ONNX, or judge it before .* --arch"):
        read(path)


def test_pickled_tensors_are_refused(program, tmp_path):
    mark = tmp_path / "ran"

    def pickled(name, part):
        if name.endswith("weights/weight_0"):
            return pickle.dumps(Touch(mark))
        return part.replace(b'"use_pickle": false', b'"use_pickle": true') if "weights_config" in name else part

    path = changed(program, tmp_path / "pickled.pt2", pickled)
    with pytest.raises(RefusedInputError, match="stored as numbers"):
        read(path)
    assert not mark.exists()


def test_a_network_that_changes_itself_is_refused(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10)).train()
    path = tmp_path / "train.pt2"
    torch.export.save(torch.export.export(network, (images(4),)), path)
    with pytest.raises(RefusedInputError, match=r"expected .*(nothing changed|evaluation mode)"):
        read(path)


def test_torchscript_is_refused_with_a_way_out(tmp_path):
    from evalsuite.networks.checkpoints.checkpoint import read as read_checkpoint

    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:  # torch.jit.save itself is deprecated
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"script/{name}", b"")
    assert not is_artefact(path)
    with pytest.raises(RefusedInputError, match=r"TorchScript .*torch\.export\.save .*ONNX"):
        read_checkpoint(path, arch="lenet5", classes=10, shape=SHAPE)


def test_where_a_checkpoint_is_needed_an_exported_file_is_none(program, tmp_path):
    from evalsuite.networks.checkpoints.checkpoint import read as read_checkpoint

    onnx = tmp_path / "small.onnx"
    onnx.write_bytes(b"\x08\x0a\x12\x07pytorch")
    for path in (program, onnx):
        with pytest.raises(RefusedInputError, match="name it under --candidates or --shipped"):
            read_checkpoint(path, arch="lenet5", classes=10, shape=SHAPE)


# --- damaged and unfitting programs


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_half_a_program(program, share, tmp_path):
    path, data = tmp_path / "half.pt2", program.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert is_artefact(path)
    with pytest.raises(RefusedInputError, match=r"half\.pt2"):
        read(path)


def test_a_flipped_bit_is_told(program, tmp_path):
    data = bytearray(program.read_bytes())
    at = data.index(b"data/weights/weight_4") + 200
    data[at] ^= 1
    path = tmp_path / "flipped.pt2"
    path.write_bytes(data)
    with pytest.raises(RefusedInputError, match="damaged"):
        read(path)


def test_weights_that_are_too_short_or_not_finite(program, tmp_path):
    def cut(name, part):
        return part[:40] if name.endswith("weights/weight_2") else part

    def broken(name, part):
        return np.full(len(part) // 4, np.nan, np.float32).tobytes() if name.endswith("weights/weight_2") else part

    with pytest.raises(RefusedInputError, match="too few"):
        read(changed(program, tmp_path / "cut.pt2", cut))
    with pytest.raises(RefusedInputError, match="finite"):
        read(changed(program, tmp_path / "nan.pt2", broken))


def test_programs_that_do_not_fit_the_data(program):
    with pytest.raises(UsageError, match=r"shape nx3x32x32, got .* of shape nx1x8x8: .*any\.pt2"):
        read(program, shape=(3, 32, 32))
    with pytest.raises(UsageError, match=r"7 classes of the data, got one for 10: .*any\.pt2"):
        read(program, classes=DIGITS[:7])
