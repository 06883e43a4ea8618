"""Reads and writes `results.json`: withdrawn while the run is at work, written at its end, read beside its store.

The store is the only source of truth. When a run has ended it keeps, as its seal, a digest of its evidence and that of
the results that were made from it; from the moment at which the run is taken up again it has none. So results that are
old, unfinished, edited or of another run are noticed, and so is a store that was changed by anything but a run.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from evalsuite.analysis.results import strips, summarise
from evalsuite.errors import IncompleteEvidenceError, RefusedInputError, UsageError
from evalsuite.files.atomic import write_atomically
from evalsuite.records.run_folder import is_file
from evalsuite.records.schema import SCHEMA, Digests, Network, Results, parse_results
from evalsuite.records.sealing import (
    DIGESTS,
    ITSELF,
    Backing,
    first_difference,
    read_document,
    seal,
    sealed,
    sha256,
    sha256_of_file,
)
from evalsuite.records.store import Store, opened, reading
from evalsuite.records.stored import Meta, Seal

RESULTS: Final = "results.json"
VERDICT: Final = "junit.xml"
_STORE: Final = "results.sqlite"
_SCHEME: Final = 1
"""Raised whenever what a digest is computed over changes (`Store.evidence`, `evalsuite.records.sealing.canonical`)."""
_LARGER, _HEADER = 4, 2**26
"""By how much the file of a network may be larger than its tensors, as a factor and in bytes beside."""
_SLACK: Final = 4
_LEAST: Final = 2**20
"""How many times as long as it was written a file is read, since others may indent it; at least so many bytes."""


def withdraw(folder: Path, store: Store) -> None:
    """Take the results of before away: a run that is taken up has none until it has ended again.

    Raises:
        RefusedInputError: The store is not as the run left it.
    """
    check_unedited(folder, store)
    for name in (RESULTS, VERDICT):
        (folder / name).unlink(missing_ok=True)
    store.set_meta(Meta(complete=False, seal=None))


def check_unedited(folder: Path, store: Store) -> None:
    """Make sure that what the store of a finished run holds is what the run wrote.

    Raises:
        RefusedInputError: It is not.
    """
    stored_seal = store.meta().seal
    if stored_seal is not None and stored_seal.scheme == _SCHEME and stored_seal.evidence != store.evidence():
        raise RefusedInputError(
            f"{folder / _STORE}: expected the observations that the run wrote, got others: the file was changed or "
            f"damaged since; begin the run anew in another folder"
        )


def complete_record(results: Results, store: Store) -> Results:
    """Results that were just made from the store, with their digests."""
    document = sealed(results.document(), store=store.evidence(), request=sha256(store.meta().identity))
    return results.model_copy(update={"digests": Digests.model_validate(document[DIGESTS])})


def write(results: Results, folder: Path, store: Store) -> None:
    """Write sealed results to the run's folder. The run has ended.

    Raises:
        RefusedInputError: Damaged observations were computed again, and what the store holds is not what it held.
        ValueError: The results have no digests.
    """
    digests = results.digests
    if digests is None:
        raise ValueError("expected results with their digests, got a record that is not complete")
    if (awaited := store.meta().awaited) is not None and awaited != digests.store:
        raise RefusedInputError(
            f"{folder / _STORE}: expected the evidence that the run had before observations in it were damaged, got "
            f"other evidence: more was changed, or another command or machine has computed it; begin the run anew in "
            f"another folder"
        )
    write_atomically(folder / RESULTS, _text(results) + "\n")
    stored_seal = Seal(scheme=_SCHEME, evidence=digests.store, results=digests.results)
    store.set_meta(Meta(complete=results.complete, seal=stored_seal, awaited=None))


def refresh(folder: Path) -> tuple[Results, dict[str, bytes]]:
    """As `current`, of a run that no other process works on; `results.json` is written anew where the run has ended.

    Raises:
        BusyError: Another process works in the folder, and will write `results.json` itself.
        RefusedInputError: The store is not as the run left it.
    """
    with opened(folder) as store:
        check_unedited(folder, store)
        if not _has_ended(store.meta()):
            results = _summarised(store)
            return results, strips(store, results)
        results = complete_record(summarise(store), store)
        write(results, folder, store)
        return results, strips(store, results)


def current(folder: Path) -> tuple[Results, dict[str, bytes]]:
    """What a run folder's store holds at the moment, summarised, with the strips of sample images; nothing is written.

    A run that is at work, or was stopped, is never complete, and has no digests.

    Raises:
        UsageError: The folder holds no run.
        IncompleteEvidenceError: The run has no networks yet.
    """
    with reading(folder) as store:
        results = _summarised(store)
        return results, strips(store, results)


def recognised(folder: Path, store: Store) -> Results | None:
    """The results of a finished run, read from its folder, if everything there is as the run left it; else None."""
    stored_seal = store.meta().seal
    if stored_seal is None or stored_seal.scheme != _SCHEME or not (folder / RESULTS).is_file():
        return None
    try:
        document, evidence = read_document(folder / RESULTS), store.evidence()
        results = parse_results(document)
    except (RefusedInputError, OSError):  # the run itself takes out what is damaged
        return None
    digests = seal(document)
    if digests is None or digests[ITSELF] != stored_seal.results or evidence != stored_seal.evidence:
        return None
    kept = {each.file: each.sha256 for each in results.networks}
    try:
        here = files_in(folder, results.networks)
    except RefusedInputError:  # the run itself puts files in the place of what is none
        return None
    return results if all(kept[file] == digest for file, digest in here.items()) else None


def read_back(run: Path) -> tuple[Results, Backing]:
    """The results of a finished run, and what stands behind them.

    Where the store is there they are made from it anew, and what `results.json` says has to be the same. Else they are
    those of the file, as far as its own digest goes.

    Args:
        run: A run folder, or its `results.json`.

    Raises:
        IncompleteEvidenceError: The run has not ended, or was taken up again.
        RefusedInputError: Store and results do not belong together, or one of them is damaged.
        UsageError: There is no such run.
    """
    path = run / RESULTS if run.is_dir() else run
    folder = path.parent
    has_store = path.name == RESULTS and (folder / _STORE).exists()
    if not path.is_file():
        if has_store:
            raise IncompleteEvidenceError(
                f"{folder}: the run is not finished, or was taken up again: it has no {RESULTS}; the run's own command "
                f"continues it"
            )
        raise UsageError(f"expected a run folder with {RESULTS}, got {run}")
    results = _from_store(folder) if has_store else _alone(path)
    return results, Backing(store=has_store, files=files_in(folder, results.networks))


def read_results(run: Path) -> Results:
    """The results of a run folder, or of a results.json, to be shown: `read_back` asks where they come from.

    Raises:
        IncompleteEvidenceError: The run is not finished.
        RefusedInputError: The file is not evalsuite's results.
        UsageError: There is no such run.
    """
    path = run / RESULTS if run.is_dir() else run
    if not path.is_file():
        if (run / _STORE).exists():
            raise IncompleteEvidenceError(f"{run}: the run is not finished; the sweep's own command continues it")
        raise UsageError(f"expected a run folder with {RESULTS}, got {run}")
    return parse_results(_document_of_schema(path))


def files_in(folder: Path, networks: Iterable[Network]) -> dict[str, str]:
    """SHA-256 of those files of networks that lie in `folder`, by their name; names that lead out of it are left out.

    Of a file that is far larger than its network can be the size stands in place of the digest: it is another one.

    Args:
        folder: A run folder.
        networks: As in results.

    Raises:
        RefusedInputError: Something else than a file lies under the name of one.
    """
    digests: dict[str, str] = {}
    for network in networks:
        name = network.file
        if name is None or ".." in Path(name).parts or Path(name).is_absolute():
            continue
        path = folder / name
        if not os.path.lexists(path):
            continue
        if not is_file(path):
            raise RefusedInputError(
                f"{path}: expected a file that a run wrote, got a link or something else that is none: nothing is "
                f"followed out of a run folder; the run's own command puts the network in its place"
            )
        most = _LARGER * 1e6 * (network.megabytes or 0) + _HEADER
        here = path.stat().st_size
        digests[name] = sha256_of_file(path) if here <= most else f"none: the file has {here:,} bytes"
    return digests


def _has_ended(meta: Meta) -> bool:
    """Whether the run wrote results and was not taken up since; versions that kept no seal kept `complete` alone."""
    return meta.seal is not None if "seal" in meta.model_fields_set else meta.complete


def _summarised(store: Store) -> Results:
    results = summarise(store)
    if _has_ended(store.meta()):
        return complete_record(results, store)
    return results.model_copy(update={"complete": False})


def _from_store(folder: Path) -> Results:
    with reading(folder) as store:
        before = store.meta()
        stored_seal = before.seal
        if stored_seal is None or stored_seal.scheme != _SCHEME:
            raise IncompleteEvidenceError(f"{folder}: {_unsealed(before)}")
        check_unedited(folder, store)
        results = complete_record(summarise(store), store)
        if store.meta().seal != stored_seal:
            raise IncompleteEvidenceError(f"{folder}: the run was taken up again; the run's own command continues it")
    _check_same(folder / RESULTS, results, stored_seal)
    return results


def _unsealed(meta: Meta) -> str:
    if ("seal" not in meta.model_fields_set and meta.complete) or meta.seal is not None:
        return (
            "its results were written by a version of evalsuite that kept no digests, or others; the run's own command "
            "writes them anew from the store"
        )
    return "the run is not finished, or was taken up again; the run's own command continues it"


def _check_same(path: Path, results: Results, stored_seal: Seal) -> None:
    """Hold `results.json` against what the store says.

    Raises:
        RefusedInputError: It was edited, is of another run, or of another state of this one.
    """
    way_out = f"`evalsuite report {path.parent}` writes it anew from the store"
    length = len(_text(results))
    try:
        document = read_document(path, most=max(_SLACK * length, _LEAST))
    except RefusedInputError as error:
        raise RefusedInputError(f"{error}; {way_out}") from error
    bare, expected = ({k: v for k, v in each.items() if k != DIGESTS} for each in (document, results.document()))
    if (difference := first_difference(bare, expected)) is not None:
        raise RefusedInputError(f"{path}: expected what the store says, got other results: {difference}; {way_out}")
    digests = seal(document)
    if digests is None or digests.get(ITSELF) != stored_seal.results:
        raise RefusedInputError(f"{path}: expected the file that the run wrote, got one with other digests; {way_out}")


def _text(results: Results) -> str:
    """What stands in the file, without its last line break."""
    return json.dumps(results.document(), indent=1, allow_nan=False)


def _alone(path: Path) -> Results:
    """Results without a store: what their own digest vouches for.

    Raises:
        RefusedInputError: They are not what they were when they were written.
        IncompleteEvidenceError: They have no digests, by which anything could be told.
    """
    document = _document_of_schema(path)
    if DIGESTS not in document:
        raise IncompleteEvidenceError(
            f"{path}: results without digests, of a run that is not finished or of a version of evalsuite before them; "
            f"the run's own command writes them anew"
        )
    if seal(document) is None:
        raise RefusedInputError(f"{path}: expected the results that were written, got others: their digest differs")
    return parse_results(document)


def _document_of_schema(path: Path) -> dict[str, object]:
    document = read_document(path)
    if document.get("schema") != SCHEMA:
        raise RefusedInputError(f"{path}: expected schema {SCHEMA}, got {str(document.get('schema'))[:60]!r}")
    return document
