"""The command line; one command, one file, imported when it is called so that `--help` answers at once."""

from importlib import import_module

import click
from typing_extensions import override

from evalsuite.version import __version__

# one line each, so that `evalsuite --help` imports no command
_COMMANDS = {
    "sweep": "Prune a network at increasing ratios, judge every one, report how far it can go.",
    "prune": "Only make the family: the pruned networks, as files.",
    "evaluate": "Only judge: networks made by anyone, against their parent.",
    "train": "Train a network by a recipe.",
    "demo": "Train, prune, judge and report on a small example, start to finish.",
    "report": "Write the report of a run again, as HTML, JSON or Markdown.",
    "gate": "Hold a run against a policy; the exit code is the verdict.",
    "plan": "Show what a sweep would compute and take, and what its examples can show.",
    "status": "Show how far a run is, while it works too.",
    "list": "List networks, data sets, pruners, tasks, measures, corruptions, attacks, recipes or presets.",
    "show": "Show one part, a checkpoint or a run in detail.",
    "doctor": "Check this installation and say what is missing for what.",
}


class _Commands(click.Group):
    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"evalsuite.cli.{cmd_name}").command
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            from evalsuite.errors import UnknownNameError

            raise UnknownNameError("command", args[0], _COMMANDS)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={
        "auto_envvar_prefix": "EVALSUITE",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
    },
    epilog="Exit codes: 0 pass, 1 gate failed, 2 usage, 3 evidence incomplete, 4 input refused, 5 internal error, "
    "129/130/143 interrupted (the same command continues).",
)
@click.version_option(__version__, prog_name="evalsuite")
def cli() -> None:
    """How far can a trained network be pruned before each kind of robustness breaks?

    \b
    evalsuite demo                                 see it work, in minutes
    evalsuite sweep --ckpt model.safetensors       your own network
    """  # noqa: D301 - \b is click's sign for lines to be left as they are
