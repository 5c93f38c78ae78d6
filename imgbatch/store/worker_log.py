"""What the workers of a run are about to publish, written down before they do.

A result that is still in transit when the run is killed is lost, and the journal never hears of
it. The logs are not: each worker appends a line for every file, then gives the file its name.
A line whose file is in the state that it gives proves who made it.

The logs are in the folder `.imgbatch` of the output, one per process, `<run>-<process>.log`.
Where the journal cannot be written, a run's claims are also noted in its first log.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from msgspec import convert

from imgbatch.model import LATEST_NS, About, FileState, joined
from imgbatch.store import local_files

FOLDER: Final = ".imgbatch"
"""The folder below an output folder where imgbatch keeps what it needs to know about it."""

Claim = tuple[str, bytes, FileState, str]
"""A target, the absolute path of its source, the source's state, and the recipe's digest."""

_SUFFIX: Final = ".log"
_CLAIM: Final = ""
"""Takes the place of a target, which is never empty."""
_CLAIMS_AT_ONCE: Final = 1000
_NO_NAMES: Final = frozenset({b"", b".", b".."})
_PIECE_BYTES: Final = 1_000_000
_READING: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
# Errors for a link, and for a socket.
_NOT_OURS: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR})
_encoded: Final = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


class Entry(NamedTuple):
    """A file about to be published: the fields are those of `Made`, for `target`.

    `made` includes the inode, so that it cannot be taken for another file of the same size and
    time. A `kept` file was not published: it existed, and its source turned out to have the content
    that it was made from. `about` is for people.
    """

    target: str
    made: FileState
    path: str | None = None
    hash: int | bytes | None = None
    source_hash: int | None = None
    kept: bool = False
    about: About | None = None

    def found(self, output: str) -> FileState | None:
        """The state of its file, if that was published and is unchanged."""
        there = local_files.state(joined(output, self.path or self.target))
        return there if self.made.equals(there) else None


def write(output: str, run: str, entries: Iterable[Entry], *, durable: bool = False) -> None:
    """Append to this process's log of the run; `durable` waits until it is on the disk.

    Raises OSError; then nothing may be published.
    """
    # Earlier versions expect six fields, and take a sixth that is not true for a published file.
    lines = [_encoded((*entry[:5], entry.kept or entry.about or False)) for entry in entries]
    _append(output, run, "\n".join([*lines, ""]), durable=durable)


def write_claims(output: str, run: str, claims: Iterable[Claim]) -> None:
    """Append what the run is going to make. Raises OSError."""
    lines = (
        _encoded((_CLAIM, target, source.hex(), state, recipe)) + "\n"
        for target, source, state, recipe in claims
    )
    while some := "".join(islice(lines, _CLAIMS_AT_ONCE)):
        _append(output, run, some)


def _append(output: str, run: str, lines: str, *, durable: bool = False) -> None:
    path = os.path.join(output, f"{FOLDER}/{run}-{os.getpid()}{_SUFFIX}")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        data = lines.encode("ascii")
        before = os.lseek(descriptor, 0, os.SEEK_END)
        if os.write(descriptor, data) < len(data):
            # A torn line would spoil the next one.
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(descriptor)
            if not before:
                local_files.sync_folder(os.path.dirname(path))
    finally:
        os.close(descriptor)


def at_work(output: str) -> int | None:
    """The process of a run that is active below an output folder, if its logs tell.

    The first log of a run is its own; those of its workers follow. Raises OSError.
    """
    # On Windows a signal of 0 would end the process.
    if os.name != "posix":
        return None
    paths = [path for some in logs(output).values() for path in some]
    for path in sorted(paths, key=lambda path: os.stat(path).st_mtime_ns):
        word = path.removesuffix(_SUFFIX).rpartition("-")[2]
        if word.isdecimal() and int(word) != os.getpid() and _is_alive(int(word)):
            return int(word)
    return None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def logs(output: str) -> dict[str, list[str]]:
    """The logs below an output folder, by the run's word. Raises OSError."""
    found: dict[str, list[str]] = {}
    folder = os.path.join(output, FOLDER)
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        names = []
    for name in names:
        word, dash, rest = name.partition("-")
        if dash and rest.endswith(_SUFFIX):
            found.setdefault(word, []).append(os.path.join(folder, name))
    return found


def read_all(path: str) -> Iterator[Entry]:
    """The entries of a log, from its beginning. Raises OSError."""
    for line in _lines(path):
        if isinstance(line, Entry):
            yield line


def entries_of(target: str, logs: Iterable[str]) -> list[Entry]:
    """The entries in logs for one target. Raises OSError."""
    begin = b"[" + _encoded(target).encode("ascii") + b","
    found: list[Entry] = []
    for log in logs:
        end, start = 0, -1
        while end != start:
            start = end
            lines, end = _lines_from(log, start)
            entries = (_parsed(line) for line in lines if line.startswith(begin))
            found += [entry for entry in entries if isinstance(entry, Entry)]
    return found


def claims(path: str) -> Iterator[Claim]:
    """What the run of a log was going to make, if that is noted there. Raises OSError."""
    for line in _lines(path):
        if not isinstance(line, Entry):
            yield line


def _lines(path: str) -> Iterator[Entry | Claim]:
    end, start = 0, -1
    while end != start:
        start = end
        lines, end, _ = read(path, start)
        yield from lines


def _lines_from(path: str, start: int) -> tuple[list[bytes], int]:
    """Some whole lines of a log, from the byte `start` on, and the byte where the next one begins.

    Raises OSError.
    """
    try:
        data = _piece(path, start)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        # Once more: what is taken for an empty log would be forgotten for good.
        data = b"" if error.errno in _NOT_OURS else _piece(path, start)
    whole, newline, _ = data.rpartition(b"\n")
    return whole.split(b"\n") if newline else [], start + len(whole) + len(newline)


def read(path: str, start: int = 0) -> tuple[list[Entry | Claim], int, int]:
    """Some lines of a log, from the byte `start` on, the byte where the next one begins, and how
    many lines in between were not valid. Raises OSError.
    """
    lines, end = _lines_from(path, start)
    parsed = map(_parsed, lines)
    found = [line for line in parsed if line is not None]
    return found, end, len(lines) - len(found)


def _piece(path: str, start: int) -> bytes:
    # Whatever may be in a log's place: a link is not followed, a pipe not waited for.
    descriptor = os.open(path, _READING)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        file.seek(start)
        return file.read(_PIECE_BYTES)


def _parsed(line: bytes) -> Entry | Claim | None:
    """The meaning of a line; None if it has none.

    It may be torn by a power cut or a full disk (its file will not be known then), or not be
    imgbatch's at all.
    """
    try:
        first, *fields = json.loads(line)
        return _claim(*fields) if first == _CLAIM else _entry(first, *fields)
    except (ValueError, TypeError, RecursionError):
        return None


def _claim(target: Any, source: Any, state: Any, recipe: Any) -> Claim:
    if not isinstance(recipe, str):
        raise ValueError("not a digest")
    return _name(target), bytes.fromhex(source), _state(state), recipe


def _entry(target: Any, made: Any, *fields: Any) -> Entry:
    if type(made) is int:
        # Lines from before the inode was noted: size, time, path and BLAKE2b in hexadecimal.
        mtime_ns, path, digest = fields
        return _checked(target, (made, mtime_ns), path, digest and bytes.fromhex(digest))
    path, checksum, source_checksum, kept = fields
    for value in (checksum, source_checksum):
        if value is not None and not (type(value) is int and 0 <= value < 1 << 32):
            raise ValueError("not a CRC-32")
    about = convert(kept, About) if isinstance(kept, list) else None
    return _checked(target, made, path, checksum, source_checksum, kept is True, about)


def _checked(target: Any, made: Any, path: Any, *rest: Any) -> Entry:
    # Only the suffix may differ, once the source's format is known.
    if path is not None and _stem(_name(path)) != _stem(_name(target)):
        raise ValueError("not a possible path of this target")
    return Entry(_name(target), _state(made), path, *rest)


def _state(numbers: Any) -> FileState:
    state = FileState(*numbers)
    for value in state:
        if type(value) is not int or not -LATEST_NS <= value <= LATEST_NS:
            raise ValueError("not a number of a file's state")
    return state


def _name(value: Any) -> str:
    # Raises ValueError for a name that no file system could have.
    parts = os.fsencode(value).split(b"/")
    if not isinstance(value, str) or not _NO_NAMES.isdisjoint(parts) or "\0" in value:
        raise ValueError("not a path below an output folder")
    return value


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]
