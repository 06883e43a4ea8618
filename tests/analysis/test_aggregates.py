"""Figures over many tasks, from a store whose observations are written down here."""

from contextlib import contextmanager

import numpy as np
import pytest

from evalsuite.analysis.aggregates import aggregates
from evalsuite.analysis.evidence import Evidence
from evalsuite.analysis.results import summarise
from evalsuite.corruptions import COMMON, MIX1, MIX2
from evalsuite.errors import RefusedInputError
from evalsuite.records.store import Address, StoredShard, opened
from evalsuite.records.stored import Meta, StoredNetwork, StoredTask

N = 80
WHOLE = [(c, s) for c in COMMON for s in range(1, 6)]


def task(name, kind, shards=("e",), **parameters):
    facts = {"name": name, "kind": kind, "title": name, "required": False, "margin": 0.05, "version": 1, "note": None}
    facts |= {"parameters": parameters, "readings": {}, "unavailable": None, "digest": name, "shards": list(shards)}
    return facts | {"n": N}


def corruption(c, s, **changed):
    return task(f"corruption/{c}/{s}", "corruption", corruption=c, severity=s) | changed


def network(name, role="pruned", family="m-0", ratio=0.0):
    counts = dict.fromkeys(("parameters", "nonzero", "prunable", "prunable_nonzero", "flops", "dense_flops"), 1)
    facts = {"id": name, "family": family, "role": role, "digest": name, "pruner": "m", "structure": None}
    facts |= {"target_ratio": ratio, "prune_ratio": ratio, "flop_reduction": 0.0, **counts, "megabytes": 1.0}
    facts |= {"peak_megabytes": 1.0, "latency_ms": None, "throughput_ms": None, "uncounted": None}
    return facts | {"seed": 0, "file": None}


PARENT = network("parent", "parent", None)


@contextmanager
def run(folder, tasks, networks, wrong, *, families=("m-0",), data=None):
    """A store in which `wrong(network, task)` says of each example whether the network errs; None: nothing stored."""
    with opened(folder, create=True) as store:
        members = [facts["id"] for facts in networks]
        about = {"id": "r", "created": "", "command": "", "versions": {}, "device": "cpu", "cpu_threads": 1}
        about |= {"seconds": 0.0, "spec_digest": "s", "seed": 0, "confidence": 0.9, "margin": 0.05}
        counts = {"examples": N, "overlap": 0, "duplicates": 0}
        data = {"name": "d", "digest": "d", **counts, "classes": ["a", "b"], "shape": [1, 8, 8], **(data or {})}
        parent = {"id": "parent", "digest": "parent", "arch": "a", "arguments": {}, "file": None, "sha256": None}
        parent |= {"lineage": [], "standard": None}
        seeds = [{"id": f, "pruner": f.rpartition("-")[0], "seed": int(f.rpartition("-")[2])} for f in families]
        meta = {"run": about, "measures": ["error"], "members": members, "data": data, "parent": parent}
        store.set_meta(Meta.model_validate({**meta, "families": seeds}))
        store.set_labels({"e": [k % 2 for k in range(N)], "other": [1] * N})
        store.set_tasks([StoredTask.model_validate(each) for each in tasks])
        for facts in networks:
            store.add_network(facts["id"], StoredNetwork.model_validate(facts))
            for subject in tasks:
                errs = wrong(facts["id"], subject["name"])
                if errs is not None:
                    (shard,) = subject["shards"]
                    labels = np.asarray(store.labels([shard]))
                    columns = {"prediction": np.where(errs, 1 - labels, labels).astype(np.int32)}
                    address = Address(task=subject["digest"], network=facts["id"], examples=shard, seed=0)
                    store.write([StoredShard(address=address, columns=columns, seconds=0.0)])
        yield store


def first(share):
    return np.arange(N) < round(share * N)


def test_corruption_errors_by_hand(tmp_path):
    tasks = [task("clean", "clean"), *(corruption(c, s) for c, s in WHOLE), corruption("spatter", 3)]

    def wrong(net, name):
        if name == "clean":
            return first({"parent": 0.1, "child": 0.2}[net])
        if "spatter" in name:
            return first(1.0)  # no part of the average
        severity = int(name[-1])
        # parent: 0.2, ..., 0.6 (mean 0.4); child: the same but for fog, where all is lost
        return first(1.0) if net == "child" and "fog" in name else first(0.1 + 0.1 * severity)

    with run(tmp_path, tasks, [PARENT, network("child", ratio=0.5)], wrong) as store:
        rows = {(r.name, r.baseline): r for r in aggregates(Evidence(store)).corruption}
    assert rows.keys() == {("mce", "parent"), ("relative_mce", "parent")}  # the parent beside itself says nothing
    mce, relative = rows["mce", "parent"], rows["relative_mce", "parent"]
    assert mce.value == pytest.approx((14 * 1 + 1 / 0.4) / 15)
    assert relative.value == pytest.approx((14 * 0.2 / 0.3 + 0.8 / 0.3) / 15)
    assert (mce.set, mce.network, mce.n, mce.confidence) == ("corruption", "child", N, 0.9)
    assert mce.low < mce.value < mce.high


def test_imagenet_is_held_against_alexnet_too(tmp_path):
    classes = ["n01440764", *(f"n{k}" for k in range(998)), "n15075141"]
    tasks = [task(f"shift/imagenet-c/{c}/{s}?at=d", "shift", corruption=c, severity=s) for c, s in WHOLE]
    data = {"classes": classes, "shape": [3, 224, 224]}
    with run(tmp_path, tasks, [PARENT], lambda _net, _name: first(0.5), data=data) as store:
        rows = aggregates(Evidence(store)).corruption
    assert [(r.name, r.baseline, r.network, r.set) for r in rows] == [
        (name, "alexnet", "parent", "shift/imagenet-c?at=d") for name in ("mce", "relative_mce")
    ]
    # AlexNet's means over severities, from the paper's authors
    alexnet = [0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816, 0.826572, 0.819324]
    alexnet += [0.564592, 0.853204, 0.646056, 0.717840, 0.606500]
    assert rows[0].value == pytest.approx(np.mean(0.5 / np.array(alexnet)))
    assert rows[1].value is None
    assert rows[1].reason  # nobody asked about clean images


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unavailable": "too small"}, "corruption/fog/2: too small"),
        ({"shards": ["other"]}, "same examples"),
        ({"digest": "absent"}, "corruption/fog/2: not evaluated yet"),
    ],
)
def test_what_is_missing_is_told(tmp_path, change, message):
    tasks = [corruption(c, s, **(change if (c, s) == ("fog", 2) else {})) for c, s in WHOLE]

    def wrong(_net, name):
        return None if "absent" in change.values() and name == "corruption/fog/2" else first(0.5)

    with run(tmp_path, tasks, [PARENT, network("child", ratio=0.5)], wrong) as store:
        rows = aggregates(Evidence(store)).corruption
    assert len(rows) == 2
    for row in rows:
        assert row.value is None
        assert message in row.reason


def test_a_parent_whose_observations_were_changed_is_no_standard(tmp_path):
    with run(tmp_path, [task("clean", "clean")], [PARENT, network("a", ratio=0.5)], lambda *_: first(0.1)) as store:
        address = Address(task="clean", network="parent", examples="e", seed=0)
        store.write([StoredShard(address=address, columns={"answer": np.zeros(N)}, seconds=0.0)])
        with pytest.raises(RefusedInputError, match="clean: expected prediction of the parent, as of a, got none"):
            summarise(store)


def test_severities_are_needed(tmp_path):
    with run(tmp_path, [corruption(c, 3) for c in COMMON], [PARENT], lambda _n, _t: first(0.5)) as store:
        assert aggregates(Evidence(store)).corruption == ()


def test_excess_error_by_hand(tmp_path):
    tasks = [task("clean", "clean"), corruption("fog", 3), task("shift/npz?at=x", "shift", shards=["other"])]
    share = {
        ("parent", "clean"): 0.1,
        ("parent", "corruption/fog/3"): 0.2,
        ("parent", "shift/npz?at=x"): 0.3,
        ("a", "clean"): 0.2,
        ("a", "corruption/fog/3"): 0.5,
        ("a", "shift/npz?at=x"): 0.5,
        ("b", "clean"): 0.1,
        ("b", "corruption/fog/3"): 0.2,
        ("b", "shift/npz?at=x"): 0.3,
    }
    nets = [PARENT, network("a", ratio=0.5), network("b", ratio=0.25, family="m-1")]
    with run(tmp_path, tasks, nets, lambda n, t: first(share[n, t]), families=("m-0", "m-1")) as store:
        result = aggregates(Evidence(store))
    a, b = result.excess
    # the shifts cost it 0.5 - 0.2 = 0.3, and the parent 0.25 - 0.1 = 0.15
    assert a.value == pytest.approx(0.15)
    assert (a.network, a.prune_ratio, a.tasks, a.n) == ("a", 0.5, 2, N)
    # on the run's examples a mean over (fog's change / 2 - clean's change), on the others over the change / 2
    excess = (first(0.5) * 1.0 - first(0.2)) / 2 - (first(0.2) * 1.0 - first(0.1))
    other = (first(0.5) * 1.0 - first(0.3)) / 2
    error = np.sqrt(excess.var(ddof=1) / N + other.var(ddof=1) / N)
    assert a.high - a.value == pytest.approx(1.6448536 * error)  # 90 %, two-sided
    assert b.value == b.low == b.high == 0.0
    (line,) = result.lines
    # seeds 0 and 1 at (0.5, 0.15) and (0.25, 0): 0.075 / (0.25 + 0.0625)
    assert line.slope == pytest.approx(0.24)
    assert (line.pruner, line.seeds, line.points) == ("m", 2, 2)
    assert line.low == pytest.approx(0.0)
    assert line.high == pytest.approx(0.3)


def test_without_clean_data_there_is_no_excess(tmp_path):
    tasks = [corruption("fog", 3)]
    with run(tmp_path, tasks, [PARENT, network("a", ratio=0.5)], lambda _n, _t: first(0.5)) as store:
        outcome = aggregates(Evidence(store))
    assert outcome.excess == outcome.lines == ()


def test_the_two_mixes_are_averaged_where_both_are_asked(tmp_path):
    tasks = [task("clean", "clean"), *(corruption(c, 3) for c in (*MIX1, *MIX2))]
    tasks[-1] |= {"unavailable": "gray"}
    nets = [PARENT, network("a", ratio=0.5), network("b", ratio=0.75)]

    def wrong(net, name):
        # the second network is as good as its parent on clean data and on the first mix alone
        return first(0.5 if net == "b" and name.rpartition("/")[0].rpartition("/")[2] in MIX2 else 0.1)

    with run(tmp_path, tasks, nets, wrong) as store:
        rows = {row.set: row for row in summarise(store).averages}
        store.set_tasks([StoredTask.model_validate(each) for each in tasks[:-3]])
        without = {row.set for row in summarise(store).averages}
    assert {name: (row.average, row.minimum, row.n) for name, row in rows.items() if "mix" in name} == {
        "mix1/3": (0.75, 0.75, 9),
        "nominal + mix1/3": (0.75, 0.75, 10),
        "mix2/3": (0.5, 0.5, 9),
    }
    assert not any("mix" in name for name in without)


def test_fewer_examples_of_the_same_are_not_taken_for_others(tmp_path):
    # the shifted task was asked about the first half: what it says hangs together with the clean losses of that half
    half = N // 2
    tasks = [task("clean", "clean"), task("shift/npz?at=x", "shift", shards=["half"]) | {"n": half}]
    draw = np.random.default_rng(0)
    clean = draw.random(N) < 0.3
    shifted = clean[:half] | (draw.random(half) < 0.2)

    def wrong(net, name):
        none = np.zeros(N, dtype=bool)
        if name == "clean":
            return clean if net == "a" else none
        return shifted if net == "a" else none[:half]

    with opened(tmp_path, create=True) as store:
        store.set_labels({"half": [k % 2 for k in range(half)]})
    with run(tmp_path, tasks, [PARENT, network("a", ratio=0.5)], wrong) as store:
        (row,) = aggregates(Evidence(store)).excess
    assert row.n == half
    assert row.value == pytest.approx(shifted.mean() - clean.mean())
    # mean over n of s less mean over N of c: the first half weighs with s / n - c / N, the second with -c / N
    s, c = shifted - shifted.mean(), clean - clean.mean()
    squares = ((s / half - c[:half] / N) ** 2).sum() + ((c[half:] / N) ** 2).sum()
    assert row.high - row.value == pytest.approx(1.6448536 * np.sqrt(squares * N / (N - 1)), rel=1e-6)
