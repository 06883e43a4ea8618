"""The command line's way in, for `evalsuite` and `python -m evalsuite`: signals are answered before all else."""

from evalsuite.interruption import listen


def main() -> None:
    """Run a command and end with the exit code of the contract."""
    listen()
    from evalsuite.cli import cli
    from evalsuite.cli._console import guarded

    guarded(cli)


if __name__ == "__main__":
    main()
