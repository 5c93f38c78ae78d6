"""Measures a row: every tool once in each round, rounds starting with different tools."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench import memory, quality
from bench.measure import Run, run
from bench.peers import BY_NAME
from bench.results import Row, Tool
from bench.task import NotInstalledError, Peer, Place, Task
from bench.works import Make, Work

SHORT_ROUNDS = 3
"""The factor for rounds where a run takes less than a second."""
MEMORY_ROUNDS = 3
"""No more than these: memory varies little."""

_MANY, _REST_SECONDS = 1000, 6

DROP_CACHES = Path("/proc/sys/vm/drop_caches")

Say = Callable[[str], None]


@dataclass
class _Entry:
    peer: Peer
    task: Task
    tool: Tool

    def outputs(self) -> list[list[Path]]:
        return [
            [
                self.task.out / self.peer.output(self.task, photo, size)
                for size in self.task.make.sizes or (None,)
            ]
            for photo in self.task.photos
        ]


def measured(
    work: Work,
    photos: tuple[Path, ...],
    place: Place,
    *,
    rounds: int,
    jobs: int,
    only: Sequence[str] | None,
    say: Say,
) -> Row:
    """The row of a work. A round that is not counted comes first, and its output is checked.

    Raises quality.BrokenPhotoError. All output is removed, however this ends.
    """
    if work.source == "one photo":
        rounds *= SHORT_ROUNDS
    elif work.measure == "memory":
        rounds = min(rounds, MEMORY_ROUNDS)
    identities = {(photo.stat().st_dev, photo.stat().st_ino) for photo in photos}
    total = sum(photo.stat().st_size for photo in photos)
    row = Row(work.row, len(photos), len(identities), total)
    out = place.work / "bench-output"
    try:
        entries = _entries(work, photos, place, jobs, only, out)
        row.tools = [entry.tool for entry in entries]
        if work.cold:
            row.notes.append(_how_cold())
        able = [entry for entry in entries if not entry.tool.problem]
        if work.rerun:
            _first_run(able, place, say)
        for number in range(rounds + 1):
            able = [entry for entry in able if not entry.tool.problem]
            first = number % len(able) if able else 0
            for entry in able[first:] + able[:first]:
                one = _run_once(work, entry, place)
                entry.tool.problem = one.problem
                if number == 0 and not one.problem:
                    _check(work, entry, say)
                if number and not entry.tool.problem:
                    entry.tool.walls.append(one.wall)
                    entry.tool.cpus.append(one.cpu)
                    entry.tool.foreign.append(one.foreign)
                    entry.tool.peaks += [one.peak] if work.measure == "memory" else []
                when = f"round {number} of {rounds}" if number else "warm-up"
                problem = entry.tool.problem
                what = f"FAILED: {problem}" if problem else f"{one.wall:.2f} s"
                say(f"row {work.row}, {when}: {entry.tool.name} {what}")
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return row


def _entries(
    work: Work,
    photos: tuple[Path, ...],
    place: Place,
    jobs: int,
    only: Sequence[str] | None,
    out: Path,
) -> list[_Entry]:
    """One for each tool requested, installed or not."""
    entries = []
    unfair = dict(work.unfair)
    for name in work.tools:
        if only and name not in only:
            continue
        peer = BY_NAME[name]
        # A second run goes where the first has been.
        task = Task(photos, out if work.rerun else out / name, work.make, peer.jobs or jobs)
        tool = Tool(name, jobs=task.jobs, notes=list(peer.notes), unfair=unfair.get(name, ""))
        try:
            tool.version = peer.version(place)
        except NotInstalledError as reason:
            tool.problem = f"not installed: {reason}"
        entries.append(_Entry(peer, task, tool))
    return entries


def _run_once(work: Work, entry: _Entry, place: Place) -> Run:
    """One run, into an empty folder unless it is a second one."""
    if not work.rerun:
        shutil.rmtree(entry.task.out, ignore_errors=True)
        entry.task.out.mkdir(parents=True)
        if len(entry.task.photos) >= _MANY:
            # ext4 does not reuse an inode for five seconds, and looks at each that waits.
            time.sleep(_REST_SECONDS)
    try:
        if not work.rerun:
            entry.peer.prepare(place, entry.task)
        command = entry.peer.command(place, entry.task)
    except (OSError, NotInstalledError) as error:
        return Run(0.0, 0.0, f"cannot be prepared: {error}")
    if work.cold:
        _drop_caches(entry.task.photos)
    return run(command, memory.peak if work.measure == "memory" else None)


def _first_run(able: Sequence[_Entry], place: Place, say: Say) -> None:
    """Let imgbatch make everything once, for all tools that only check it."""
    for entry in able:
        if entry.peer.makes_pictures:
            entry.task.out.mkdir(parents=True)
            done = run(entry.peer.command(place, entry.task))
            entry.tool.problem = done.problem
            say(f"first run: {done.problem or f'{done.wall:.2f} s'}")
            return
    raise quality.BrokenPhotoError("a second run needs imgbatch among the tools, for the first")


def _check(work: Work, entry: _Entry, say: Say) -> None:
    """Record what was found in the outputs."""
    if work.rerun or not entry.peer.makes_pictures:
        return
    verdict = quality.check(_references(entry.task.photos, work.make), entry.outputs(), work.make)
    tool = entry.tool
    tool.bytes, tool.db, tool.ssim = verdict.total_bytes, verdict.least_db, verdict.least_ssim
    tool.problem = verdict.problem
    tool.notes += verdict.notes
    if not tool.unfair:
        tool.unfair = "; ".join(note for note in verdict.notes if note in quality.UNFAIR)
        tool.notes = [note for note in tool.notes if note not in quality.UNFAIR]


@lru_cache(maxsize=2)
def _references(photos: tuple[Path, ...], make: Make) -> list[quality.Reference]:
    return quality.make_references(photos, make)


def _how_cold() -> str:
    if os.access(DROP_CACHES, os.W_OK):
        return "cold: the whole page cache is dropped before each run, programs and photo"
    return "cold: the photo is dropped from the page cache before each run, programs are not"


def _drop_caches(photos: Sequence[Path]) -> None:
    if os.access(DROP_CACHES, os.W_OK):
        os.sync()
        DROP_CACHES.write_text("3", encoding="ascii")
        return
    for photo in photos:
        with photo.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
