"""Standard streams that cannot break a run: closed ones, and readers that went away."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO, cast


def make_safe() -> None:
    """Prepare this process's standard streams.

    A closed descriptor 0, 1 or 2 would be given to the next file that is opened, and what a
    codec prints would end up inside a picture: closed ones are filled with the null device.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free one, so this very one; processes that are started need it as much.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    sys.stdout = _safe(sys.stdout, 1)
    sys.stderr = _safe(sys.stderr, 2)


def to_nowhere(descriptor: int) -> None:
    """Let the null device take what is still to be written to a standard stream."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _safe(stream: TextIO | None, descriptor: int) -> TextIO:
    if isinstance(stream, _Unbreakable):
        return stream
    if stream is None:
        stream = open(descriptor, "w", closefd=False)
    if hasattr(stream, "reconfigure"):
        # Names that are not UTF-8 go out as the bytes they are.
        stream.reconfigure(errors="surrogateescape" if descriptor == 1 else "backslashreplace")
    return cast(TextIO, _Unbreakable(stream, descriptor))


class _Unbreakable:
    """A text stream whose reader may go away (`| head`): the rest is written to nowhere.

    On standard error every failure is taken so; a report on standard output that cannot be
    written for another reason, a full disk say, is an error.
    """

    def __init__(self, stream: TextIO, descriptor: int) -> None:
        self._stream = stream
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        if self._descriptor == 1 and not isinstance(error, BrokenPipeError):
            raise error
        to_nowhere(self._descriptor)
