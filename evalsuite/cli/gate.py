"""`evalsuite gate`: hold a finished run against a policy."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import click

from evalsuite.cli._console import echo, echo_labelled, write_json
from evalsuite.cli._options import JSON, RUN
from evalsuite.errors import UsageError

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="\b\nExamples:\n  evalsuite gate reports/model --policy policy.toml\n"
    "  evalsuite gate reports/model --policy policy.toml --junit junit.xml\n"
    "  evalsuite gate reports/model --policy policy.toml --release model.safetensors\n\n"
    "Exit codes: 0 every requirement met, 1 a requirement failed on complete evidence, 3 evidence incomplete.",
)
@RUN
@click.option("--policy", type=_FILE, required=True, help="Requirements, as TOML (docs/gate.md).")
@click.option("--junit", type=_FILE, help="Where to write junit.xml (default: into the run folder).")
@click.option("--release", type=_FILE, help="The file that is to be released: it has to be one that was judged.")
@JSON
@click.pass_context
def command(
    ctx: click.Context, run: Path, policy: Path, junit: Path | None, release: Path | None, as_json: bool
) -> None:
    """Hold RUN (a run folder or its results.json) against a policy; the exit code is the verdict.

    The results are made again from the store of the run, and results.json has to say the same.
    """
    ctx.exit(gate_run(run, policy, junit, release, as_json=as_json))


def gate_run(
    run: Path, policy: Path, junit: Path | None = None, release: Path | None = None, *, as_json: bool = False
) -> int:
    """Judge a finished run, print every check, write junit.xml, and return the exit code.

    Args:
        run: A run folder, or its results.json.
        policy: The file of requirements.
        junit: Where junit.xml goes; None: beside the results.
        release: The file that is to be released.
        as_json: Whether one JSON document is printed instead of lines.
    """
    from evalsuite.analysis.results_file import read_back
    from evalsuite.export.junit import JUnit
    from evalsuite.gate.checks import as_dict
    from evalsuite.gate.judge import judge
    from evalsuite.gate.policy import read_policy

    report = _place(run, junit)
    demands = read_policy(policy)
    if release is not None and not release.is_file():
        raise UsageError(f"--release: expected a file, got {release}")
    results, backing = read_back(run)
    verdict = judge(demands, results, backing, release=None if release is None else _digest(release))
    report.write(JUnit().export(results, verdict))
    if as_json:
        write_json(as_dict(verdict))
    else:
        for check in verdict.checks:
            colour = {"pass": "green", "fail": "red", "incomplete": "yellow"}[check.outcome]
            echo_labelled(f"{check.outcome:10}", colour, check.message)
        echo(f"gate: {verdict.outcome}", bold=True)
    return verdict.exit_code


def _digest(release: Path) -> str:
    """By which results know a file; only of ONNX files other files may be a part."""
    from evalsuite.cli._rerun import leans_on_others
    from evalsuite.records.sealing import sha256_of_file

    if not leans_on_others(release):
        return sha256_of_file(release)
    from evalsuite.networks.programs.read import file_digest

    return file_digest(release)


@final
@dataclass(frozen=True, kw_only=True)
class _Report:
    """Where junit.xml goes.

    Attributes:
        path: The file.
        asked_for: Whether somebody named it: then it has to be written.
    """

    path: Path
    asked_for: bool

    def write(self, text: str) -> None:
        """Write the file; where nobody named it, a folder that may only be read is no reason to fail."""
        from evalsuite.files.atomic import write_atomically

        try:
            write_atomically(self.path, text)
        except OSError as error:
            if self.asked_for:
                raise
            echo(f"{self.path} was not written ({error.strerror}); --junit FILE writes it elsewhere", err=True)


def _cleared(path: Path, *, asked_for: bool) -> _Report:
    """Where junit.xml is to go; the one of a verdict before is taken away, so that it does not stand for this one.

    Raises:
        UsageError: Something else lies there, or nothing can be written there.
    """
    from evalsuite.files.atomic import check_writable

    if asked_for:
        check_writable(path, "--junit")
    if path.is_file() and not _is_report(path):
        raise UsageError(f"--junit: expected a place for junit.xml, got {path}, which is something else")
    try:
        path.unlink(missing_ok=True)
    except OSError:
        if asked_for:
            raise
    return _Report(path=path, asked_for=asked_for)


def _place(run: Path, junit: Path | None) -> _Report:
    folder = run if run.is_dir() else run.parent
    return _cleared(junit or folder / "junit.xml", asked_for=junit is not None)


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return b"<testsuites " in file.read(200)
