from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from pruners._layer_environment import LayerEnvironment
from pruners._layer_trials import read_layers


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, (3, 5), stride=(1, 2), padding=(1, 2)),
        nn.Conv2d(8, 8, 3, padding="same", dilation=2, groups=4),
        nn.ConvTranspose2d(8, 6, 2, stride=2),
        nn.Conv2d(6, 4, 1, padding="valid"),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


# index; channels in, out; kernel, stride, padding, each rows and columns, as in the paper
FEATURES = [
    [0, 3, 8, 3, 5, 1, 2, 1, 2],
    [1, 8, 8, 3, 3, 1, 1, 2, 2],
    [2, 8, 6, 2, 2, 2, 2, 0, 0],
    [3, 6, 4, 1, 1, 1, 1, 0, 0],
    [4, 64, 10, 1, 1, 1, 1, 0, 0],
]


def environment(observed: list[tuple[int, ...]] | None = None) -> LayerEnvironment:
    def reward(counts: Sequence[int]) -> float:
        if observed is not None:
            observed.append(tuple(counts))
        return float(counts[0])

    model = network()
    return LayerEnvironment(model, read_layers(model), reward)


def test_states_are_the_papers() -> None:
    result = environment()
    assert (result.horizon, result.features) == (5, 10)
    raw = np.array(FEATURES, dtype=float)
    expected = (raw - raw.mean(0)) / raw.std(0)
    actions = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.9, 0.5, 0.0, 0.7]])
    for step in range(5):
        states = result.states(actions[:, :step])
        assert states.shape == (2, 10)
        for episode in range(2):
            assert states[episode, :9].numpy() == pytest.approx(expected[step], abs=1e-6)
            assert float(states[episode, 9]) == pytest.approx(float(actions[episode, :step].sum()) / 5)


def test_features_that_do_not_differ_are_zero() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    states = LayerEnvironment(model, read_layers(model), lambda counts: 0.0).states(torch.zeros(1, 1))
    assert states.tolist() == [[1.0] + [0.0] * 9]


def test_rewards_and_costs_by_hand() -> None:
    observed: list[tuple[int, ...]] = []
    outcome = environment(observed)
    # weights per layer: 3 * 8 * 15, 2 * 8 * 9, 8 * 6 * 4, 6 * 4, 64 * 10
    sizes = (360, 144, 192, 24, 640)
    actions = torch.tensor([[0.5, 0.25, 0.75, 0.9, 0.99], [0.9999, 0.9999, 0.9999, 0.9999, 0.0001]])
    rewards, costs = outcome.outcomes(actions)
    # 0.1 * 24 = 2.4, 0.01 * 640 = 6.4; no layer loses its last weight; 0.9999 * 640 = 639.9
    assert observed == [(180, 108, 48, 2, 6), (1, 1, 1, 1, 640)]
    assert rewards.tolist() == [180, 1]
    assert costs.tolist() == pytest.approx([100 * 344 / sum(sizes), 100 * 644 / sum(sizes)])
