import math

import pytest
import torch
from torch import Generator, nn

from evalsuite.errors import UsageError
from evalsuite.training.crown_ibp import CrownIbp
from evalsuite.training.ibp import Ibp


def two_neurons() -> nn.Module:
    """From pixels in [0, 1]: u = 3 a - 1 and v = b, then relu(u + v) - relu(u - v) against 1 - half of it."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    values = (
        (1, [[3, 0], [0, 1]], [-1, 0]),
        (2, [[1, 1], [1, -1]], [0, 0]),
        (4, [[1, -1], [-0.5, 0.5]], [0, 1]),
    )
    with torch.no_grad():
        for place, weight, bias in values:
            network[place].weight.copy_(torch.tensor(weight))
            network[place].bias.copy_(torch.tensor(bias))
    return network


# over u in [-1, 2], v in [0, 1] the margin of label 0 is 1.5 (relu(u + v) - relu(u - v)) - 1. Intervals behind the
# ReLUs are [0, 3] and [0, 2]: at least -4. By lines relu(u + v) >= u + v, as 3 > 1, and relu(u - v) <= (u - v + 2) / 2:
# at least 1.5 (u / 2 + 3 v / 2 - 1) - 1, which is -3.25 at (-1, 0)
INTERVAL, LINEAR = -4.0, -3.25


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0])
def test_margins_are_mixed_by_hand(beta: float) -> None:
    images, labels = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    # y0 = relu(1) - relu(0) = 1 and y1 = 1 / 2 at a = b = 1 / 2, where u = v = 1 / 2
    clean = math.log(1 + math.exp(-0.5))
    low = (1 - beta) * INTERVAL + beta * LINEAR
    loss, logits = CrownIbp(eps=0.5, kappa=0.2, beta=beta).loss(two_neurons(), images, labels, Generator())
    assert logits.tolist() == [[1.0, 0.5]]
    assert loss.item() == pytest.approx(0.2 * clean + 0.8 * math.log(1 + math.exp(-low)))
    if beta == 0:
        other, _ = Ibp(eps=0.5, kappa=0.2).loss(two_neurons(), images, labels, Generator())
        assert torch.equal(loss, other)


def test_intervals_take_over_while_the_radius_grows() -> None:
    recipe = CrownIbp(eps=0.1, beta=0.2, start=0.25, full=0.75)
    assert [recipe.scheduled_at(done).beta for done in (0.0, 0.25, 0.5, 0.75, 0.9)] == pytest.approx(
        [1, 1, 0.6, 0.2, 0.2]
    )
    assert recipe.scheduled_at(0.5).eps == pytest.approx(0.05)
    assert CrownIbp(beta=1.0).scheduled_at(0.9).beta == 1


@pytest.mark.parametrize("beta", [-0.1, 1.1, math.nan])
def test_beta_out_of_range(beta: float) -> None:
    with pytest.raises(UsageError, match=f"expected beta to be .*, got {beta}"):
        CrownIbp(beta=beta)
