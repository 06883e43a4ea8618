"""Ratios that a family passes over: remembered by address, so that a run that goes on does not try them again."""

from collections.abc import Collection, Iterable, Mapping
from typing import final

from evalsuite.errors import UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.records.store import Store
from evalsuite.records.stored import Meta, StoredFamily


@final
class PassedOver:
    """The addresses for which no network is made.

    Attributes:
        readings: What a reader is told of them.
    """

    def __init__(self, store: Store) -> None:
        """`store` remembers them."""
        self.readings: list[Interpretation] = []
        self._store = store

    def addresses(self) -> frozenset[str]:
        """Those that are remembered."""
        return frozenset(self._store.meta().passed_over)

    def remember(self, missing: Iterable[str], made: Collection[str]) -> None:
        """Store the addresses of networks that could not be made, and drop those that have been made since."""
        before = [each for each in self._store.meta().passed_over if each not in made]
        self._store.set_meta(Meta(passed_over=tuple(dict.fromkeys([*before, *missing]))))

    def close(self, family: StoredFamily, ratios: Mapping[str, float], made: Collection[str]) -> None:
        """Remember and say for which ratios of a finished family there is no network; `ratios` are by address.

        Raises:
            UsageError: There is none at all.
        """
        missing = {address: ratio for address, ratio in ratios.items() if address not in made}
        listed = ", ".join(f"{ratio:g}" for ratio in missing.values())
        if len(missing) == len(ratios):
            method = str(family.pruner).replace("_", "-")
            raise UsageError(
                f"--pruner {method}: expected ratios above what is pruned already, got none that it reaches with this "
                f"network: {listed}"
            )
        self.remember(missing, made)
        if missing:
            reading = Interpretation(
                topic="ratios passed over",
                value=f"{family.id} has no network for {listed}",
                basis="measured",
                reason="the network before is as small already, or what can go as one is too coarse to get beyond it",
                option="--ratios",
            )
            self.readings.append(reading)
