"""The architecture contract: hyperparameters → an untrained network that takes normalised images."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """A family of networks. Subclasses are frozen keyword-only dataclasses whose fields are its hyperparameters."""

    @abstractmethod
    def __call__(self, *, classes: int, channels: int, image_size: int) -> nn.Module:
        """An untrained network, drawn from torch's random state as it stands.

        Args:
            classes: Number of logits.
            channels: Channels of the images.
            image_size: Their side in pixels.

        Raises:
            UsageError: The family makes no sense on such images.
        """
