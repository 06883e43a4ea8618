"""SiPP: weights go that never contribute much to the neuron that they feed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.forward_hooks import attached
from neuralnets.layers import LAYERS, RECURRENT
from neuralnets.weights import prunable
from pruners._base import Context, Need, Scores
from pruners._checks import check_at_least
from pruners._data import examples, scoring
from pruners._weight_pruner import WeightPruner

Operation = Callable[[Tensor, Tensor], Tensor]
"""(inputs (examples, ...), weight) → outputs (examples, ...): what a layer does, without its bias."""

_MOST = 2**26
"""Entries of the weights of as many examples as are looked at in one go: 256 MiB."""


@final
@dataclass(frozen=True, kw_only=True)
class SiPP(WeightPruner):
    """Keeps the weights with the largest empirical sensitivity: their share in what their neuron sums up.

    Baykal et al. (arXiv:1910.05422), the deterministic variant of Lost in Pruning (Liebenwein et al. 2021,
    arXiv:2103.03014). At output i, place p and example x the weight from j contributes
    g_ij = |w_ij| a_j / sum_k |w_ik| a_k, where k runs over the weights of the sign of w_ij; inputs below zero are
    looked at apart, as a second example -a. The sensitivity is the maximum over the examples of the mean over the
    places; biases do not count, and 0 / 0 = 0 (the authors' code takes sums up to 1e-7 for zero, which depends on the
    scale of the inputs; here only zero is). Shares are comparable between neurons and layers. In attention, queries,
    keys, values and the projection behind are four such layers (not in the paper).

    Attributes:
        count: Training examples, at least 1; not fixed by the paper, whose code looks at a few hundred.

    Example:
        >>> from pruners import SiPP, prune, remaining
        >>> sparse = prune(network, SiPP(count=16), 0.5, example=images[:1], batches=batches)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    criterion: ClassVar[str] = "share in what the neuron sums up"
    needs: ClassVar[frozenset[Need]] = frozenset({"data"})
    paper: ClassVar[str] = "Baykal et al. 2019, arXiv:1910.05422"
    nested: ClassVar[bool] = True
    count: int = 256

    def __post_init__(self) -> None:
        """Raise ValueError if there is no example."""
        check_at_least(1, count=self.count)

    @override
    def score(self, network: nn.Module, context: Context) -> Scores:
        _check_watched(network)
        with scoring(network) as model, torch.no_grad():
            names = {id(weight): name for name, weight in prunable(model).items()}
            largest = {name: torch.zeros_like(weight) for name, weight in prunable(model).items()}

            def note(weight: Tensor, sensitivities: Tensor) -> None:
                name = names[id(weight)]
                largest[name] = torch.maximum(largest[name], sensitivities)

            with _watching(model, note):
                for images, _ in examples(context, self.count):
                    model(images)
        return largest


def _check_watched(network: nn.Module) -> None:
    """Raise ValueError for weights whose steps nobody watches: scores of zero would send them first."""
    layers = [name.rpartition(".")[0] for name in prunable(network)]
    recurrent = next((name for name in layers if isinstance(network.get_submodule(name), RECURRENT)), None)
    if recurrent is not None:
        raise ValueError(f"expected convolutions, linear layers and attention, got the recurrent layer {recurrent!r}")


@contextmanager
def _watching(network: nn.Module, note: Callable[[Tensor, Tensor], None]) -> Iterator[None]:
    """Inside, every layer that is run notes (weight, sensitivities of the examples that it saw)."""
    handles = []
    for module in network.modules():
        if isinstance(module, nn.MultiheadAttention):
            handles.append(module.register_forward_pre_hook(_attention(module, note), with_kwargs=True))
        elif isinstance(module, LAYERS):
            handles.append(module.register_forward_pre_hook(_layer(module, note)))
    with attached(handles):
        yield


def _layer(module: nn.Module, note: Callable[[Tensor, Tensor], None]) -> Callable[[nn.Module, tuple[Tensor]], None]:
    weight, bare = module.get_parameter("weight"), copied(module)
    none = {name: torch.zeros_like(each) for name, each in bare.named_parameters() if name == "bias"}

    def run(inputs: Tensor, weight: Tensor) -> Tensor:
        outputs: Tensor = functional_call(bare, {"weight": weight, **none}, (inputs,))
        return outputs

    def hook(module: nn.Module, inputs: tuple[Tensor]) -> None:
        del module
        note(weight, sensitivity(run, weight, inputs[0], last=isinstance(bare, nn.Linear)))

    return hook


def _attention(
    module: nn.MultiheadAttention, note: Callable[[Tensor, Tensor], None]
) -> Callable[[nn.Module, tuple[Tensor, ...], dict[str, Tensor]], None]:
    bare, behind = copied(module), module.out_proj.weight
    weights = dict(module.named_parameters(recurse=False))
    # with the identity behind it, attention puts out what its last projection reads
    opened = {f"out_proj.{name}": torch.zeros_like(each) for name, each in module.out_proj.named_parameters()}
    opened["out_proj.weight"] = torch.eye(len(behind), device=behind.device)

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        del layer
        read = [*inputs, *(named[name] for name in ("query", "key", "value") if name in named)][:3]
        mixed = functional_call(bare, opened, inputs, named)[0]
        *attended, last = (each if module.batch_first else each.transpose(0, 1) for each in (*read, mixed))
        note(behind, sensitivity(F.linear, behind, last, last=True))
        if "in_proj_weight" in weights:
            parts = zip(weights["in_proj_weight"].chunk(3), attended, strict=True)
            note(weights["in_proj_weight"], torch.cat([sensitivity(F.linear, w, each, last=True) for w, each in parts]))
        for name, each in zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), attended, strict=True):
            if name in weights:
                note(weights[name], sensitivity(F.linear, weights[name], each, last=True))

    return hook


def sensitivity(run: Operation, weight: Tensor, inputs: Tensor, *, last: bool) -> Tensor:
    """The sensitivity of every entry of `weight`, in its shape, over the examples in `inputs`.

    Args:
        run: The layer; linear in inputs and weight.
        weight: Of either sign.
        inputs: (examples, ...), of either sign.
        last: Whether the outputs' channels are their last dimension, or else the second.
    """
    largest = torch.zeros_like(weight)
    for part in inputs.split(max(1, _MOST // weight.numel())):
        for signed in (part, -part):
            if bool((signed > 0).any()):
                positive = signed.clamp_min(0)
                for side in (weight, -weight):
                    largest = torch.maximum(largest, _shares(run, side.clamp_min(0), positive, last=last))
    return largest


def _shares(run: Operation, weight: Tensor, inputs: Tensor, *, last: bool) -> Tensor:
    """Maximum over examples of the mean over places of weight * input / sum, where nothing is negative."""

    def slope(one: Tensor, per_sum: Tensor) -> Tensor:
        # sum over places of input / sum is what a weight's gradient is if the sums' gradients are 1 / sum
        pulled: Tensor = vjp(lambda weight: run(one[None], weight)[0], weight)[1](per_sum)[0]
        return pulled

    sums = run(inputs, weight)
    tiny = torch.finfo(sums.dtype).tiny
    per_sum = torch.where(sums > tiny, 1 / sums.clamp_min(tiny), 0.0)
    places = sums[0].numel() // sums.shape[-1 if last else 1]
    shares: Tensor = vmap(slope)(inputs, per_sum).amax(0) * weight / places
    return shares
