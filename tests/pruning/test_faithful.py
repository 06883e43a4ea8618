"""Networks of all sorts through a sweep: each is pruned as by hand, or refused in one line before anything is."""

import functools
import types
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import evalsuite
from evalsuite.data import load
from evalsuite.errors import UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, restore
from evalsuite.networks.normalized import Normalized
from evalsuite.pruning.candidates import Candidate, Candidates, register_candidates
from evalsuite.pruning.faithful import check_faithful
from evalsuite.pruning.network_files import NetworkFiles
from evalsuite.pruning.refusals import refusing
from evalsuite.records.store import opened
from evalsuite.training.standard import Standard
from pruners import ChannelPruner
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

IMAGE = torch.zeros(1, 1, 8, 8)


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Net(nn.Module):
    def __init__(self, conv: type[nn.Conv2d] = nn.Conv2d) -> None:
        super().__init__()
        self.c1, self.c2, self.fc = conv(1, 6, 3, padding=1), conv(6, 8, 3, padding=1), nn.Linear(32, 10)

    def features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        return F.adaptive_avg_pool2d(F.relu(self.c2(x)), 2).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


class Auxiliary(Net):
    def __init__(self) -> None:
        super().__init__()
        self.aux = nn.Linear(32, 50)

    def forward(self, x: Tensor) -> Tensor:
        y = self.features(x)
        return self.fc(y) + self.aux(y)[:, :10] if self.training else self.fc(y)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.r, self.fc = nn.LSTM(8, 12, batch_first=True), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.r(x[:, 0])[0][:, -1])


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.b(F.relu(self.a(x.flatten(1))))))


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e, self.fc = nn.Linear(8, 16), nn.Linear(16, 10)
        self.m = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.m(self.e(x[:, 0])).mean(1))


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.r, self.fc = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.c(x))
        for _ in range(3):
            x = F.relu(self.r(x)) + x
        return self.fc(F.adaptive_avg_pool2d(x, 2).flatten(1))


class Statistics(Net):
    """Subtracts what the batch has in common, and keeps a number that no file keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sign", -torch.ones(1), persistent=False)
        self.norm = nn.BatchNorm2d(1, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.sign * super().forward(self.norm(x))


def replaced(make: Callable[[nn.Module], object], layer: str = "") -> nn.Module:
    network = Net()
    owner = network.get_submodule(layer)
    owner.forward = make(owner)
    return network


def closure(owner: nn.Module) -> Callable[[Tensor], Tensor]:
    old = owner.forward

    def forward(x: Tensor) -> Tensor:
        return old(x)

    return forward


def hooked() -> nn.Module:
    """A head outside of the network that it reads, as in contrastive training."""
    network, observed = Net(), []

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, x: Tensor) -> Tensor:
            observed.clear()
            self.body(x)
            return network.fc(observed[0])

    network.fc.register_forward_pre_hook(lambda _, given: observed.append(given[0]))
    return Head()


def compiled_inside() -> nn.Module:
    network = Net()
    network.c2 = torch.compile(network.c2, backend="eager")
    return network


def compiled_in_place() -> nn.Module:
    network = Net()
    network.compile(backend="eager")
    return network


def cached() -> nn.Module:
    """A layer that computes with a copy of its weight, made when the network was."""

    class Cached(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.kept, self.bias)

    network = Net()
    network.fc = Cached(32, 10)
    network.fc.kept = network.fc.weight.detach().clone()
    return network


class Free(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def wrapped(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    network = Net()
    norm(network.c2)
    return network


def masked() -> nn.Module:
    network = Net()
    prune.l1_unstructured(network.c2, "weight", 0.3)
    return network


RIGHT: dict[str, Callable[[], nn.Module]] = {
    "plain": Net,
    "auxiliary": Auxiliary,
    "recurrent": Recurrent,
    "tied": Tied,
    "attentive": Attentive,
    "reused": Reused,
    "statistics": Statistics,
    "partial": lambda: replaced(lambda network: functools.partial(Net.forward, network)),
    "method": lambda: replaced(lambda network: types.MethodType(Net.forward, network)),
    "fx": lambda: torch.fx.symbolic_trace(Net()),
    "compiled": lambda: torch.compile(Net(), backend="eager"),
    "compiled inside": compiled_inside,
    "compiled in place": compiled_in_place,
    "parallel": lambda: nn.DataParallel(Net()),
    "frozen": lambda: Net().requires_grad_(requires_grad=False),
    "training": lambda: Net().train(),
}
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "standardised": (lambda: Net(Standardised), r"--pruner magnitude cannot prune this network: c1, c2 \(Standardised"),
    "closure": (
        lambda: replaced(closure),
        "of the original in c1, c2, fc",
    ),
    "closure over a layer": (
        lambda: replaced(closure, "c2"),
        "of the original in c2: a forward",
    ),
    "autocast": (lambda: replaced(lambda net: torch.autocast("cpu")(net.forward)), "those of the original in c1"),
    "hooked": (hooked, "those of the original in body.fc"),
    "cached": (cached, "got fc, called without using its own"),
    "scripted": (lambda: torch.jit.script(Net()), "got TorchScript.*state_dict with --arch NAME.*torch.export"),
    "traced": (lambda: torch.jit.trace(Net().eval(), torch.rand(2, 1, 8, 8)), "got TorchScript"),
    "masks": (masked, r"c2\.weight to be a parameter.*torch\.nn\.utils\.prune\.remove"),
    "weight norm": (lambda: wrapped(parametrizations.weight_norm), r"c2\.weight to be a parameter.*bake it in first"),
    "spectral norm": (lambda: wrapped(parametrizations.spectral_norm), r"c2\.weight to be a parameter.*bake it in"),
    "no layers": (lambda: nn.Sequential(nn.Flatten(), Free()), "expected a network with convolutions.*got none"),
}


@pytest.fixture(autouse=True)
def _drawn_alike():
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(0).get_state())
        yield


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def sweep(network, digits, out, **more):
    options = {"ratios": (0.5,), "tasks": ["clean"], "examples": 60, "device": "cpu"}
    options["accept_parent"] = True  # weights are random
    return evalsuite.sweep(network, digits, out=out, **{**options, **more}).summary


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_another_precision_are_swept_in_single(dtype, digits, tmp_path):
    network = Net().to(dtype)
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    twin = deepcopy(network).float()
    summary, of_twin = (sweep(each, digits, tmp_path / name) for name, each in {"a": network, "b": twin}.items())
    assert [cell["loss"] for cell in summary["cells"]] == [cell["loss"] for cell in of_twin["cells"]]
    (precision,) = [each for each in summary["readings"] if each["topic"] == "precision"]
    assert precision["value"] == f"{str(dtype).removeprefix('torch.')} to float32"
    assert all(torch.equal(kept[name], tensor) for name, tensor in network.state_dict().items())
    assert {tensor.dtype for tensor in network.parameters()} == {dtype}


def by_hand(state: dict[str, Tensor], names: list[str], ratio: float) -> dict[str, Tensor]:
    """`state` without the smallest weights."""
    flat = torch.cat([state[name].abs().flatten() for name in names])
    least = flat.sort(descending=True).values[round((1 - ratio) * len(flat)) - 1]
    return {name: t * (t.abs() >= least) if name in names else t for name, t in state.items()}


PRUNABLE = ("weight", "in_proj_weight", "weight_ih_l0", "weight_hh_l0")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", RIGHT)
def test_networks_are_pruned_as_by_hand(name, digits, tmp_path):
    network = RIGHT[name]()
    plain = getattr(network, "_orig_mod", network)
    state = {k.replace("_orig_mod.", ""): v.detach().clone() for k, v in plain.state_dict().items()}
    weights = [
        k for k, v in state.items()
        if v.dim() > 1 and k.rpartition(".")[2] in PRUNABLE and not k.startswith(("aux", "b.")) and "norm" not in k
    ]  # fmt: skip
    expected = by_hand(state, weights, 0.5)
    if name == "tied":
        expected["b.weight"] = expected["a.weight"]
    summary = sweep(network, digits, tmp_path)
    (parent, pruned) = summary["networks"]
    assert parent["prunable"] == sum(state[k].numel() for k in weights)
    assert pruned["prune_ratio"] == pytest.approx(0.5, abs=1 / parent["prunable"])
    made = restore(tmp_path / pruned["file"], Normalized(clean(name), (0.0,), (1.0,)))
    reference = clean(name)
    reference.load_state_dict(expected, strict=False)
    images = digits.test.pixels(range(60))
    with torch.no_grad():
        assert torch.allclose(made(images), reference.eval()(images), atol=1e-5)
    # the network handed in is as it was
    assert all(torch.equal(v, state[k.replace("_orig_mod.", "")]) for k, v in plain.state_dict().items())


def clean(name: str) -> nn.Module:
    """The same kind of network without wrappers."""
    plain = {"compiled", "compiled inside", "compiled in place", "partial", "method", "frozen", "training"}
    return Net() if name in plain else RIGHT[name]()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_pruned_faithfully_is_refused_first(name, digits, tmp_path, monkeypatch):
    make, words = REFUSED[name]
    network = make()
    monkeypatch.setattr(Magnitude, "__call__", lambda *_, **__: pytest.fail("expected a refusal before any work"))
    with pytest.raises(UsageError, match=words) as refused:
        sweep(network, digits, tmp_path)
    assert "\n" not in str(refused.value)


def test_refusals_of_a_method_name_it_and_keep_their_cause(digits, tmp_path):
    with pytest.raises(UsageError, match="--pruner filter-norm cannot prune this network: expected forward") as refused:
        sweep(Auxiliary(), digits, tmp_path, pruner=FilterNorm())
    assert isinstance(refused.value.__cause__, ValueError)


def test_the_second_method_is_asked_before_the_first_one_works(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(Magnitude, "__call__", lambda *_, **__: pytest.fail("expected a refusal before any work"))
    with pytest.raises(UsageError, match="--pruner filter-norm cannot prune this network"):
        sweep(Recurrent(), digits, tmp_path, pruner=(Magnitude(), FilterNorm()))


def test_refusals_of_a_recipe_name_it(digits, tmp_path):
    class Fails(Net):
        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                raise RuntimeError("no training here\nsecond line")
            return super().forward(x)

    message = (
        r"^magnitude-0-0.5, --retrain standard\S* cannot train this network: expected the network to run, got "
        r"RuntimeError: no training here \(test_faithful.py, line \d+, in forward\)"
    )
    with pytest.raises(UsageError, match=message):
        sweep(Fails(), digits, tmp_path, retrain=Standard(epochs=1))


def test_programming_errors_stay_what_they_are():
    """A pruner's own code: what it refuses is a refusal, what it trips over is a bug."""
    ours = {"__name__": "pruners.mine"}
    exec("def trip(): raise TypeError('ours')\ndef refuse(): raise type('MemoryLeft', (RuntimeError,), {})", ours)  # noqa: S102
    with pytest.raises(TypeError, match="ours"), refusing("anything"):
        ours["trip"]()
    with pytest.raises(UsageError, match=r"^anything: MemoryLeft$"), refusing("anything"):
        ours["refuse"]()


def test_ordinary_networks_are_left_as_they_were():
    network = Net().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    check_faithful(network, [Magnitude(), FilterNorm()], IMAGE)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_layers_that_join_their_weights_keep_their_zeros(digits, tmp_path):
    class Joined(nn.Module):
        """Three projections in one product."""

        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.fc = nn.Linear(64, 16), nn.Linear(64, 16), nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(F.linear(x.flatten(1), torch.cat([self.q.weight, self.k.weight])))

    (parent, pruned) = sweep(Joined(), digits, tmp_path)["networks"]
    assert (parent["prunable"], pruned["prunable_nonzero"]) == (2 * 1024 + 320, 1184)


def test_ratios_that_channels_cannot_reach_are_passed_over(digits, tmp_path, monkeypatch):
    ratios, pruner = (0.3, 0.31, 0.6, 0.99, 0.995), FilterNorm(at_least=2)
    network = Net()
    whole = sweep(network, digits, tmp_path / "whole", pruner=pruner, ratios=ratios)
    ids = [network["id"] for network in whole["networks"]]
    assert ids == ["parent", *(f"filter_norm?at_least=2-0-{ratio}" for ratio in (0.3, 0.6, 0.99))]
    measured = [network["prune_ratio"] for network in whole["networks"]]
    assert measured == sorted(set(measured))
    # cut off behind the one that was passed over, it goes on to the same networks
    keep, made = NetworkFiles.save, []

    def interrupted(self, address, network, identity, arguments=None):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(identity.id)
        return keep(self, address, network, identity, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(NetworkFiles, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep(network, digits, tmp_path / "torn", pruner=pruner, ratios=ratios)
    torn = sweep(network, digits, tmp_path / "torn", pruner=pruner, ratios=ratios)
    assert [n["digest"] for n in torn["networks"]] == [n["digest"] for n in whole["networks"]]
    # and a run that is asked more prunes nothing again
    monkeypatch.setattr(ChannelPruner, "__call__", lambda *_, **__: pytest.fail("expected the networks that are kept"))
    more = {"tasks": ["clean", "noise/uniform/0.1"], "amend": True}
    again = sweep(network, digits, tmp_path / "whole", pruner=pruner, ratios=ratios, **more)
    assert [n["digest"] for n in again["networks"]] == [n["digest"] for n in whole["networks"]]


def test_a_family_without_any_network_is_no_family(digits, tmp_path):
    with pytest.raises(UsageError, match=r"--pruner filter-norm.*expected ratios.*got none that it reaches.*: 0\.001"):
        sweep(Net(), digits, tmp_path, pruner=FilterNorm(), ratios=(0.001,))


def test_networks_without_prunable_weights_are_judged_beside_the_family(digits, tmp_path):
    def checkpoint() -> Checkpoint:
        bare = nn.Sequential(nn.Flatten(), Free())
        return Checkpoint(network=Normalized(bare, (0.0,), (1.0,)).eval(), arch=None, class_count=10, shape=(1, 8, 8))

    inputs = Inputs(parent=checkpoint(), dataset=digits, device=torch.device("cpu"))
    with opened(tmp_path, create=True) as store:
        family = register_candidates(inputs, Candidates(inputs, {"other": Candidate(read=checkpoint)}), store)
        facts = [store.network(address) for address in family.addresses]
    assert [each.role for each in facts] == ["parent", "control"]
    assert [each.prune_ratio for each in facts] == [None, None]
    assert facts[0].uncounted == "a forward pass of the parent uses no prunable weight"
    assert facts[0].dense_flops == 640
    assert [(each.topic, each.basis) for each in family.readings] == [("prunable share", "measured")]
