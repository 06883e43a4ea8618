"""Explains in one line why the tensors of a file do not fit a network."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from evalsuite.networks.checkpoints._alignment import Aligned, nearest
from evalsuite.networks.checkpoints._layout import last
from evalsuite.wording import listed

_MOST_COMPARED: Final = 2000
_HINTS: Final = (
    ("lora_", "a low-rank adapter is merged into its network before it is saved (merge_and_unload of peft)"),
    (
        "fake_quant",
        "a network for quantisation-aware training is judged as what it is converted to: export it (.pt2, ONNX)",
    ),
    ("activation_post_process", "a network prepared for quantisation is judged as it is exported (.pt2, ONNX)"),
    ("_packed_params", "a quantised network is judged as it is exported (.pt2, ONNX)"),
    ("_flat_param", "a sharded network is saved whole: gather its full state_dict first"),
    (
        "parametrizations.",
        "a parametrisation is made part of the weight by torch.nn.utils.parametrize.remove_parametrizations",
    ),
)


def explain(aligned: Aligned, misshapen: tuple[str, ...], arch: str) -> str:
    """Which names lack, are too many, have another shape, and which built-in architectures have these names."""
    lines = [
        _some([_near(name, aligned) for name in aligned.missing], "it lacks"),
        _some(aligned.beside.unexpected, "it has beside them"),
        _some(misshapen, "of another shape are"),
    ]
    if aligned.prefix:
        lines.append(f"under the prefix {aligned.prefix!r}")
    return f"expected the tensors of {arch}, got others: {'; '.join(filter(None, lines))}.{_hint(aligned)}"


def _hint(aligned: Aligned) -> str:
    # every name is held against every architecture
    near = nearest(aligned.names) if len(aligned.names) <= _MOST_COMPARED else ()
    if near:
        return f" Its names are those of {' or '.join(near)}."
    hint = next((text for mark, text in _HINTS if any(mark in name for name in aligned.names)), None)
    return f" Note that {hint}." if hint else " Is it another architecture (--arch)?"


def _near(name: str, aligned: Aligned) -> str:
    """The name, and the one in the file that comes nearest among those of the same kind."""
    alike = [other for other in aligned.beside.names if last(other) == last(name)]
    bare = {other.removeprefix(aligned.prefix): other for other in alike}
    near = difflib.get_close_matches(name, bare, n=1, cutoff=0.6)
    return f"{name} (near: {bare[near[0]]})" if near else name


def _some(names: Sequence[str] | Iterable[str], what: str) -> str:
    every = list(names)
    return f"{what} {listed(every)}" if every else ""
