"""What tests of several packages share."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor, nn

# how long an example takes says how busy the machine is; fixtures here are constants, the same for every example
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("any machine")

DEVICE = os.environ.get("EVALSUITE_TEST_DEVICE", "cuda")
if DEVICE == "pretended":
    _spec = spec_from_file_location("pretended", Path(__file__).parent / "gpu" / "_pretended.py")
    _module = module_from_spec(_spec)
    _spec.loader.exec_module(_module)
    _module.install()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what this place is not made for; where it is, a part that does not work is a failure."""
    if item.get_closest_marker("robustbench") and find_spec("robustbench") is None:
        pytest.skip("needs the environment that `make robustbench` makes")
    if item.get_closest_marker("gpu") and DEVICE == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, or EVALSUITE_TEST_DEVICE=pretended")


@pytest.fixture
def quick_collections() -> Iterator[None]:
    """Objects that are there before are not looked through again: a collection then takes milliseconds."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """No signal is ignored: what a shell starts in the background, or by nohup, hands that on to every child."""
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where tests marked `gpu` put networks and images: a CUDA device, unless EVALSUITE_TEST_DEVICE says otherwise.

    "cpu" runs the same tests without a GPU; "pretended" also notices what was not moved (tests/gpu/_pretended.py).
    """
    return torch.device(DEVICE)


@pytest.fixture(scope="session")
def spiking() -> Callable[..., nn.Module]:
    """Makes a spiking network of four time steps for 8 × 8 digits, which remembers the membranes of its last pass."""
    import snntorch as snn  # takes a second, which few tests need

    steps = 4

    class Spiking(nn.Module):
        """Three layers of leaky integrate-and-fire neurons; logits are what the last membranes hold on average."""

        def __init__(self, *, potentials: bool = False) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
            self.lif1 = snn.Leaky(beta=0.8, init_hidden=True)
            self.conv2 = nn.Conv2d(8, 12, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(12)
            self.lif2 = snn.Leaky(beta=0.8, init_hidden=True)
            self.pool = nn.AvgPool2d(2)
            self.fc = nn.Linear(48, 10)
            self.lif3 = snn.Leaky(beta=0.8, init_hidden=True, output=True)
            self.potentials = potentials

        def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
            for neurons in (self.lif1, self.lif2, self.lif3):
                neurons.reset_mem()
            held, spikes = [], []
            for _ in range(steps):
                x = self.pool(self.lif1(self.conv1(images)))
                x = self.pool(self.lif2(self.norm(self.conv2(x))))
                spike, membrane = self.lif3(self.fc(x.flatten(1)))
                held.append(membrane)
                spikes.append(spike)
            logits = torch.stack(held).mean(0)
            return (torch.stack(spikes).sum(0), logits) if self.potentials else logits

    def initial(*, potentials: bool = False) -> nn.Module:
        network = Spiking(potentials=potentials)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.dim() > 1:
                    # with gains of ReLU networks few membranes would ever reach their threshold
                    parameter.normal_(0, 2 / parameter[0].numel() ** 0.5, generator=generator)
        return network

    return initial


@pytest.fixture(scope="session")
def lenet() -> nn.Module:
    """A LeNet for the digits, trained for a few seconds: right on nine of ten."""
    from evalsuite.data import load
    from evalsuite.networks.architectures.by_name import build
    from evalsuite.networks.normalized import Normalized
    from evalsuite.training import named, train

    bare = build("lenet5", classes=10, channels=1, image_size=8, seed=0)
    recipe = named("standard?epochs=4&batch_size=32", architecture="lenet5", data="digits")
    examples = load("digits").train
    assert examples is not None
    trained = train(Normalized(bare, (0.3,), (0.4,)), examples, recipe, seed=0, device=torch.device("cpu"))
    return trained.eval()
