"""The command line's way in, for `evalsuite` and `python -m evalsuite`: signals are answered before all else."""

from evalsuite.process.interruption import listen


def main() -> None:
    """Run a command and end with the exit code of the contract.

    What others' code has left behind to run at the end does not run, and threads that never end are not waited for.
    """
    listen()
    from evalsuite.cli import cli
    from evalsuite.cli._console import guarded
    from evalsuite.cli._exits import end_process, kept_from_exit

    kept_from_exit()
    try:
        guarded(cli)
    except SystemExit as end:
        end_process(end.code if isinstance(end.code, int) else 0)


if __name__ == "__main__":
    main()
