"""MNIST (LeCun, Bottou, Bengio and Haffner 1998)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from evalsuite.data._archive_files import archive_files
from evalsuite.data._source import ReadLater, TrainingAdvice

if TYPE_CHECKING:
    pass


@final
@dataclass(frozen=True, kw_only=True)
class Mnist(ReadLater):
    """60 000 and 10 000 handwritten digits, 1 x 28 x 28."""

    advice: ClassVar[TrainingAdvice] = TrainingAdvice(
        # radius and steps of Madry et al. 2018, the weight of Zhang et al. 2019
        mirrored=False,
        schedule={"epochs": 6},
        recipes={
            "pgd": {"eps": 0.3, "steps": 40, "step": 1 / 30},
            "trades": {"beta": 1.0, "eps": 0.3, "steps": 40, "step": 1 / 30},
            "ibp": {"eps": 0.3},
            "crown_ibp": {"eps": 0.3},
        },
    )

    @override
    def files(self) -> tuple[Path, ...]:
        return archive_files("MNIST/raw")
