"""ONNX files that read other files, hide tensors or compute without end: refused in one line."""

import numpy as np
import pytest
import torch

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.networks.programs.read import file_digest, read_artefact
from evalsuite.process.confined import MEMORY, SECONDS

onnx = pytest.importorskip("onnx", reason="onnx is an optional extra")
pytest.importorskip("onnxruntime", reason="onnxruntime is an optional extra")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - where there is onnx

pytestmark = pytest.mark.slow

DIGITS = tuple("0123456789")
SHAPE = (1, 8, 8)
WEIGHT = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def read(path):
    return read_artefact(path, classes=DIGITS, shape=SHAPE)


def refused(path):
    with pytest.raises(RefusedInputError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def value(name, kind=FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, number):
    return numpy_helper.from_array(np.asarray(number), name)


def outside(name, location, **entries):
    """A tensor of one number that is kept in another file."""
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=text)
    return tensor


def save(path, *nodes, initializers=(), functions=(), domains=(), producer=""):
    """A linear network behind `nodes`, which make `x0` of the images `x`."""
    last = [helper.make_node("Flatten", ["x0"], ["flat"]), helper.make_node("MatMul", ["flat", "weight"], ["y"])]
    graph = helper.make_graph(
        [*nodes, *last],
        "network",
        [value("x", shape=["n", *SHAPE])],
        [value("y", shape=["n", 10])],
        [constant("weight", WEIGHT), *initializers],
    )
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=8, functions=list(functions), producer_name=producer
    )
    path.write_bytes(model.SerializeToString())
    return path


def images(n=5):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))


def expected(pictures, added):
    return torch.from_numpy((pictures.numpy() + np.float32(added)).reshape(len(pictures), 64) @ WEIGHT)


def in_a_constant(tensor):
    return {
        "nodes": [helper.make_node("Constant", [], ["k"], value=tensor), helper.make_node("Add", ["x", "k"], ["x0"])]
    }


def in_a_branch(tensor):
    one = helper.make_graph([helper.make_node("Add", ["x", tensor.name], ["b"])], "one", [], [value("b")], [tensor])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["c"])], "other", [], [value("c")])
    branch = helper.make_node("If", ["yes"], ["x0"], then_branch=one, else_branch=other)
    return {"nodes": [branch], "initializers": [constant("yes", np.array(True))]}


def in_a_function(tensor):
    steps = [helper.make_node("Constant", [], ["k"], value=tensor), helper.make_node("Add", ["a", "k"], ["b"])]
    function = helper.make_function("mine", "Shift", ["a"], ["b"], steps, [helper.make_opsetid("", 18)])
    call = helper.make_node("Shift", ["x"], ["x0"], domain="mine")
    return {"nodes": [call], "functions": [function], "domains": ["mine"]}


PLACES = {"a constant": in_a_constant, "a branch": in_a_branch, "a function": in_a_function}


def hidden(path, place, tensor):
    parts = PLACES[place](tensor)
    return save(path, *parts.pop("nodes"), **parts)


@pytest.mark.parametrize("place", PLACES)
def test_tensors_beside_the_file_are_its_own_wherever_they_stand(place, tmp_path, monkeypatch):
    """They are read from the file's folder, never from the working folder, and are part of the digest."""
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    for each, number in ((folder, 2), (elsewhere, 3)):
        each.mkdir()
        (each / "kept.bin").write_bytes(np.float32([9, number]).tobytes())
    monkeypatch.chdir(elsewhere)
    path = hidden(folder / "network.onnx", place, outside("k0", "kept.bin", offset="4", length="4"))
    result = read(path)
    torch.testing.assert_close(result.network(images()), expected(images(), 2), atol=1e-5, rtol=1e-5)
    assert file_digest(path) == result.file_digest  # by which a release is recognised
    (folder / "kept.bin").write_bytes(np.float32([9, 4]).tobytes())
    changed = read(path)
    torch.testing.assert_close(changed.network(images()), expected(images(), 4), atol=1e-5, rtol=1e-5)
    assert changed.file_digest != result.file_digest
    assert file_digest(path) == changed.file_digest
    (folder / "kept.bin").unlink()
    with pytest.raises(UsageError, match=r"expected 'kept\.bin' beside"):
        read(path)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["/etc/hostname", "../kept.bin", "below/kept.bin", "link.bin", "below", ""])
def test_no_other_file_is_read(location, place, tmp_path):
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    for file in (tmp_path / "kept.bin", folder / "below" / "kept.bin"):
        file.write_bytes(np.float32([2]).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "kept.bin")
    path = hidden(folder / "network.onnx", place, outside("k0", location))
    assert "expected tensors in" in refused(path) or location == ""


@pytest.mark.parametrize(
    "entries", [{"offset": "8"}, {"length": "9"}, {"offset": "-4"}, {"offset": "9" * 5000}, {"length": "four"}]
)
def test_tensors_beside_the_file_are_whole(entries, tmp_path):
    (tmp_path / "kept.bin").write_bytes(np.float32([2]).tobytes())
    assert "expected" in refused(hidden(tmp_path / "network.onnx", "a constant", outside("k0", "kept.bin", **entries)))


def test_a_file_that_begins_like_onnxruntimes_own_format_is_read_as_what_it_is(tmp_path):
    path = save(tmp_path / "network.onnx", helper.make_node("Identity", ["x"], ["x0"]), producer="ORTM or so")
    assert path.read_bytes()[4:8] == b"ORTM"
    torch.testing.assert_close(read(path).network(images()), expected(images(), 0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("domain", "name"), [("com.microsoft", "EPContext"), ("com.microsoft", "BeamSearch"), ("my", "Relu")]
)
def test_operators_of_others_are_refused_by_name(domain, name, tmp_path):
    node = helper.make_node(name, ["x"], ["x0"], domain=domain)
    assert f"got '{domain}.{name}'" in refused(save(tmp_path / "network.onnx", node, domains=[domain]))


# --- without end


def rounds(*steps, condition="go"):
    """A body that hands on what it is given."""
    handed = [helper.make_node("Identity", ["image"], ["image_out"])]
    if condition == "go":
        handed.append(helper.make_node("Identity", ["go"], ["go_out"]))
    return helper.make_graph(
        [*steps, *handed],
        "body",
        [value("round", INT, []), value("go", TensorProto.BOOL, []), value("image")],
        [value("go_out", TensorProto.BOOL, []), value("image_out")],
    )


SUM = helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0)
WHOLE = helper.make_node("Cast", ["sum"], ["whole"], to=INT)
ONE = helper.make_node("Unsqueeze", ["whole", "zero"], ["one"])
ZERO = constant("zero", np.array([0]))
AS_IT_IS = helper.make_node("Identity", ["x"], ["x0"])
ENDS = [
    helper.make_node("ReduceSum", ["image"], ["s"], keepdims=0),
    helper.make_node("Less", ["s", "limit"], ["go_out"]),
]
BY_PIXELS = {
    "Loop": [SUM, WHOLE, helper.make_node("Loop", ["whole", "", "x"], ["x0"], body=rounds())],
    "Loop that goes on": [helper.make_node("Loop", ["many", "", "x"], ["x0"], body=rounds(*ENDS, condition="own"))],
    "ConstantOfShape": [SUM, WHOLE, ONE, helper.make_node("ConstantOfShape", ["one"], ["big"]), AS_IT_IS],
    "Tile": [SUM, WHOLE, ONE, helper.make_node("Tile", ["zero", "one"], ["big"]), AS_IT_IS],
    "NonZero": [helper.make_node("NonZero", ["x"], ["where"]), AS_IT_IS],
    "Tile in another order": [helper.make_node("Tile", ["zero", "one"], ["big"]), AS_IT_IS, ONE, WHOLE, SUM],
}


@pytest.mark.parametrize("kind", BY_PIXELS)
def test_what_an_image_shows_does_not_decide_how_much_is_computed(kind, tmp_path):
    """Blank images, on which files are tried out, would show nothing of it."""
    many = constant("many", np.int64(2**62)), constant("limit", np.float32(1e-9))
    path = save(tmp_path / "network.onnx", *BY_PIXELS[kind], initializers=[ZERO, *many])
    assert f"got '{kind.split()[0]}', whose sizes or rounds depend on what an image shows" in refused(path)


def test_sizes_may_follow_from_the_number_of_images(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=constant("", np.float32([1]))),
        helper.make_node("Add", ["x", "ones"], ["x0"]),
    ]
    outcome = read(save(tmp_path / "network.onnx", *nodes)).network
    torch.testing.assert_close(outcome(images()), expected(images(), 1), atol=1e-5, rtol=1e-5)


def test_a_loop_of_a_few_rounds_is_run(tmp_path):
    node = helper.make_node("Loop", ["few", "", "x"], ["x0"], body=rounds())
    path = save(tmp_path / "network.onnx", node, initializers=[constant("few", np.int64(3))])
    torch.testing.assert_close(read(path).network(images()), expected(images(), 0), atol=1e-5, rtol=1e-5)


def test_a_loop_of_ever_so_many_rounds_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv(SECONDS, "1")
    node = helper.make_node("Loop", ["many", "", "x"], ["x0"], body=rounds())
    path = save(tmp_path / "network.onnx", node, initializers=[constant("many", np.int64(2**62))])
    assert SECONDS in refused(path)


def test_tensors_that_fill_the_memory_are_not_made(tmp_path):
    nodes = [
        helper.make_node("ConstantOfShape", ["sizes"], ["big"], value=constant("", np.float32([1]))),
        helper.make_node("ReduceMean", ["big"], ["mean"], keepdims=0),
        helper.make_node("Add", ["x", "mean"], ["x0"]),
    ]
    path = save(tmp_path / "network.onnx", *nodes, initializers=[constant("sizes", np.array([3000, 1000, 1000]))])
    assert MEMORY in refused(path)


def test_sparse_tensors_are_refused(tmp_path):
    path = save(tmp_path / "network.onnx", AS_IT_IS)
    model = onnx.load(path)
    sparse = model.graph.sparse_initializer.add(dims=[10**6, 10**6])
    sparse.values.CopyFrom(numpy_helper.from_array(np.float32([1]), "sparse"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([5]), ""))
    path.write_bytes(model.SerializeToString())
    assert "expected dense tensors" in refused(path)
