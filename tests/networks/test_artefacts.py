"""Files as they are shipped, against the network that they were made from and against the libraries' own readers."""

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
from evalsuite.networks.architectures import build
from evalsuite.networks.artefact import artefact_in, differentiable
from evalsuite.networks.artefacts import is_artefact, read_artefact
from evalsuite.networks.cost import cost
from evalsuite.networks.digest import network_digest
from evalsuite.networks.normalized import Normalized

DIGITS = tuple("0123456789")
SHAPE = (1, 8, 8)
ANY = ({0: torch.export.Dim.DYNAMIC},)


def images(n, seed=0):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def read(path, **given):
    return read_artefact(path, **{"classes": DIGITS, "shape": SHAPE, **given})


def lenet():
    network = Normalized(build("lenet5", classes=10, channels=1, image_size=8, seed=3), (0.3,), (0.4,)).eval()
    with torch.no_grad():  # a third of the weights pruned
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight[module.weight.abs() < module.weight.abs().quantile(1 / 3)] = 0
    return network


@pytest.fixture(scope="module")
def network():
    return lenet()


@pytest.fixture(scope="module")
def program(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "any.pt2"
    torch.export.save(torch.export.export(network, (images(2),), dynamic_shapes=ANY), path)
    return path


@pytest.fixture(scope="module")
def onnx_file(network, tmp_path_factory):
    pytest.importorskip("onnxscript", reason="onnx is an optional extra")
    path = tmp_path_factory.mktemp("onnx") / "any.onnx"
    torch.onnx.export(network, (images(2),), dynamo=True, dynamic_shapes=ANY, verbose=False).save(path)
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


def fixed(source, target, batch):
    """The same ONNX network for batches of one size."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(source)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]
    onnx.save(model, target)
    return target


# --- programs of torch.export


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_a_program_gives_what_its_network_gives(network, program, n):
    found = read(program).network
    torch.testing.assert_close(found(images(n)), network(images(n)), atol=1e-6, rtol=0)


def test_a_program_runs_as_torch_runs_it(program):
    reference = torch.export.load(program).module()
    assert torch.equal(read(program).network(images(5)), reference(images(5)))


@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_a_program_for_batches_of_four_takes_any_number(network, n, tmp_path):
    path = tmp_path / "four.pt2"
    torch.export.save(torch.export.export(network, (images(4),)), path)
    found = read(path).network
    assert artefact_in(found).told.batch == 4
    torch.testing.assert_close(found(images(n)), network(images(n)), atol=1e-6, rtol=0)


def test_a_program_is_counted_like_its_network(network, program):
    counted, expected = artefact_in(read(program).network).told.cost, cost(network, SHAPE)
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
    found = read(path)
    counted, expected = artefact_in(found.network).told.cost, cost(network, SHAPE)
    torch.testing.assert_close(found.network(images(3)), network(images(3)), atol=1e-5, rtol=0)
    assert (counted.parameters, counted.prunable) == (expected.parameters, expected.prunable)
    assert counted.dense_flops == expected.dense_flops


def test_a_program_has_the_gradients_of_its_network(network, program):
    found = read(program).network
    assert differentiable(found, SHAPE)
    first, second = images(3).requires_grad_(), images(3).requires_grad_()
    found(first).square().sum().backward()
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
    found = read(path, normalisation=((0.3,), (0.4,))).network
    torch.testing.assert_close(found(images(4)), network(images(4)), atol=1e-6, rtol=0)
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
    found = read(path).network
    # by hand: integers times integers, scaled once
    pixels = (images(6).flatten(1) * 255).round()
    expected = (pixels @ quantised.weight.T.float()) * quantised.scale / 255
    torch.testing.assert_close(found(images(6)), expected, atol=1e-5, rtol=1e-5)
    counted = artefact_in(found).told.cost
    zeros = int((quantised.weight == 0).sum())
    assert zeros > 0
    assert (counted.prunable, counted.prunable_nonzero) == (640, 640 - zeros)
    assert not differentiable(found, SHAPE)


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
    found = read(path).network
    assert torch.equal(found(images(5, seed=1)), torch.export.load(path).module()(images(5, seed=1)))
    counted, expected = artefact_in(found).told.cost, cost(network, SHAPE)
    assert (counted.parameters, counted.prunable, counted.dense_flops) == (
        expected.parameters, expected.prunable, expected.dense_flops,
    )  # fmt: skip
    assert counted.prunable_nonzero <= expected.prunable_nonzero  # small weights round to zero
    assert not differentiable(found, SHAPE)


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
    with pytest.raises(RefusedInputError, match=r"expected operators .*torch.export.save, or as ONNX"):
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
    from evalsuite.networks.checkpoint import read as read_checkpoint

    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:  # torch.jit.save itself is deprecated
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"script/{name}", b"")
    assert not is_artefact(path)
    with pytest.raises(RefusedInputError, match=r"TorchScript .*torch\.export\.save .*ONNX"):
        read_checkpoint(path, arch="lenet5", classes=10, shape=SHAPE)


def test_where_a_checkpoint_is_needed_an_exported_file_is_none(program, tmp_path):
    from evalsuite.networks.checkpoint import read as read_checkpoint

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


# --- ONNX


@pytest.mark.parametrize("n", [1, 2, 9])
def test_an_onnx_file_gives_what_its_network_gives(network, onnx_file, n):
    found = read(onnx_file).network
    torch.testing.assert_close(found(images(n)), network(images(n)), atol=1e-5, rtol=0)
    assert not differentiable(found, SHAPE)


def test_an_onnx_file_is_counted_like_its_network(network, onnx_file):
    counted, expected = artefact_in(read(onnx_file).network).told.cost, cost(network, SHAPE)
    same = ("parameters", "nonzero", "prunable", "prunable_nonzero", "flops", "dense_flops")
    assert [getattr(counted, each) for each in same] == [getattr(expected, each) for each in same]


@pytest.mark.parametrize(("batch", "n"), [(1, 3), (4, 1), (4, 4), (4, 9)])
def test_an_onnx_file_for_one_size_of_batch_takes_any_number(network, onnx_file, batch, n, tmp_path):
    found = read(fixed(onnx_file, tmp_path / "fixed.onnx", batch)).network
    assert artefact_in(found).told.batch == batch
    torch.testing.assert_close(found(images(n)), network(images(n)), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def float_onnx(onnx_file, tmp_path_factory):
    """The file as onnxruntime's quantiser takes it: without the exporter's notes on shapes."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_file)
    del model.graph.value_info[:]
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    onnx.save(model, path)
    return path


def sessions(path, pictures):
    """What onnxruntime gives for every image alone."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return torch.from_numpy(np.concatenate([session.run(None, {name: one[None].numpy()})[0] for one in pictures]))


def calibration():
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = [{"images": images(8, seed=k).numpy()} for k in range(2)]

        def get_next(self):
            return self.left.pop() if self.left else None

    return Reader()


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_static_int8_onnx(network, float_onnx, form, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    path = tmp_path / "int8.onnx"
    quantization.quantize_static(
        float_onnx, path, calibration(), quant_format=getattr(quantization.QuantFormat, form), per_channel=form == "QDQ"
    )
    found = read(path).network
    assert torch.equal(found(images(5)), sessions(path, images(5)))
    counted, expected = artefact_in(found).told.cost, cost(network, SHAPE)
    assert (counted.parameters, counted.prunable, counted.dense_flops) == (
        expected.parameters, expected.prunable, expected.dense_flops,
    )  # fmt: skip
    assert 0.9 * expected.prunable_nonzero < counted.prunable_nonzero <= expected.prunable_nonzero


def test_dynamic_int8_onnx_sees_every_image_alone(float_onnx, tmp_path):
    """Its ranges are taken from the whole batch: an image's logits must not depend on its neighbours here."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    path = tmp_path / "dynamic.onnx"
    quantization.quantize_dynamic(float_onnx, path, weight_type=quantization.QuantType.QInt8)
    found = read(path).network
    assert artefact_in(found).alone
    alone = sessions(path, images(6))
    assert torch.equal(found(images(6)), alone)
    assert torch.equal(found(images(6)[3:4]), alone[3:4])
    padded = read(fixed(path, tmp_path / "padded.onnx", 3)).network
    assert torch.equal(padded(images(6)), alone)


def test_tensors_beside_the_file(network, onnx_file, tmp_path):
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "beside.onnx"
    onnx.save(onnx.load(onnx_file), path, save_as_external_data=True, location="beside.data", size_threshold=0)
    assert path.stat().st_size < onnx_file.stat().st_size / 2
    found = read(path)
    torch.testing.assert_close(found.network(images(3)), network(images(3)), atol=1e-5, rtol=0)
    data = bytearray((folder / "beside.data").read_bytes())
    data[100:104] = np.float32(5).tobytes()
    (folder / "beside.data").write_bytes(data)
    assert network_digest(read(path).network) != network_digest(found.network)
    (folder / "beside.data").rename(tmp_path / "outside.data")
    with pytest.raises(UsageError, match=r"expected 'beside\.data' beside"):
        read(path)
    path.write_bytes(path.read_bytes().replace(b"beside.data", b"../outside."))
    (tmp_path / "outside.data").rename(tmp_path / "outside.")
    with pytest.raises(RefusedInputError, match="in the folder"):
        read(path)


def test_onnx_that_is_damaged_or_does_not_fit(onnx_file, tmp_path):
    onnx = pytest.importorskip("onnx")
    data = onnx_file.read_bytes()
    for name, content in {"half": data[: len(data) // 2], "noise": b"\x93" * 300, "text": b"not a network"}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(RefusedInputError, match=rf"{name}\.onnx"):
            read(tmp_path / f"{name}.onnx")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(RefusedInputError, match="empty"):
        read(tmp_path / "empty.onnx")
    with pytest.raises(UsageError, match=r"shape nx3x32x32, got .* of shape nx1x8x8: .*any\.onnx"):
        read(onnx_file, shape=(3, 32, 32))
    with pytest.raises(UsageError, match=r"3 classes of the data, got one for 10: .*any\.onnx"):
        read(onnx_file, classes=DIGITS[:3])
    model = onnx.load(onnx_file)
    model.graph.node[0].op_type, model.graph.node[0].domain = "Shell", "my.own"
    onnx.save(model, tmp_path / "own.onnx")
    with pytest.raises(RefusedInputError, match=r"onnxruntime .* can run, got: .*Shell"):
        read(tmp_path / "own.onnx")
    model = onnx.load(onnx_file)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    weight.raw_data = np.full(int(np.prod(weight.dims)), np.inf, np.float32).tobytes()
    onnx.save(model, tmp_path / "inf.onnx")
    with pytest.raises(RefusedInputError, match="finite weights"):
        read(tmp_path / "inf.onnx")


def test_onnx_without_onnxruntime_says_what_to_install(onnx_file, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 'evalsuite\[onnx\]'"):
        read(onnx_file)
