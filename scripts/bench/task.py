"""What a tool has to do, and where tools are looked for."""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit.programs import LackingError

from bench.measure import Command
from bench.outside import PROGRAMS
from bench.works import Make

OPTIMIZE = False
"""Whether JPEGs get optimised Huffman tables: 3 % smaller, 2 ms more. It should say what imgbatch
does; all peers are told to do the same."""

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class NotInstalledError(Exception):
    """Says why a tool cannot take part."""


@dataclass(frozen=True)
class Place:
    """Where tools are looked for."""

    work: Path
    sharp: Path | None = None

    @property
    def python(self) -> str:
        """The interpreter that imgbatch is developed with, or else this one."""
        own = ROOT / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable

    @property
    def pythons(self) -> tuple[str, ...]:
        """Interpreters that may have pyvips and imgp, the first choice first."""
        return (str(self.work / "venv" / "bin" / "python"), self.python, sys.executable)


@dataclass(frozen=True)
class Task:
    """What every tool has to do; `out` is for this tool alone and empty."""

    photos: tuple[Path, ...]
    out: Path
    make: Make
    jobs: int

    @property
    def folder(self) -> Path:
        """The folder with the photos, and nothing else."""
        return self.photos[0].parent

    @property
    def box(self) -> str:
        """The largest size as ImageMagick and its relatives write it."""
        return f"{self.make.size}x{self.make.size}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of our own small programs for one size of JPEG."""
        numbers = (self.make.size, self.make.quality, int(OPTIMIZE))
        return (str(self.folder), str(self.out), *map(str, numbers))

    def in_lanes(
        self, per_lane: int, *argv: str, most: int | None = None, **environment: str
    ) -> Command:
        """`argv` through xargs: `jobs` processes at a time, `per_lane` times one after another.

        `most` is how many photos one process gets at most. A single photo needs no xargs.
        """
        if len(self.photos) == 1:
            return Command((*argv, self.photos[0].name), environment, self.folder)
        batch = max(1, math.ceil(len(self.photos) / (self.jobs * per_lane)))
        batch = min(batch, most or batch)
        return Command(
            # The longest command line that xargs composes by itself holds 13,000 names or fewer.
            ("xargs", "-0", "-s", "1000000", "-n", str(batch), "-P", str(self.jobs), *argv),
            environment,
            # Names alone: `gm mogrify` recreates the whole path it was given below its output
            # folder.
            self.folder,
            self.names,
        )

    @property
    def names(self) -> bytes:
        """The photos' names, each terminated by a NUL."""
        return b"".join(os.fsencode(photo.name) + b"\0" for photo in self.photos)


def plain_name(task: Task, photo: Path, size: int | None) -> str:
    """Where most tools put an output; with several sizes the name has the size."""
    number = f"-{size}" if len(task.make.sizes) > 1 else ""
    return f"{photo.stem}{number}{task.make.suffix}"


def nothing_to_prepare(place: Place, task: Task) -> None:
    """Most tools read the photos where they are."""


@dataclass(frozen=True)
class Peer:
    """One tool. `version` raises NotInstalledError; `prepare` is not measured.

    `jobs` is its own number, whatever the others have.
    """

    name: str
    version: Callable[[Place], str]
    command: Callable[[Place, Task], Command]
    jobs: int | None = None
    output: Callable[[Task, Path, int | None], str] = plain_name
    notes: tuple[str, ...] = ()
    prepare: Callable[[Place, Task], None] = nothing_to_prepare
    makes_pictures: bool = True


def said(*argv: str, folder: Path | None = None) -> str:
    """The first line that a command prints; raises NotInstalledError if it fails."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=60, cwd=folder
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{argv[0]} cannot be run: {error}") from error
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    if done.returncode != 0:
        # The last line of a traceback is the informative one.
        raise NotInstalledError(lines[-1][:100] if lines else f"exit code {done.returncode}")
    return lines[0] if lines else ""


@functools.cache
def program(name: str) -> str:
    """The path of the genuine program of this name in `outside.PROGRAMS`."""
    try:
        return PROGRAMS[name].find()
    except LackingError as error:
        raise NotInstalledError(str(error)) from error


def python_with(place: Place, module: str) -> str:
    for python in dict.fromkeys(place.pythons):
        if Path(python).exists():
            try:
                said(python, "-c", f"import {module}")
            except NotInstalledError:
                continue
            return python
    raise NotInstalledError(f"no interpreter here can import {module}")
