"""Describes in words how the names in a file were read: prefixes, other spellings, masks, what was left out."""

from collections.abc import Iterator, Sequence

from evalsuite.interpretation import Basis, Interpretation
from evalsuite.networks.checkpoints._selection import Candidate
from evalsuite.networks.effective_weights import effective
from evalsuite.networks.reparametrised import baked
from evalsuite.wording import listed


def key_readings(candidate: Candidate, weights: str | None) -> tuple[Interpretation, ...]:
    """One interpretation for each thing that was done to the names, or because of them.

    Args:
        candidate: The weights that were taken.
        weights: What the user says of them, as for `select`.
    """
    return (*_renamings(candidate), *_parts(candidate), *_left_out(candidate, weights))


def _renamings(candidate: Candidate) -> Iterator[Interpretation]:
    aligned = candidate.aligned
    if candidate.upgrade:
        reason = "all tensors of the network are there under its present names"
        yield Interpretation(topic="old names", value=candidate.upgrade, basis="measured", reason=reason)
    if aligned.prefix:
        reason = "all tensors of the network are there behind it"
        yield Interpretation(topic="prefix removed", value=aligned.prefix, basis="measured", reason=reason)
    if aligned.renamed:
        new, old = next(iter(aligned.renamed.items()))
        value = f"{old} is {new}" + (f", and {len(aligned.renamed) - 1} more" if len(aligned.renamed) > 1 else "")
        reason = "names that others give to the same layers"
        yield Interpretation(topic="keys renamed", value=value, basis="measured", reason=reason)


def _parts(candidate: Candidate) -> Iterator[Interpretation]:
    aligned = candidate.aligned
    under = {n: t for n, t in candidate.source.tensors.items() if n.startswith(aligned.prefix)}
    # parts that the network itself keeps as parts stay as they are
    tensors = {name: t for name, t in under.items() if name.removeprefix(aligned.prefix) not in aligned.tensors}
    merged = effective(tensors)
    masked = [name for name in merged if name not in tensors]
    if masked:
        kept = sum(int(merged[name].count_nonzero()) for name in masked)
        count = sum(merged[name].numel() for name in masked)
        value = f"{listed(masked)}: {kept} of {count} numbers are not zero"
        yield Interpretation(topic="masks", value=value, basis="recorded", reason="masks of torch.nn.utils.prune")
    made = [name for name in baked(merged) if name not in merged]
    if made:
        reason = "computed from the parts in the file, as in evaluation"
        yield Interpretation(topic="weight and spectral norm", value=listed(made), basis="recorded", reason=reason)


def _left_out(candidate: Candidate, weights: str | None) -> Iterator[Interpretation]:
    beside, prefix = candidate.aligned.beside, candidate.aligned.prefix
    where = f"they stand outside of {prefix!r}" if prefix else "the network has no such modules"
    kinds: tuple[tuple[Sequence[str], Basis, str, str], ...] = (
        ((*beside.ignored, *candidate.source.others), "measured", "no part of what the network computes", ""),
        (beside.weighty, *_why_left_out(candidate, weights, where), f"--weights {candidate.label}"),
        (
            beside.unclear,
            "doubtful",
            f"{where}; a normalisation or a scale among them would be lost",
            "--normalise MEAN/STD",
        ),
    )
    for names, basis, reason, option in kinds:
        if names:
            yield Interpretation(topic="keys ignored", value=listed(names), basis=basis, reason=reason, option=option)


def _why_left_out(candidate: Candidate, weights: str | None, where: str) -> tuple[Basis, str]:
    """Whoever names the weights says that what stands elsewhere is no part of them."""
    key = candidate.source.key
    full = [f"{key}.{name}" if key else name for name in candidate.aligned.beside.weighty]
    if weights is not None and not any(name.startswith(f"{weights.rstrip('.')}.") for name in full):
        return "given", f"{where}, and of --weights {weights}"
    return "assumed", f"{where}, and are taken to be no part of what is judged"
