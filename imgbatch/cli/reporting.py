"""The report of one command, which tells how that ended even if it never came to any file."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import click

import imgbatch
from imgbatch.cli.output import complain
from imgbatch.errors import UsageError

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe
    from imgbatch.running.report import Report

_OPTION: Final = "--report"
# As in `model`, which `--version` does without.
_STREAM: Final = "-"
_TO_STREAM: Final = frozenset({"-o-", "--output=-", "-o -", "--output -"})
"""How a command line says that standard output takes a picture."""
_REPORTING: Final = frozenset({"resize", "convert", "filter", "run"})
"""The commands that have the option."""
_IDLE: Final = re.compile(r"--dry-run|--explain|--help|-[nhv]*[nh][nhv]*")
"""Options with which nothing is written, nor a report."""


class Reporting:
    """The report that `command`, the words of a command line, asks for; if it does."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._started = time.time()
        self._report: Report | None = None
        self._ended = False

    def begin(self, path: str, recipe: Recipe | None = None) -> Report:
        """Create the report, with its header, unless there is one. Raises UsageError."""
        if self._report is not None:
            # The run has waited for another one, and begins again.
            return self._report
        from imgbatch.running.report import Report, header_row

        words = ["imgbatch", *self._command]
        header = header_row(imgbatch.__version__, words, self._started, recipe)
        self._report = Report.create(path, header)
        return self._report

    def finish(self, row: dict[str, object]) -> None:
        """Write the last row."""
        if self._report is not None and not self._ended:
            self._report.add(row)
        self._ended = True

    def fail(self, code: int, kind: str, message: str) -> None:
        """Write what ended the command before it could finish its report, or begin one."""
        if self._ended or (self._report is None and (path := self._asked_for()) is None):
            return
        try:
            if self._report is None and path is not None:
                self.begin(path)
        except UsageError as error:
            if str(error) != message:
                complain(str(error))
            return
        from imgbatch.running.report import error_row

        self.finish(error_row(code, kind, message, time.time() - self._started))

    def close(self) -> None:
        """Close the report."""
        if self._report is not None:
            self._report.close()

    def _asked_for(self) -> str | None:
        """The report named on a command line that may be wrong in other places.

        Where a picture is expected, on standard output, there is none.
        """
        words = _options(self._command)
        if any(map(_IDLE.fullmatch, words)):
            return None
        path = asked_for(_OPTION, self._command)
        is_taken = not _TO_STREAM.isdisjoint((*words, *map(" ".join, pairwise(words))))
        return None if path == _STREAM and is_taken else path


def asked_for(option: str, command: Sequence[str]) -> str | None:
    """The file that `option` names on a command line that may be wrong in other places."""
    path = None
    for word, value in pairwise([*_options(command), ""]):
        if word == option:
            path = value
        elif word.startswith(f"{option}="):
            path = word.partition("=")[2]
    return path or None


def _options(command: Sequence[str]) -> Sequence[str]:
    """The words that may be options, of a command that makes pictures."""
    name, *words = command or ("",)
    if name not in _REPORTING:
        return ()
    return words[: words.index("--")] if "--" in words else words


def current() -> Reporting:
    """The report of the command that is being run."""
    found = click.get_current_context().find_object(Reporting)
    assert found is not None
    return found
