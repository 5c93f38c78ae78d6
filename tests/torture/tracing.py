"""The calls of one thread, recorded or failed by strace.

strace counts the calls of each thread separately, so exactly one thread is traced: its n-th call is
then one call of the whole run.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolkit import programs
from torture import holding
from torture.arena import JOURNAL

NAMES: Final = (
    *("open", "openat", "creat"),
    *("write", "pwrite64", "writev", "pwritev", "copy_file_range", "sendfile"),
    *("fsync", "fdatasync", "sync_file_range", "ftruncate", "fallocate", "fcntl"),
    *("link", "linkat", "symlink", "symlinkat", "rename", "renameat", "renameat2"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"),
    *("utime", "utimes", "utimensat", "futimesat"),
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat"),
    *("setxattr", "lsetxattr", "fsetxattr"),
)
"""Calls that may change files; names unknown on this architecture are omitted."""

OPENING: Final = frozenset({"open", "openat", "creat"})
WRITING: Final = frozenset({"write", "pwrite64"})
_ATTACH_SECONDS: Final = 20.0
_END_SECONDS: Final = 2.0
_CALL: Final = re.compile(
    r"(\w+)\((.*?)(?:\)\s+= (-?\d+|\?)(?: (E\w+))?.*| <unfinished \.\.\.>.*)?"
)
_PATH: Final = re.compile(r'(AT_FDCWD|\d+)<([^>]*)>|"([^"]*)"')
_TO_WRITE: Final = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_LOCK: Final = re.compile(r"F_(?:OFD_)?SETLKW?\b")
_NUMBERS: Final = re.compile(r", (\d+)")
# What differs from run to run: the tag of a run, a process id, a random name, an inode.
_NAMES: Final = (
    (re.compile(r"\.imgbatch-[0-9a-f]+-[0-9a-f]+\.tmp"), "TEMPORARY"),
    (re.compile(r"\.imgbatch/[0-9a-f]+-\d+\.log"), ".imgbatch/LOG"),
    (re.compile(r"#\d+"), "NAMELESS"),
    (re.compile(r"/proc/self/fd/\d+"), "FD"),
)


class TracingError(Exception):
    """strace cannot do what is asked."""


@dataclass(frozen=True)
class Call:
    """A call as strace reports it.

    `nth` counts those of the same name in its thread from 1, `paths` are those below the arena,
    without what differs from run to run. `result` is None if it never returned, `error` is the name
    of the error. A writing call wanted to write from byte `start` of its file to `end`.
    """

    name: str
    nth: int
    arguments: str
    paths: tuple[str, ...]
    result: int | None
    error: str | None
    start: int = 0
    end: int = 0

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.paths)})"

    @property
    def matters(self) -> bool:
        """Whether it changes files that the arena has, or opens ones that affect them."""
        if not self.paths:
            return False
        if self.name in OPENING:
            remembered = any(JOURNAL in path.split("/") for path in self.paths)
            return remembered or _TO_WRITE.search(self.arguments) is not None
        return self.name != "fcntl" or _LOCK.search(self.arguments) is not None

    @property
    def is_pipe(self) -> bool:
        return "<pipe:" in self.arguments

    @property
    def is_nameless(self) -> bool:
        return "O_TMPFILE" in self.arguments


def calls(log: Path, place: Path) -> list[Call]:
    """The calls in a log of strace, with paths relative to `place`."""
    found: list[Call] = []
    counts: dict[str, int] = {}
    ends: dict[str, int] = {}
    # The last line may still be being written.
    whole, _, _ = log.read_text(errors="replace").rpartition("\n")
    for line in whole.splitlines():
        match = _CALL.fullmatch(line)
        if match is None:
            continue
        name, arguments, told, error = match.groups()
        counts[name] = counts.get(name, 0) + 1
        result = int(told) if told not in (None, "?") else None
        start = end = 0
        if name in WRITING:
            file = arguments.partition(",")[0]
            numbers = [int(number) for number in _NUMBERS.findall(arguments)]
            start = numbers[-1] if name == "pwrite64" else ends.get(file, 0)
            end = start + numbers[0]
            ends[file] = start + max(result or 0, 0)
        paths = tuple(_paths(arguments, place))
        found.append(Call(name, counts[name], arguments, paths, result, error, start, end))
    return found


def _paths(arguments: str, place: Path) -> Iterator[str]:
    folder = str(place)
    for descriptor, described, quoted in _PATH.findall(arguments):
        if descriptor:
            folder = described
        if descriptor == "AT_FDCWD" or (not described.startswith("/") and not quoted):
            continue
        path = os.path.normpath(os.path.join(folder, quoted))
        if path == str(place) or path.startswith(f"{place}{os.sep}"):
            path = os.path.relpath(path, place)
            for differing, name in _NAMES:
                path = differing.sub(name, path)
            yield path


class Tracer:
    """strace running on one thread."""

    def __init__(self, thread: int, log: Path, *inject: str) -> None:
        words = [programs.path_of("strace"), "-p", str(thread), "-o", str(log), "-y", "-s", "0"]
        words += ["-e", "signal=none", "-e", f"trace={','.join(f'?{name}' for name in NAMES)}"]
        words += [word for one in inject for word in ("-e", f"inject={one}")]
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        said = self._process.stderr.readline()
        if "attached" not in said:
            self.close()
            raise TracingError(said.strip() or "strace says nothing")

    def close(self) -> None:
        """Detach from the thread, if it still exists."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._process.terminate()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()


@functools.cache
def trouble() -> str | None:
    """Why calls cannot be traced here, None if they can."""
    if problem := programs.why_lacking("strace"):
        return problem
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        held = subprocess.Popen(
            [sys.executable, holding.__file__], env={**os.environ, holding.FOLDER: name}
        )
        try:
            _, thread = await_held(folder)
            Tracer(thread, folder / "log").close()
        except (TracingError, TimeoutError) as error:
            return f"strace may not trace here: {error}"
        finally:
            held.kill()
            held.wait()
    return None


def await_held(folder: Path) -> tuple[int, int]:
    """Wait for a held thread; return its process and thread."""
    end = time.monotonic() + _ATTACH_SECONDS
    while (found := holding.held(folder)) is None:
        if time.monotonic() > end:
            raise TimeoutError("nobody came to be traced")
        time.sleep(0.001)
    return found
