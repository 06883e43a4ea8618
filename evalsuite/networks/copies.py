"""Copies networks, and says what to do where one cannot be copied."""

from typing import TypeVar

from torch import nn

import neuralnets.copies
from evalsuite.errors import UsageError

_Network = TypeVar("_Network", bound=nn.Module)


def copied(network: _Network) -> _Network:
    """A deep copy as of `neuralnets.copies.copied`.

    Raises:
        UsageError: `network` is TorchScript or holds what cannot be copied, such as an open file; the message names it.
    """
    try:
        return neuralnets.copies.copied(network)
    except neuralnets.copies.ScriptedError as error:
        way_out = "give its state_dict with --arch NAME to prune it, or a torch.export file of it to judge it as it is"
        raise UsageError(f"{error}: {way_out}") from error
    except neuralnets.copies.UncopyableError as error:
        raise UsageError(str(error)) from error
