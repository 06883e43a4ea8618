"""Judges whether the parent is a standard that its descendants can be held to.

"As good as its parent" means something only where the parent itself is better than an answer that does not look at the
image. A network that was never trained, that is normalised by the wrong numbers, or whose outputs stand for other
classes passes every comparison with its own descendants. So the parent is judged first, on the run's examples as they
are, against the best trivial answer to the same examples.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from evalsuite.data import Dataset, Examples, knows_statistics
from evalsuite.interpretation import Interpretation
from evalsuite.measures._base import Paired
from evalsuite.networks.checkpoints import normalisation
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.normalized import Normalized
from evalsuite.problems import Classification
from evalsuite.records.schema import Standard
from evalsuite.statistics.compare import Comparison, compare
from neuralnets.device import device_of

Losses = npt.NDArray[np.float64]

_BATCH: Final = 256
_FEW: Final = 512
"""Examples on which other readings of the parent are tried."""
_FAR_BETTER: Final = 0.05
"""By so much, shown at the run's confidence, another reading has to be better before it is told."""
_OTHERS: Final = ("none", "data", "imagenet", "0.5/0.5", "0/0.003921569")
"""Normalisations that are tried: none, the two usual ones, to [-1, 1], and to 0 ... 255."""


def standard(parent: nn.Module, examples: Examples, dataset: Dataset, *, confidence: float) -> Standard:
    """Judge the parent on `examples`, in order.

    Args:
        parent: In evaluation mode, on its device.
        examples: Held-out ones, at least one.
        dataset: That they belong to.
        confidence: In (0.5, 1).
    """
    losses, not_finite = _losses(parent, examples)
    # class numbers are at hand; other answers may have to be decoded from files, and some of them tell as much
    looked_at = len(examples) if examples.targets is None else min(len(examples), _FEW)
    guess = examples.problem.guess(examples.truths(range(looked_at)), dataset.classes)
    trivial, _ = _losses(guess.answer, examples)
    comparison = _compared(losses, trivial, confidence)
    return Standard(
        n=len(examples),
        score_title=examples.problem.score_title,
        loss=comparison.loss,
        low=comparison.low,
        high=comparison.high,
        confidence=confidence,
        not_finite=not_finite,
        trivial=guess.words,
        trivial_loss=float(trivial.mean()),
        shown_better=comparison.difference_high < 0,
    )


def doubts(
    parent: Checkpoint, examples: Examples, dataset: Dataset, *, confidence: float
) -> tuple[Interpretation, ...]:
    """Other readings of the parent that would do far better: another normalisation, another order of its classes.

    Args:
        parent: In evaluation mode, on its device.
        examples: Held-out ones; a few of them are looked at.
        dataset: That they belong to.
        confidence: In (0.5, 1); of each claim that another reading is better.
    """
    few = examples.select(range(min(_FEW, len(examples))))
    as_read, _ = _losses(parent.network, few)
    suspicions: list[Interpretation] = []
    if not parent.self_describing:
        suspicions.extend(_other_normalisations(parent, few, dataset, as_read, confidence))
    if isinstance(examples.problem, Classification):
        suspicions.extend(_other_orders(parent.network, few, as_read, confidence))
    return tuple(suspicions)


def sentence(standard: Standard, shape: Sequence[int]) -> str:
    """What a run says of its parent before anything else."""
    right, low, high = (f"{1 - value:.1%}" for value in (standard.loss, standard.high, standard.low))
    text = f"{standard.score_title} {right} ({low} to {high}, n = {standard.n}, "
    text += f"images {'x'.join(map(str, shape))}); {standard.trivial}: {1 - standard.trivial_loss:.1%}"
    return text + (f"; {standard.not_finite} outputs are not finite" if standard.not_finite else "")


@torch.inference_mode()
def _losses(network: nn.Module, examples: Examples) -> tuple[Losses, int]:
    """Losses (n,), and how many outputs are not finite."""
    device = device_of(network)
    parts: list[Tensor] = []
    not_finite = 0
    for index in torch.arange(len(examples)).split(_BATCH):
        outputs = network(examples.pixels(index).to(device)).float()
        finite = outputs.flatten(1).isfinite().all(1)
        losses = examples.problem.losses(outputs, examples.truths(index).to(device))
        parts.append(losses.where(finite, 1.0).cpu())
        not_finite += int((~finite).sum())
    return torch.cat(parts).double().numpy(), not_finite


@torch.inference_mode()
def _outputs(network: nn.Module, examples: Examples) -> Tensor:
    device = device_of(network)
    parts = torch.arange(len(examples)).split(_BATCH)
    return torch.cat([network(examples.pixels(index).to(device)).float().cpu() for index in parts])


def _compared(losses: Losses, other: Losses, confidence: float) -> Comparison:
    """`losses` beside those of another answer to the same examples."""
    return compare(Paired(child=losses, parent=other), margin=0.0, confidence=confidence)


def _other_normalisations(
    parent: Checkpoint, few: Examples, dataset: Dataset, as_read: Losses, confidence: float
) -> list[Interpretation]:
    """The one that does best, if it does far better."""
    best: tuple[float, Interpretation] | None = None
    for rule in _OTHERS:
        if rule == "data" and not knows_statistics(dataset):
            continue
        mean, std = normalisation.statistics_for(rule, (dataset.mean, dataset.std), dataset.shape[0])
        network = Normalized(parent.network.network, mean, std).to(parent.network.mean.device).eval()
        losses, _ = _losses(network, few)
        if _compared(losses, as_read, confidence).difference_high > -_FAR_BETTER:
            continue
        loss = float(losses.mean())
        if best is None or loss < best[0]:
            value = (
                f"with {normalisation.in_words(network)} its mean loss is {loss:.1%} instead of {as_read.mean():.1%}"
            )
            option = f"--normalise {rule}"
            best = loss, _doubt(normalisation.TOPIC, value, len(few), option)
    return [] if best is None else [best[1]]


def _other_orders(network: nn.Module, few: Examples, as_read: Losses, confidence: float) -> list[Interpretation]:
    """Whether another order of the classes fits the predictions far better (Kuhn 1955, the Hungarian method)."""
    outputs = _outputs(network, few)
    predictions, labels = outputs.argmax(1), few.labels
    counts = torch.zeros(outputs.shape[1], outputs.shape[1], dtype=torch.int64)
    counts.index_put_((predictions, labels), torch.ones(len(labels), dtype=torch.int64), accumulate=True)
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    meant = torch.zeros(outputs.shape[1], dtype=torch.int64)
    meant[torch.from_numpy(rows)] = torch.from_numpy(columns)
    losses = (meant[predictions] != labels).double().numpy()
    # the order was chosen on these very examples: it must be better by far, and right on most of them
    if losses.mean() > 0.5 or _compared(losses, as_read, confidence).difference_high > -_FAR_BETTER:
        return []
    value = f"with its outputs in another order it would err on {losses.mean():.1%} instead of {as_read.mean():.1%}"
    return [_doubt("class order", value, len(few), "--classes NAME,NAME,... in the order of the outputs")]


def _doubt(topic: str, value: str, n: int, option: str) -> Interpretation:
    return Interpretation(topic=topic, value=value, basis="doubtful", reason=f"tried on {n} examples", option=option)
