"""Programs of torch.export that would crash, overwrite, hang or fill the memory: refused in one line, by name."""

import json
import math
import zipfile

import pytest
import torch
from torch import nn

from evalsuite.errors import RefusedInputError
from evalsuite.networks.programs._operators import ALLOWED
from evalsuite.networks.programs.read import read_artefact
from evalsuite.process.confined import MEMORY, SECONDS

pytestmark = pytest.mark.slow

DIGITS = tuple("0123456789")
SHAPE = (1, 8, 8)
ANY = ({0: torch.export.Dim.DYNAMIC},)
ATEN = "torch.ops.aten."


def read(path):
    return read_artefact(path, classes=DIGITS, shape=SHAPE).network


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)  # noqa: TID251 - layers draw from it
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()


@pytest.fixture(scope="module")
def program(plain, tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "plain.pt2"
    torch.export.save(torch.export.export(plain, (torch.rand(2, *SHAPE),), dynamic_shapes=ANY), path)
    return path


def tensor(name):
    return {"as_tensor": {"name": name}}


def ints(*values):
    return {"as_ints": list(values)}


def node(target, *arguments, out=None, **by_name):
    inputs = [{"name": f"a{k}", "arg": each, "kind": 1} for k, each in enumerate(arguments)]
    inputs += [{"name": name, "arg": each, "kind": 2} for name, each in by_name.items()]
    return {"target": target, "inputs": inputs, "outputs": [tensor("made")] if out is None else out}


def size(target, *arguments):
    return node(target, *arguments, out=[{"as_sym_int": {"as_name": "size"}}])


@pytest.fixture
def beginning_with(program, tmp_path):
    """A copy of the program with further nodes before its own, and its path."""

    def make(*nodes, last=()):
        path = tmp_path / "hostile.pt2"
        with zipfile.ZipFile(program) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                part = old.read(name)
                if name.endswith("models/model.json"):
                    description = json.loads(part)
                    graph = description["graph_module"]["graph"]
                    graph["nodes"] = [*nodes, *graph["nodes"], *last]
                    part = json.dumps(description).encode()
                new.writestr(name, part)
        return path

    return make


def refused(path):
    with pytest.raises(RefusedInputError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    assert "hostile.pt2" in message
    return message


FALSE, EPS, NOTHING = {"as_bool": False}, {"as_float": 1e-5}, {"as_none": True}
WEIGHT, IMAGES, SIZE = tensor("p_1_weight"), tensor("input"), {"as_sym_int": {"as_name": "size"}}
NOT_ALLOWED = [
    node(f"{ATEN}_reshape_alias.default", IMAGES, ints(10**6, 1000), ints(1000, 1)),
    node(f"{ATEN}_sparse_coo_tensor_unsafe.default", IMAGES, IMAGES, ints(10, 10)),
    node(f"{ATEN}_foreach_add_.Scalar", {"as_tensors": [{"name": "p_1_weight"}]}, {"as_int": 1}, out=[]),
    node(f"{ATEN}_foreach_zero_.default", {"as_tensors": [{"name": "p_1_weight"}]}, out=[]),
    node(f"{ATEN}set_.source_Tensor_storage_offset", IMAGES, WEIGHT, {"as_int": 0}, ints(10, 10), ints(1, 1)),
    node(f"{ATEN}resize_.default", IMAGES, ints(10**6, 1000)),
    node(f"{ATEN}empty.memory_format", ints(10)),
    node(f"{ATEN}rand.default", ints(10)),
    node(f"{ATEN}nonzero.default", IMAGES),
    node(f"{ATEN}mkldnn_convolution.default", IMAGES, WEIGHT),
    node(f"{ATEN}_fft_r2c.default", IMAGES, ints(9), {"as_int": 0}, FALSE),
    node("torch.ops.torchvision.deform_conv2d.default", IMAGES, WEIGHT),
    size(f"{ATEN}item.default", IMAGES),
]


@pytest.mark.parametrize("hostile", NOT_ALLOWED, ids=lambda each: each["target"].removeprefix("torch.ops."))
def test_what_is_not_on_the_list_is_refused_by_its_name(beginning_with, hostile):
    message = refused(beginning_with(hostile))
    assert f"expected operators that networks are made of, got '{hostile['target']}'" in message
    assert "--arch" in message


def test_the_list_holds_nothing_that_writes_draws_or_counts_but_what_it_says():
    present = []
    for name in ALLOWED:
        _, _, space, packet, overload = name.split(".")
        operator = getattr(getattr(getattr(torch.ops, space), packet, None), overload, None)
        present += [] if operator is None else [(f"{packet}.{overload}", operator)]
    assert len(present) > 0.9 * len(ALLOWED)
    assert {name for name, each in present if each._schema.is_mutable and not name.split(".")[0].endswith("_")} == set()
    drawn = {name for name, each in present if torch.Tag.nondeterministic_seeded in each.tags}
    assert all("dropout" in name or name in {"rrelu.default", f"{SDPA}.default"} for name in drawn)
    counted = {name for name, each in present if torch.Tag.dynamic_output_shape in each.tags}
    assert counted <= {"index.Tensor"}  # of a mask; that is refused when sizes are computed
    assert not any(torch.Tag.data_dependent_output in each.tags for _, each in present)


SDPA = "scaled_dot_product_attention"
THREE = [tensor("a"), tensor("b"), tensor("c")]
UNCHECKED = {
    # read past the end of the weight, without a word
    "expected 1 numbers as weight": node(
        f"{ATEN}_native_batch_norm_legit_no_training.default",
        *(IMAGES, tensor("p_1_bias"), tensor("p_1_bias"), tensor("p_1_bias"), tensor("p_1_bias"), EPS, EPS),
        out=THREE,
    ),
    # a segmentation fault
    "expected _upsample_bilinear2d_aa to scale 8 to 16": node(
        f"{ATEN}_upsample_bilinear2d_aa.default", IMAGES, ints(16, 16), FALSE, {"as_float": 1e-3}, {"as_float": 1e-3}
    ),
    # whatever was in memory
    "expected interpolation_mode of grid_sampler": node(
        f"{ATEN}grid_sampler_2d.default", IMAGES, IMAGES, {"as_int": 7}, {"as_int": 9}, FALSE
    ),
    "expected the sizes": node(
        f"{ATEN}native_group_norm.default",
        IMAGES,
        NOTHING,
        NOTHING,
        *({"as_int": each} for each in (0, 1, 64, 1)),
        EPS,
        out=THREE,
    ),
    "expected as many values as keys": node(f"{ATEN}{SDPA}.default", IMAGES, tensor("row"), IMAGES),
    "expected a4 of conv2d|expected padding of conv2d": node(
        f"{ATEN}conv2d.default", IMAGES, IMAGES, NOTHING, ints(1, 1), ints(2**31, 2**31), ints(2**31, 2**31)
    ),
    "measures its statistics": node(
        f"{ATEN}batch_norm.default",
        *(IMAGES, NOTHING, NOTHING, tensor("p_1_bias"), tensor("p_1_bias"), {"as_bool": True}, EPS, EPS, FALSE),
    ),
}


@pytest.mark.parametrize("expected", UNCHECKED)
def test_what_operators_do_not_check_themselves_is_checked(beginning_with, expected):
    row = node(f"{ATEN}narrow.default", IMAGES, *({"as_int": each} for each in (2, 0, 1)), out=[tensor("row")])
    message = refused(beginning_with(row, UNCHECKED[expected]))
    assert any(each in message for each in expected.split("|"))


VIEW = node(f"{ATEN}expand_as.default", tensor("p_1_bias"), tensor("linear"), out=[tensor("view")])
WRITES = {
    "through a view": [VIEW, node(f"{ATEN}fill_.Scalar", tensor("view"), {"as_int": 7})],
    "by a keyword": [node(f"{ATEN}mul_.Tensor", other=tensor("linear"), self=tensor("p_1_bias"))],
    "through strides": [
        node(f"{ATEN}as_strided.default", WEIGHT, ints(3), ints(1), out=[tensor("view")]),
        node(f"{ATEN}add_.Tensor", tensor("view"), tensor("view")),
    ],
}


@pytest.mark.parametrize("way", WRITES)
def test_weights_are_not_written_over(beginning_with, way):
    assert "changes it" in refused(beginning_with(last=WRITES[way]))


def test_what_is_made_on_the_way_may_be_written_over(tmp_path):
    class InPlace(nn.Module):
        def forward(self, images):
            made = (images.flatten(1)[:, :10] * 1).clamp_(max=0.75)
            return made.masked_fill(made > 0.5, -math.inf).clamp(min=-5)

    path = tmp_path / "in_place.pt2"
    torch.export.save(torch.export.export(InPlace(), (torch.rand(2, *SHAPE),), dynamic_shapes=ANY), path)
    images = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    expected = images.reshape(6, 64)[:, :10].clone()
    expected[expected > 0.5] = -5
    assert torch.equal(read(path)(images), expected)


SUMMED = [
    node(f"{ATEN}expand.default", tensor("p_1_bias"), ints(10**6, 10**6, 10), out=[tensor("wide")]),
    node(f"{ATEN}sum.default", tensor("wide")),
]
BOMBS = {
    "12 GB": (MEMORY, [node(f"{ATEN}full.default", ints(3, 1000, 1000, 1000), {"as_int": 1})]),
    "10^24 pixels": (MEMORY, [node(f"{ATEN}pad.default", IMAGES, ints(*[10**6] * 4))]),
    "10^13 sums": (SECONDS, SUMMED),
    "300 000 steps": ("at most 50,000 steps, got 300,002", [node(f"{ATEN}neg.default", IMAGES)] * 300_000),
    "a large power": ("2^62", [size("_operator.pow", {"as_int": 3}, {"as_int": 10**9})]),
    "squares of squares": (
        "2^62",
        [size("_operator.mul", {"as_int": 3}, {"as_int": 3}), *[size("_operator.mul", SIZE, SIZE)] * 40],
    ),
    "a long text": ("numbers for mul", [size("_operator.mul", {"as_string": "a" * 4000}, {"as_int": 10**9})]),
    "division by nothing": ("division", [size("_operator.floordiv", {"as_int": 1}, {"as_int": 0})]),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_time_and_memory_are_limited(beginning_with, bomb, monkeypatch):
    if "sums" in bomb:
        monkeypatch.setenv(SECONDS, "1")
    expected, nodes = BOMBS[bomb]
    assert expected in refused(beginning_with(*nodes))


def test_a_program_that_explodes_at_one_size_of_batch_is_stopped_there(beginning_with, plain):
    """Nothing is seen of it for a few images; 100 of them would take 400 GB."""
    path = beginning_with(
        size(f"{ATEN}sym_size.int", IMAGES, {"as_int": 0}),
        size("_operator.floordiv", SIZE, {"as_int": 100}),
        size("_operator.mul", SIZE, {"as_int": 10**11}),
        node(f"{ATEN}full.default", {"as_sym_ints": [{"as_name": "size"}]}, {"as_int": 1}, dtype={"as_scalar_type": 7}),
    )
    network = read(path)
    images = torch.rand(100, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(images[:99]), plain(images[:99]), atol=1e-6, rtol=0)
    with pytest.raises(RefusedInputError, match=r"memory grows with the number of images, got .* for 100"):
        network(images)
