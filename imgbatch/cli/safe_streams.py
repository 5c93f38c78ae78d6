"""Standard streams that cannot break a run, whether their readers are gone, slow or limited."""

from __future__ import annotations

import codecs
import errno
import os
import select
import stat
import sys
import time
from collections.abc import Iterable
from typing import Any, BinaryIO, Final, TextIO, cast

_PLAIN: Final = {"→": "->", "·": "-", "…": "...", "×": "x", "–": "-", "’": "'", "©": "(c)"}
"""Substitutes for our own characters where an encoding lacks them."""

_LOW_SURROGATES: Final = range(0xDC80, 0xDD00)

# What a pipe accepts without blocking once it is ready (POSIX promises at least 512).
_PORTION: Final = getattr(select, "PIPE_BUF", 512)
_WAIT_MS: Final = 100
_PATIENCE_SECONDS: Final = 1.0

_hurried: Final[set[int]] = set()


def make_safe() -> None:
    """Prepare this process's standard streams.

    A closed descriptor 0, 1 or 2 would be given to the next file that is opened, and whatever a
    codec prints would end up inside a picture: closed ones are opened on the null device.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free one, so this very one; child processes need it just as much.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    codecs.register_error("imgbatch.raw", lambda error: _substituted(error, raw=True))
    codecs.register_error("imgbatch.spelt", lambda error: _substituted(error, raw=False))
    sys.stdout = _safe(sys.stdout, 1)
    sys.stderr = _safe(sys.stderr, 2)


def hurry(descriptor: int) -> None:
    """From now on, do not wait long for whoever reads a standard stream."""
    _hurried.add(descriptor)


def offer(stream: TextIO, text: str) -> None:
    """Write to a stream if it is ready at once. Safe in a signal handler at any moment."""
    if not isinstance(stream, _Unbreakable):
        stream.write(text)
        stream.flush()
    elif stream.is_ready(0):
        stream.write(text)


def write_bytes(data: bytes) -> None:
    """Write to standard output as it is. Raises OSError, but not if its reader is gone."""
    if isinstance(sys.stdout, _Unbreakable):
        sys.stdout.write_bytes(data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


def discard_rest(descriptor: int) -> None:
    """Send what is still to be written to a standard stream to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _safe(stream: TextIO | None, descriptor: int) -> TextIO:
    if isinstance(stream, _Unbreakable):
        return stream
    if stream is None:
        stream = open(descriptor, "w", closefd=False)
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        return stream
    stream.flush()
    return cast(TextIO, _Unbreakable(stream, getattr(buffer, "raw", buffer), descriptor))


def _substituted(error: UnicodeError, *, raw: bool) -> tuple[str | bytes, int]:
    """Replacements for a character that an encoding lacks.

    With `raw`, a surrogate that stands for a byte of a name that is not UTF-8 becomes that byte.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    after = error.start + 1
    if raw and ord(character) in _LOW_SURROGATES:
        return bytes([ord(character) - 0xDC00]), after
    return _PLAIN.get(character) or character.encode("unicode_escape").decode("ascii"), after


class _Unbreakable:
    """A text stream that writes at once, so that nothing is left for interpreter shutdown.

    If its reader goes away (`| head`), the rest is discarded. Standard error ignores every failure
    in this way; any other failure of standard output (a full disk) raises OSError with the
    stream's name. After `hurry` it no longer waits for a reader.
    """

    def __init__(self, stream: TextIO, file: BinaryIO, descriptor: int) -> None:
        self._stream = stream
        self._file = file
        self._descriptor = descriptor
        self._encoding = stream.encoding or "utf-8"
        # In any other encoding these bytes might form a character that moves the cursor.
        raw = descriptor == 1 and codecs.lookup(self._encoding).name == "utf-8"
        self._errors = "imgbatch.raw" if raw else "imgbatch.spelt"
        # Files never block, and Windows cannot tell.
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._poll = None if regular or sys.platform == "win32" else select.poll()
        if self._poll is not None:
            self._poll.register(descriptor, select.POLLOUT)

    def write(self, text: str) -> int:
        self.write_bytes(text.encode(self._encoding, self._errors))
        return len(text)

    def write_bytes(self, whole: bytes) -> None:
        data = memoryview(whole)
        try:
            while data:
                self._wait()
                # None: it does not block, and was not ready after all.
                data = data[self._file.write(data[:_PORTION]) or 0 :]
        except OSError as error:
            if self._descriptor == 1 and not isinstance(error, BrokenPipeError):
                raise OSError(error.errno, error.strerror, "standard output") from None
            discard_rest(self._descriptor)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing is ever buffered."""

    def is_ready(self, milliseconds: int) -> bool:
        """Whether it can be written to within this time."""
        return self._poll is None or bool(self._poll.poll(milliseconds))

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            # What is written there would be buffered, and come out of order.
            raise AttributeError(name)
        return getattr(self._stream, name)

    def _wait(self) -> None:
        begun = None
        while not self.is_ready(_WAIT_MS):
            if self._descriptor in _hurried:
                begun = begun or time.monotonic()
                if time.monotonic() - begun > _PATIENCE_SECONDS:
                    raise OSError(errno.EAGAIN, "nobody reads it")
