"""Errors of parts that make networks, as refusals: what a method cannot do with a network is no fault of evalsuite."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from evalsuite.errors import UsageError
from evalsuite.process.culprit import culprit, is_memory, what_it_says
from evalsuite.process.third_party_code import others_code

_NONE: Mapping[str, object] = MappingProxyType({})


@contextmanager
def refusing(what: str, *, networks: Mapping[str, object] = _NONE) -> Iterator[None]:
    """Inside, a ValueError or RuntimeError becomes one line that begins with `what`; it stays as the cause.

    Args:
        what: A part and what it fails at: "--pruner sipp cannot prune this network".
        networks: As of `others_code`.

    Raises:
        UsageError: Instead of ValueError and RuntimeError. Others, such as AssertionError, are programming errors and
            stay what they are.
        OthersError: Others' code raised something, whatever it was.
    """
    with others_code(what, networks=networks):
        try:
            yield
        except (ValueError, RuntimeError) as error:
            if culprit(error, networks.values()) is not None or is_memory(error):
                raise
            raise UsageError(f"{what}: {what_it_says(error).removeprefix(f'{type(error).__name__}: ')}") from error
