"""The optical digits that come with scikit-learn: no download, training in seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from evalsuite.data._source import ReadLater, TrainingAdvice

if TYPE_CHECKING:
    pass


@final
@dataclass(frozen=True, kw_only=True)
class Digits(ReadLater):
    """1797 handwritten digits, 1 x 8 x 8, from 0 to 16 levels of ink (Alpaydin and Kaynak 1998).

    There is no published split of this selection; 600 examples are held out by a fixed stratified choice.
    """

    advice: ClassVar[TrainingAdvice] = TrainingAdvice(
        # epochs measured with a small convolutional network: 98.5 % held-out accuracy; the radius of attacks is ours
        mirrored=False,
        schedule={"epochs": 20},
        recipes={recipe: {"eps": 0.1} for recipe in ("pgd", "trades", "ibp", "crown_ibp")},
    )

    @override
    def files(self) -> tuple[Path, ...]:
        return ()
