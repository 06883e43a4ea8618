import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from neuralnets.weights import check_keep, prunable, remaining


def test_names_are_those_of_the_state_dict_in_its_order() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    assert list(prunable(network)) == ["0.weight", "4.weight"]
    assert all(network.state_dict()[name].shape == weight.shape for name, weight in prunable(network).items())


def test_a_bare_layer_has_no_prefix() -> None:
    assert list(prunable(nn.Linear(2, 2))) == ["weight"]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(1, 2, 1),
        nn.Conv2d(1, 2, 1),
        nn.Conv3d(1, 2, 1),
        nn.ConvTranspose1d(1, 2, 1),
        nn.ConvTranspose2d(1, 2, 1),
        nn.ConvTranspose3d(1, 2, 1),
        nn.Linear(1, 2),
    ],
)
def test_convolutions_and_linear_layers_count(layer: nn.Module) -> None:
    assert remaining(layer) == 2


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(3), nn.LayerNorm(3), nn.Embedding(3, 3), nn.PReLU(3)])
def test_other_layers_do_not(layer: nn.Module) -> None:
    assert prunable(layer) == {}
    assert remaining(layer) == 0


def test_attention_projections_count() -> None:
    same = nn.MultiheadAttention(4, 2)
    assert list(prunable(same)) == ["in_proj_weight", "out_proj.weight"]
    assert remaining(same) == 3 * 4 * 4 + 4 * 4
    differing = nn.MultiheadAttention(4, 2, kdim=3, vdim=2)
    assert list(prunable(differing)) == ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"]


def test_a_tied_weight_counts_once() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    assert list(prunable(network)) == ["0.weight"]
    assert remaining(network) == 9


def test_only_exact_zeros_are_gone() -> None:
    layer = nn.Linear(4, 1)
    layer.weight = nn.Parameter(torch.tensor([[0.0, -0.0, 1e-45, -1.0]]))
    assert remaining(layer) == 2


@pytest.mark.parametrize(
    "layer",
    [prune.identity(nn.Linear(2, 2), "weight"), parametrizations.weight_norm(nn.Conv2d(1, 2, 1), "weight")],
)
def test_computed_weights_are_refused(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"expected 0\.weight to be a parameter"):
        prunable(nn.Sequential(layer))


@pytest.mark.parametrize("keep", [-1, 0, 5])
def test_keep_out_of_range(keep: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 <= keep <= 4, the prunable parameters left, got {keep}"):
        check_keep(nn.Linear(2, 2), keep)
