"""Tensors from a process that is not trusted: the same numbers where it is honest, and an error where it is not."""

import os
from pathlib import Path

import pytest
import torch

from evalsuite.networks.checkpoints._plain_tensors import pack, unpack
from evalsuite.process.plain_values import Plain, decode, encode

DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.uint8,
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.complex64,
)  # fmt: skip


def handed(value: Plain) -> Plain:
    file = os.memfd_create("test")
    try:
        return decode(encode(value, file).encode(), file)
    finally:
        os.close(file)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_every_type_arrive(dtype: torch.dtype) -> None:
    whole = torch.arange(-8, 16).to(dtype).reshape(2, 3, 4)
    (arrived,) = unpack(handed(pack([whole])))
    assert arrived.dtype == dtype
    assert arrived.shape == (2, 3, 4)
    assert torch.equal(arrived.view(torch.uint8), whole.view(torch.uint8))


def test_views_stay_views_of_one_storage_and_strides_stay() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = [base, base.t(), base[1:, 2], torch.ones(2), base[0, 0].expand(5, 7), torch.empty(0, 3), torch.tensor(4)]
    arrived = unpack(handed(pack(list(tensors))))
    for one, other in zip(tensors, arrived, strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride()
    arrived[0][1, 2] = -1.0
    assert arrived[1][2, 1] == arrived[2][0] == -1.0
    assert arrived[3].tolist() == [1.0, 1.0]


def described(**change: Plain) -> Plain:
    entry: dict[str, Plain] = {"storage": 0, "dtype": "torch.float32", "sizes": [4], "strides": [1], "offset": 0}
    return {"tensors": [{**entry, **change}], "storages": [bytes(16)]}


def test_the_description_that_others_are_made_from_is_taken() -> None:
    assert unpack(handed(described()))[0].tolist() == [0.0] * 4


@pytest.mark.parametrize(
    "plain",
    [
        None, [], {}, {"tensors": [], "storages": None}, {"tensors": [1], "storages": []},
        {"tensors": [], "storages": ["text"]},
        described(storage=1), described(storage=-1), described(dtype="torch.save"), described(dtype="torch.quint8"),
        described(sizes=[5]), described(strides=[2]), described(offset=1), described(offset=-1),
        described(sizes=[-4]), described(strides=[-1]), described(sizes=["4"]), described(strides=[]),
        described(sizes=[2**62, 2**62], strides=[0, 0]), described(sizes=[2**80], strides=[0]),
        described(sizes=[1] * 200, strides=[1] * 200, offset=2**70), described(dtype="torch.float64"),
    ],
)  # fmt: skip
def test_what_reaches_beyond_what_was_handed_over_is_refused(plain: Plain) -> None:
    with pytest.raises(ValueError, match=r"expected|storage|tensor"):
        unpack(handed(plain))


def test_what_happens_to_the_file_later_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    arrived = decode(encode([torch.ones(4).numpy().data], file).encode(), file)
    os.close(file)
    assert isinstance(arrived, list)
    numbers = torch.frombuffer(arrived[0], dtype=torch.float32)
    numbers += 1
    assert path.read_bytes() == torch.ones(4).numpy().tobytes()
