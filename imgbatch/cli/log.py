"""The log of `--log`: what is said and each file's outcome, as lines with a time and a level."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Self

import imgbatch
from imgbatch import signals
from imgbatch.cli import output
from imgbatch.cli.output import Level
from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.planning.output_paths import is_own
from imgbatch.printable import shown
from imgbatch.store import regular

_HEAD_BYTES: Final = 4096
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of a disk, not of the user."""
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


class Log:
    """A log that is appended to, a line at a time, so that several runs may share it.

    Where it cannot be written to its end, a notice says so once: pictures matter more.
    """

    def __init__(self, path: str, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: str) -> Self:
        """Open a log, in a folder that is made if necessary; from now on it has what is said.

        Raises UsageError if there is something else, or if it may not be written.
        """
        _check(path)
        made = cls(path, None)
        try:
            os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
            made._descriptor = os.open(path, _FLAGS, 0o666)
        except OSError as error:
            if error.errno not in _FULL:
                raise UsageError(f"cannot write the log {path}: {error.strerror}") from None
            made._give_up(error)
        output.listen(made)
        signals.before_death(made.die)
        made.add("INFO", f"imgbatch {imgbatch.__version__}: imgbatch {shlex.join(sys.argv[1:])}")
        return made

    def add(self, level: Level, text: str) -> None:
        """Append a line. Safe in a signal handler."""
        if self._descriptor is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        data = f"{time}Z {level} {shown(text)}\n".encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self._give_up(error)

    def end(self, code: int) -> None:
        """Append the exit code, and close it."""
        self.add("INFO", f"ended with exit code {code}")
        self._close()

    def die(self) -> None:
        """Append that a signal ends the command, and close it. Safe in a signal handler."""
        self.add("WARNING", "ended by a signal")
        self._close()

    def _give_up(self, error: OSError) -> None:
        self._close()
        output.complain(f"the log {self._path} is incomplete: {error.strerror}")

    def _close(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def _check(path: str) -> None:
    """Raise UsageError for what is no log: nothing is appended to somebody's picture."""
    if path == "-":
        raise UsageError("--log needs a file: messages go to standard error anyway")
    if formats.of_suffix(os.path.splitext(path)[1].lower()) is not None:
        raise UsageError(f"--log {path} names a picture: expected a text file")
    if is_own(path.split(os.sep)):
        raise UsageError(
            f"--log {path} is in a folder where imgbatch keeps its journal: use another"
        )
    try:
        with regular.opened(path) as file:
            head = file.read(_HEAD_BYTES)
    except regular.NotRegularError as error:
        raise UsageError(f"cannot write the log {path}: {error.strerror}") from None
    except (OSError, ValueError):
        # It is not there yet, or may only be written.
        return
    if b"\0" in head or formats.recognise(head, "") is not None:
        raise UsageError(f"--log {path} is not a text file: nothing is appended to it")
