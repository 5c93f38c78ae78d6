"""Everything the command line prints goes through here, so that no text can play with a terminal.

Control characters are escaped (`printable.shown`); every newline is our own.
"""

from __future__ import annotations

from collections.abc import Iterable

import click

from imgbatch.printable import shown


def tell(line: str, *, err: bool = False) -> None:
    """Print a line on standard output or, with `err`, on standard error."""
    click.echo(shown(line), err=err)


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
