"""Everything the command line prints goes through here, so that no text can play with a terminal.

Control characters are escaped (`printable.shown`); every newline is our own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

import click

from imgbatch.printable import shown

RED: Final = "red"
YELLOW: Final = "yellow"


def tell(line: str, *, err: bool = False, colour: str | None = None) -> None:
    """Print a line on standard output or, with `err`, on standard error.

    It has a `colour` only on a terminal, and never with NO_COLOR.
    """
    text = shown(line)
    if colour is not None and not os.environ.get("NO_COLOR"):
        # click takes it off again where there is no terminal.
        text = click.style(text, fg=colour)
    click.echo(text, err=err)


def tell_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print several lines."""
    for line in lines:
        tell(line, err=err)


def complain(message: str) -> None:
    """Print a message on standard error, prefixed with the program's name."""
    tell(f"imgbatch: {message}", err=True)


def complain_of(error: click.ClickException) -> None:
    """Print a click error, in which there may be the user's words."""
    vars(error)["message"] = shown(error.message)
    error.show()


def tell_verbatim(text: str) -> None:
    """Print one of our own files verbatim."""
    click.echo(text, nl=False)
