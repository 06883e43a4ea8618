"""Checks of the evidence that every policy makes: is it there, all of it, and of which networks?"""

from collections.abc import Sequence

from evalsuite.gate.checks import Check, JudgedNetwork, Outcome
from evalsuite.gate.policy import Terms
from evalsuite.records.schema import Network, Results
from evalsuite.records.sealing import Backing


def judged_networks(results: Results, names: Sequence[str | None]) -> list[JudgedNetwork]:
    """The networks with these names, each once; None names none."""
    by_name = {network.id: network for network in results.networks}
    networks = [by_name[name] for name in dict.fromkeys(names) if name is not None]
    return [JudgedNetwork(id=n.id, tensors=n.digest, sha256=n.sha256, file=n.file) for n in networks]


def check_evidence(terms: Terms, results: Results, backing: Backing, judged: Sequence[JudgedNetwork]) -> list[Check]:
    """Checks of the run as a whole, and of every network that is judged or whose file lies in the run folder.

    Args:
        terms: Whether a store has to be there.
        results: The results.
        backing: What stands behind them.
        judged: The networks that the policy is about.
    """
    checks = [_complete(results), _backed(terms, results, backing)]
    checks += [_broken(results)] if any(each.broken for each in results.invariants) else []
    checks += [_judged(network, backing) for network in judged]
    names = {network.id for network in judged}
    checks += [
        _odd(each) for each in results.networks if each.not_finite and (each.id in names or each.role == "parent")
    ]
    others = [network for network in results.networks if network.id not in names]
    return [*checks, *(_other(network) for network in others if _differs(network, backing))]


def check_release(digest: str, results: Results, judged: Sequence[JudgedNetwork]) -> Check:
    """Whether the file of this SHA-256 is one of the networks that were judged, or was held against one."""
    files = {network.id: network.sha256 for network in results.networks}
    names = {network.id: network.id for network in judged}
    names |= {each.id: each.of for each in results.shipped if each.of in names and each.holds}
    match = next((name for name in names if files[name] == digest), None)
    if match is None:
        message = f"the file of SHA-256 {digest} is none that was judged: {', '.join(sorted(names)) or 'none was'}"
        message += "; `evaluate --shipped NAME=FILE` holds an exported file against the network that it was made from"
        return _check("release", "a file that was judged", Outcome.INCOMPLETE, message)
    shipped = "" if names[match] == match else f", which gives the predictions of {names[match]}"
    message = f"the file of SHA-256 {digest} is {match}{shipped}"
    return _check("release", "a file that was judged", Outcome.PASS, message, names[match])


def _complete(results: Results) -> Check:
    cells = len(results.cells)
    if results.complete and cells:
        return _check("complete", "every cell", Outcome.PASS, f"all {cells} cells are evaluated")
    missing = next((cell for cell in results.cells if cell.n is None), None)
    why = f": {missing.task}:{missing.measure} of {missing.network}: {missing.reason}" if missing else ""
    return _check("complete", "every cell", Outcome.INCOMPLETE, f"the run's evidence is not complete{why}")


def _backed(terms: Terms, results: Results, backing: Backing) -> Check:
    if backing.store:
        message = (
            f"results made again from the store, evidence SHA-256 {results.digests.store if results.digests else None}"
        )
        return _check("store", "results from the store", Outcome.PASS, message)
    message = "on results.json alone, the store is not here: only its own digest says that nobody changed it"
    if terms.require_store:
        message += "; gate the run folder with results.sqlite, or accept it by require_store = false in the policy"
        return _check("store", "results from the store", Outcome.INCOMPLETE, message)
    return _check("store", "results.json alone", Outcome.PASS, message)


def _broken(results: Results) -> Check:
    first = next(each for each in results.invariants if each.broken)
    message = (
        f"{first.violations} of {first.n} examples are right in {first.inner} and wrong in {first.outer}, which cannot "
        f"be: something is wrong with the run"
    )
    return _check("invariants", "none broken", Outcome.INCOMPLETE, message, first.network)


def _judged(network: JudgedNetwork, backing: Backing) -> Check:
    message = f"{network.id} is the network with tensors {network.tensors}"
    message += f" and the file of SHA-256 {network.sha256}" if network.sha256 else ", which no file was read from"
    here = None if network.file is None else backing.files.get(network.file)
    outcome = Outcome.PASS
    if network.tensors is None or (here is not None and network.sha256 is None):
        message = f"the results do not say which file {network.id} is: the run's own command says it"
        outcome = Outcome.INCOMPLETE
    elif here is not None and here != network.sha256:
        message, outcome = f"{message}; {network.file} is another one, SHA-256 {here}", Outcome.INCOMPLETE
    elif network.file is not None:
        message += f"; {network.file} is this file" if here else f"; {network.file} is not in the run folder"
    return _check("network", "the one that was judged", outcome, message, network.id)


def _odd(network: Network) -> Check:
    message = f"{network.id} puts out NaN or infinity on {', '.join(network.not_finite[:3])}"
    message += f" and {len(network.not_finite) - 3} more" if len(network.not_finite) > 3 else ""
    return _check("outputs", "finite", Outcome.INCOMPLETE, message, network.id)


def _differs(network: Network, backing: Backing) -> bool:
    here = None if network.file is None else backing.files.get(network.file)
    return here is not None and here != network.sha256


def _other(network: Network) -> Check:
    message = f"{network.file} is not the file that was judged as {network.id}, SHA-256 {network.sha256}"
    return _check("network", "the one that was judged", Outcome.INCOMPLETE, message, network.id)


def _check(requirement: str, limit: str, outcome: Outcome, message: str, network: str | None = None) -> Check:
    return Check(
        requirement=requirement,
        limit=limit,
        task="evidence",
        measure=None,
        network=network,
        outcome=outcome,
        message=f"{requirement}: {message}",
    )
