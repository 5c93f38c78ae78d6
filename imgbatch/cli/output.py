"""Everything the command line prints goes through here, so that no text can play with a terminal.

Control characters are escaped (`printable.shown`); every newline is our own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, Literal, Protocol

import click

from imgbatch.printable import shown

RED: Final = "red"
YELLOW: Final = "yellow"

# click 8.1 prints help without an error.
_HELP: Final = getattr(click.exceptions, "NoArgsIsHelpError", ())


Level = Literal["INFO", "WARNING", "ERROR"]
_LEVELS: Final[dict[str | None, Level]] = {RED: "ERROR", YELLOW: "WARNING", None: "INFO"}


class Listener(Protocol):
    """Gets everything that is said."""

    def add(self, level: Level, text: str) -> None:
        """A line that is said."""

    def end(self, code: int) -> None:
        """The command ends with this code."""


_listeners: Final[list[Listener]] = []


def listen(listener: Listener) -> None:
    """Let a listener hear what is said from now on, until `dismiss`."""
    _listeners.append(listener)


def dismiss(code: int) -> None:
    """Tell all listeners that the command ends with a code, and forget them."""
    while _listeners:
        _listeners.pop().end(code)


def is_heard() -> bool:
    """Whether there is a listener."""
    return bool(_listeners)


def note(text: str, level: Level = "INFO") -> None:
    """Say a line to listeners alone."""
    for listener in _listeners:
        listener.add(level, text)


def tell(line: str, *, err: bool = False, colour: str | None = None) -> None:
    """Print a line on standard output or, with `err`, on standard error.

    It has a `colour` only on a terminal, and never with NO_COLOR.
    """
    if err:
        note(line, _LEVELS[colour])
    text = shown(line)
    if colour is not None and not os.environ.get("NO_COLOR"):
        # click takes it off again where there is no terminal.
        text = click.style(text, fg=colour)
    click.echo(text, err=err)


def tell_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print several lines."""
    for line in lines:
        tell(line, err=err)


def complain(message: str, level: Level = "WARNING") -> None:
    """Print a message on standard error, prefixed with the program's name."""
    line = f"imgbatch: {message}"
    note(line, level)
    click.echo(shown(line), err=True)


def complain_of(error: click.ClickException) -> None:
    """Print a click error, in which there may be the user's words."""
    # Help alone has lines that are our own.
    lines = error.message.split("\n") if isinstance(error, _HELP) else [error.message]
    vars(error)["message"] = "\n".join(map(shown, lines))
    note(error.format_message(), "ERROR")
    error.show()


def tell_verbatim(text: str) -> None:
    """Print one of our own files verbatim."""
    click.echo(text, nl=False)
