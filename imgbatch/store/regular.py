"""Files named by the user, read whole: regular files only, and no larger than makes sense.

A device has no end, and a pipe may never begin.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO, Final

from imgbatch.errors import UsageError

FOLDER: Final = "a folder"
_KINDS: Final = (
    (stat.S_ISDIR, FOLDER),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Opening does not block, even if something else has taken the file's place since the check.
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class NotRegularError(OSError):
    """Found something other than a regular file; `strerror` says what."""

    def __init__(self, mode: int) -> None:
        self.kind = next((kind for test, kind in _KINDS if test(mode)), "something else")
        super().__init__(None, f"found {self.kind}, expected a file")


class UnreadableError(UsageError):
    """A file that the user named cannot be read; `cause` says why."""

    def __init__(self, path: str, cause: str) -> None:
        super().__init__(f"cannot read {path}: {cause}")
        self.cause = cause


def descriptor(path: str) -> int:
    """A descriptor to read a regular file from.

    Raises NotRegularError, any other OSError, or ValueError for a path that cannot be one.
    """
    # Checked before, because opening a device may already have an effect.
    if not stat.S_ISREG(mode := os.stat(path).st_mode):
        raise NotRegularError(mode)
    try:
        found = os.open(path, _FLAGS)
    except BlockingIOError:
        # Another program holds a lease on it, and is asked to give it up.
        found = os.open(path, _FLAGS & ~getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(mode := os.fstat(found).st_mode):
        os.close(found)
        raise NotRegularError(mode)
    return found


def opened(path: str) -> BinaryIO:
    """A regular file, opened to be read. Raises what `descriptor` does."""
    return open(descriptor(path), "rb")


def read(path: str, what: str, most_bytes: int) -> bytes:
    """All of a regular file of at most `most_bytes`; `what` is what it is meant to be.

    Raises UnreadableError that says what was found, and what was expected.
    """
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            # Some system files report no size, and others grow in the meantime.
            data = file.read(most_bytes + 1) if size <= most_bytes else None
    except NotRegularError as error:
        raise UnreadableError(path, f"found {error.kind}, expected {what}") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(path, f"{getattr(error, 'strerror', None) or error}") from None
    if data is None or len(data) > most_bytes:
        length = "" if data is not None else f" of {size / 1e6:,.1f} MB"
        raise UnreadableError(
            path, f"found a file{length}, expected {what} of at most {most_bytes / 1e6:g} MB"
        )
    return data
