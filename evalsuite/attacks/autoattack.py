"""AutoAttack through pyautoattack: the reference engine and oracle."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import pyautoattack
import torch
from pyautoattack import checks
from torch import nn
from typing_extensions import override

from evalsuite.attacks._base import Attack, Attacked, Budget, Flag, Norm
from evalsuite.data._base import Batch

_NORM = {"linf": "Linf", "l2": "L2", "l1": "L1"}
_TELLS = {
    "randomized defense": Flag.RANDOMISED,
    "probability distribution": Flag.PROBABILITIES,
    "dynamic defense": Flag.DYNAMIC,
    "zero gradient": Flag.ZERO_GRADIENT,
    "Square Attack has decreased": Flag.BLACK_BOX,
}


@final
@dataclass(frozen=True, kw_only=True)
class Autoattack(Attack):
    """APGD-CE, targeted APGD, targeted FAB and Square in turn (Croce and Hein 2020, arXiv:2003.01690).

    The result depends on the batch, since pyautoattack draws its random numbers batch by batch: the shard is the batch.
    With fewer than ten classes the targeted attacks aim at all other classes; with fewer than four, where the
    targeted DLR loss is not defined, APGD-DLR (three) or nothing (two) takes the place of targeted APGD.

    Attributes:
        version: "standard" (the protocol), "plus", or "rand" for randomised networks.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2", "l1")

    version: Literal["standard", "plus", "rand"] = "standard"

    @override
    def typical_steps(self) -> int:
        return 1200  # 3600 for an example that is never broken; about a third are, where an attack is worth its time

    @override
    def __call__(self, network: nn.Module, batch: Batch, budget: Budget, *, seed: int) -> Attacked:
        images = batch.images.contiguous()
        with torch.no_grad():
            classes = network(images[:1]).shape[-1]
        # a counter that pyautoattack never resets: one dynamic network would make all later ones look dynamic
        checks.funcs.update(dict.fromkeys(checks.funcs, 0))
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []), _flags() as flags:
            attack = self._attack(network, classes, budget, seed)
            found, _ = attack.run_standard_evaluation(images, batch.labels, batch_size=len(batch))
        return Attacked(images=found, flags=frozenset(flags))

    def _attack(self, network: nn.Module, classes: int, budget: Budget, seed: int) -> pyautoattack.AutoAttack:
        few = {2: ["apgd-ce", "fab-t", "square"], 3: ["apgd-ce", "apgd-dlr", "fab-t", "square"]}.get(classes)
        attack = pyautoattack.AutoAttack(
            network,
            norm=_NORM[budget.norm],
            eps=budget.eps,
            seed=seed,
            device=next(network.parameters()).device,
            version="custom" if few else self.version,
            attacks=few,
        )
        for targeted in (attack.apgd_targeted, attack.fab):
            targeted.n_target_classes = min(targeted.n_target_classes, classes - 1)
        return attack


@contextmanager
def _flags() -> Iterator[set[Flag]]:
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
