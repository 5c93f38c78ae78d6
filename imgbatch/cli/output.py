"""All that the command line says goes through here, so that no name or text plays with terminals.

Control characters are written out (`naming.shown`): a newline is one that we made.
"""

from __future__ import annotations

from collections.abc import Iterable

import click

from imgbatch.naming import shown


def tell(line: str, *, err: bool = False) -> None:
    """Print a line on standard output or, with `err`, on standard error."""
    click.echo(shown(line), err=err)


def tell_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print several."""
    for line in lines:
        tell(line, err=err)


def complain(message: str) -> None:
    """Print a message on standard error, with the program's name before it."""
    tell(f"imgbatch: {message}", err=True)


def complain_of(error: click.ClickException) -> None:
    """Print what click found wrong, with the user's words in it."""
    vars(error)["message"] = shown(error.message)
    error.show()


def hand_out(text: str) -> None:
    """Print a file of ours as it is."""
    click.echo(text, nl=False)
