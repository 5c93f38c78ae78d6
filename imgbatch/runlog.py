"""What the workers of a run are about to publish, written down before they do.

A result that is still on its way when the run is killed is lost, and the journal never hears of
it. The logs are not: each worker appends a line for every file, then gives the file its name.
A line whose file stands there in the state it tells of is proof of who made it.

The logs stand in the folder `.imgbatch` of the output, one a process, `<run>-<process>.log`.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from imgbatch.model import FileState

FOLDER: Final = ".imgbatch"
"""Where imgbatch keeps what it needs to know of an output folder, below it."""

_SUFFIX: Final = ".log"
_PIECE_BYTES: Final = 1_000_000
_encoded: Final = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Entry:
    """A file about to be published: the fields are those of `Made`, for `target`."""

    target: str
    made: FileState
    path: str | None = None
    hash: bytes | None = None


def write(output: str, run: str, entries: Iterable[Entry], *, durable: bool = False) -> None:
    """Append to this process's log of the run; `durable` waits until it is on the disk.

    Raises OSError; then nothing may be published.
    """
    lines = "".join(
        _encoded([entry.target, *entry.made, entry.path, entry.hash and entry.hash.hex()]) + "\n"
        for entry in entries
    )
    path = os.path.join(output, FOLDER, f"{run}-{os.getpid()}{_SUFFIX}")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        data = lines.encode("ascii")
        before = os.fstat(descriptor).st_size
        if os.write(descriptor, data) < len(data):
            # A line that is torn would take the next one along.
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def logs(output: str) -> dict[str, list[str]]:
    """The logs below an output folder, by the run's word."""
    found: dict[str, list[str]] = {}
    folder = os.path.join(output, FOLDER)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    for name in names:
        word, dash, rest = name.partition("-")
        if dash and rest.endswith(_SUFFIX):
            found.setdefault(word, []).append(os.path.join(folder, name))
    return found


def read_all(path: str) -> Iterator[Entry]:
    """The entries of a log, from its beginning."""
    end, start = 0, -1
    while end != start:
        start = end
        entries, end = read(path, start)
        yield from entries


def read(path: str, start: int = 0) -> tuple[list[Entry], int]:
    """Some entries of a log, from the byte `start` on, and the byte where the next one begins."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            data = file.read(_PIECE_BYTES)
    except OSError:
        return [], start
    whole, newline, _ = data.rpartition(b"\n")
    return list(_parsed(whole.splitlines())), start + len(whole) + len(newline)


def _parsed(lines: Iterable[bytes]) -> Iterator[Entry]:
    for line in lines:
        try:
            target, size, mtime_ns, path, digest = json.loads(line)
            yield Entry(
                target, FileState(size, mtime_ns), path, bytes.fromhex(digest) if digest else None
            )
        except (ValueError, TypeError):
            # Torn by a power cut, or by a disk that was full: its file will not be known.
            continue
