"""Checkpoints as training frameworks write them: the error that torch itself measures, or one clear refusal.

Every file is made here, from one small network that is trained on scikit-learn's digits. What `read` gives is held
against that network (or a masked, reparametrised, averaged one), run by torch without evalsuite.
"""

import argparse
import collections
import copy
import datetime as dt
import hashlib
import pathlib
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

from evalsuite.errors import EvalsuiteError, RefusedInputError, UnknownNameError, UsageError
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, restore, write

pytestmark = pytest.mark.slow

State = dict[str, Tensor]
_MODULE = "corpus_networks"


class Small(nn.Module):
    """Two convolutions with batch norm, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(12)
        self.conv2 = nn.Conv2d(12, 24, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(24)
        self.fc = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.relu(self.bn2(self.conv2(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 2).flatten(1))


class Constant(nn.Module):
    """Normalises by buffers that the constructor sets, and holds a parameter and a running statistic of such names."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mu", torch.full((1, 1, 1, 1), 0.3))
        self.register_buffer("sigma", torch.full((1, 1, 1, 1), 0.4))
        self.conv = nn.Conv2d(1, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv((x - self.mu) / self.sigma)))
        return self.fc(x.mean((2, 3)))


class Learnt(nn.Module):
    """Its `mu` and `sigma` are parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.rand(1, 64))
        self.sigma = nn.Parameter(torch.rand(1, 64))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1) * self.sigma + self.mu)


class Parted(nn.Module):
    """Keeps the weights of its first two layers as parts, by its own constructor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.utils.weight_norm(nn.Conv2d(1, 8, 3))
        self.conv2 = parametrizations.spectral_norm(nn.Conv2d(8, 8, 3))
        self.conv3 = nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv3(self.conv2(self.conv1(x).relu()).relu()).relu().flatten(1))


class Tied(nn.Module):
    """Two layers share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.second(F.relu(self.first(x.flatten(1))))))


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network with its data; `worse` is the same, disturbed, as weights before averaging are not."""

    network: nn.Module
    worse: nn.Module
    images: Tensor
    labels: Tensor
    mean: float
    std: float

    @property
    def state(self) -> State:
        return self.network.state_dict()

    @property
    def raw(self) -> State:
        return self.worse.state_dict()

    @torch.no_grad()
    def logits(self, network: nn.Module, mean: float | None = None, std: float | None = None) -> Tensor:
        centre, spread = (
            torch.tensor([self.mean if mean is None else mean]),
            torch.tensor([self.std if std is None else std]),
        )
        return network((self.images - centre[:, None, None]) / spread[:, None, None])


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    module = types.ModuleType(_MODULE)
    for part in (Small, Constant, Learnt, Parted, Tied):
        setattr(module, part.__name__.lower(), part)
    sys.modules[_MODULE] = module
    yield
    del sys.modules[_MODULE]


@pytest.fixture(scope="module")
def trained() -> Trained:
    data = load_digits()
    images = torch.tensor(data.images / 16).float()[:, None]
    labels = torch.tensor(data.target)
    mean, std = images[:1200].mean().item(), images[:1200].std().item()
    with torch.random.fork_rng(devices=[]):
        torch.random.set_rng_state(torch.Generator().manual_seed(0).get_state())
        network = Small()
        optimiser = torch.optim.Adam(network.parameters(), 3e-3)
        for _ in range(6):
            for batch in torch.randperm(1200).split(64):
                optimiser.zero_grad()
                F.cross_entropy(network((images[batch] - mean) / std), labels[batch]).backward()
                optimiser.step()
        worse = copy.deepcopy(network)
        for parameter in worse.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return Trained(
        network=network.eval(), worse=worse.eval(), images=images[1200:], labels=labels[1200:], mean=mean, std=std
    )


def under(prefix: str, state: State) -> State:
    return collections.OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def cast(state: State, dtype: torch.dtype) -> State:
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _open(path: Path, held: object, trained: Trained, arch: str = "small", **more: object) -> Checkpoint:
    if isinstance(held, bytes):
        path.write_bytes(held)
    else:
        torch.save(held, path)
    given = {"shape": (1, 8, 8), "classes": 10, "mean": (trained.mean,), "std": (trained.std,), **more}
    return read(path, arch=f"{_MODULE}:{arch}", **given)  # type: ignore[arg-type]


def _error(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) != labels).double().mean())


def _values(checkpoint: Checkpoint, topic: str) -> list[str]:
    return [reading.value for reading in checkpoint.interpretations if reading.topic == topic]


def test_the_corpus_can_tell_right_weights_from_wrong_ones(trained: Trained) -> None:
    assert _error(trained.logits(trained.network), trained.labels) < 0.08
    assert _error(trained.logits(trained.worse), trained.labels) > 0.5
    # weights of another precision, a normalisation left out
    assert _error(trained.logits(trained.network, 0.0, 1.0), trained.labels) > 0.1


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A file that is read: what it holds, and what is said of it.

    Attributes:
        hold: Trained network → what is saved; bytes as they are.
        says: Topic → what stands in the value of one of its interpretations.
        weights: What the user says.
        raw: Whether the disturbed weights are the right answer.
        own_statistics: Whether the file holds the normalisation.
    """

    hold: Callable[[Trained], object]
    says: dict[str, str] = field(default_factory=dict)
    weights: str | None = None
    raw: bool = False
    own_statistics: bool = False


def _lightning(state: State, **more: object) -> dict[str, object]:
    moments = {
        0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(12, 1, 3, 3), "exp_avg_sq": torch.zeros(12, 1, 3, 3)}
    }
    return {
        "epoch": 3,
        "global_step": 40,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": torch.tensor(0.1), "best_k_models": {}}
        },
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 0.1, "params": [0, 1, 2]}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "out": pathlib.PurePosixPath("x")},
        **more,
    }


def _fsdp(state: State) -> State:
    return {
        "_fsdp_wrapped_module." + name.replace("conv2.", "conv2._checkpoint_wrapped_module."): tensor
        for name, tensor in state.items()
    }


def _madry(trained: Trained) -> State:
    mean, std = torch.tensor([trained.mean]).view(1, 1, 1), torch.tensor([trained.std]).view(1, 1, 1)
    inside = {"normalize.new_mean": mean, "normalize.new_std": std}
    return {
        "module.normalizer.new_mean": mean,
        "module.normalizer.new_std": std,
        **under("module.model.", trained.state),
        **under("module.attacker.", inside),
        **under("module.attacker.model.", trained.state),
    }


def _counted(state: State) -> State:
    # thop leaves these in every module
    counts = {
        f"{layer}{name}": torch.zeros(1, dtype=torch.float64)
        for layer in ("", "conv1.", "fc.")
        for name in ("total_ops", "total_params")
    }
    return {**state, **counts}


def _swa(network: nn.Module) -> State:
    return AveragedModel(torch.compile(network, backend="eager")).state_dict()


def _m(trained: Trained) -> Tensor:
    return torch.tensor([trained.mean])


def _s(trained: Trained) -> Tensor:
    return torch.tensor([trained.std])


READABLE = {
    "plain": Readable(hold=lambda t: t.state, says={"weights": "whole file", "normalisation": "mean 0.3"}),
    "distributed": Readable(
        hold=lambda t: {"state_dict": under("module.", t.state), "epoch": 3, "arch": "small"},
        says={"weights": "'state_dict.module'", "prefix removed": "module."},
    ),
    "compiled": Readable(hold=lambda t: under("_orig_mod.", t.state)),
    "compiled, distributed": Readable(hold=lambda t: under("module._orig_mod.", t.state)),
    "distributed, compiled": Readable(hold=lambda t: under("_orig_mod.module.", t.state)),
    "compiled in part": Readable(
        hold=lambda t: {k.replace("conv2.", "conv2._orig_mod."): v for k, v in t.state.items()}
    ),
    "distributed in part": Readable(
        hold=lambda t: {
            k.replace("conv2.", "conv2.module.").replace("bn2.", "bn2.module."): v for k, v in t.state.items()
        }
    ),
    "fully sharded": Readable(hold=lambda t: {"model": _fsdp(t.state)}),
    "lightning, model": Readable(hold=lambda t: _lightning(under("model.", t.state))),
    "lightning, net": Readable(hold=lambda t: _lightning(under("net.", t.state)), says={"prefix removed": "net."}),
    "lightning, backbone": Readable(hold=lambda t: _lightning(under("backbone.", t.state))),
    "lightning, metrics and a loss": Readable(
        hold=lambda t: _lightning(
            {**under("model.", t.state), "val_acc.tp": torch.zeros(10), "criterion.weight": torch.ones(10)}
        ),
        says={"keys ignored": "val_acc.tp, criterion.weight"},
    ),
    "lightning, another network beside": Readable(
        hold=lambda t: _lightning({**under("model.", t.state), "projector.0.weight": torch.zeros(8, 96)}),
        says={"keys ignored": "projector.0.weight"},
    ),
    "lightning, averaged weights named": Readable(
        hold=lambda t: _lightning({**under("model.", t.raw), **under("ema_model.module.", t.state)}),
        weights="ema_model.module",
        says={"weights": "state_dict.ema_model.module"},
    ),
    "lightning, raw weights named": Readable(
        hold=lambda t: _lightning({**under("model.", t.raw), **under("ema_model.module.", t.state)}),
        weights="state_dict.model.",
        raw=True,
    ),
    "timm, averaged weights named": Readable(
        hold=lambda t: {"epoch": 3, "state_dict": t.raw, "state_dict_ema": t.state, "version": 2, "metric": 98.0},
        weights="state_dict_ema",
        says={"weights": "'state_dict_ema'"},
    ),
    "timm, raw weights named": Readable(
        hold=lambda t: {"state_dict": t.raw, "state_dict_ema": t.state}, weights="state_dict", raw=True
    ),
    "timm, averaged weights are the same": Readable(
        hold=lambda t: {"state_dict": t.state, "state_dict_ema": copy.deepcopy(t.state)},
        says={"weights": "'state_dict'"},
    ),
    "averaged weights without a wrapper's prefix": Readable(
        hold=lambda t: {"model": under("module.", t.raw), "ema": t.state}, weights="ema"
    ),
    "averaged weights, other counts of batches": Readable(
        hold=lambda t: {
            "model": t.state,
            "ema": {k: v + 1 if k.endswith("num_batches_tracked") else v for k, v in t.state.items()},
        }
    ),
    "averaged weights of a model_ema in a module": Readable(
        hold=lambda t: {"model": t.raw, "model_ema": under("module.", t.state), "optimizer": {}},
        weights="model_ema.module",
    ),
    "shadow of the parameters alone, raw named": Readable(
        hold=lambda t: {
            "model": t.raw,
            "ema": {"decay": 0.99, "shadow": {k: t.state[k] for k, _ in t.network.named_parameters()}},
        },
        weights="model",
        raw=True,
    ),
    "another architecture beside": Readable(
        hold=lambda t: {
            "student": t.state,
            "teacher": nn.Linear(3, 4).state_dict(),
            "dino_loss": {"center": torch.zeros(1, 8)},
        },
        says={"weights": "'student'"},
    ),
    "stochastic weight averaging": Readable(
        hold=lambda t: AveragedModel(t.network).state_dict(), says={"keys ignored": "n_averaged"}
    ),
    "stochastic weight averaging, compiled": Readable(hold=lambda t: _swa(t.network)),
    "key weights": Readable(hold=lambda t: {"weights": t.state}, says={"weights": "'weights'"}),
    "key backbone": Readable(hold=lambda t: {"backbone": t.state}),
    "key params": Readable(hold=lambda t: {"params": t.state}),
    "deepspeed": Readable(
        hold=lambda t: {
            "module": under("module.", t.state),
            "optimizer": None,
            "global_steps": 4,
            "ds_config": {"fp16": {}},
            "ds_version": "0.14",
        }
    ),
    "composer": Readable(
        hold=lambda t: {
            "state": {
                "model": under("module.", t.state),
                "optimizers": {"Adam": {"state": {}}},
                "timestamp": {"Timestamp": {"epoch": 2}},
            },
            "rng": [{"python": (3, tuple(range(625)), None), "torch": torch.zeros(10, dtype=torch.uint8)}],
        },
        says={"weights": "'state.model.module'"},
    ),
    "mmengine": Readable(
        hold=lambda t: {
            "meta": {"epoch": 3, "cfg": "model = dict()", "time": dt.date(2024, 1, 1)},
            "state_dict": t.state,
            "message_hub": {"log_scalars": {"lr": np.arange(4.0)}},
            "optimizer": {"state": {}},
        }
    ),
    "fastai": Readable(hold=lambda t: {"model": t.state, "opt": {"hypers": [{"lr": 0.1}], "state": []}}),
    "optimiser first": Readable(hold=lambda t: {"optimizer": {"state": {}}, "net": t.state, "acc": 97.0}),
    "optimiser by names": Readable(
        hold=lambda t: {"optim": {"state": {k: {"exp_avg": v} for k, v in t.state.items()}}, "model": t.state}
    ),
    "the best accuracy is a tensor": Readable(
        hold=lambda t: {"net": under("module.", t.state), "acc": torch.tensor(0.9), "epoch": 1}
    ),
    "a number among the tensors": Readable(hold=lambda t: {**t.state, "epoch": 5}, says={"keys ignored": "epoch"}),
    "a state that is none": Readable(
        hold=lambda t: {**t.state, "fc._extra_state": None}, says={"keys ignored": "fc._extra_state"}
    ),
    "counts of operations": Readable(hold=lambda t: _counted(t.state), says={"keys ignored": "total_ops"}),
    "list": Readable(hold=lambda t: [t.state, {"epoch": 1}], says={"weights": "'0'"}),
    "tuple": Readable(hold=lambda t: (t.state, 3)),
    "a member of an ensemble": Readable(
        hold=lambda t: {**under("models.0.", t.raw), **under("models.1.", t.state)}, weights="models.1"
    ),
    "one of an ensemble": Readable(hold=lambda t: [t.raw, t.state], weights="1"),
    "contrastive pair, one named": Readable(
        hold=lambda t: {
            "state_dict": {
                **under("module.encoder_q.", t.state),
                **under("module.encoder_k.", t.raw),
                "module.queue": torch.zeros(128, 64),
                "module.queue_ptr": torch.zeros(1).long(),
            }
        },
        weights="encoder_q",
        says={"keys ignored": "module.queue"},
    ),
    "double": Readable(hold=lambda t: cast(t.state, torch.float64), says={"precision": "float64 to float32"}),
    "no counts of batches": Readable(hold=lambda t: {k: v for k, v in t.state.items() if "num_batches" not in k}),
    "counts of batches averaged too": Readable(
        hold=lambda t: {k: v / 7 if "num_batches" in k else v for k, v in t.state.items()}
    ),
    "a numpy number beside": Readable(hold=lambda t: {"state_dict": t.state, "best_acc1": np.float64(0.9)}),
    "a namespace beside": Readable(hold=lambda t: {"model": t.state, "args": argparse.Namespace(lr=0.1)}),
    "a defaultdict beside": Readable(hold=lambda t: {"model": t.state, "cfg": collections.defaultdict(list, a=[1])}),
    "a deque beside": Readable(hold=lambda t: {"model": t.state, "losses": collections.deque([0.1, 0.2], maxlen=5)}),
    "a path beside": Readable(hold=lambda t: {"model": t.state, "path": pathlib.PosixPath("x")}),
    "a defaultdict of tensors": Readable(hold=lambda t: {"model": collections.defaultdict(list, t.state)}),
    "a normaliser in front": Readable(
        hold=lambda t: {**under("1.", t.state), "0.mean": _m(t), "0.std": _s(t)},
        says={"normalisation": "mean 0.3"},
        own_statistics=True,
    ),
    "a normaliser beside": Readable(
        hold=lambda t: {**under("model.", t.state), "normalize.mean": _m(t), "normalize.std": _s(t)},
        own_statistics=True,
    ),
    "mu and sigma beside": Readable(
        hold=lambda t: {**under("model.", t.state), "mu": _m(t).view(1, 1, 1), "sigma": _s(t).view(1, 1, 1)},
        own_statistics=True,
    ),
    "evalsuite's own names": Readable(
        hold=lambda t: {**under("network.", t.state), "mean": _m(t), "std": _s(t)}, own_statistics=True
    ),
    "madry": Readable(
        hold=lambda t: {"model": _madry(t), "epoch": 9}, says={"normalisation": "mean 0.3"}, own_statistics=True
    ),
    "training's own heads": Readable(
        hold=lambda t: {**t.state, "AuxLogits.fc.weight": torch.zeros(10, 4), "aux_classifier.0.bias": torch.zeros(3)},
        says={"keys ignored": "AuxLogits.fc.weight, aux_classifier.0.bias"},
    ),
    "masks that are multiplied in already": Readable(
        hold=lambda t: {**t.state, "conv1.weight_mask": torch.ones(12, 1, 3, 3)},
        says={"keys ignored": "conv1.weight_mask"},
    ),
    "safetensors, hugging face": Readable(
        hold=lambda t: safetensors.torch.save(dict(under("timm_model.", t.state)), metadata={"format": "pt"}),
        says={"prefix removed": "timm_model."},
    ),
    "sparse": Readable(hold=lambda t: {k: v.to_sparse() if k == "fc.weight" else v for k, v in t.state.items()}),
}


@pytest.mark.parametrize("name", READABLE)
def test_files_that_are_read(tmp_path: Path, trained: Trained, name: str) -> None:
    case = READABLE[name]
    # statistics that are handed in must not matter where the file has its own
    wrong = {"mean": (0.9,), "std": (0.1,)} if case.own_statistics else {}
    checkpoint = _open(tmp_path / "file", case.hold(trained), trained, weights=case.weights, **wrong)
    right = trained.worse if case.raw else trained.network
    with torch.no_grad():
        logits = checkpoint.network(trained.images)
    assert torch.equal(logits, trained.logits(right))
    assert _error(logits, trained.labels) == _error(trained.logits(right), trained.labels)
    for topic, value in case.says.items():
        assert any(value in each for each in _values(checkpoint, topic)), checkpoint.interpretations
    assert len(_values(checkpoint, "weights")) == len(_values(checkpoint, "normalisation")) == 1


REFUSED = {
    "timm": (
        lambda t: {"state_dict": t.raw, "state_dict_ema": t.state},
        RefusedInputError,
        r"differ: .state_dict. \(16 tensors\), .state_dict_ema. \(16 tensors\): .* --weights state_dict_ema$",
    ),
    "model and ema": (
        lambda t: {"model": t.raw, "ema": t.state},
        RefusedInputError,
        r"'model' .*'ema' .* --weights ema$",
    ),
    "model and model_ema": (
        lambda t: {"model": t.raw, "model_ema": t.state},
        RefusedInputError,
        r" --weights model_ema$",
    ),
    "model_state_dict": (
        lambda t: {"model_state_dict": t.raw, "ema_state_dict": t.state},
        RefusedInputError,
        r" --weights ema_state_dict$",
    ),
    "params": (lambda t: {"params": t.raw, "params_ema": t.state}, RefusedInputError, r" --weights params_ema$"),
    "lightning": (
        lambda t: _lightning({**under("model.", t.raw), **under("ema_model.module.", t.state)}),
        RefusedInputError,
        r"'state_dict.model' .*'state_dict.ema_model.module' .* --weights state_dict.ema_model.module$",
    ),
    "wrappers on one of them": (
        lambda t: {"model": under("module.", t.raw), "ema": t.state},
        RefusedInputError,
        r"'model' .*'ema' ",
    ),
    "ensemble": (lambda t: [t.raw, t.state], RefusedInputError, r"'0' .*'1' .* --weights 1$"),
    "averaged to another precision": (
        lambda t: {"model": t.state, "ema": cast(t.state, torch.float16)},
        RefusedInputError,
        r" --weights ema$",
    ),
    "shadow": (
        lambda t: {"model": t.raw, "ema": {"shadow": {k: t.state[k] for k, _ in t.network.named_parameters()}}},
        RefusedInputError,
        r"'model' .*'ema.shadow' ",
    ),
    "shadow in a list": (
        lambda t: {"model": t.raw, "ema": {"decay": 0.9, "shadow_params": list(t.network.parameters())}},
        RefusedInputError,
        r"looks like averaged weights, which do not fit .*ema.shadow_params.*say --weights model to",
    ),
    "shadow without dots": (
        lambda t: {**under("model.", t.raw), **{"model_ema." + k.replace(".", ""): v for k, v in t.state.items()}},
        RefusedInputError,
        r"looks like averaged weights.*model_ema.conv1weight.*say --weights model to",
    ),
    "callback": (
        lambda t: _lightning(under("net.", t.raw), callbacks={"EMA": {"ema_weights": list(t.state.values())}}),
        RefusedInputError,
        r"looks like averaged weights.*callbacks.EMA.ema_weights.0",
    ),
    "contrastive pair": (
        lambda t: {"state_dict": {**under("module.encoder_q.", t.state), **under("module.encoder_k.", t.raw)}},
        RefusedInputError,
        r"'state_dict.module.encoder_q' .*'state_dict.module.encoder_k' ",
    ),
    "units of 0 to 255": (
        lambda t: {**t.state, "mean": 255 * _m(t), "std": 255 * _s(t)},
        RefusedInputError,
        r"images are in \[0, 1\], got mean 7\d.* and std 9\d.*; .* 0 to 255, say --normalise 0\.30\d+/0\.37\d+$",
    ),
    "detectron": (
        lambda t: {
            "model": {**t.state, "pixel_mean": torch.full((1, 1, 1), 103.53), "pixel_std": torch.full((1, 1, 1), 57.4)},
            "__author__": "x",
            "matching_heuristics": True,
        },
        RefusedInputError,
        r"got mean 103.5 and std 57.4.*say --normalise 0.406/0.2251$",
    ),
    "only the mean in other units": (
        lambda t: {**t.state, "mean": 255 * _m(t), "std": torch.ones(1)},
        RefusedInputError,
        r"in \(0, 1\] beside",
    ),
    "no deviation": (
        lambda t: {**t.state, "mean": _m(t), "std": torch.zeros(1)},
        RefusedInputError,
        r"say --normalise MEAN/STD in",
    ),
    "a mean without a deviation": (lambda t: {**t.state, "mean": _m(t)}, UsageError, r"beside them mean\."),
    "two normalisers": (
        lambda t: {**under("model.", t.state), "a.mean": _m(t), "a.std": _s(t), "b.mean": _m(t) / 2, "b.std": _s(t)},
        RefusedInputError,
        r"expected one normalisation beside the weights, got 'a.mean': mean .*'b.mean': mean .*--normalise",
    ),
    "normaliser of the answers": (
        lambda t: {
            **under("model.", t.state),
            "target_scaler.mean": torch.zeros(1),
            "target_scaler.std": torch.ones(1),
        },
        UsageError,
        r"beside them target_scaler\.mean",
    ),
    "layer in front": (
        lambda t: {**under("1.", t.state), "0.weight": torch.ones(1, 1, 1, 1)},
        UsageError,
        r"beside them 0\.weight; under the prefix '1\.'",
    ),
    "a part of a larger network": (
        lambda t: {**under("stage1.0.", t.state), "stage2.0.conv1.weight": torch.zeros(3, 3, 3, 3)},
        UsageError,
        r"beside them stage2\.0\.conv1\.weight; under the prefix 'stage1\.0\.'",
    ),
    "members of an ensemble": (
        lambda t: {**under("models.0.", t.state), **under("models.1.", t.raw)},
        RefusedInputError,
        r"'models\.0' .*'models\.1' ",
    ),
    "unnamed numbers in front": (
        lambda t: {**under("1.", t.state), "0.m": _m(t), "0.s": _s(t)},
        UsageError,
        r"beside them 0\.m, 0\.s;",
    ),
    "int8": (
        lambda t: {k: (v * 10).to(torch.int8) if v.ndim > 1 else v for k, v in t.state.items()},
        RefusedInputError,
        r"expected weights in floating point, got int8 in 'conv1.weight': .*quantised.*export it",
    ),
    "int8 biases": (
        lambda t: {k: (v * 10).to(torch.int8) if k == "fc.bias" else v for k, v in t.state.items()},
        RefusedInputError,
        r"got int8 in 'fc.bias'",
    ),
    "int8 under a mask": (
        lambda t: {
            "conv1.weight_orig": (10 * t.state["conv1.weight"]).to(torch.int8),
            "conv1.weight_mask": torch.ones(12, 1, 3, 3),
            **{k: v for k, v in t.state.items() if k != "conv1.weight"},
        },
        RefusedInputError,
        r"got int8 in 'conv1.weight'",
    ),
    "bool": (lambda t: {k: v > 0 for k, v in t.state.items()}, RefusedInputError, r"got bool in 'conv1.weight'"),
    "float8": (
        lambda t: {k: v.to(torch.float8_e4m3fn) if v.ndim > 1 else v for k, v in t.state.items()},
        RefusedInputError,
        r"got float8_e4m3fn in 'conv1.weight'",
    ),
    "too large for float32": (
        lambda t: {k: v.double() * 1e300 if k == "fc.weight" else v for k, v in t.state.items()},
        RefusedInputError,
        r"NaN or infinity in 'fc.weight'",
    ),
    "a mask of another shape": (
        lambda t: {
            **{k: v for k, v in t.state.items() if k != "fc.weight"},
            "fc.weight_orig": t.state["fc.weight"],
            "fc.weight_mask": torch.ones(10, 5),
        },
        UsageError,
        r"lacks fc.weight.*beside them fc.weight_orig, fc.weight_mask",
    ),
    "a mask that is not multiplied in": (
        lambda t: {**t.state, "conv1.weight_mask": torch.zeros(12, 1, 3, 3)},
        UsageError,
        r"beside them conv1.weight_mask",
    ),
    "a layer more": (
        lambda t: {**t.state, "conv3.weight": torch.zeros(24, 24, 3, 3)},
        UsageError,
        r"beside them conv3.weight\.",
    ),
    "a layer more inside": (
        lambda t: {**t.state, "conv1.extra.weight": torch.zeros(3)},
        UsageError,
        r"beside them conv1.extra.weight\.",
    ),
    "another head": (
        lambda t: {**t.state, "attention.weight": torch.zeros(24, 24)},
        UsageError,
        r"beside them attention.weight\.",
    ),
    "a normalisation layer more": (
        lambda t: {**t.state, "norm.weight": torch.ones(24), "norm.bias": torch.zeros(24)},
        UsageError,
        r"beside them norm.weight",
    ),
    "no running statistics": (
        lambda t: {k: v for k, v in t.state.items() if "running_var" not in k},
        UsageError,
        r"lacks bn1.running_var, bn2.running_var",
    ),
    "no bias": (lambda t: {k: v for k, v in t.state.items() if k != "fc.bias"}, UsageError, r"it lacks fc.bias\."),
    "another name": (
        lambda t: {k.replace("fc.", "head.fc."): v for k, v in under("backbone.", t.state).items()},
        UsageError,
        r"it lacks fc.weight \(near: backbone.head.fc.weight\), fc.bias.*under the prefix 'backbone\.'",
    ),
    "mmpretrain": (
        lambda t: {
            "meta": {},
            "state_dict": {("head." if k.startswith("fc") else "backbone.") + k: v for k, v in t.state.items()},
        },
        UsageError,
        r"it lacks fc.weight \(near: head.fc.weight\)",
    ),
    "adapter alone": (
        lambda t: {
            "base_model.model.fc.lora_A.weight": torch.zeros(4, 96),
            "base_model.model.fc.lora_B.weight": torch.zeros(10, 4),
        },
        UsageError,
        r"it lacks conv1.weight.*low-rank adapter is merged into its network",
    ),
    "adapter beside": (
        lambda t: under(
            "base_model.model.",
            {
                **{k.replace("fc.", "fc.base_layer."): v for k, v in t.state.items()},
                "fc.lora_A.default.weight": torch.zeros(4, 96),
            },
        ),
        UsageError,
        r"low-rank adapter",
    ),
    "fake quantisation": (
        lambda t: {
            **t.state,
            "conv1.weight_fake_quant.scale": torch.ones(1),
            "conv1.activation_post_process.zero_point": torch.zeros(1).int(),
        },
        UsageError,
        r"beside them conv1.weight_fake_quant.scale.*quantisation-aware",
    ),
    "flat parameters": (
        lambda t: {"model": {"_fsdp_wrapped_module._flat_param": torch.zeros(4000)}},
        UsageError,
        r"gather its full state_dict",
    ),
    "a parametrisation of one's own": (
        lambda t: {
            **{k: v for k, v in t.state.items() if k != "fc.weight"},
            "fc.parametrizations.weight.original": t.state["fc.weight"],
        },
        UsageError,
        r"lacks fc.weight.*remove_parametrizations",
    ),
    "optimiser alone": (
        lambda t: {"optimizer": {"state": {}, "param_groups": []}},
        RefusedInputError,
        r"a dict with 'optimizer'",
    ),
    "numbers for names": (lambda t: {0: torch.zeros(3)}, RefusedInputError, r"a dict with 0"),
    "arrays": (
        lambda t: {"model": {k: v.numpy() for k, v in t.state.items()}},
        RefusedInputError,
        r"a dict with 'model'",
    ),
    "a tensor": (lambda t: torch.zeros(3), RefusedInputError, r"Tensor"),
    "nothing": (lambda t: None, RefusedInputError, r"NoneType"),
    "complex": (
        lambda t: {**t.state, "fc.bias": torch.zeros(10, dtype=torch.complex64)},
        RefusedInputError,
        "complex64",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_not_read(tmp_path: Path, trained: Trained, name: str) -> None:
    hold, kind, message = REFUSED[name]
    with pytest.raises(EvalsuiteError, match=message) as caught:
        _open(tmp_path / "file", hold(trained), trained)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("state_dict_em", r"got 'state_dict_em'\. Did you mean 'state_dict_ema'.*Known: state_dict, state_dict_ema"),
        ("optimizer", "Known: state_dict, state_dict_ema"),
    ],
)
def test_weights_that_are_not_there(tmp_path: Path, trained: Trained, weights: str, message: str) -> None:
    held = {"state_dict": trained.raw, "state_dict_ema": trained.state, "optimizer": {}}
    with pytest.raises(UnknownNameError, match=message):
        _open(tmp_path / "file", held, trained, weights=weights)


def test_named_weights_of_another_architecture_are_explained(tmp_path: Path, trained: Trained) -> None:
    held = {"model": trained.state, "teacher": nn.Linear(3, 4).state_dict()}
    with pytest.raises(UsageError, match=r"it lacks conv1\.weight"):
        _open(tmp_path / "file", held, trained, weights="teacher")


@pytest.mark.parametrize(("dtype", "word"), [(torch.float16, "float16"), (torch.bfloat16, "bfloat16")])
def test_half_precision_is_said(tmp_path: Path, trained: Trained, dtype: torch.dtype, word: str) -> None:
    checkpoint = _open(tmp_path / "file", cast(trained.state, dtype), trained)
    expected = copy.deepcopy(trained.network).to(dtype).float()
    with torch.no_grad():
        assert torch.equal(checkpoint.network(trained.images), trained.logits(expected))
    assert _values(checkpoint, "precision") == [f"{word} to float32"]


def test_statistics_in_the_file_win_but_for_those_that_the_user_gives(tmp_path: Path, trained: Trained) -> None:
    held = {**under("model.", trained.state), "mean": torch.full((1, 1, 1), 0.5), "std": torch.full((1, 1, 1), 0.5)}
    checkpoint = _open(tmp_path / "file", held, trained)
    with torch.no_grad():
        assert torch.equal(checkpoint.network(trained.images), trained.logits(trained.network, 0.5, 0.5))
    given = _open(tmp_path / "file", held, trained, normalise=((trained.mean,), (trained.std,)))
    with torch.no_grad():
        assert torch.equal(given.network(trained.images), trained.logits(trained.network))
    bases = [r.basis for c in (checkpoint, given) for r in c.interpretations if r.topic == "normalisation"]
    assert bases == ["recorded", "given"]


def test_statistics_in_other_units_are_taken_as_the_message_says(tmp_path: Path, trained: Trained) -> None:
    held = {**trained.state, "mean": 255 * _m(trained), "std": 255 * _s(trained)}
    checkpoint = _open(tmp_path / "file", held, trained, normalise=((trained.mean,), (trained.std,)))
    with torch.no_grad():
        assert torch.equal(checkpoint.network(trained.images), trained.logits(trained.network))


def test_numbers_that_may_be_a_normalisation_are_doubtful(tmp_path: Path, trained: Trained) -> None:
    held = {**under("model.", trained.state), "preprocess.m": _m(trained), "preprocess.s": _s(trained)}
    ignored = [r for r in _open(tmp_path / "file", held, trained).interpretations if r.topic == "keys ignored"]
    assert [(r.value, r.basis, r.option) for r in ignored] == [
        ("preprocess.m, preprocess.s", "doubtful", "--normalise MEAN/STD")
    ]


def _masked(trained: Trained) -> nn.Module:
    network = copy.deepcopy(trained.network)
    prune.l1_unstructured(network.conv1, "weight", 0.3)
    prune.ln_structured(network.conv2, "weight", 0.25, n=2, dim=0)
    prune.l1_unstructured(network.fc, "bias", 0.2)
    prune.random_unstructured(network.fc, "weight", 0.5)
    prune.l1_unstructured(network.fc, "weight", 0.3)
    return network


@pytest.mark.parametrize("kind", ["plain", "distributed", "bool", "half"])
def test_masks_are_right_to_the_last_example(tmp_path: Path, trained: Trained, kind: str) -> None:
    network = _masked(trained)
    state = network.state_dict()
    masks = [tensor for name, tensor in state.items() if name.endswith("_mask")]
    kept, count = sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)
    held = {
        "plain": state,
        "distributed": {"state_dict": under("module.", state)},
        "bool": {name: tensor.bool() if name.endswith("_mask") else tensor for name, tensor in state.items()},
        "half": {name: tensor.half() if name.endswith("_mask") else tensor for name, tensor in state.items()},
    }[kind]
    checkpoint = _open(tmp_path / "file", held, trained)
    with torch.no_grad():
        assert torch.equal(checkpoint.network(trained.images), trained.logits(network))
    (value,) = _values(checkpoint, "masks")
    assert value.endswith(f": {kept} of {count} numbers are not zero")


_NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight, new": parametrizations.weight_norm,
    "weight, along the inputs": lambda layer: parametrizations.weight_norm(layer, dim=1),
    "weight, of the whole": lambda layer: parametrizations.weight_norm(layer, dim=None),
    "weight, old": torch.nn.utils.weight_norm,
    "spectral, new": parametrizations.spectral_norm,
    "spectral, old": torch.nn.utils.spectral_norm,
}


@pytest.mark.parametrize("kind", _NORMS)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_weight_and_spectral_norm_are_computed(tmp_path: Path, trained: Trained, kind: str) -> None:
    network = copy.deepcopy(trained.network)
    with torch.random.fork_rng(devices=[]):
        for layer in (network.conv1, network.conv2, network.fc):
            _NORMS[kind](layer)
        # a step of the power iteration, and parts that are not what they were made from
        network.train()(trained.images[:64])
        for parameter in network.parameters():
            parameter.data *= 1.01
    network.eval()
    checkpoint = _open(tmp_path / "file", {"state_dict": under("module.", network.state_dict())}, trained)
    with torch.no_grad():
        logits = checkpoint.network(trained.images)
    expected = trained.logits(network)
    # torch has kernels of its own for the same product: the last bit may differ
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(logits.argmax(1), expected.argmax(1))
    assert _values(checkpoint, "weight and spectral norm") == [
        "module.conv1.weight, module.conv2.weight, module.fc.weight"
    ]


def test_averaged_weights_are_not_taken_because_the_others_have_a_layer_more(tmp_path: Path, trained: Trained) -> None:
    more = {**trained.raw, "projector.0.weight": torch.zeros(8, 96)}
    held = {"model": more, "model_ema": trained.state}
    with pytest.raises(RefusedInputError, match=r"got 'model_ema', .* and 'model', .* --weights model_ema"):
        _open(tmp_path / "file", held, trained)
    taken = _open(tmp_path / "file", held, trained, weights="model_ema")
    with torch.no_grad():
        assert torch.equal(taken.network(trained.images), trained.logits(trained.network))
    with pytest.raises(UsageError, match=r"it has beside them projector\.0\.weight"):
        _open(tmp_path / "file", held, trained, weights="model")
    # the same numbers twice are no question
    _open(tmp_path / "file", {"model": {**more, **trained.state}, "model_ema": trained.state}, trained)


def test_what_stands_outside_of_the_weights_that_are_named_is_left_out_by_the_users_word(
    tmp_path: Path, trained: Trained
) -> None:
    held = _lightning({**under("model.", trained.state), "projector.0.weight": torch.zeros(8, 96)})
    bases = {}
    for weights in (None, "state_dict", "state_dict.model", "model"):
        checkpoint = _open(tmp_path / "file", held, trained, weights=weights)
        (left_out,) = [each for each in checkpoint.interpretations if each.topic == "keys ignored"]
        assert left_out.value == "projector.0.weight"
        bases[weights] = left_out.basis
    # it stands under `state_dict` too
    assert bases == {None: "assumed", "state_dict": "assumed", "state_dict.model": "given", "model": "given"}
    assert left_out.option == "--weights state_dict.model"


@pytest.mark.parametrize("kind", _NORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_parts_of_half_precision_are_put_together_in_single(
    tmp_path: Path, trained: Trained, kind: str, dtype: torch.dtype
) -> None:
    network = copy.deepcopy(trained.network)
    with torch.random.fork_rng(devices=[]):
        _NORMS[kind](network.conv2)
    held = cast(network.state_dict(), dtype)
    network.load_state_dict(cast(held, torch.float32))
    checkpoint = _open(tmp_path / "file", held, trained)
    with torch.no_grad():
        logits = checkpoint.network(trained.images)
    # rounding once more, to half precision, would move them by about 1e-3
    torch.testing.assert_close(logits, trained.logits(network.eval()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "model.net."])
@pytest.mark.parametrize("kind", ["masked", *_NORMS])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_parts_that_the_network_itself_keeps_stay_apart(
    tmp_path: Path, trained: Trained, prefix: str, kind: str
) -> None:
    with torch.random.fork_rng(devices=[]):
        network = Parted().eval()
        for layer in (network.conv3, network.fc):
            prune.l1_unstructured(layer, "weight", 0.5) if kind == "masked" else _NORMS[kind](layer)
    checkpoint = _open(tmp_path / "file", under(prefix, network.state_dict()), trained, "parted")
    with torch.no_grad():
        logits = checkpoint.network(trained.images)
    torch.testing.assert_close(logits, trained.logits(network), rtol=1e-5, atol=1e-5)
    topic = "masks" if kind == "masked" else "weight and spectral norm"
    (value,) = _values(checkpoint, topic)
    assert value.split(":")[0] == f"{prefix}conv3.weight, {prefix}fc.weight"


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_parts_of_another_architecture_are_explained(tmp_path: Path, trained: Trained) -> None:
    with torch.random.fork_rng(devices=[]):
        held = Parted().state_dict()
    with pytest.raises(UsageError, match=r"expected the tensors of corpus_networks:small, got others: it lacks bn1"):
        _open(tmp_path / "file", held, trained)


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_spectral_norm_of_transposed_convolutions_is_taken_along_their_outputs(square: bool) -> None:
    from evalsuite.networks.reparametrised import baked

    for wrap in (parametrizations.spectral_norm, torch.nn.utils.spectral_norm, parametrizations.weight_norm):
        with torch.random.fork_rng(devices=[]):
            layer = nn.Sequential(wrap(nn.ConvTranspose2d(6, 6 if square else 4, 3)))
            layer.train()(torch.rand(1, 6, 5, 5))
        layer.eval()(torch.rand(1, 6, 5, 5))
        made = baked(layer.state_dict(), {"0.weight"})["0.weight"]
        torch.testing.assert_close(made, layer[0].weight.detach())


def test_constants_of_the_constructor_may_be_missing(tmp_path: Path, trained: Trained) -> None:
    network = Constant().eval()
    held = {name: tensor for name, tensor in network.state_dict().items() if name not in {"mu", "sigma"}}
    checkpoint = _open(tmp_path / "file", held, trained, "constant", normalise=((0.0,), (1.0,)))
    with torch.no_grad():
        assert torch.equal(checkpoint.network(trained.images), network(trained.images))
    assert _values(checkpoint, "constructor") == ["mu, sigma as the constructor sets them"]
    del held["bn.running_mean"]
    with pytest.raises(UsageError, match=r"it lacks .*bn\.running_mean"):
        _open(tmp_path / "file", held, trained, "constant")


def test_parameters_may_never_be_missing_whatever_their_names(tmp_path: Path, trained: Trained) -> None:
    held = {name: tensor for name, tensor in Learnt().state_dict().items() if name not in {"mu", "sigma"}}
    with pytest.raises(UsageError, match=r"it lacks mu, sigma"):
        _open(tmp_path / "file", held, trained, "learnt")


def test_shared_tensors(tmp_path: Path, trained: Trained) -> None:
    network = Tied().eval()
    for left_out in ("first.weight", "second.weight", None):
        held = {name: tensor for name, tensor in network.state_dict().items() if name != left_out}
        checkpoint = _open(tmp_path / "file", held, trained, "tied", normalise=((0.0,), (1.0,)))
        with torch.no_grad():
            assert torch.equal(checkpoint.network(trained.images), network(trained.images))
    held = {**network.state_dict(), "second.weight": torch.zeros(64, 64)}
    with pytest.raises(RefusedInputError, match=r"one tensor under '(first|second)\.weight' and"):
        _open(tmp_path / "file", held, trained, "tied")


def _trusted(path: Path, held: object, trained: Trained, **more: object) -> Checkpoint:
    torch.save(held, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    given = {"mean": (trained.mean,), "std": (trained.std,), **more}
    return read(path, shape=(1, 8, 8), classes=10, trusted=frozenset({digest}), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["float", "half", "double", "parallel", "none beside", "the same twice"])
def test_whole_networks(tmp_path: Path, trained: Trained, kind: str) -> None:
    network = trained.network
    half = copy.deepcopy(network).half()
    held, expected = {
        "float": (network, network),
        "half": (half, copy.deepcopy(half).float()),
        "double": (copy.deepcopy(network).double(), network),
        "parallel": (nn.DataParallel(network), network),
        "none beside": ({"model": None, "ema": half, "epoch": 3}, copy.deepcopy(half).float()),
        "the same twice": ({"model": half, "ema": copy.deepcopy(half), "updates": 3}, copy.deepcopy(half).float()),
    }[kind]
    checkpoint = _trusted(tmp_path / "file", held, trained)
    with torch.no_grad():
        assert torch.equal(checkpoint.network(trained.images), trained.logits(expected))
    stored = {"float": [], "parallel": [], "double": ["float64 to float32"]}.get(kind, ["float16 to float32"])
    assert _values(checkpoint, "precision") == stored


def test_of_two_whole_networks_that_differ_one_is_named(tmp_path: Path, trained: Trained) -> None:
    held = {"model": copy.deepcopy(trained.worse).half(), "ema": copy.deepcopy(trained.network).half()}
    with pytest.raises(RefusedInputError, match=r"2 that differ: 'model', 'ema': .* --weights ema$"):
        _trusted(tmp_path / "file", held, trained)
    with pytest.raises(UnknownNameError, match=r"Known: ema, model"):
        _trusted(tmp_path / "file", held, trained, weights="net")
    checkpoint = _trusted(tmp_path / "file", held, trained, weights="ema")
    with torch.no_grad():
        assert torch.equal(
            checkpoint.network(trained.images), trained.logits(copy.deepcopy(trained.network).half().float())
        )


def test_every_nesting_of_what_frameworks_write_is_read_or_refused(tmp_path: Path, trained: Trained) -> None:
    """Whatever stands around the weights: right to the last bit, or one of our errors."""
    prefixes = ("", "module.", "model.", "net.module.", "0.", "_orig_mod.model.")
    extras: tuple[dict[str, object], ...] = (
        {},
        {"epoch": 3},
        {"n": torch.zeros(3, 3)},
        {"mean": torch.tensor([0.2]), "std": torch.tensor([0.3])},
        {"sub": {"a": torch.ones(2)}},
    )
    outcomes = collections.Counter[str]()
    for prefix in prefixes:
        for extra in extras:
            for wrap in (lambda s: s, lambda s: {"model": s}, lambda s: {"a": {"b": [s]}}, lambda s: ([s], "x")):
                try:
                    checkpoint = _open(tmp_path / "file", wrap({**under(prefix, trained.state), **extra}), trained)
                except EvalsuiteError:
                    outcomes["refused" if "n" in extra else "refused without reason"] += 1
                    continue
                outcomes["read"] += 1
                self_describing = "mean" in extra
                with torch.no_grad():
                    logits = checkpoint.network(trained.images)
                assert torch.equal(
                    logits, trained.logits(trained.network, *((0.2, 0.3) if self_describing else (None, None)))
                )
    # a matrix of no name that says what it is, at the top of the network itself
    assert outcomes == {"read": 116, "refused": 4}


def test_nothing_of_a_record_is_kept_and_nothing_is_run(tmp_path: Path, trained: Trained) -> None:
    marker = tmp_path / "was_run"

    class Gadget:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return eval, (f"open({str(marker)!r}, 'w')",)

    with pytest.raises(RefusedInputError, match=r"imports .*builtin.*\.eval"):
        _open(tmp_path / "file", {"model": trained.state, "args": argparse.Namespace(x=Gadget())}, trained)
    assert not marker.exists()


def test_warnings_of_torch_do_not_reach_the_user(tmp_path: Path, trained: Trained) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _open(tmp_path / "file", {"model": trained.state, "args": argparse.Namespace(lr=0.1)}, trained)
    assert not caught


def test_narrower_widths_are_said(tmp_path: Path, trained: Trained) -> None:
    network = copy.deepcopy(trained.network)
    kept = torch.tensor([0, 2, 3, 5, 7, 8, 11])
    network.conv1 = nn.Conv2d(1, 7, 3, padding=1)
    network.conv1.weight.data, network.conv1.bias.data = (t.detach()[kept] for t in trained.network.conv1.parameters())
    network.conv2 = nn.Conv2d(7, 24, 3, padding=1)
    network.conv2.weight.data = trained.network.conv2.weight.detach()[:, kept]
    network.conv2.bias.data = trained.network.conv2.bias.detach()
    narrow = nn.BatchNorm2d(7).eval()
    narrow.load_state_dict({k: v[kept] if v.ndim else v for k, v in trained.network.bn1.state_dict().items()})
    network.bn1 = narrow
    checkpoint = _open(tmp_path / "file", network.state_dict(), trained)
    with torch.no_grad():
        assert torch.equal(checkpoint.network(trained.images), trained.logits(network))
    assert _values(checkpoint, "widths") == [f"7 tensors are narrower than {_MODULE}:small builds them"]


def test_a_given_network_is_filled_as_carefully(tmp_path: Path, trained: Trained) -> None:
    torch.save({"model": trained.raw, "ema": trained.state}, tmp_path / "file")
    with pytest.raises(RefusedInputError, match="2 that fit the network and differ"):
        restore(tmp_path / "file", Small())
    torch.save(under("model.", trained.state), tmp_path / "file")
    with torch.no_grad():
        assert torch.equal(trained.logits(restore(tmp_path / "file", Small())), trained.logits(trained.network))


def test_own_files_say_what_they_record(tmp_path: Path, trained: Trained) -> None:
    before = _open(tmp_path / "file", trained.state, trained)
    write(tmp_path / "own", before)
    arch = f"{_MODULE}:small"
    # the same option for all files of a run: own files hold one set
    after = read(tmp_path / "own", arch=arch, weights="state_dict_ema")
    assert [(r.topic, r.basis) for r in after.interpretations] == [
        ("weights", "recorded"),
        ("normalisation", "recorded"),
    ]
    with torch.no_grad():
        assert torch.equal(after.network(trained.images), trained.logits(trained.network))
    doubtful = read(tmp_path / "own", arch=arch, normalise=((0.5,), (0.5,))).interpretations[1]
    assert (doubtful.basis, doubtful.reason) == (
        "doubtful", "evalsuite's own file; mean 0.5, std 0.5, as said, is not taken"
    )  # fmt: skip
