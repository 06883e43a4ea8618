"""A finished run, tampered with in every way that came to mind: a gate that passed it never passes again."""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from evalsuite.cli import cli
from evalsuite.errors import EvalsuiteError
from evalsuite.gate.judge import judge
from evalsuite.gate.policy import parse_policy
from evalsuite.records.packing import pack, unpack
from evalsuite.records.schema import parse_results
from evalsuite.records.sealing import Backing, sealed

pytestmark = pytest.mark.slow

TERMS = 'min_deployable = 0.3\nmin_examples = 60\nmargin = 0.3\nconfidence = 0.95\nassumptions = ["*"]\n'
DEMANDS = """
[[require]]
task = "clean"
max_loss = 0.6
verdict = "commensurate"
[[require]]
task = "noise/*"
min_commensurate = 0.3
[[require]]
task = "noise/*"
measure = "softmax_distance"
max_loss = 1.0
"""
POLICY = f"[policy]\n{TERMS}{DEMANDS}"
ALONE = f"[policy]\nrequire_store = false\n{TERMS}{DEMANDS}"
NETWORK = "magnitude-0-0.5"


@pytest.fixture(scope="module")
def finished(checkpoint, tmp_path_factory):
    """A run folder, never to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    options = (
        *("--ckpt", checkpoint, "--out", folder / "run", "--ratios", "0.3,0.5", "--schedule", "one-shot"),
        *("--tasks", "clean,noise/uniform/0.1", "--examples", "60", "--margin", "0.3"),
    )
    assert cli.main(["sweep", *map(str, options)], standalone_mode=False) == 0
    (folder / "policy.toml").write_text(POLICY)
    (folder / "alone.toml").write_text(ALONE)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, to be tampered with."""
    return shutil.copytree(finished / "run", tmp_path / "run")


@pytest.fixture
def gate(evalsuite, finished):
    def gate(run, *options, policy="policy.toml"):
        ended = evalsuite("gate", run, "--policy", finished / policy, *options)
        assert "Traceback" not in ended.err, ended.err
        return ended

    return gate


def document(run):
    return json.loads((run / "results.json").read_text())


def rewrite(run, change: Callable[[dict], object], *, reseal=False):
    """Edit results.json; `reseal`: as somebody does who knows how its digest is made."""
    results = document(run)
    change(results)
    if reseal:
        digests = results["digests"]
        results = sealed(results, store=digests["store"], request=digests["request"])
    (run / "results.json").write_text(json.dumps(results, indent=1) + "\n")


# --- honest variations


def test_a_finished_run_passes_and_says_which_network_it_is_about(run, gate):
    ended = gate(run, "--json")
    assert ended.code == 0, ended.out + ended.err
    message = json.loads(ended.out)
    (network,) = message["networks"]
    (facts,) = [each for each in document(run)["networks"] if each["id"] == network["id"]]
    assert network["sha256"] == hashlib.sha256((run / network["file"]).read_bytes()).hexdigest()
    assert network["tensors"] == facts["digest"]
    assert message["digests"] == document(run)["digests"]
    page = (run / "junit.xml").read_text()
    assert f'name="network.{network["id"]}.sha256" value="{network["sha256"]}"' in page
    assert f'name="evalsuite.store" value="{message["digests"]["store"]}"' in page


def rendered(run, evalsuite):
    assert evalsuite("report", run).code == 0
    return run


def moved(run, evalsuite):
    return run.rename(run.with_name("elsewhere"))


def without_networks(run, evalsuite):
    shutil.rmtree(run / "networks")
    return run


def with_a_byte_order_mark(run, evalsuite):
    (run / "results.json").write_bytes(b"\xef\xbb\xbf" + (run / "results.json").read_bytes())
    return run


def formatted_otherwise(run, evalsuite):
    (run / "results.json").write_text(json.dumps(document(run), sort_keys=True, indent=4).replace("\n", "\r\n"))
    return run


def laid_out_otherwise(run, evalsuite):
    database = sqlite3.connect(run / "results.sqlite")
    database.execute("PRAGMA page_size = 16384")
    database.execute("VACUUM")
    database.close()
    return run


def by_its_results(run, evalsuite):
    return run / "results.json"


HONEST = (
    rendered,
    moved,
    without_networks,
    with_a_byte_order_mark,
    formatted_otherwise,
    laid_out_otherwise,
    by_its_results,
)


@pytest.mark.parametrize("change", HONEST, ids=lambda change: change.__name__)
def test_honest_variations_pass(run, gate, evalsuite, change):
    ended = gate(change(run, evalsuite))
    assert ended.code == 0, ended.out + ended.err


def test_a_folder_that_may_only_be_read_passes(run, gate, monkeypatch):
    def refuse(path, _text):  # root may write everywhere
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("evalsuite.files.atomic.write_atomically", refuse)
    ended = gate(run)
    assert ended.code == 0, ended.err
    assert "junit.xml was not written" in ended.err
    assert "--junit FILE" in ended.err


def test_results_alone_pass_only_where_the_policy_says_so(run, gate):
    (run / "results.sqlite").unlink()
    ended = gate(run)
    assert ended.code == 3
    assert "on results.json alone, the store is not here" in ended.out
    assert "require_store = false" in ended.out
    ended = gate(run, policy="alone.toml")
    assert ended.code == 0, ended.out + ended.err
    assert "on results.json alone, the store is not here" in ended.out


# --- edited results


def cell(results, network=NETWORK, task="clean", measure="error"):
    wanted = (task, measure, network)
    return next(c for c in results["cells"] if (c["task"], c["measure"], c["network"]) == wanted)


def potential(results, task="clean", measure="error"):
    return next(p for p in results["potential"] if (p["task"], p["measure"]) == (task, measure))


def drop(results, table, **keys):
    results[table] = [row for row in results[table] if any(row[key] != value for key, value in keys.items())]


# what is edited, and whether results that are alone show it although their digest was made anew
EDITS: dict[str, tuple[Callable[[dict], object], bool]] = {
    "complete is false": (lambda r: r.update(complete=False), True),
    "complete is missing": (lambda r: r.pop("complete"), True),
    "complete is a text": (lambda r: r.update(complete="yes"), True),
    "a cell twice": (lambda r: r["cells"].append(deepcopy(r["cells"][0])), True),
    "a cell twice, one better": (lambda r: r["cells"].insert(0, {**cell(r), "loss": 0.0, "low": 0.0}), True),
    "a cell missing": (lambda r: r["cells"].remove(cell(r)), True),
    "no cells": (lambda r: r.update(cells=[]), True),
    "a negative loss": (lambda r: cell(r).update(loss=-0.1, low=-0.2), True),
    "a loss above 1": (lambda r: cell(r).update(loss=1.5, high=1.6), True),
    "a huge loss": (lambda r: cell(r).update(loss=1e308), True),
    "a loss without difference": (lambda r: cell(r).update(loss=0.0, low=0.0), True),
    "an interval beside its estimate": (lambda r: cell(r).update(low=0.9, high=0.95), True),
    "an interval upside down": (lambda r: cell(r).update(difference_low=0.2, difference_high=-0.2), True),
    "a difference above 1": (lambda r: cell(r).update(difference_high=1.5), True),
    "no examples": (lambda r: cell(r).update(n=0), True),
    "a negative count": (lambda r: cell(r).update(n=-60), True),
    "a count that is no whole number": (lambda r: cell(r).update(n=60.5), True),
    "a count as a text": (lambda r: cell(r).update(n="60"), True),
    "a count as a truth value": (lambda r: cell(r).update(n=True), True),
    "a count missing": (lambda r: cell(r).update(n=None), True),
    "no numbers and no reason": (lambda r: cell(r).update(dict.fromkeys(("n", "loss", "low", "high"))), True),
    "a verdict that does not follow": (lambda r: cell(r).update(verdict="not_commensurate"), True),
    "a verdict that nobody knows": (lambda r: cell(r).update(verdict="fine"), True),
    "a verdict of the parent": (lambda r: cell(r, "parent").update(verdict="commensurate"), True),
    "a doubt taken out of the verdict": (lambda r: cell(r).update(reason="not to be trusted: zero gradients"), True),
    "a cell of an unknown network": (lambda r: r["cells"].append({**cell(r), "network": "better"}), True),
    "a cell of an unknown task": (lambda r: r["cells"].append({**cell(r), "task": "adversarial/linf/0.1"}), True),
    "a cell of an unknown measure": (lambda r: r["cells"].append({**cell(r), "measure": "eror"}), True),
    "a measure missing": (lambda r: drop(r, "measures", name="error"), True),
    "a measure that binds nothing": (lambda r: r["measures"][0].update(required=False), True),
    "a task missing": (lambda r: drop(r, "tasks", name="clean"), True),
    "a task twice": (lambda r: r["tasks"].append(r["tasks"][0]), True),
    "a task that was not asked": (lambda r: r["tasks"][1].update(unavailable="images are grey"), True),
    "a task without cells": (lambda r: r["tasks"].append({**r["tasks"][0], "name": "adversarial/linf/0.1"}), True),
    "a wider margin": (lambda r: r["tasks"][0].update(margin=0.9), True),
    "a network missing": (lambda r: drop(r, "networks", id=NETWORK), True),
    "a network twice": (lambda r: r["networks"].append(r["networks"][1]), True),
    "two parents": (lambda r: r["networks"][1].update(role="parent"), True),
    "no parent": (lambda r: r["networks"][0].update(role="control"), True),
    "a larger prune ratio": (lambda r: r["networks"][2].update(prune_ratio=0.9), True),
    "ratios out of order": (
        lambda r: (r["networks"][1].update(prune_ratio=0.5), r["networks"][2].update(prune_ratio=0.3)),
        True,
    ),
    "a ratio above 1": (lambda r: r["networks"][2].update(prune_ratio=1.5), True),
    "a potential missing": (lambda r: r["potential"].remove(potential(r)), True),
    "a potential twice": (lambda r: r["potential"].append(potential(r)), True),
    "a better potential": (lambda r: potential(r, "noise/uniform/0.1").update(commensurate=0.9), True),
    "another end": (lambda r: potential(r).update(first_failure={"ratio": 0.9, "verdict": "inconclusive"}), True),
    "a potential of higher confidence": (lambda r: potential(r).update(confidence=0.99), True),
    "a better deployable ratio": (lambda r: r["deployable"].update(ratio=0.9), True),
    "another deployable network": (lambda r: r["deployable"].update(network="magnitude-0-0.3"), True),
    "an unknown deployable network": (lambda r: r["deployable"].update(network="better"), True),
    "no deployable ratio": (lambda r: r.update(deployable=None), True),
    "no families": (lambda r: r.update(families=[]), True),
    "another family": (lambda r: r["families"][0].update(id="filter_norm-0"), True),
    "a higher confidence": (lambda r: r["run"].update(confidence_each=0.99), True),
    "a parent without quality": (lambda r: r["parent"].update(standard=None), True),
    "a parent that is no standard": (lambda r: r["parent"]["standard"].update(shown_better=False), True),
    "a parent that gives NaN": (lambda r: r["parent"]["standard"].update(not_finite=1), True),
    "no readings": (lambda r: r.update(readings=[]), True),
    "an unknown basis": (lambda r: r["readings"][0].update(basis="sure"), True),
    "a shipped file of an unknown network": (
        lambda r: r["shipped"].append({"id": "a", "of": "b", "n": 60, "disagreements": 0, "holds": True}),
        True,
    ),
    "a network that gives NaN": (lambda r: r["networks"][2].update(not_finite=["clean"]), True),
    "no schema": (lambda r: r.pop("schema"), True),
    "another schema": (lambda r: r.update(schema="evalsuite-results/9"), True),
    "digests of nothing": (lambda r: r["digests"].update(store="", request=""), True),
    # these agree with themselves: without the store nothing but the policy's `require_store` stands against them
    "another network by its digest": (lambda r: r["networks"][2].update(digest="0" * 64), False),
    "more examples": (lambda r: [c.update(n=10**6) for c in r["cells"]], False),
    "another request": (lambda r: r["digests"].update(request="0" * 64), False),
    "another time": (lambda r: r["run"].update(created="2020-01-01T00:00:00+00:00"), False),
    "a reading that is sure": (lambda r: [each.update(basis="given") for each in r["readings"]], False),
    "something more": (lambda r: r.update(approved_by="nobody"), False),
}
EACH = pytest.mark.parametrize("edit", EDITS)


@EACH
@pytest.mark.parametrize("reseal", [False, True], ids=["", "and its digest"])
def test_edited_results_never_pass_beside_their_store(run, gate, edit, reseal):
    rewrite(run, EDITS[edit][0], reseal=reseal and "digests" not in edit)
    ended = gate(run)
    assert ended.code == 4, ended.out + ended.err
    assert "results.json" in ended.err
    assert not (run / "junit.xml").exists()


@EACH
def test_edited_results_never_pass_alone_either(run, gate, edit):
    (run / "results.sqlite").unlink()
    rewrite(run, EDITS[edit][0])
    ended = gate(run, policy="alone.toml")
    assert ended.code in {3, 4}, ended.out + ended.err


@EACH
def test_who_makes_the_digest_anew_has_to_make_all_agree_and_never_passes_by_default(run, edit):
    change, shown = EDITS[edit]
    rewrite(run, change, reseal=True)
    for text, passes in ((POLICY, False), (ALONE, not shown)):
        policy = parse_policy(text, source="policy.toml")
        try:
            code = judge(policy, parse_results(document(run)), Backing(store=False)).exit_code
        except EvalsuiteError as error:
            code = error.exit_code
        assert (code == 0) == passes, code
        assert code in {0, 3, 4}


def doubled(text):
    return text.replace('"complete": true', '"complete": false, "complete": true')


TEXTS: dict[str, Callable[[str], str | bytes]] = {
    "empty": lambda text: "",
    "cut short": lambda text: text[: len(text) // 2],
    "a key twice": doubled,
    "NaN": lambda text: text.replace('"seed": 0', '"seed": NaN', 1),
    "infinity": lambda text: text.replace('"seed": 0', '"seed": -Infinity', 1),
    "a number beyond floats": lambda text: text.replace('"seed": 0', '"seed": 1e999', 1),
    "a number of 5000 digits": lambda text: text.replace('"seed": 0', '"seed": ' + "9" * 5000, 1),
    "nested": lambda text: "[" * 200_000 + "]" * 200_000,
    "nested inside": lambda text: text.replace('"seed": 0', '"seed": ' + "[" * 900 + "]" * 900, 1),
    "a list": lambda text: f"[{text}]",
    "a number": lambda text: "3",
    "null": lambda text: "null",
    "two documents": lambda text: text + text,
    "no text": lambda text: b"\xff\xfe\x00{}",
    "UTF-16": lambda text: text.encode("utf-16"),
    "half a surrogate": lambda text: text.replace('"id": "run"', '"id": "\\ud800"', 1),
    "control characters": lambda text: text.replace('"id": "run"', '"id": "\\u001b]0;fine\\u0007"', 1),
    "long": lambda text: text + " " * 3_000_000,
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("alone", [False, True], ids=["", "alone"])
def test_files_that_are_no_results_are_refused_in_one_line(run, gate, text, alone):
    if alone:
        (run / "results.sqlite").unlink()
    changed = TEXTS[text]((run / "results.json").read_text())
    (run / "results.json").write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    ended = gate(run, policy="alone.toml")
    # white space is no edit where there is nothing else to read
    assert ended.code == (0 if text == "long" and alone else 4), ended.out + ended.err
    assert len(ended.err.splitlines()) == (0 if ended.code == 0 else 1)
    assert "\x1b]" not in ended.err + ended.out


def test_results_of_the_version_before_say_what_to_do(run, gate, evalsuite, checkpoint):
    def older(results):
        results.pop("digests")

    rewrite(run, older)
    assert gate(run).code == 4
    (run / "results.sqlite").unlink()
    ended = gate(run, policy="alone.toml")
    assert ended.code == 3
    assert "results without digests" in ended.err
    assert "the run's own command writes them anew" in ended.err


def test_a_store_of_the_version_before_says_what_to_do(run, gate, evalsuite):
    with sqlite3.connect(run / "results.sqlite") as database:
        database.execute("DELETE FROM meta WHERE key = 'seal'")
    ended = gate(run)
    assert ended.code == 3
    assert "the run's own command writes them anew from the store" in ended.err
    assert evalsuite("report", run).code == 0
    assert gate(run).code == 0


# --- other files of the run


def change_store(run, *statements):
    with sqlite3.connect(run / "results.sqlite") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def change_meta(run, key, change):
    with sqlite3.connect(run / "results.sqlite") as database:
        ((text,),) = database.execute("SELECT value FROM meta WHERE key = ?", (key,))
        database.execute("UPDATE meta SET value = ? WHERE key = ?", (json.dumps(change(json.loads(text))), key))
    database.close()


def right_everywhere(run):
    """Observations that are better than those of the networks."""
    with sqlite3.connect(run / "results.sqlite") as database:
        labels = {examples: json.loads(text) for examples, text in database.execute("SELECT * FROM labels")}
        for *address, blob in list(
            database.execute("SELECT task, network, examples, parent, observations FROM shards")
        ):
            columns = dict(unpack(blob))
            if "prediction" in columns:
                columns["prediction"] = np.array(labels[address[2]], dtype=columns["prediction"].dtype)
                database.execute(
                    "UPDATE shards SET observations=? WHERE task=? AND network=? AND examples=? AND parent=?",
                    (pack(columns), *address),
                )
    database.close()


STORES: dict[str, Callable[[Path], object]] = {
    "observations": right_everywhere,
    "labels": lambda run: change_store(run, "UPDATE labels SET labels = replace(labels, '3', '4')"),
    "a task's shards deleted": lambda run: change_store(
        run, "DELETE FROM shards WHERE task IN (SELECT task FROM shards LIMIT 1)"
    ),
    "margin": lambda run: change_meta(run, "run", lambda facts: {**facts, "margin": 0.9}),
    "margin of a task": lambda run: change_store(run, "UPDATE tasks SET facts = replace(facts, '0.3', '0.9')"),
    "readings": lambda run: change_meta(run, "readings", lambda rows: rows[:1]),
    "parent": lambda run: change_meta(run, "parent", lambda facts: {**facts, "digest": "0" * 64}),
    "ratios": lambda run: change_store(
        run, """UPDATE networks SET facts = replace(facts, '"prune_ratio": 0.5', '"prune_ratio": 0.9')"""
    ),
    "request": lambda run: change_meta(run, "identity", lambda facts: {**facts, "seed": 1}),
    "members": lambda run: change_meta(run, "members", lambda members: members[:-1]),
}


@pytest.mark.parametrize("change", STORES)
def test_a_changed_store_never_passes_and_is_not_made_good(run, gate, evalsuite, finished, checkpoint, change):
    STORES[change](run)
    ended = gate(run)
    assert ended.code == 4, ended.out + ended.err
    assert "results.sqlite" in ended.err
    # nor by writing the report again, or by running on
    assert evalsuite("report", run).code == 4
    assert gate(run).code == 4
    ended = evalsuite("sweep", "--config", run / "run.toml", "--out", run)
    assert ended.code in {2, 4}, ended.err
    assert gate(run).code == 4


@pytest.mark.parametrize(
    ("sealed_as", "code"),
    [(None, 3), ({"scheme": 99, "evidence": "", "results": ""}, 3)],
)
def test_an_unsealed_store_never_passes(run, gate, sealed_as, code):
    change_meta(run, "seal", lambda _: sealed_as)
    ended = gate(run)
    assert (ended.code, len(ended.err.splitlines())) == (code, 1)


def test_a_store_of_another_run_never_passes(run, gate, finished, checkpoint, evalsuite, tmp_path):
    other = tmp_path / "other"
    options = ("--ckpt", checkpoint, "--out", other, "--ratios", "0.3", "--tasks", "clean", "--examples", "60")
    assert evalsuite("sweep", *options, "--schedule", "one-shot", "--margin", "0.3").code == 0
    shutil.copy(other / "results.sqlite", run / "results.sqlite")
    assert gate(run).code == 4
    shutil.copy(finished / "run" / "results.sqlite", run / "results.sqlite")
    assert gate(run).code == 0
    shutil.copy(other / "results.json", run / "results.json")
    assert gate(run).code == 4
    (run / "results.json").unlink()
    assert gate(run).code == 3
    (run / "results.sqlite").unlink()
    assert gate(run).code == 2


@pytest.mark.parametrize("how", ["exchanged", "cut short", "a bit", "empty"])
@pytest.mark.parametrize("which", [NETWORK, "magnitude-0-0.3"])
def test_a_network_that_is_not_the_one_that_was_judged_never_passes(run, gate, how, which):
    path = run / "networks" / f"{which}.safetensors"
    raw = bytearray(path.read_bytes())
    other = next(each for each in path.parent.iterdir() if each != path)
    raw[-5] ^= 1
    changed = {"exchanged": other.read_bytes(), "cut short": raw[:-40], "a bit": raw, "empty": b""}[how]
    path.write_bytes(changed)
    for policy in ("policy.toml", "alone.toml"):
        ended = gate(run, policy=policy)
        assert ended.code == 3
        assert f"networks/{which}.safetensors" in ended.out
        (run / "results.sqlite").unlink(missing_ok=True)


def test_nothing_is_followed_out_of_the_networks_of_a_run(run, gate, tmp_path):
    network = run / "networks" / f"{NETWORK}.safetensors"
    shutil.move(network, tmp_path / "elsewhere")
    network.symlink_to(tmp_path / "elsewhere")
    ended = gate(run)
    assert ended.code == 4
    assert hashlib.sha256((tmp_path / "elsewhere").read_bytes()).hexdigest() not in ended.out + ended.err
    network.unlink()
    with network.open("wb") as file:  # takes no room, and hours to read
        file.truncate(2**36)
    ended = gate(run)
    assert ended.code == 3
    assert "none: the file has 68,719,476,736 bytes" in ended.out


def test_the_file_that_is_released_has_to_be_the_one_that_was_judged(run, gate, tmp_path):
    released = tmp_path / "app.safetensors"
    shutil.copy(run / "networks" / f"{NETWORK}.safetensors", released)
    ended = gate(run, "--release", released)
    assert ended.code == 0, ended.out
    assert f"is {NETWORK}" in ended.out
    released.write_bytes((run / "networks" / "magnitude-0-0.3.safetensors").read_bytes())
    ended = gate(run, "--release", released)
    assert ended.code == 3
    assert "evaluate --shipped NAME=FILE" in ended.out
    assert gate(run, "--release", tmp_path).code == 2


def test_the_same_command_makes_an_exchanged_network_again(run, gate, evalsuite):
    path = run / "networks" / f"{NETWORK}.safetensors"
    before = path.read_bytes()
    path.write_bytes((run / "networks" / "magnitude-0-0.3.safetensors").read_bytes())
    ended = evalsuite("sweep", "--config", run / "run.toml", "--out", run)
    assert ended.code == 0, ended.err
    assert path.read_bytes() == before
    assert gate(run).code == 0


@pytest.mark.parametrize("text", ["", '{"complete": true', "{}"])
def test_the_same_command_makes_broken_results_again(run, gate, evalsuite, text):
    (run / "results.json").write_text(text)
    ended = evalsuite("sweep", "--config", run / "run.toml", "--out", run)
    assert ended.code == 0, ended.err
    assert gate(run).code == 0


# --- runs that are at work, or were stopped


def test_a_run_that_is_taken_up_has_no_results_until_it_has_ended(run, gate, evalsuite, finished, monkeypatch):
    assert gate(run).code == 0
    assert (run / "junit.xml").exists()

    def stopped(*_args, **_kwargs):
        assert not (run / "results.json").exists()
        assert not (run / "junit.xml").exists()  # nor the verdict on what was there before
        raise KeyboardInterrupt

    monkeypatch.setattr("evalsuite.pipeline.evaluate_family", stopped)
    typed = (
        "sweep",
        "--config",
        run / "run.toml",
        "--out",
        run,
        "--tasks",
        "clean,noise/uniform/0.1,noise/gaussian/0.1",
    )
    assert evalsuite(*typed, "--amend").code == 130
    ended = gate(run)
    assert ended.code == 3
    assert "was taken up again" in ended.err
    # what the store holds is shown, as what it is, and does not become results by that
    shown = evalsuite("report", run, "--format", "json")
    assert json.loads(shown.out)["complete"] is False
    assert "digests" not in json.loads(shown.out)
    assert evalsuite("report", run).code == 0
    assert not (run / "results.json").exists()
    (run / "results.json").write_text(shown.out)
    assert gate(run, policy="alone.toml").code == 3
    shutil.copy(finished / "run" / "results.json", run / "results.json")
    assert gate(run, policy="alone.toml").code == 3
    monkeypatch.undo()


def test_pruning_into_a_finished_run_withdraws_its_results(run, gate, evalsuite, checkpoint):
    ended = evalsuite("prune", "--ckpt", checkpoint, "--out", run, "--ratios", "0.6", "--schedule", "one-shot")
    assert ended.code == 0, ended.err
    assert not (run / "results.json").exists()
    assert gate(run).code == 3


def test_a_run_that_is_refused_keeps_its_results(run, gate, evalsuite):
    ended = evalsuite("sweep", "--config", run / "run.toml", "--out", run, "--margin", "0.2")
    assert ended.code == 2
    assert gate(run).code == 0


def test_a_verdict_of_before_does_not_stand_for_one_that_cannot_be_had(run, gate):
    assert gate(run).code == 0
    rewrite(run, lambda results: results.update(complete=False))
    assert gate(run).code == 4
    assert not (run / "junit.xml").exists()


@pytest.mark.parametrize("name", ["results.json", "results.sqlite", "report.html", "networks/mine.txt"])
def test_junit_is_not_written_over_what_is_something_else(run, gate, name):
    path = run / name
    if not path.exists():
        path.write_text("mine")
    before = path.read_bytes()
    ended = gate(run, "--junit", path)
    assert ended.code == 2
    assert "--junit" in ended.err
    assert path.read_bytes() == before


# --- what no gate may pass for want of anything to check


def test_without_a_deployable_network_the_parent_is_not_judged_in_its_place(evalsuite, checkpoint, tmp_path):
    run, policy = tmp_path / "run", tmp_path / "policy.toml"
    options = ("--ckpt", checkpoint, "--out", run, "--ratios", "0.98", "--tasks", "clean", "--examples", "200")
    assert evalsuite("sweep", *options, "--schedule", "one-shot", "--margin", "0.01").code == 0
    assert document(run)["deployable"]["network"] == "parent"
    for demand in ("max_loss = 1.0", 'verdict = "commensurate"', "min_commensurate = 0.1"):
        policy.write_text(f'[[require]]\ntask = "clean"\n{demand}\n')
        ended = evalsuite("gate", run, "--policy", policy)
        assert ended.code in {1, 3}, ended.out
        policy.write_text(f'[policy]\nfamily = "*"\n[[require]]\ntask = "clean"\n{demand}\n')
        assert evalsuite("gate", run, "--policy", policy).code in {1, 3}, ended.out
    policy.write_text('[policy]\nnetwork = "parent"\n[[require]]\ntask = "clean"\nmax_loss = 1.0\n')
    assert evalsuite("gate", run, "--policy", policy).code == 0  # who asks for the parent gets it


@pytest.mark.parametrize("text", ["", "[policy]\n", "require = []\n", "[policy]\nmax_parent_loss = 1.0\n"])
def test_a_policy_that_demands_nothing_is_refused(run, evalsuite, tmp_path, text):
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    assert evalsuite("gate", run, "--policy", policy).code == 2
