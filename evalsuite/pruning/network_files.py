"""Keeps the networks of a run as files, with their counts in the store, so that nothing is made twice."""

import re
from dataclasses import replace
from pathlib import Path
from typing import final

from torch import nn

from evalsuite.config.settings import PruningSettings
from evalsuite.engines._items import NetworkRef
from evalsuite.engines._networks import NetworkLoader, affordable
from evalsuite.errors import EvalsuiteError, UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.networks.architectures.by_name import runs_users_code
from evalsuite.networks.architectures.input_convention import Arguments
from evalsuite.networks.checkpoints.checkpoint import read, restore, write
from evalsuite.networks.costs.cost import Cost
from evalsuite.networks.digest import network_digest
from evalsuite.networks.normalized import Normalized
from evalsuite.parts.names import part_name
from evalsuite.process.third_party_code import OthersError, others_code
from evalsuite.pruning.describe import COUNTING, Made, describe
from evalsuite.records.run_folder import is_file
from evalsuite.records.sealing import sha256_of_file
from evalsuite.records.store import Store
from evalsuite.records.stored import StoredNetwork
from evalsuite.version import __version__


@final
class NetworkFiles:
    """The files below `networks/` of a run folder.

    Attributes:
        loader: Loads them, and holds those that were used last.
    """

    def __init__(
        self,
        inputs: Inputs,
        settings: PruningSettings,
        store: Store,
        folder: Path,
        *,
        parent_digest: str,
        whole: Cost | None,
    ) -> None:
        """`whole` is the cost of the parent."""
        self._inputs, self._making, self._store, self._folder = inputs, settings, store, folder
        self._parent_digest, self._whole = parent_digest, whole
        self.loader = NetworkLoader(self._read_again, budget=affordable(inputs.parent.network, inputs.device))

    def load_existing(self, address: str) -> NetworkRef | None:
        """The network that is there already for an address; None where it has to be made (again)."""
        stored = self._store.network(address)
        path = self._folder / (stored.file or "") if stored else None
        if stored is None or path is None or not is_file(path):  # a link is no network of this run: it is replaced
            return None
        try:
            network = self._read(path)
        except OthersError:
            raise
        except EvalsuiteError:
            return None  # a damaged file is made again
        if network_digest(network, self._inputs.parent.shape) != stored.digest:
            return None
        if (sha256 := sha256_of_file(path)) != stored.sha256:  # the same tensors, written otherwise
            self._store.add_network(address, stored.model_copy(update={"sha256": sha256}))
        return self._added(stored, network)

    def save(self, address: str, network: nn.Module, made: Made, arguments: Arguments | None = None) -> NetworkRef:
        """Write a network and its counts; what is evaluated is what is on disk."""
        parent = self._inputs.parent
        assert isinstance(network, Normalized)  # noqa: S101 - pruning and training keep what they are handed
        recipe = self._making.recipe
        step: dict[str, str | int | float | bool | None] = {
            "step": made.role,
            "from": self._parent_digest,
            "version": __version__,
            "pruner": made.pruner,
            "target_ratio": made.target,
            "retrain": None if recipe is None else part_name(recipe),
            "seed": made.seed,
        }
        file = f"networks/{re.sub(r'[^A-Za-z0-9._-]+', '_', made.id)}.safetensors"
        path, arguments = self._folder / file, parent.arguments if arguments is None else arguments
        write(path, replace(parent, network=network, arguments=arguments, lineage=(*parent.lineage, step)))
        with others_code(COUNTING, networks={made.id: network}):
            saved = self._read(path)
            shape, sha256 = self._inputs.dataset.shape, sha256_of_file(path)
            described = describe(saved, made, whole=self._whole, shape=shape, file=file, sha256=sha256)
        self._store.add_network(address, described)
        return self._added(described, saved)

    def _added(self, stored: StoredNetwork, network: nn.Module) -> NetworkRef:
        ref = NetworkRef(id=stored.id, digest=stored.digest, file=str(self._folder / (stored.file or "")))
        self.loader.add(ref, network)
        return ref

    def _read(self, path: Path) -> nn.Module:
        parent = self._inputs.parent
        with others_code(f"reading {path}"):
            if parent.arch is None:  # a network that only the user's Python can build takes the parent's place
                return restore(path, parent.network).to(self._inputs.device).eval()
            # a name of the user's own code stands in the file, and is trusted only because they said it for the parent
            arch = parent.arch if runs_users_code(parent.arch) else None
            network = read(path, arch=arch, arguments=parent.arguments).network
            return network.to(self._inputs.device).eval()

    def _read_again(self, ref: NetworkRef) -> nn.Module:
        assert ref.file is not None  # noqa: S101 - the loader reads files only
        network = self._read(Path(ref.file))
        if network_digest(network, self._inputs.parent.shape) != ref.digest:
            raise UsageError(
                f"expected the network that was evaluated before in {ref.file}, got another: it has changed"
            )
        return network
