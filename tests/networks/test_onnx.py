"""Files of ONNX, against the network that they were made from and against onnxruntime itself."""

import numpy as np
import pytest
import torch

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.networks.costs.cost import cost
from evalsuite.networks.digest import network_digest
from evalsuite.networks.programs.program import artefact_in, differentiable
from evalsuite.networks.programs.read import read_artefact

pytestmark = pytest.mark.slow

DIGITS = tuple("0123456789")
SHAPE = (1, 8, 8)
ANY = ({0: torch.export.Dim.DYNAMIC},)


def images(n, seed=0):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def read(path, **given):
    return read_artefact(path, **{"classes": DIGITS, "shape": SHAPE, **given})


@pytest.fixture(scope="module")
def onnx_file(network, tmp_path_factory):
    pytest.importorskip("onnxscript", reason="onnx is an optional extra")
    path = tmp_path_factory.mktemp("onnx") / "any.onnx"
    torch.onnx.export(network, (images(2),), dynamo=True, dynamic_shapes=ANY, verbose=False).save(path)
    return path


def fixed(source, target, batch):
    """The same ONNX network for batches of one size."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(source)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]
    onnx.save(model, target)
    return target


@pytest.mark.parametrize("n", [1, 2, 9])
def test_an_onnx_file_gives_what_its_network_gives(network, onnx_file, n):
    result = read(onnx_file).network
    torch.testing.assert_close(result(images(n)), network(images(n)), atol=1e-5, rtol=0)
    assert not differentiable(result, SHAPE)


def test_an_onnx_file_is_counted_like_its_network(network, onnx_file):
    counted, expected = artefact_in(read(onnx_file).network).info.cost, cost(network, SHAPE)
    same = ("parameters", "nonzero", "prunable", "prunable_nonzero", "flops", "dense_flops")
    assert [getattr(counted, each) for each in same] == [getattr(expected, each) for each in same]


@pytest.mark.parametrize(("batch", "n"), [(1, 3), (4, 1), (4, 4), (4, 9)])
def test_an_onnx_file_for_one_size_of_batch_takes_any_number(network, onnx_file, batch, n, tmp_path):
    outcome = read(fixed(onnx_file, tmp_path / "fixed.onnx", batch)).network
    assert artefact_in(outcome).info.batch == batch
    torch.testing.assert_close(outcome(images(n)), network(images(n)), atol=1e-5, rtol=0)


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
    actual = read(path).network
    assert torch.equal(actual(images(5)), sessions(path, images(5)))
    counted, expected = artefact_in(actual).info.cost, cost(network, SHAPE)
    assert (counted.parameters, counted.prunable, counted.dense_flops) == (
        expected.parameters, expected.prunable, expected.dense_flops,
    )  # fmt: skip
    assert 0.9 * expected.prunable_nonzero < counted.prunable_nonzero <= expected.prunable_nonzero


def test_dynamic_int8_onnx_sees_every_image_alone(float_onnx, tmp_path):
    """Its ranges are taken from the whole batch: an image's logits must not depend on its neighbours here."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    path = tmp_path / "dynamic.onnx"
    quantization.quantize_dynamic(float_onnx, path, weight_type=quantization.QuantType.QInt8)
    computed = read(path).network
    assert artefact_in(computed).alone
    alone = sessions(path, images(6))
    assert torch.equal(computed(images(6)), alone)
    assert torch.equal(computed(images(6)[3:4]), alone[3:4])
    padded = read(fixed(path, tmp_path / "padded.onnx", 3)).network
    assert torch.equal(padded(images(6)), alone)


def test_tensors_beside_the_file(network, onnx_file, tmp_path):
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "beside.onnx"
    onnx.save(onnx.load(onnx_file), path, save_as_external_data=True, location="beside.data", size_threshold=0)
    assert path.stat().st_size < onnx_file.stat().st_size / 2
    result = read(path)
    torch.testing.assert_close(result.network(images(3)), network(images(3)), atol=1e-5, rtol=0)
    data = bytearray((folder / "beside.data").read_bytes())
    data[100:104] = np.float32(5).tobytes()
    (folder / "beside.data").write_bytes(data)
    assert network_digest(read(path).network) != network_digest(result.network)
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
    with pytest.raises(RefusedInputError, match=r"got 'my\.own\.Shell': .*own\.onnx; export .* --arch"):
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
    with pytest.raises(UsageError, match=r"pip install '\.\[onnx\]' in a checkout"):
        read(onnx_file)
