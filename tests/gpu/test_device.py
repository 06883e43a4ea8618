"""What the other tests rely on: the device is not the CPU, or says that it is."""

import pytest
import torch


def test_tensors_here_and_there_are_not_mixed(device):
    here, there = torch.ones(3), torch.arange(3.0).to(device)
    assert there.device.type == device.type
    if device.type == "cpu":
        assert (here + there).tolist() == [1, 2, 3]
        return
    for mixed in (lambda: here + there, lambda: there.add_(here), lambda: torch.stack([here, there])):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    with pytest.raises(TypeError, match="to numpy"):
        there.numpy()
    # numbers and indices may come from the CPU
    assert (there * torch.tensor(2.0)).cpu().tolist() == [0, 2, 4]
    assert there[torch.tensor([2, 0])].cpu().tolist() == [2, 0]
