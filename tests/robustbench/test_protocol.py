"""The same images judged by RobustBench's own functions and by ours."""

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evalsuite.data import Dataset, Examples
from evalsuite.tasks._names import parse

pytestmark = pytest.mark.robustbench


@pytest.fixture(scope="module")
def protocol(zoo: ModuleType) -> Iterator[ModuleType]:
    """benchmarks/robustbench_protocol.py, which runs both on the same images; what it replaces is put back."""
    del zoo
    path = Path(__file__).parents[2] / "benchmarks" / "robustbench_protocol.py"
    spec = spec_from_file_location("robustbench_protocol", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["robustbench_protocol"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    evaluation = import_module("robustbench.eval")
    kept = (evaluation.AutoAttack, evaluation.load_clean_dataset)
    yield module
    evaluation.AutoAttack, evaluation.load_clean_dataset = kept
    del sys.modules["robustbench_protocol"]


class Bands(nn.Module):
    """Tells the brightest of ten bands of rows, softly: few images are far from all others."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, images: Tensor) -> Tensor:
        rows = images[:, :, :30].mean((1, 3))
        return self.scale * torch.tanh(rows.view(len(rows), 10, 3).mean(-1) * 3)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.03), ("l2", 0.8)])
def test_clean_and_robust_accuracy_are_the_same_numbers(protocol: ModuleType, norm: str, eps: float) -> None:
    images = torch.rand(24, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(3)
    for image in images:
        band = int(torch.randint(10, (1,), generator=generator))
        image[:, 3 * band : 3 * band + 3] += 0.3 * torch.rand((), generator=generator)
    images.clamp_(0, 1)
    network = Bands().eval().requires_grad_(requires_grad=False)
    labels = network(images).argmax(1)
    labels[0] = (labels[0] + 1) % 10
    theirs = protocol.theirs(network, images, labels, norm, eps)
    ours = protocol.ours(network, images, labels, norm, eps)
    assert theirs[0] == pytest.approx(23 / 24, abs=1e-6)
    assert ours == pytest.approx(theirs, abs=1e-6)
    # neither all nor none: equal counts say something
    assert 0.2 < theirs[1] < 0.8


def test_cifar_10_c_is_read_as_it_reads_it(zoo: ModuleType, tmp_path: Path) -> None:
    """Its loader knows the published size alone: 10 000 images for each severity, zeros but for the first eight."""
    del zoo
    data, utils = import_module("robustbench.data"), import_module("robustbench.utils")
    root = tmp_path / "CIFAR-10-C"
    root.mkdir()
    large = np.lib.format.open_memmap(root / "snow.npy", mode="w+", dtype=np.uint8, shape=(50_000, 32, 32, 3))
    drawn = np.random.default_rng(0)
    for severity in range(5):
        large[10_000 * severity : 10_000 * severity + 8] = drawn.integers(0, 256, (8, 32, 32, 3))
    large.flush()
    np.save(root / "labels.npy", np.tile(drawn.integers(0, 3, 10_000), 5).astype(np.uint8))
    cifar = Dataset(
        name="toy",
        classes=("ant", "bee", "cat"),
        shape=(3, 32, 32),
        train=None,
        test=Examples.from_labels(torch.zeros(3, 3, 32, 32), torch.arange(3)),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    network = nn.Sequential(nn.AvgPool2d(32), nn.Flatten()).eval()
    for severity in (1, 5):
        images, labels = data.load_cifar10c(8, severity, str(tmp_path), False, ["snow"])
        task = parse(f"shift/cifar-c/snow/{severity}?at={root}")
        examples = task.examples(cifar)
        assert torch.equal(examples.pixels(range(8)), images)
        assert torch.equal(examples.labels[:8], labels.long())
        (observed,) = task.observe([network], examples.batch(0, 8), seed=0).networks
        right = float((observed["prediction"] == labels.numpy()).mean())
        assert right == pytest.approx(utils.clean_accuracy(network, images, labels))
