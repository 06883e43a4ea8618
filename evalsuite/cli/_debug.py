"""`--debug`, of every command and before it: what goes wrong is shown with its traceback and those that led to it."""

import traceback
from typing import Final

import click

from evalsuite.printable import one_line

NAME: Final = "debug"
_REQUESTS: Final[list[bool]] = []


def option() -> click.Option:
    """The option, which changes nothing but what is shown."""
    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="Show the traceback of what goes wrong, also of what is told in one line.",
    )


def forget() -> None:
    """Of an earlier command in this process."""
    _REQUESTS.clear()


def show(error: BaseException, *, always: bool = False) -> None:
    """The traceback of `error` on stderr, if it was asked for; or else, once, where it is shown `always`."""
    if bool(_REQUESTS) != always:
        click.echo("\n".join(map(one_line, _traceback(error))), err=True)


def _traceback(error: BaseException) -> list[str]:
    """As Python shows it, but that messages stay in one line."""
    lines = []
    for piece in traceback.format_exception(error):
        text = piece.strip("\n")
        if piece.startswith("\n"):  # what leads from one error to the next
            lines += ["", text, ""]
        else:
            lines += text.split("\n") if piece.startswith("  File ") else [text]
    return lines


def _remember(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        _REQUESTS.append(True)
