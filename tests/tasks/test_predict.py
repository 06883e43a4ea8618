"""Columns of a forward pass, against numpy in double precision."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from evalsuite.data import Batch
from evalsuite.tasks._predict import predict


def shard(labels: torch.Tensor) -> Batch:
    return Batch(images=torch.zeros(len(labels), 1, 1, 1), labels=labels, ids=("",) * len(labels))


def test_columns() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [-3.0, 4.0, 4.5], [0.0, 0.0, 0.0]])
    labels = torch.tensor([0, 1, 2])
    (observed,) = predict([torch.nn.Flatten()], logits.view(3, 1, 1, 3), shard(labels))
    probabilities = softmax(logits.double().numpy(), axis=1)
    assert observed["prediction"].tolist() == [0, 2, 0]
    assert observed["confidence"] == pytest.approx(probabilities.max(1), abs=1e-6)
    assert observed["truth"] == pytest.approx(probabilities[[0, 1, 2], [0, 1, 2]], abs=1e-6)
    assert observed["squares"] == pytest.approx((probabilities**2).sum(1), abs=1e-6)
    assert observed["energy"] == pytest.approx(logsumexp(logits.double().numpy(), axis=1), abs=1e-6)
    for column in ("confidence", "truth", "squares", "energy"):
        assert observed[column].dtype == np.float32


def test_large_logits_stay_finite() -> None:
    (recorded,) = predict([torch.nn.Flatten()], torch.tensor([[1e4, -1e4]]).view(1, 1, 1, 2), shard(torch.tensor([1])))
    assert recorded["energy"].tolist() == [1e4]
    assert recorded["truth"].tolist() == [0.0]
