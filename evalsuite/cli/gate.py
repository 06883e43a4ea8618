"""`evalsuite gate`: hold a finished run against a policy."""

import json
from pathlib import Path

import click

from evalsuite.cli._console import echo, echo_labelled, write_json
from evalsuite.cli._options import JSON, RUN
from evalsuite.errors import IncompleteEvidenceError, RefusedInputError, UsageError

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="\b\nExamples:\n  evalsuite gate reports/model --policy policy.toml\n"
    "  evalsuite gate reports/model --policy policy.toml --junit junit.xml\n\n"
    "Exit codes: 0 every requirement met, 1 a requirement failed on complete evidence, 3 evidence incomplete.",
)
@RUN
@click.option("--policy", type=_FILE, required=True, help="Requirements, as TOML (docs/gate.md).")
@click.option("--junit", type=_FILE, help="Where to write junit.xml (default: into the run folder).")
@JSON
@click.pass_context
def command(ctx: click.Context, run: Path, policy: Path, junit: Path | None, as_json: bool) -> None:
    """Hold RUN (a run folder or its results.json) against a policy; the exit code is the verdict."""
    ctx.exit(gate(read_results(run), policy, junit or _folder(run) / "junit.xml", as_json=as_json))


def gate(results: dict[str, object], policy: Path, junit: Path, *, as_json: bool = False) -> int:
    """Judge `results`, print every check, write junit.xml, and return the exit code."""
    from evalsuite.files import write_atomically
    from evalsuite.gate.checks import as_dict
    from evalsuite.gate.judge import judge
    from evalsuite.gate.junit import junit as as_junit
    from evalsuite.gate.policy import read_policy

    verdict = judge(read_policy(policy), results)
    write_atomically(junit, as_junit(verdict))
    if as_json:
        write_json(as_dict(verdict))
    else:
        for check in verdict.checks:
            colour = {"pass": "green", "fail": "red", "incomplete": "yellow"}[check.outcome]
            echo_labelled(f"{check.outcome:10}", colour, check.message)
        echo(f"gate: {verdict.outcome}", bold=True)
    return verdict.exit_code


def read_results(run: Path) -> dict[str, object]:
    """The results of a run folder, or of a results.json.

    Where the run was taken up again since they were written, what it holds now: they may be those of other data.

    Raises:
        IncompleteEvidenceError: The run is not finished.
        RefusedInputError: The file is not evalsuite's results.
        UsageError: There is no such run.
    """
    path = run / "results.json" if run.is_dir() else run
    if not path.exists():
        if (run / "results.sqlite").exists():
            raise IncompleteEvidenceError(f"{run}: the run is not finished; the sweep's own command continues it")
        raise UsageError(f"expected a run folder with results.json, got {run}")
    if run.is_dir() and _taken_up_again(run):
        from evalsuite.findings.results import current

        return current(run)[0]
    try:
        results = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RefusedInputError(
            f"{path}: expected evalsuite's results, got a file that is not JSON ({error})"
        ) from error
    if not isinstance(results, dict) or results.get("schema") != "evalsuite-results/1":
        raise RefusedInputError(f"{path}: expected schema evalsuite-results/1, got {str(results)[:60]!r}")
    return results


def _taken_up_again(run: Path) -> bool:
    if not (run / "results.sqlite").exists():
        return False
    from evalsuite.store import reading

    with reading(run) as store:
        return not store.meta().get("complete", False)


def _folder(run: Path) -> Path:
    return run if run.is_dir() else run.parent
