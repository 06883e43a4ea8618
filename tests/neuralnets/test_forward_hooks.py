import pytest
import torch
from torch import nn

from neuralnets.forward_hooks import attached


def test_hooks_are_there_inside_and_gone_after_an_error() -> None:
    layer, shapes = nn.Linear(2, 3), []

    def run(*widths: int) -> None:
        handles = [layer.register_forward_hook(lambda *args: shapes.append(tuple(args[2].shape)))]
        with attached(handles):
            for width in widths:
                layer(torch.zeros(4, width))

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run(2, 2, 7)
    layer(torch.zeros(5, 2))
    assert shapes == [(4, 3), (4, 3)]
