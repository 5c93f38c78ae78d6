"""The plain values that everything else is written in.

All of them are frozen and hold nothing but strings, numbers, bytes and each other, so they
cross a process boundary, compare by value, and can be printed in a report.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Size = tuple[int, int]
"""Width and height in pixels."""

Colour = tuple[int, int, int, int]
"""Red, green, blue and alpha, 0 to 255 each, in sRGB, not premultiplied."""

MetadataPolicy = Literal["all", "no-gps", "copyright", "none"]
Status = Literal["done", "skipped", "failed"]
Stage = Literal["open", "decode", "operate", "encode", "write", "worker"]

WHITE: Colour = (255, 255, 255, 255)


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read: the folder it was found under, and its place below that folder.

    `root` is as the user gave it; joined with `relative` (separated by "/") it is the path
    that messages and reports name. `size` is in bytes, `mtime_ns` in nanoseconds. `below` is
    the folder of the output that the tree of this root is mirrored into.
    """

    root: str
    relative: str
    size: int
    mtime_ns: int
    below: str = ""

    @property
    def path(self) -> str:
        """The path to open, relative if the user's own was relative."""
        relative = self.relative if os.sep == "/" else self.relative.replace("/", os.sep)
        return os.path.join(self.root, relative)

    @property
    def mirrored(self) -> str:
        """Its place in the output's tree, separated by "/"."""
        return f"{self.below}/{self.relative}" if self.below else self.relative


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pixels become a file.

    `format` is a name of the format table, or None to keep each source's own; `quality` is
    1 to 100, or None for the format's default; `background` is what lies under transparent
    pixels where the format has no alpha.
    """

    format: str | None = None
    quality: int | None = None
    metadata: MetadataPolicy = "all"
    background: Colour = WHITE


@dataclass(frozen=True, slots=True)
class Target:
    """Where one output of one source goes.

    `replace` allows an existing file there to be overwritten. With `any_suffix` the file's
    suffix follows the format that the source turns out to have.
    """

    output: str
    path: str
    replace: bool = False
    any_suffix: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One source and a target for each output to be made of it, in the recipe's order."""

    source: Source
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning: the file was made, but something of it could not be kept."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file could not be made: in which stage, of which kind, and words for a person."""

    stage: Stage
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file: its size in pixels and in bytes, and its format's name."""

    output: str
    path: str
    width: int
    height: int
    bytes: int
    format: str


@dataclass(frozen=True, slots=True)
class Result:
    """The one outcome of one source. It names its source itself; nothing is matched by order."""

    source: Source
    status: Status
    written: tuple[Written, ...] = ()
    notices: tuple[Notice, ...] = ()
    failure: Failure | None = None
    reason: str | None = None
    seconds: float = 0.0

    @classmethod
    def failed(cls, source: Source, failure: Failure, seconds: float = 0.0) -> Result:
        """The outcome of a source that could not be made."""
        return cls(source, "failed", failure=failure, seconds=seconds)


@dataclass(slots=True)
class Summary:
    """What a run came to: results folded one by one.

    `bytes_in` counts the sources that were done, `bytes_out` what was written from them.
    `failures` keeps the first few failed results, so that a run of a million stays small.
    """

    FAILURES_KEPT = 3

    jobs: int = 1
    planned: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    warnings: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    signal: int | None = None
    report_lost: bool = False
    failures: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one result."""
        self.warnings += len(result.notices)
        if result.status == "done":
            self.done += 1
            self.bytes_in += result.source.size
            self.bytes_out += _total(result.written)
        elif result.status == "skipped":
            self.skipped += 1
        else:
            self.failed += 1
            if len(self.failures) < self.FAILURES_KEPT:
                self.failures.append(result)

    @property
    def unfinished(self) -> int:
        """How many planned files have no outcome, because the run was interrupted."""
        return self.planned - self.done - self.skipped - self.failed

    @property
    def exit_code(self) -> int:
        """0 all done or up to date, 1 something failed, 128 + the signal that interrupted."""
        if self.signal is not None:
            return 128 + self.signal
        return 1 if self.failed or self.report_lost else 0


def _total(written: Iterable[Written]) -> int:
    return sum(one.bytes for one in written)
