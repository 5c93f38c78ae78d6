"""What a side made of an entry: files, rows and output, without what differs from run to run."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

JOURNAL: Final = ".imgbatch"
"""Folders whose contents include times and inodes."""

_CHANGING: Final = (
    # Progress, for runs that take longer than half a minute.
    (re.compile(r"^\d+ of \d+ images, .*\n", re.MULTILINE), ""),
    (re.compile(r"\d[\d.,]* (?:images/s|s/image)"), "N images/s"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:s|min|h)\b"), "T s"),
    (re.compile(r"(?<=imgbatch, version )\S+"), "V"),
)
# The first failures and warnings in the summary; rows list them all.
_FIRST: Final = re.compile(
    r"^(failed: (?!\d+ more)|warning: (?:\d+ × )?[a-z-]+: )(?:.*?)(; and \d+ more.*)?$",
    re.MULTILINE,
)
_OF_THE_RUN: Final = frozenset({"seconds"})

# In version 1 of these boxes, version and flags are followed by two 64-bit times (ISO 14496-12,
# 8.2.2, 8.3.2 and 8.4.2); libavif writes them into animations.
_TIMES: Final = re.compile(
    rb"(?:(?<=mvhd\x01\x00\x00.)|(?<=tkhd\x01\x00\x00.)|(?<=mdhd\x01\x00\x00.)).{16}", re.DOTALL
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class File:
    """A file of an outcome."""

    path: Path
    mode: int
    modified: int

    def data(self) -> bytes:
        """Its bytes, without the time at which they were written."""
        return _timeless(self.path.read_bytes())


@dataclass(frozen=True, slots=True)
class Ran:
    """One command: its exit code (None: it did not end), what it printed, and its report.

    Rows are named by their sources, `summary` is the name of the last one.
    """

    line: str
    code: int | None
    out: list[str]
    err: list[str]
    rows: dict[str, Row]
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that an entry produced on one side; `spoilt` are sources that were changed."""

    ran: tuple[Ran, ...]
    files: dict[str, File]
    spoilt: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The time that its commands took together."""
        return sum(one.seconds for one in self.ran)


def _timeless(data: bytes) -> bytes:
    if data[4:12] == b"ftypavis":
        return _TIMES.sub(bytes(16), data)
    return data


def lines_of(said: bytes, place: Path, *, ordered: bool) -> list[str]:
    """The output of a command, without progress, times, rates, its version and working folder.

    Several processes finish in any order: unless `ordered`, lines are sorted, each together with
    the indented ones below it.
    """
    text = said.decode(errors="backslashreplace").replace(str(place), "PLACE")
    for pattern, instead in _CHANGING:
        text = pattern.sub(instead, text)
    if ordered:
        return text.splitlines()
    lines = _FIRST.sub(r"\1SOME\2", text).splitlines()
    groups: list[list[str]] = []
    for line in lines:
        if groups and line.startswith(" "):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [line for group in sorted(groups) for line in group]


def rows_of(report: Path, place: Path) -> dict[str, Row]:
    """The rows of a report by source; none if there is no report."""
    if not report.exists():
        return {}
    rows: dict[str, Row] = {}
    text = report.read_text(encoding="utf-8", errors="surrogateescape")
    for line in text.replace(str(place), "PLACE").splitlines():
        row = json.loads(line)
        if "header" in row:
            # The command and the version are not an outcome.
            continue
        if "summary" in row:
            name, row = "summary", row["summary"]
        else:
            name = str(row.pop("source", "?"))
        # The same source may have several rows.
        while name in rows:
            name += "'"
        rows[name] = {key: value for key, value in row.items() if key not in _OF_THE_RUN}
    return rows


def files_in(place: Path, omitted: Iterable[str]) -> dict[str, File]:
    """All files below a folder by relative name, without journals and what is omitted."""
    left_out = set(omitted)
    found = {}
    for folder, folders, names in os.walk(place):
        here = Path(folder)
        at_top = here == place
        folders[:] = sorted(
            name for name in folders if name != JOURNAL and not (at_top and name in left_out)
        )
        for name in sorted(names):
            if at_top and name in left_out:
                continue
            path = here / name
            status = path.lstat()
            found[path.relative_to(place).as_posix()] = File(
                path, stat.S_IMODE(status.st_mode), status.st_mtime_ns
            )
    return found
