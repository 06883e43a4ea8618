"""Files of every kind that is not a whole, harmless checkpoint: each one clear error, and nothing is run."""

import contextlib
import hashlib
import io
import json
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, write
from evalsuite.networks.normalized import Normalized

pytestmark = pytest.mark.slow

SHAPE = (1, 8, 8)


@pytest.fixture
def network() -> nn.Module:
    return build("lenet5", classes=10, channels=1, image_size=8)


def _saved(obj: object, *, legacy: bool = False, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    torch.save(obj, stream, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
    return stream.getvalue()


def _read(path: Path, trusted: frozenset[str] = frozenset()) -> Checkpoint:
    return read(path, arch="lenet5", shape=SHAPE, trusted=trusted)


class Gadget:
    """A pickle of this runs a command when it is unpickled without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


class SomeClass:
    """An object beside the weights, of a class that is nobody's."""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (bytes(range(200, 256)) * 40, "safetensors file or one written by torch.save"),
        (b"hello, this is not a checkpoint at all", "safetensors file or one written by torch.save"),
        (b"\x80", "damaged"),
        (b"\x80\x02}q\x00.", "damaged"),
        (b"PK\x03\x04" + bytes(100), "damaged"),
        (b"PK\x03\x04", "damaged"),
        (struct.pack("<Q", 2) + b"{]", "damaged"),
        (struct.pack("<Q", 2) + b"{}", "state_dict|tensors"),
        (b"\x93NUMPY\x01\x00", "safetensors file or one written by torch.save"),
    ],
)
def test_no_checkpoint_at_all(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(data)
    with pytest.raises((RefusedInputError, UsageError), match=message) as caught:
        _read(path)
    # an intact file that holds no tensors is the wrong file; all others are refused
    assert caught.value.exit_code == (2 if data.endswith(b"{}") else 4)


def test_missing_files_and_folders_are_a_matter_of_usage(tmp_path: Path) -> None:
    for path, messages in (
        (tmp_path / "absent.pt", "No such file"),
        (tmp_path, "a folder"),
        (tmp_path / "x" / "y", "No such"),
    ):
        with pytest.raises(UsageError, match=messages) as caught:
            _read(path)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "own"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, network: nn.Module, kind: str, share: float) -> None:
    path = tmp_path / "weights"
    if kind == "own":
        write(path, Checkpoint(network=Normalized(network, (0.5,), (1.0,)), arch="lenet5", class_count=10, shape=SHAPE))
        data = path.read_bytes()
    elif kind == "safetensors":
        data = safetensors.torch.save(network.state_dict())
    else:
        data = _saved(network.state_dict(), legacy=kind == "legacy")
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(RefusedInputError) as caught:
        _read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_whole_files_are_read_whatever_they_are_called(tmp_path: Path, network: nn.Module, *, legacy: bool) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(_saved(network.state_dict(), legacy=legacy))
    result = _read(path)
    assert result.file_digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in result.network.network.state_dict().items())
    path = tmp_path / "weights.pt"
    path.write_bytes(safetensors.torch.save(network.state_dict()))
    assert torch.equal(_read(path).network.get_parameter("network.fc3.bias"), network.get_parameter("fc3.bias"))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_command_in_a_pickle_is_named_and_not_run(tmp_path: Path, *, legacy: bool, protocol: int) -> None:
    marker, path = tmp_path / "was_run", tmp_path / "weights.pt"
    path.write_bytes(_saved({"state_dict": Gadget(marker)}, legacy=legacy, protocol=protocol))
    with pytest.raises(RefusedInputError, match=r"imports (posix|nt)\.system") as caught:
        _read(path)
    assert caught.value.exit_code == 4
    assert f"--trust sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" in str(caught.value)
    assert "torch.save(loaded.state_dict()" in str(caught.value)
    # neither another file's digest nor anything but the digest opens it
    for wrong in ("0" * 64, f"sha256:{'0' * 64}", "sha256:", "*"):
        with pytest.raises(RefusedInputError):
            _read(path, frozenset({wrong}))
    assert not marker.exists()


def test_a_bare_pickle_gadget_is_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "was_run", tmp_path / "weights.pt"
    for protocol in (2, 4, 5):
        path.write_bytes(pickle.dumps(Gadget(marker), protocol=protocol))
        with pytest.raises(RefusedInputError, match=r"\.system"):
            _read(path)
    assert not marker.exists()


def test_trust_by_digest_reads_a_whole_network(tmp_path: Path, network: nn.Module) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(_saved(nn.DataParallel(network)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(RefusedInputError, match=r"evalsuite\.networks\.architectures\.lenet\._LeNet"):
        _read(path)
    for spelled in (digest, f"sha256:{digest}"):
        outcome = read(path, shape=SHAPE, mean=(0.3,), std=(0.2,), trusted=frozenset({spelled}))
        x = torch.rand(2, *SHAPE)
        torch.testing.assert_close(outcome.network(x), network((x - 0.3) / 0.2))
        assert (outcome.arch, outcome.class_count) == (None, 10)
        assert outcome.lineage[0]["trusted"] == digest
        assert "evalsuite.networks.architectures.lenet._LeNet" in str(outcome.lineage[0]["globals"])
        assert not outcome.network.training


def test_a_trusted_training_checkpoint_may_hold_other_things(tmp_path: Path, network: nn.Module) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(_saved({"best": SomeClass(), "model": network.state_dict()}))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(RefusedInputError, match="SomeClass"):
        _read(path)
    assert _read(path, frozenset({digest})).arch == "lenet5"
    path.write_bytes(_saved({"epoch": 3, "model": network}))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read(path, shape=SHAPE, trusted=frozenset({digest})).class_count == 10


def test_a_trusted_file_whose_code_is_gone_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vanishing.py").write_text("from torch import nn\nclass Net(nn.Module): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "weights.pt"
    path.write_bytes(_saved(__import__("vanishing").Net()))
    (tmp_path / "vanishing.py").unlink()
    monkeypatch.delitem(sys.modules, "vanishing")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UsageError, match="vanishing"):
        read(path, shape=SHAPE, trusted=frozenset({digest}))


def test_zip_bombs_are_refused_without_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(10**6))
        # what the table of contents declares; closing writes it down
        archive.filelist[1].file_size = 2**31
    unpacked: list[object] = []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda _, name, *__, **___: unpacked.append(name))
    monkeypatch.setattr(torch, "load", lambda file, **_: unpacked.append(file))
    with pytest.raises(RefusedInputError, match=r"unpack to 2147483\d+"):
        _read(path)
    assert not unpacked


def test_tensors_that_claim_more_than_is_stored_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(_saved({"fc.weight": torch.zeros(1).expand(10**5, 10**5)}))
    assert path.stat().st_size < 10**4
    with pytest.raises(RefusedInputError, match="40000000000 bytes"):
        _read(path)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["archive/data.pkl", "../../evil"], "names that torch never writes"),
        (["archive/data.pkl", "/etc/evil"], "names that torch never writes"),
        (["archive/data.pkl", "archive/data.pkl"], "names that torch never writes"),
        (["readme.txt"], r"without data\.pkl"),
        (["a/data.pkl", "b/data.pkl"], r"without data\.pkl"),
        (["m/data.pkl", "m/constants.pkl"], "TorchScript"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_are_not_torchs(tmp_path: Path, names: list[str], sentence: str) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"\x80\x02}q\x00.")
    with pytest.raises(RefusedInputError, match=sentence):
        _read(path)


@pytest.mark.parametrize(
    ("loaded", "wording"),
    [
        ([1, 2, 3], "'list'"),
        ({}, "a dict"),
        ({"epoch": 3, "optimizer": {}}, "'epoch', 'optimizer'"),
        ({"fc.weight": torch.zeros(2, dtype=torch.complex64)}, "complex64"),
        ({"model": {"model": {"model": {"model": {"x": torch.zeros(1)}}}}}, "'model'"),
    ],
)
def test_contents_that_are_no_state_dict(tmp_path: Path, loaded: object, wording: str) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(_saved(loaded))
    with pytest.raises(RefusedInputError, match=wording):
        _read(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, network: nn.Module, value: float) -> None:
    network.get_parameter("fc2.weight").data[3, 4] = value
    path = tmp_path / "weights.pt"
    path.write_bytes(_saved(network.state_dict()))
    with pytest.raises(RefusedInputError, match=r"NaN or infinity in 'fc2\.weight'"):
        _read(path)
    path.write_bytes(_saved(network))
    with pytest.raises(RefusedInputError, match=r"fc2\.weight"):
        read(path, shape=SHAPE, trusted=frozenset({hashlib.sha256(path.read_bytes()).hexdigest()}))


@pytest.mark.parametrize(
    ("change", "message", "code"),
    [
        ({"format": "evalsuite-checkpoint/2"}, "evalsuite-checkpoint/2", 2),
        ({"format": "other"}, "format", 4),
        ({"class_count": "many"}, "class_count", 4),
        ({"class_count": None}, "class_count", 4),
        ({"tensors": "0" * 64}, "got changed ones", 4),
        ({"arch": "resnet21"}, "Did you mean", 2),
        ({"arch": None}, "say --arch", 2),
    ],
)
def test_headers_of_our_own_files_are_checked(
    tmp_path: Path, network: nn.Module, change: dict[str, object], message: str, code: int
) -> None:
    path = tmp_path / "weights.safetensors"
    write(path, Checkpoint(network=Normalized(network, (0.5,), (1.0,)), arch="lenet5", class_count=10, shape=SHAPE))
    tensors = safetensors.torch.load_file(path)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["evalsuite"]
    changed = json.dumps({**json.loads(header), **change})
    safetensors.torch.save_file(tensors, path, metadata={"evalsuite": changed})
    with pytest.raises((UsageError, RefusedInputError), match=message) as caught:
        read(path)
    assert caught.value.exit_code == code


@pytest.mark.parametrize("kind", ["zip", "legacy", "own"])
@given(where=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255), length=st.integers(1, 40))
@settings(max_examples=40)
def test_damage_anywhere_is_one_of_our_errors_or_none(
    tmp_path: Path, kind: str, where: float, bits: int, length: int
) -> None:
    tensors = {"fc.weight": torch.ones(3, 4), "fc.bias": torch.zeros(3)}
    with_header = safetensors.torch.save(tensors, metadata={"evalsuite": "{}"})
    data = bytearray(with_header if kind == "own" else _saved(tensors, legacy=kind == "legacy"))
    start = int(where * len(data))
    for position in range(start, min(start + length, len(data))):
        data[position] ^= bits
    path = tmp_path / "weights"
    path.write_bytes(data)
    with contextlib.suppress(UsageError, RefusedInputError):
        read(path, arch="lenet5", shape=SHAPE)


def test_a_header_cannot_call_a_function(tmp_path: Path, network: nn.Module) -> None:
    marker, path = tmp_path / "was_run", tmp_path / "weights"
    wrapped = Normalized(network, (0.5,), (1.0,))
    write(path, Checkpoint(
        network=wrapped, arch="os:system", arguments={"command": f"touch {marker}"}, class_count=10, shape=SHAPE
    ))  # fmt: skip
    with pytest.raises(RefusedInputError, match="expected --arch os:system beside"):
        read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("classes", "message"),
    [(10**13, "class_count: Input should be less"), (10**7, r"takes at most 0\.8 GB.*takes 3\.\d GB")],
)
def test_a_header_cannot_ask_for_all_memory(tmp_path: Path, network: nn.Module, classes: int, message: str) -> None:
    path = tmp_path / "weights"
    whole = Normalized(network, (0.5,), (1.0,))
    write(path, Checkpoint(network=whole, arch="lenet5", class_count=classes, shape=SHAPE))
    with pytest.raises(RefusedInputError, match=message):
        read(path)


def test_a_flipped_bit_on_disk_is_found(tmp_path: Path, network: nn.Module) -> None:
    path = tmp_path / "weights.safetensors"
    write(path, Checkpoint(network=Normalized(network, (0.5,), (1.0,)), arch="lenet5", class_count=10, shape=SHAPE))
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(RefusedInputError, match="changed"):
        read(path)
