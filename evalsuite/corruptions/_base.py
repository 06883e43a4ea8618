"""The contract of a corruption: a batched tensor function with published constants, seeded per example."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class Corruption(ABC):
    """A way in which images are damaged, such as the 15 + 4 of Hendrycks and Dietterich 2019 (arXiv:1903.12261).

    Subclasses are frozen keyword-only dataclasses with the one field `severity` (1 to 5).

    Attributes:
        group: "noise", "blur", "weather", "digital", as in the paper, "extra" for its four validation corruptions, or
            "other".
        moves: Whether what an image shows stands elsewhere afterwards, beyond being blurred where it stood.
    """

    group: ClassVar[str]
    moves: ClassVar[bool] = False
    severity: int

    @abstractmethod
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Corrupt a batch.

        Args:
            images: (n, c, h, w), float32 in [0, 1]; c is 1 or 3. Not changed.
            keys: (n,), int64, one per example (`evalsuite.randomness`); row i of the result depends on images[i]
                and keys[i] only.

        Returns:
            (n, c, h, w), float32 in [0, 1], in steps of 1/255: truncated to 8 bit as the published sets are.
        """

    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        """Why this corruption makes no sense on images of `shape` (c, h, w), or None where it does."""
        del shape
        return None
