import pytest
import torch
from torch import Tensor, nn

from pruners._shares import largest_shares

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear": (nn.Linear(5, 4), (3, 5)),
    "tokens": (nn.Linear(5, 4), (3, 2, 5)),
    "one dimension": (nn.Conv1d(4, 3, 3, padding=1), (2, 4, 7)),
    "strided": (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)), (2, 4, 7, 6)),
    "dilated": (nn.Conv2d(4, 6, 3, dilation=(2, 1), padding="same"), (2, 4, 7, 6)),
    "unpadded": (nn.Conv2d(4, 6, 3, padding="valid"), (2, 4, 5, 5)),
    "circular": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), (2, 4, 5, 5)),
    "grouped": (nn.Conv2d(4, 6, 3, padding=1, groups=2), (2, 4, 5, 5)),
    "volume": (nn.Conv3d(2, 3, 2), (2, 2, 3, 3, 3)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (2, 4, 3, 4)),
    "transposed, cut": (nn.ConvTranspose2d(4, 6, 2, padding=1, dilation=1), (2, 4, 3, 4)),
}


def signs(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.clamp_min(0), (-values).clamp_min(0)


def by_definition(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Runs the layer once for every weight of every sign: its terms over their sum."""
    weight = layer.weight.detach().clone()
    is_linear = isinstance(layer, nn.Linear)
    best = torch.zeros(inputs.shape[-1 if is_linear else 1], dtype=torch.float64)

    def run(values: Tensor, entries: Tensor) -> Tensor:
        layer.weight.data.copy_(entries)
        return layer(values)

    for observed in signs(inputs):
        for signed in signs(weight):
            sums = run(observed, signed)
            for channel in range(len(best)):
                alone = torch.zeros_like(observed)
                index = (..., channel) if is_linear else (slice(None), channel)
                alone[index] = observed[index]
                for entry in range(1 if is_linear else signed[0, 0].numel()):
                    kernel = signed.clone()
                    if not is_linear:
                        kernel.flatten(2)[:, :, torch.arange(signed[0, 0].numel()) != entry] = 0
                    terms = run(alone, kernel)
                    best[channel] = max(best[channel], (terms / sums).nan_to_num(0, 0, 0).max())
    layer.weight.data.copy_(weight)
    return best


@pytest.mark.parametrize("name", LAYERS)
def test_as_defined(name: str) -> None:
    layer, shape = LAYERS[name]
    layer = layer.double().requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(0)
    layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    layer.bias.zero_()
    inputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    assert torch.allclose(largest_shares(layer, inputs), by_definition(layer, inputs))
    # inputs behind a ReLU have no negative part
    assert torch.allclose(largest_shares(layer, inputs.relu()), by_definition(layer, inputs.relu()))


def test_by_hand() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 3.0, -2.0], [2.0, 1.0, -1.0]]))
    # positive weights at (1, 1, .): 1/4 and 3/4, 2/3 and 1/3; the only negative weight is all of its sum
    assert torch.allclose(largest_shares(layer, torch.tensor([[1.0, 1.0, 0.5]])), torch.tensor([2 / 3, 3 / 4, 1]))
    # where nothing comes in, 0 / 0 = 0
    assert largest_shares(layer, torch.zeros(2, 3)).tolist() == [0, 0, 0]


def test_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, shape = LAYERS["grouped"]
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(layer.weight)
    whole = largest_shares(layer, inputs)
    monkeypatch.setattr("pruners._shares._MOST", 40)
    assert torch.allclose(largest_shares(layer, inputs), whole)


def test_nan_is_not_lost() -> None:
    layer = nn.Linear(3, 2)
    assert largest_shares(layer, torch.full((1, 3), torch.nan)).isnan().all()
