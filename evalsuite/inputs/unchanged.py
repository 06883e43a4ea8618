"""Checks that networks which a run recognises by their weights still compute what they did when it met them."""

from pathlib import Path

from torch import nn

from evalsuite.errors import UsageError
from evalsuite.networks.answers import answers, changed
from evalsuite.networks.digest import network_digest
from evalsuite.process.third_party_code import others_code
from evalsuite.records.store import Store
from evalsuite.records.stored import Meta


def check_unchanged(
    network: nn.Module, digest: str, shape: tuple[int, int, int], store: Store, out: Path, *, title: str
) -> bool:
    """Hold `network` against what it answered before, and write down what it answers now.

    Before any network is kept in the run, code may be corrected: the run then forgets what it knew of the network.

    Args:
        network: In evaluation mode.
        digest: Of its weights and modules.
        shape: (channels, height, width) of its images.
        store: Of the run.
        out: The run's folder, for the message.
        title: What the network is called in the message.

    Returns:
        Whether it answers as before; True of a network that is new to the run or random.

    Raises:
        UsageError: The run holds networks already, and this one computes something else than it did; or it changes
            itself when it is asked.
    """
    with others_code("holding its answers against earlier ones", networks={title.removeprefix("the "): network}):
        earlier, now = store.meta().answers, answers(network, shape)
        after = network_digest(network, shape)
    if after != digest:
        raise UsageError(
            f"expected a network that is the same after it was asked, got one that changes itself in evaluation mode: "
            f"{title} (batch norm that goes on measuring, counters in buffers?)"
        )
    if now is None:
        return True
    before = earlier.get(digest)
    same = before is None or not changed(before, now)
    if not same and store.network_count():
        raise UsageError(
            f"{out}: {title} has the weights that it had when this run began, but its code computes something else "
            f"with them now, so that figures of before would stand for it: choose another --out"
        )
    if before is None or not same:
        store.set_meta(Meta(answers={**earlier, digest: now}))
    return same
