"""What `-` among the PATHs stands for: a list of files on standard input, or a picture."""

from __future__ import annotations

import codecs
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import IO, BinaryIO, Final

from imgbatch import signals
from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import STREAM, Source
from imgbatch.running.settings import Settings

_OPEN_FILES: Final = "/proc/self/fd"

# Some ten million names.
_MAX_LISTED_BYTES: Final = 1_000_000_000
_PIECE: Final = 1 << 20
_NETPBM: Final = re.compile(rb"P[1-7]\s+(#[^\n]*\s+)*\d+\s+\d")


@contextmanager
def taken(settings: Settings, *, null: bool, on_list: Callable[[], None]) -> Iterator[Settings]:
    """The settings with what standard input holds, which is among the PATHs.

    A picture is kept in a temporary file until this ends. `on_list` is called before a list is
    read, which may take long. Names are separated by newlines, or with `null` by NUL. Raises
    UsageError.
    """
    stream = sys.stdin.buffer
    head = stream.read(formats.HEAD_BYTES)
    row = _format_of(head, null=null)
    if row is None:
        on_list()
        listed = tuple(_listed(head + stream.read(_MAX_LISTED_BYTES + 1), b"\0" if null else b"\n"))
        paths = tuple(path for path in settings.paths if path != STREAM)
        yield replace(settings, paths=paths, listed=listed)
        return
    if len(settings.paths) > 1:
        raise UsageError(
            f"found a picture on standard input ({row.label}), which goes alone: omit the other "
            "PATHs, or give a list of files"
        )
    with _kept(head, stream) as (file, path):
        yield replace(settings, paths=(), streamed=_source(file, path, row))


def _format_of(head: bytes, *, null: bool) -> formats.Format | None:
    """The format of a picture that begins so; None for a list. Raises UsageError for neither.

    Names may begin like a picture, as in P1000123.JPG, but they have no NUL, nor bytes that begin
    no character.
    """
    is_binary = (b"\0" in head and not null) or not _is_text(head[:4])
    row = formats.recognise(head, "")
    if row is not None and (is_binary or _NETPBM.match(head)):
        if null:
            raise UsageError(
                f"found a picture on standard input ({row.label}), expected a list of files: omit "
                "--null"
            )
        return row
    if is_binary and (what := formats.describe_foreign(head)) is not None:
        raise UsageError(f"found {what} on standard input, expected a picture or a list of files")
    return None


def _is_text(data: bytes) -> bool:
    """Whether these bytes may be the first of a text in UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _kept(head: bytes, stream: BinaryIO) -> Iterator[tuple[IO[bytes], str]]:
    """What a stream holds, after its `head`, in a file that is gone in the end; and its path."""
    with ExitStack() as stack:
        try:
            file, path = _temporary(stack)
            file.write(head)
            shutil.copyfileobj(stream, file, _PIECE)
            file.flush()
            _date_like(file, stream)
        except OSError as error:
            raise UsageError(f"cannot keep standard input: {error.strerror}") from None
        yield file, path


def _temporary(stack: ExitStack) -> tuple[IO[bytes], str]:
    """A file to write to, and the path by which others can read it, until the stack ends.

    One without a name is gone even if its process is killed. Raises OSError.
    """
    if os.path.isdir(_OPEN_FILES):
        file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
        return file, f"/proc/{os.getpid()}/fd/{file.fileno()}"
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="imgbatch-"))
    signals.before_death(lambda: shutil.rmtree(folder, ignore_errors=True))
    path = os.path.join(folder, "stdin")
    return stack.enter_context(open(path, "w+b")), path


def _date_like(file: IO[bytes], stream: BinaryIO) -> None:
    """Give a copy the time of the file that a shell redirected (`< a.jpg`), if it is one."""
    try:
        found = os.fstat(stream.fileno())
    except OSError:
        return
    if stat.S_ISREG(found.st_mode) and os.utime in os.supports_fd:
        os.utime(file.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))


def _source(file: IO[bytes], path: str, row: formats.Format) -> Source:
    """A picture in a file that is called `stdin`, to those who ask for its name."""
    found = os.fstat(file.fileno())
    name = f"stdin{(row.suffixes or row.read_suffixes)[0]}"
    return Source("", name, found.st_size, found.st_mtime_ns, copy=path)


def _listed(data: bytes, separator: bytes) -> Iterator[str]:
    if len(data) > _MAX_LISTED_BYTES:
        raise UsageError(
            f"found more than {_MAX_LISTED_BYTES / 1e9:g} GB on standard input, "
            "expected a list of files"
        )
    if separator not in data and b"\0" in data:
        raise UsageError(
            "found NUL in the list on standard input, expected a name in each line: add --null, "
            "if that separates the names (as find -print0 does)"
        )
    names = data.removeprefix(codecs.BOM_UTF8).split(separator)
    # A list that was written on Windows. A single name may really end in this character.
    ending = b"\r" if separator == b"\n" and all(one[-1:] == b"\r" for one in names if one) else b""
    for name in names:
        if name := name.removesuffix(ending):
            yield os.fsdecode(name)
