import torch
from torch import Tensor, nn

from neuralnets.forward_pass import multiplications


def test_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    followed = multiplications(network, torch.rand(1, 3, 8, 8))
    # 8 x 8 -> 4 x 4 positions; a linear layer uses each of its weights once
    assert [(use.sources, use.stored, use.positions) for use in followed.uses] == [
        ({"0.weight"}, True, 16),
        ({"3.weight"}, True, 1),
    ]
    assert (followed.products, followed.called, followed.used) == (0, {"0", "3"}, {"0.weight", "3.weight"})


def test_a_computed_weight_names_what_it_is_computed_from() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.scale = nn.Parameter(torch.rand(2, 3)), nn.Parameter(torch.rand(2, 1))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.weight * self.scale)

    (use,) = multiplications(Scaled(), torch.rand(1, 3)).uses
    assert (use.sources, use.stored, use.positions) == ({"weight", "scale"}, False, 1)


def test_attention_multiplies_activations_with_each_other() -> None:
    class Attending(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    # 5 queries with 5 keys of 4 numbers, and the shares with 5 values of 4 numbers
    assert multiplications(Attending(), torch.rand(1, 1, 5, 4)).products == 5 * 5 * (4 + 4)


def test_the_network_is_left_in_its_mode() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Dropout()).train()
    multiplications(network, torch.rand(1, 3))
    assert all(module.training for module in network.modules())
