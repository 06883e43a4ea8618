"""The parent and its data, read together; what `--normalise data` stands for, of photos too."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import evalsuite.inputs.read
from evalsuite.config.build_inputs import build_candidate, build_inputs
from evalsuite.config.options import Spec
from evalsuite.config.spec import resolve
from evalsuite.errors import UsageError

Photos = Callable[..., tuple[str, np.ndarray]]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Writes colour photos of two classes; the data set's name, and its training photos (n, h, w, c) in [0, 1]."""

    def written(*parts: str) -> tuple[str, np.ndarray]:
        drawn = np.random.default_rng(3).integers(0, 200, (len(parts), 8, 8, 8, 3), dtype=np.uint8)
        for part, images in zip(parts, drawn, strict=True):
            for number, image in enumerate(images):
                path = tmp_path / "photos" / part / ("cat", "dog")[number % 2] / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
        return f"folder:{tmp_path / 'photos'}", drawn[0] / 255

    return written


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An untrained perceptron for such photos."""
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 2))
        torch.save(network.state_dict(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


def spec(saved: Path, data: str, rule: str) -> Spec:
    options = {"ckpt": saved, "arch": "mlp?depth=1&width=4", "data": data, "normalise": rule, "device": "cpu"}
    return resolve({"ratios": (0.5,), "tasks": ("clean",), **options})


def test_of_photos_data_means_the_training_photos_and_not_a_custom(
    photos: Photos, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, trained = photos("train", "test")
    requested = spec(saved, data, "data")
    result = build_inputs(requested)
    network = result.parent.network
    np.testing.assert_allclose(network.mean.numpy(), trained.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(network.std.numpy(), trained.std((0, 1, 2)), rtol=1e-5)
    # a candidate is normalised by the same numbers, and no photo is decoded once more for it
    monkeypatch.setattr(evalsuite.inputs.read, "training_statistics", lambda _: pytest.fail("decoded again"))
    other = build_candidate(saved, requested, result)
    assert torch.equal(other.network.mean, network.mean)
    assert torch.equal(other.network.std, network.std)


def test_data_without_training_examples_have_no_statistics(photos: Photos, saved: Path) -> None:
    data, _ = photos("")
    with pytest.raises(UsageError, match="--normalise data: expected training examples in folder:"):
        build_inputs(spec(saved, data, "data"))
    assert build_inputs(spec(saved, data, "imagenet")).parent.network.mean.tolist() == pytest.approx(
        [0.485, 0.456, 0.406]
    )
