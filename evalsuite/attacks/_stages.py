"""Runs pyautoattack's attacks one after another, each on the images that are left."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, final

import pyautoattack
import torch
from pyautoattack import checks
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.attacks._base import Budget, Flag
from evalsuite.data._base import Batch
from evalsuite.problems import decided
from neuralnets.device import device_of

NORMS: Final = {"linf": "Linf", "l2": "L2", "l1": "L1"}
_TELLS: Final = {
    "randomized defense": Flag.RANDOMISED,
    "probability distribution": Flag.PROBABILITIES,
    "dynamic defense": Flag.DYNAMIC,
}
_BLACK_BOX: Final = "square"


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Broken:
    """The images that a sequence of attacks has broken, and by which stage.

    Attributes:
        images: (n, c, h, w): adversarial where one of them succeeded, else the image itself.
        stage: (n,), int64: number of the attack that broke the example, from 0; -1 where none did or had to.
    """

    images: Tensor
    stage: Tensor


def engine(network: nn.Module, budget: Budget, classes: int, version: str, seed: int) -> pyautoattack.AutoAttack:
    """AutoAttack's attacks for `network`, set up for any number of classes from two.

    With fewer than ten classes the targeted attacks aim at all other classes; with fewer than four, where the targeted
    DLR loss is not defined, APGD-DLR (three) or nothing (two) takes the place of targeted APGD.
    """
    few = {2: ["apgd-ce", "fab-t", "square"], 3: ["apgd-ce", "apgd-dlr", "fab-t", "square"]}.get(classes)
    attacks = pyautoattack.AutoAttack(
        network,
        norm=NORMS[budget.norm],
        eps=budget.eps,
        seed=seed,
        device=device_of(network),
        version="custom" if few else version,
        attacks=few,
    )
    for targeted in (attacks.apgd_targeted, attacks.fab):
        targeted.n_target_classes = min(targeted.n_target_classes, classes - 1)
    return attacks


def run(attacks: pyautoattack.AutoAttack, batch: Batch) -> Broken:
    """Attack what is classified rightly, stage by stage; what is broken leaves.

    Does the same as `run_standard_evaluation` with this batch as its batch, number by number.
    """
    images = batch.images.contiguous()
    moved_images, stage = images.clone(), torch.full((len(batch),), -1, device=images.device)
    # what the attacks tell their log (zero gradients) the task finds out for itself
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []), torch.no_grad(), _heard():
        left = (decided(attacks.get_logits(images)) == batch.labels).nonzero().flatten()
        for number, name in enumerate(attacks.attacks_to_run):
            if not len(left):
                break
            labels = batch.labels[left]
            moved = _perturb(attacks, name)(images[left].clone(), labels.clone()).detach()
            broken = decided(attacks.get_logits(moved)) != labels
            moved_images[left[broken]], stage[left[broken]] = moved[broken], number
            left = left[~broken]
    return Broken(images=moved_images, stage=stage)


def black_box(attacks: pyautoattack.AutoAttack, broken: Broken) -> Tensor | None:
    """(n,), bool: broken by Square after all attacks before it had failed; None where it does not come after any."""
    names = list(attacks.attacks_to_run)
    return broken.stage == names.index(_BLACK_BOX) if _BLACK_BOX in names[1:] else None


def doubts(network: nn.Module, batch: Batch, *, randomised: bool) -> frozenset[Flag]:
    """What AutoAttack's checks say of `network`; `randomised`: whether it is expected to be."""
    images = batch.images.contiguous()
    with _heard() as flags:
        logger = logging.getLogger("auto-attack")
        if not randomised:
            checks.check_randomized(network, images, batch.labels, bs=len(batch), logger=logger)
        checks.check_range_output(network, images, logger=logger)
        # a counter that pyautoattack never resets: one dynamic network would make all later ones look dynamic
        checks.funcs.update(dict.fromkeys(checks.funcs, 0))
        with torch.no_grad():
            checks.check_dynamic(network, images, logger=logger)
    return frozenset(flags)


def _perturb(attacks: pyautoattack.AutoAttack, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The attack called `name`, set up as AutoAttack does before each batch."""
    loss = {"apgd-ce": "ce", "apgd-dlr": "dlr"}.get(name)
    if loss is not None:
        attacks.apgd.loss = loss
    if name in {"fab", "fab-t"}:
        attacks.fab.targeted = name == "fab-t"
    if name == "fab-t":
        attacks.fab.n_restarts = 1
    fab, apgd, targeted = attacks.fab, attacks.apgd, attacks.apgd_targeted
    by_name = {
        "apgd-ce": apgd,
        "apgd-dlr": apgd,
        "apgd-t": targeted,
        "fab": fab,
        "fab-t": fab,
        "square": attacks.square,
    }
    attack = by_name[name]
    attack.seed = attacks.get_seed()
    perturb: Callable[[Tensor, Tensor], Tensor] = attack.perturb
    return perturb


@contextmanager
def _heard() -> Iterator[set[Flag]]:
    """Collects what AutoAttack's checks say to their log."""
    flags: set[Flag] = set()

    class Listener(logging.Handler):
        @override
        def emit(self, record: logging.LogRecord) -> None:
            flags.update(flag for tell, flag in _TELLS.items() if tell in record.getMessage())

    logger, listener = logging.getLogger("auto-attack"), Listener(level=logging.WARNING)
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield flags
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates
