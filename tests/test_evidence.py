"""What a store's observations lead to, written down by hand."""

import numpy as np
import pytest

from evalsuite.doubts import FLAGS
from evalsuite.evidence import Evidence
from evalsuite.store import Address, Row, opened

N = 1000


def task():
    facts = {"name": "adversarial/linf/0.1", "kind": "adversarial", "title": "attack", "required": True, "margin": 0.05}
    facts |= {"version": 2, "parameters": {}, "readings": {}, "note": None, "unavailable": None}
    return facts | {"digest": "t", "shards": ["all"], "n": N}


def network(name, role, ratio):
    counts = dict.fromkeys(("parameters", "nonzero", "prunable", "prunable_nonzero", "flops", "dense_flops"), 1)
    facts = {"id": name, "family": None if role == "parent" else "m-0", "role": role, "digest": name, "pruner": "m"}
    facts |= {"structure": None, "target_ratio": ratio, "prune_ratio": ratio, "flop_reduction": 0.0, **counts}
    return facts | {"megabytes": 1.0, "latency_ms": None, "seed": 0, "file": None}


def evidence(folder, child, parent):
    """A run of one pruned network that is right like its parent but for these columns."""
    with opened(folder, create=True) as store:
        store.set_meta({"run": {"seed": 0, "confidence": 0.95}, "measures": ["error"], "members": ["parent", "child"]})
        store.set_meta({"families": [{"id": "m-0", "pruner": "m", "seed": 0}]})
        store.set_labels({"all": [0] * N})
        store.set_tasks([task()])
        for facts in (network("parent", "parent", 0.0), network("child", "pruned", 0.5)):
            store.add_network(facts["id"], facts)
        plain = {"prediction": np.zeros(N, np.int32), "flags": np.zeros(N, np.uint8)}
        for name, own in (("parent", parent), ("child", child)):
            address = Address(task="t", network=name, examples="all", seed=0)
            store.write([Row(address=address, columns=plain | own, seconds=0.0)])
        found = Evidence(store)
        comparison = found.comparisons["adversarial/linf/0.1", "error", "child"]
        return comparison, found.doubts(found.tasks[0], found.networks[1]), found.potentials


def few(count):
    values = np.zeros(N, dtype=bool)
    values[:count] = True
    return values


def test_without_doubts_it_is_decided(tmp_path):
    comparison, doubts, potentials = evidence(tmp_path, {"black_box": few(1)}, {"unbounded": few(2)})
    assert (comparison.verdict, doubts) == ("commensurate", ())
    (potential,) = potentials.values()
    assert potential.commensurate == 0.5


@pytest.mark.parametrize(
    ("child", "parent", "reason"),
    [
        ({"zero_gradient": few(3)}, {}, "zero gradients"),
        ({"black_box": few(3)}, {}, "black box beats white box"),
        ({"unbounded": few(3)}, {}, "survives any change of the image"),
        ({"flags": np.full(N, 1 << FLAGS.index("randomised"), np.uint8)}, {}, "randomised"),
        ({}, {"flags": np.full(N, 1 << FLAGS.index("softmax output"), np.uint8)}, "parent: softmax output"),
    ],
)
def test_a_doubt_leaves_it_open(tmp_path, child, parent, reason):
    comparison, doubts, potentials = evidence(tmp_path, child, parent)
    assert doubts == (reason,)
    assert comparison.verdict == "inconclusive"
    assert comparison.settles_at is None
    (potential,) = potentials.values()
    assert potential.commensurate == 0
