"""Test accuracy: the held-out examples as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn
from typing_extensions import override

from evalsuite.data._base import Batch
from evalsuite.tasks._abilities import ComparesToParent
from evalsuite.tasks._base import Task, TaskOutput
from evalsuite.tasks._predict import predict


@final
@dataclass(frozen=True, kw_only=True)
class Clean(Task, ComparesToParent):
    """Asks for the class of every held-out example, unchanged."""

    version: ClassVar[int] = 3
    of_classes: ClassVar[bool] = False
    usage: ClassVar[tuple[str, ...]] = ("clean",)

    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        del seed  # nothing is random here
        return TaskOutput(networks=predict(networks, shard.images, shard), pictures=shard.images)

    @override
    def title(self) -> str:
        return "test accuracy"
