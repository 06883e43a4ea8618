"""Weights that no forward pass uses are no part of what is pruned; recurrent weights are."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from pruners import Context, cascade, prunable, prune, remaining, sgd, unused_weights
from pruners._positions import positions
from pruners._use import without_unused
from pruners.filter_norm import FilterNorm
from pruners.hydra import Hydra
from pruners.magnitude import Magnitude
from pruners.sipp import SiPP

# torch says once that projections run without oneDNN
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
EXAMPLE = torch.zeros(1, 2, 6, 6)


class Auxiliary(nn.Module):
    """A second head that only training computes, 30 of 78 weights; one layer is tied to it under another name."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.aux = nn.Conv2d(2, 1, 4), nn.Linear(9, 2, bias=False), nn.Linear(10, 3, bias=False)
        self.again = self.aux

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.body(x).flatten(1)
        return (self.head(features), self.aux(features[:, [*range(9), 0]])) if self.training else self.head(features)


class Experts(nn.Module):
    """Dark images go one way, bright ones another."""

    def __init__(self) -> None:
        super().__init__()
        self.dark, self.bright, self.neither = nn.Linear(72, 2), nn.Linear(72, 2), nn.Linear(72, 2)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        rows = [(self.dark if row.mean() < 0.5 else self.bright)(row) for row in flat]
        return torch.stack(rows)


class Steps(nn.Module):
    """Rows of an image one after another through recurrent layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(12, 8, num_layers=2, bidirectional=True, proj_size=3, batch_first=True)
        self.cell, self.head = nn.GRUCell(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        observed, _ = self.lstm(x.transpose(1, 2).flatten(2))
        return self.head(self.cell(observed[:, -1], self.cell(observed[:, 0])))


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    yield torch.rand(8, 2, 6, 6, generator=generator), torch.randint(3, (8,), generator=generator)


def test_a_head_for_training_stays_and_does_not_count() -> None:
    network = Auxiliary()
    assert unused_weights(network, EXAMPLE) == {"aux.weight"}
    pruned = prune(network, Magnitude(), 0.5, example=EXAMPLE)
    zeros = {name: int((weight == 0).sum()) for name, weight in pruned.named_parameters() if weight.dim() > 1}
    assert zeros["aux.weight"] == 0
    assert zeros["body.weight"] + zeros["head.weight"] == (32 + 18) / 2
    # the mark is on the copy: what was handed in is as it was
    assert remaining(network) == 32 + 18 + 30


def test_a_cascade_that_goes_on_from_disk_leaves_it_out_too() -> None:
    network, context = Auxiliary(), Context(example=EXAMPLE)
    whole = list(cascade(network, Magnitude(), (0.4, 0.8), context=context))
    assert [step.prune_ratio for step in whole] == pytest.approx([0.4, 0.8])
    read = Auxiliary()
    read.load_state_dict(whole[0].network.state_dict())
    (rest,) = cascade(network, Magnitude(), (0.4, 0.8), context=context, start=[read])
    pairs = zip(rest.network.parameters(), whole[1].network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_what_one_image_does_not_need_another_may() -> None:
    assert unused_weights(Experts(), EXAMPLE) == {"neither.weight"}


def test_inputs_of_whole_numbers_are_taken_as_they_are() -> None:
    network = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    assert unused_weights(network, torch.tensor([[1, 4]])) == frozenset()


def test_recurrent_weights_are_prunable() -> None:
    names = list(prunable(Steps()))
    stored = [name for name, p in Steps().named_parameters() if p.dim() == 2]
    assert names == stored
    assert {"lstm.weight_ih_l0", "lstm.weight_hh_l1_reverse", "lstm.weight_hr_l0", "cell.weight_hh"} <= set(names)


@pytest.mark.parametrize("pruner", [Magnitude(), Hydra()])
def test_recurrent_layers_compute_with_what_is_left(pruner: Magnitude | Hydra) -> None:
    network, images = Steps().eval(), next(iter(batches()))[0]
    train = sgd(batches, steps=3, learning_rate=1e-3)
    pruned = prune(network, pruner, 0.9, example=EXAMPLE, batches=batches, train=train)
    assert remaining(pruned) == round(0.1 * remaining(network))
    by_hand = Steps().eval()
    by_hand.load_state_dict(network.state_dict())
    with torch.no_grad():
        for name, weight in prunable(pruned).items():
            by_hand.get_parameter(name).mul_(weight != 0)
    assert torch.equal(pruned(images), by_hand(images))
    assert not torch.equal(pruned(images), network(images))


def test_a_method_that_does_not_see_the_steps_says_so() -> None:
    with pytest.raises(ValueError, match="got the recurrent layer 'lstm'"):
        prune(Steps(), SiPP(), 0.5, example=EXAMPLE, batches=batches)


def test_recurrent_weights_are_used_at_every_step() -> None:
    result = positions(Steps(), EXAMPLE)
    assert {result[name] for name in result if name.startswith("lstm")} == {6}
    assert (result["cell.weight_ih"], result["cell.weight_hh"], result["head.weight"]) == (2, 2, 1)


def test_channels_that_a_head_for_training_reads_are_refused() -> None:
    network = Auxiliary()
    del network.again
    with pytest.raises(ValueError, match="expected forward\\(\\) to use aux in eval mode, got no call"):
        prune(network, FilterNorm(), 0.5, example=EXAMPLE)
    assert remaining(without_unused(Auxiliary(), EXAMPLE)) == 50
