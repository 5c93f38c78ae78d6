"""The two sides: code in its own folder, run by this Python with this environment's packages."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from tools.compare.outcomes import Outcome, Ran, files_in, lines_of, rows_of
from tools.compare.recipes import ALL, FEW, Entry, works

PACKAGE: Final = "imgbatch"
SOURCES: Final = "in"
SECONDS: Final = 900
"""After this long a command counts as hanging."""
_GRACE: Final = 10
_PROBE: Final = f"import {PACKAGE}; print({PACKAGE}.__file__)"


class CompareError(Exception):
    """What cannot be compared, and why."""


@dataclass(frozen=True, slots=True)
class Side:
    """Code in `place/code`, pictures in `place/in`; entries get their own folders there."""

    name: str
    place: Path
    few: str
    jobs: int | None = None

    @property
    def code(self) -> Path:
        """The folder that holds the package."""
        return self.place / "code"

    def check(self) -> None:
        """Raise unless this side's own code is what is run."""
        words = [sys.executable, "-P", "-c", _PROBE]
        run = subprocess.run(
            words, cwd=self.place, env=self._environment(), capture_output=True, check=False
        )
        loaded = run.stdout.decode().strip()
        if run.returncode or not Path(loaded).is_relative_to(self.code):
            complaint = run.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise CompareError(
                f"{self.name}: not its own code is run, but {loaded or 'none'} {complaint}".strip()
            )

    def compile(self) -> None:
        """Compile the package, so that compilation is not timed on either side."""
        words = [sys.executable, "-P", "-m", "compileall", "-q", str(self.code)]
        subprocess.run(words, env=self._environment(), capture_output=True, check=False)

    def run(self, entry: Entry) -> Outcome:
        """Run an entry's commands, and collect the results."""
        place = self.place / entry.name
        place.mkdir()
        for name, text in entry.files.items():
            (place / name).write_text(text, encoding="utf-8")
        home = self.place / SOURCES
        if entry.in_place:
            shutil.copytree(home, place / SOURCES)
        else:
            home.rename(place / SOURCES)
        try:
            before = {} if entry.in_place else _states(place / SOURCES)
            ran = tuple(
                self._run(entry, words, place / _report(number))
                for number, words in enumerate(entry.words())
            )
            after = {} if entry.in_place else _states(place / SOURCES)
        finally:
            if not entry.in_place:
                (place / SOURCES).rename(home)
        reports = [_report(number) for number in range(len(ran))]
        changed = {name for name, _state in before.items() ^ after.items()}
        files = files_in(place, [*entry.files, *reports])
        return Outcome(ran, files, tuple(sorted(changed)))

    def _run(self, entry: Entry, words: list[str], report: Path) -> Ran:
        place = report.parent
        stands_for = {ALL: SOURCES, FEW: os.path.normpath(f"{SOURCES}/{self.few}")}
        command = [stands_for.get(word, word) for word in words]
        line = shlex.join(command)
        jobs = self.jobs or entry.jobs
        if works(words):
            command += ["--jobs", str(jobs), "--report", report.name]
        begun = time.perf_counter()
        code, out, err = self._finished(command, entry.stdin.encode(), place)
        seconds = time.perf_counter() - begun
        ordered = jobs == 1
        return Ran(
            line,
            code,
            lines_of(out, place, ordered=ordered),
            lines_of(err, place, ordered=ordered),
            rows_of(report, place),
            seconds,
        )

    def _finished(
        self, words: list[str], stdin: bytes, place: Path
    ) -> tuple[int | None, bytes, bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", PACKAGE, *words],
            cwd=place,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            out, err = process.communicate(stdin, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None, b"", b""
        finally:
            _end(process)
        return process.returncode, out, err

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        return kept | {
            "PYTHONPATH": str(self.code),
            "PYTHONUTF8": "1",
            "TZ": "UTC",
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }


def _report(number: int) -> str:
    return f"report-{number}.jsonl"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command that still runs; given time, it takes its workers along."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.communicate(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file."""
    states = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        states[path.relative_to(folder).as_posix()] = status.st_size, status.st_mtime_ns
    return states


def commit_of(root: Path, revision: str) -> str:
    """The full hash of a revision."""
    try:
        found = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except subprocess.CalledProcessError as error:
        raise CompareError(f"{revision} is not a revision of {root}") from error
    return found.decode().strip()


def check_out(root: Path, commit: str, place: Path) -> None:
    """Put the package as of a commit into a new folder."""
    try:
        packed = _git(root, "archive", "--format=tar", commit, PACKAGE)
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip()
        raise CompareError(f"{commit[:12]} has no {PACKAGE}: {words}") from error
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        # Git made it, so nothing in it leads elsewhere; Python has filters from 3.11.4 on.
        safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(place, **safely)


def copy_tree(root: Path, place: Path) -> None:
    """Copy the package as it is in the working tree, committed or not, into a new folder."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / PACKAGE, place / PACKAGE, ignore=ignored)


def _git(root: Path, *words: str) -> bytes:
    try:
        run = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise CompareError("git is not installed") from error
    return run.stdout
