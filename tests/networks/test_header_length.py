"""A safetensors file is told from a pickle whatever the length of its header."""

import pytest
import safetensors.torch
import torch

from evalsuite.networks.checkpoints._formats import read_contents

pytestmark = pytest.mark.slow


def test_header_lengths_that_look_like_a_pickle(tmp_path):
    observed = set()
    for padding in range(0, 600, 8):
        data = safetensors.torch.save({"weight": torch.arange(3.0)}, metadata={"evalsuite": "x" * padding})
        observed.add(data[0])
        path = tmp_path / "file"
        path.write_bytes(data)
        contents = read_contents(path, frozenset())
        assert contents.tensors["weight"].tolist() == [0, 1, 2]
        assert contents.header == "x" * padding
    assert 0x80 in observed  # the first byte of a pickle
