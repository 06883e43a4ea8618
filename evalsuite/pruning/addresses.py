"""Addresses of networks: digests of everything that a network of a run is made from."""

from collections.abc import Sequence
from typing import final

from evalsuite.config.options import Control
from evalsuite.config.settings import PruningSettings
from evalsuite.config.spec import digest
from evalsuite.inputs.read import Inputs
from evalsuite.networks.digest import network_digest
from evalsuite.parts.names import part_name
from evalsuite.pruning.controls import trains_in_full
from evalsuite.records.stored import StoredFamily


@final
class Addresses:
    """The addresses of one run's networks.

    Attributes:
        parent_digest: Digest of the parent's tensors.
    """

    def __init__(self, inputs: Inputs, settings: PruningSettings, seed: int) -> None:
        """Those of a run that makes what `making` says, by the run's `seed`."""
        train = inputs.dataset.train
        self.parent_digest = network_digest(inputs.parent.network, inputs.parent.shape)
        self._making = settings
        self._origin: dict[str, object] = {
            **settings.address(),
            "parent": self.parent_digest,
            "data": None if train is None else digest({"train": list(train.ids)}),
            "seed": seed,
            "version": 1,
        }

    @property
    def parent(self) -> str:
        """The unpruned network's."""
        return digest({"parent": self.parent_digest})

    def pruned(self, family: StoredFamily) -> tuple[str, ...]:
        """Those of a family's networks, by ratio: with a cascade all ratios up to its own count, else its own alone."""
        ratios = self._making.ratios
        schedules: list[Sequence[float]] = [
            [ratio] if self._making.one_shot else list(ratios[: step + 1]) for step, ratio in enumerate(ratios)
        ]
        return tuple(
            digest({"from": self._origin, "family": family.document(), "ratios": schedule}) for schedule in schedules
        )

    def control(self, control: Control, pruned: str) -> str:
        """A control's: the network beside it and, where it is trained in full, the recipe for that."""
        full = self._making.full
        how = {"full": part_name(full)} if full is not None and trains_in_full(control) else {}
        return digest({"control": control, "of": pruned, "version": 1, **how})

    def dense(self, repetition: int) -> str:
        """The retrained parent's."""
        return digest({"control": self._origin, "seed": repetition, "steps": len(self._making.ratios)})

    def recalibrated(self) -> str:
        """That of the parent with its batch norm measured again."""
        return digest({"control": self._origin, "recalibrated": True})
