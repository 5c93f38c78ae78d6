"""A place where the real command runs in a real process and can be observed.

Nothing here asserts, except `Arena.run`: the tests do, and scripts/tool torture counts.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from toolkit.folders import planted
from toolkit.pictures import Pixels, opened, saved, scene
from toolkit.pool_tasks import _processes
from torture import deeds
from torture.deeds import Deed

INJECTED: Final = Path(__file__).parent / "injected"
PATIENCE_SECONDS: Final = 300.0
"""How long any run may take; one that takes longer hangs."""
ORPHAN_SECONDS: Final = 30.0
"""How long processes may outlive the command that started them, on a busy machine."""
JOURNAL: Final = ".imgbatch"
"""The hidden folder in an output folder, which does not count as output."""

# Compiled once for all runs, even where Python is told not to write bytecode files.
_BYTECODE: Final = tempfile.mkdtemp(prefix="imgbatch-torture-bytecode-")
atexit.register(shutil.rmtree, _BYTECODE, ignore_errors=True)

_SPRAY: Final = ("Traceback", "Warning:", "Error in sitecustomize", "leaked", "Exception ignored")

Tree = dict[str, bytes]
Row = dict[str, Any]


# Files


def plant_innocents(folder: Path, count: int, suffix: str = ".png", side: int = 40) -> list[str]:
    """Plant pictures in three folders, no two alike, and return their names."""
    names = []
    for number in range(count):
        # Widths avoid those of the deeds.
        size = (side + number % 30, side // 2 + number // 30)
        assert size[0] not in deeds.DEEDS
        name = f"{'abc'[number % 3]}/{number:04}{suffix}"
        planted(folder, saved(scene(*size), "JPEG" if suffix == ".jpg" else "PNG"), name)
        names.append(name)
    return names


def plant_deed(folder: Path, deed: Deed, height: int = 8, name: str | None = None) -> str:
    name = name or f"{deed.name.lower()}-{height}.png"
    planted(folder, saved(scene(deed, height), "PNG"), name)
    return name


def plant_noise(folder: Path, count: int, width: int = 80, height: int = 60) -> list[str]:
    """Plant PNG files that cannot be compressed: about 3 bytes a pixel."""
    noise = np.random.default_rng(3)
    names = [f"noise/{number:03}.png" for number in range(count)]
    for name in names:
        planted(folder, saved(noise.integers(0, 256, (height, width, 3), np.uint8), "PNG"), name)
    return names


def visible(folder: Path) -> Tree:
    """The bytes of every visible file below a folder; a missing folder has none."""
    return {name: (folder / name).read_bytes() for name in all_files(folder) if not _hidden(name)}


def leftovers(folder: Path, *, logs: bool = True) -> list[str]:
    """Temporary files that nobody removed, including those in the journal's folder.

    Where the journal could not be written, the logs have to stay for the next run.
    """
    ends = (".tmp", ".log") if logs else (".tmp",)
    return [name for name in all_files(folder) if ".imgbatch-" in name or name.endswith(ends)]


def seals(folder: Path) -> dict[str, tuple[int, int]]:
    """Attributes that change whenever a file is rewritten, even with the same bytes."""
    found = {}
    for name in all_files(folder):
        with suppress(FileNotFoundError):
            stat = (folder / name).stat()
            if not _hidden(name):
                found[name] = (stat.st_ino, stat.st_mtime_ns)
    return found


def all_files(folder: Path) -> list[str]:
    """The names of all files below a folder, including hidden ones."""
    return sorted(
        os.path.relpath(os.path.join(top, name), folder)
        for top, _, names in os.walk(folder)
        for name in names
    )


def _hidden(name: str) -> bool:
    return any(part.startswith(".imgbatch") for part in Path(name).parts)


def partial(made: Tree, whole: Tree) -> list[str]:
    """Files in a tree that differ from those of an undisturbed run."""
    return [
        f"{name}: {len(data)} bytes, "
        + (f"and not the right {len(whole[name])}" if name in whole else "and nobody wants it")
        for name, data in made.items()
        if data != whole.get(name)
    ]


def differing(made: Tree, whole: Tree) -> list[str]:
    """As `partial`, and missing files."""
    return partial(made, whole) + [f"{name} is missing" for name in whole if name not in made]


def pixels(data: bytes) -> NDArray[Any]:
    return np.asarray(opened(data))


def same_pixels(one: bytes, other: bytes | Pixels) -> bool:
    expected = pixels(other) if isinstance(other, bytes) else other
    return np.array_equal(pixels(one), expected)


# Processes


def workers_of(command: int) -> list[int]:
    """The worker processes of a command that leads a session: its grandchildren."""
    return [
        pid
        for pid, parent, session in _processes()
        if session == command and parent not in (command, os.getpid()) and pid != command
    ]


def alive_after(session: int, seconds: float = ORPHAN_SECONDS) -> list[int]:
    """The processes of a session that have not ended within this time."""
    end = time.monotonic() + seconds
    while True:
        living = [pid for pid, _, its_session in _processes() if its_session == session]
        if not living or time.monotonic() > end:
            return living
        time.sleep(0.02)


def wait_until(true: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> bool:
    """Wait for a condition; return whether it came true before `process` ended."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if process is not None and process.poll() is not None:
            return bool(true())
        if time.monotonic() > end:
            raise TimeoutError("this never came true")
        time.sleep(0.005)
    return True


@dataclass(frozen=True)
class Ended:
    """A command that has ended. `code` is as in subprocess: minus the signal that ended it."""

    code: int
    out: str
    said: str
    orphans: list[int]
    report: Path

    @property
    def rows(self) -> dict[str, Row]:
        """The report's rows by source; each source has one."""
        lines = [json.loads(line) for line in self.report.read_text().splitlines()]
        rows = [line for line in lines if "source" in line]
        by_source = {row["source"]: row for row in rows}
        assert len(by_source) == len(rows), "a source has two rows"
        return by_source

    @property
    def summary(self) -> Row:
        """The last line of the report."""
        summary: Row = json.loads(self.report.read_text().splitlines()[-1])["summary"]
        return summary

    def statuses(self, folder: str = "photos") -> dict[str, str]:
        """Each source's status, by its path below a folder."""
        return {
            os.path.relpath(source, folder): str(row["status"]) for source, row in self.rows.items()
        }

    def error(self, source: str) -> tuple[str, str, str]:
        """Stage, kind and message of a failed row."""
        error = self.rows[source]["error"]
        return error["stage"], error["kind"], error["message"]

    def problems(self) -> list[str]:
        """What no run may do, however it ends."""
        spray = [f"said {word!r}: {self.said}" for word in _SPRAY if word in self.said]
        return spray + [f"process {pid} is still alive" for pid in self.orphans]


@dataclass
class Arena:
    """A folder to work in: `photos` below it has the sources, `out` gets the outputs."""

    place: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _started: dict[int, int] = field(default_factory=dict)
    _count: int = 0

    @property
    def photos(self) -> Path:
        return self.place / "photos"

    @property
    def out(self) -> Path:
        return self.place / "out"

    def mark(self, name: str) -> Path:
        """The path of a mark that deeds leave."""
        return self.place / "marks" / name

    def run(
        self,
        *words: str | Path,
        haste: bool = False,
        before: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run the command to its end and check that it leaves no mess, however it ends."""
        with self.begun(*words, haste=haste, before=before, env=env) as process:
            ended = self.end(process)
        assert ended.problems() == [], ended.problems()
        return ended

    @contextmanager
    def begun(
        self,
        *words: str | Path,
        haste: bool = False,
        before: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start the command in its own session; nothing of it is left on exit."""
        self._count += 1
        number = self._count
        self.mark("").mkdir(exist_ok=True)
        # Files, since an orphan would keep a pipe open.
        with (
            open(self._told("stdout", number), "wb") as stdout,
            open(self._told("stderr", number), "wb") as stderr,
        ):
            process = subprocess.Popen(
                [
                    *(*before, sys.executable, "-m", "imgbatch", *words),
                    *("--report", self._told("report", number)),
                ],
                cwd=self.place,
                env=self.environment_of(haste, env),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._started[process.pid] = number
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def end(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for a command that was started to end."""
        number = self._started[process.pid]
        try:
            code = process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            said = self._told("stderr", number).read_text(errors="replace")
            raise TimeoutError(f"the command hangs; it said: {said}") from None
        return self._ended(process.pid, code, number)

    def wait_for_outputs(self, process: subprocess.Popen[bytes], count: int) -> bool:
        """Wait until this many outputs exist; return whether the command still runs then."""
        wait_until(lambda: len(seals(self.out)) >= count, process)
        return process.poll() is None

    def environment_of(
        self, haste: bool = False, more: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The environment of a command and its workers."""
        path = os.pathsep.join(filter(None, (str(INJECTED), os.environ.get("PYTHONPATH"))))
        told = {**os.environ, "PYTHONPATH": path, deeds.MARKS: str(self.mark(""))}
        told.pop("PYTHONDONTWRITEBYTECODE", None)
        told["PYTHONPYCACHEPREFIX"] = _BYTECODE
        if haste:
            told[deeds.HASTE] = "1"
        return {**told, **self.environment, **(more or {})}

    def _ended(self, session: int, code: int, number: int) -> Ended:
        orphans = alive_after(session)
        return Ended(
            code,
            self._told("stdout", number).read_text(errors="replace"),
            self._told("stderr", number).read_text(errors="replace"),
            orphans,
            self._told("report", number),
        )

    def _told(self, what: str, number: int) -> Path:
        return self.place / f"{what}-{number}.txt"
