"""Tortures imgbatch at length: what tests/torture does a few times is done hundreds of times here.

    scripts/tool torture                        everything, about ten minutes on two processors
    scripts/tool torture --kills 20 --disk 0    less of it
    scripts/tool torture --seed 7               the same moments again, as far as a machine repeats
    scripts/tool torture --faults               every system call and fault instead; half an hour
    scripts/tool torture --faults --sample 60   only a sample of them
    scripts/tool torture --faults --only linkat:1:EIO:new-serial-job

Four ordeals, each at random moments:

    kills      SIGKILL of the command; after a rerun, the tree is that of an undisturbed run
    in place   the same with --in-place, with and without --backup
    workers    SIGKILL of worker processes, again and again through one run of many files
    disk       an output disk that is too small, or that somebody else fills; then room again

With --faults, small jobs run under strace: new outputs, remade outputs, two outputs of each source,
in place with a backup, and on a file system without links; each with one file in the command's own
process, and with four in two workers. Each call that changes files (opening for writing, writing,
syncing, linking, renaming, removing, …, including SQLite's and its locks) fails once with each of
EIO, ENOSPC, EACCES and EINTR, and with the errors of file systems that lack a feature; or its
process is killed during the call; or a writing call writes half, after which no file may grow (by a
limit, since strace cannot write half). Then originals, outputs, backups, rows, exit code and
messages must be right, and an ordinary rerun must end as if nothing had happened. A fault is named
CALL:INDEX:ERROR:WHERE, the INDEX-th such call that the thread WHERE makes.

Prints what was tried and what went wrong, and exits with 1 if anything did. Linux only; full disks
need root, faults need strace.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import get_args

from torture import tracing
from torture.arena import Arena, plant_innocents, visible
from torture.faults import Fault, spread
from torture.ordeals import (
    Originals,
    Verdict,
    fill_disk,
    finish,
    kill_command,
    kill_workers,
    plant_mixed,
    undisturbed,
    why_not_mount,
)
from torture.scenes import SCENES, Scene, Shape, lane
from torture.trials import Trial, all_tried

JOBS = ("--jobs", "2")
TWO_OUTPUTS = ("resize", "photos", "-s", "200", "-s", "thumb=x20", "-o", "out", *JOBS)
ONE_OUTPUT = ("filter", "photos", "--filter", "fault", "-o", "out")
IN_PLACE = ("resize", "photos", "-s", "150", *JOBS)
MOST_KILLS_BEFORE_A_RERUN = 4
SHOWN = 5


@dataclass
class Tally:
    """The result of an ordeal."""

    name: str
    tried: int = 0
    failed: int = 0
    verdict: Verdict = field(default_factory=Verdict)

    def add(self, verdict: Verdict, what: str) -> None:
        """Count one try, and print at once what went wrong."""
        self.tried += 1
        self.failed += bool(verdict.wrong())
        self.verdict.add(verdict)
        for line in verdict.wrong()[:SHOWN]:
            say(f"WRONG: {self.name}, {what}: {line}")
        if len(verdict.wrong()) > SHOWN:
            say(f"  and {len(verdict.wrong()) - SHOWN} more")

    def line(self) -> str:
        """The row of the table at the end."""
        counts = (self.tried, self.verdict.strikes, self.tried - self.failed)
        wrong = (len(self.verdict.lost), len(self.verdict.broken), len(self.verdict.others))
        return f"{self.name:10}" + "".join(f"{number:11}" for number in (*counts, *wrong))


def main() -> int:
    """Run the command line; return the exit code."""
    options = parsed()
    say(f"seed {options.seed}")
    if options.faults or options.only:
        return torture_by_faults(options)
    chance = random.Random(options.seed)
    place = Path(tempfile.mkdtemp(prefix="imgbatch-torture-", dir=options.work))
    begun = time.monotonic()
    tallies: list[Tally] = []
    ordeals: list[tuple[int, Callable[[Path, int, random.Random, Tally], None], str]] = [
        (options.kills, torture_by_kills, "kills"),
        (options.in_place, torture_in_place, "in place"),
        (options.files, torture_workers, "workers"),
        (options.disk, torture_by_full_disks, "disk"),
    ]
    try:
        for count, ordeal, name in ordeals:
            if count:
                tallies.append(Tally(name))
                arena = place / name.replace(" ", "-")
                arena.mkdir()
                ordeal(arena, count, chance, tallies[-1])
    except KeyboardInterrupt:
        say("interrupted; results so far:")
    finally:
        wrong = sum(tally.failed for tally in tallies)
        if wrong:
            say(f"failures are kept in {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)
    heads = ("tries", "strikes", "survived", "lost", "broken", "others")
    print(f"{'':10}" + "".join(f"{head:>11}" for head in heads))
    for tally in tallies:
        print(tally.line())
    print(
        f"seed {options.seed}, {time.monotonic() - begun:.0f} s, {'WRONG' if wrong else 'all well'}"
    )
    return 1 if wrong else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--kills", type=int, default=200, metavar="N", help="of the command (default: 200)")
    add("--in-place", type=int, default=60, metavar="N", help="kills in place (default: 60)")
    add("--files", type=int, default=1000, metavar="N", help="in the run whose workers are killed")
    add("--disk", type=int, default=50, metavar="N", help="full disks (default: 50)")
    add("--seed", type=int, default=random.SystemRandom().randrange(10_000), metavar="N")
    add("--faults", action="store_true", help="every fault of every call, instead of the above")
    add("--sample", type=int, metavar="N", help="a sample of this many faults, of all kinds")
    add("--only", type=Fault.parsed, action="append", default=[], metavar="FAULT", help="just this")
    add("--scene", action="append", default=[], metavar="NAME", help="only this: dead-pool, …")
    add("--work", type=Path, metavar="DIR", help="where to work (default: the temporary folder)")
    return parser.parse_args()


def say(text: str) -> None:
    """Print to standard error: standard output has only the table."""
    print(text, file=sys.stderr, flush=True)


def progress(tally: Tally, count: int) -> None:
    if tally.tried % 10 == 0:
        say(f"{tally.name}: {tally.tried} of {count}, {tally.failed} wrong")


def torture_by_kills(place: Path, kills: int, chance: random.Random, tally: Tally) -> None:
    """Kill, kill the run that continues, and finish; again and again."""
    arena = Arena(place)
    plant_mixed(arena, 60)
    whole = undisturbed(arena, *TWO_OUTPUTS)
    while tally.verdict.strikes < kills:
        verdict = Verdict()
        for _ in range(chance.randint(1, MOST_KILLS_BEFORE_A_RERUN)):
            verdict.add(kill_command(arena, TWO_OUTPUTS, whole, chance))
        verdict.add(finish(arena, TWO_OUTPUTS, whole))
        tally.add(verdict, f"try {tally.tried}")
        shutil.rmtree(arena.out)
        progress(tally, kills)


def torture_in_place(place: Path, kills: int, chance: random.Random, tally: Tally) -> None:
    """The same, where there are no other originals."""
    pristine = Arena(place / "pristine")
    pristine.place.mkdir()
    plant_innocents(pristine.photos, 40, ".jpg", 240)
    after = undisturbed(pristine, *IN_PLACE, "-o", "out")
    before = visible(pristine.photos)
    while tally.verdict.strikes < kills:
        arena = Arena(place / str(tally.tried))
        shutil.copytree(pristine.photos, arena.photos)
        backup = chance.choice((arena.place / "backup", None))
        how = ("--backup", "backup") if backup else ("--no-backup",)
        originals = Originals(arena, (*IN_PLACE, "--in-place", *how), before, after, backup)
        verdict = Verdict()
        for _ in range(chance.randint(1, MOST_KILLS_BEFORE_A_RERUN)):
            verdict.add(originals.kill(chance))
        verdict.add(originals.finish())
        tally.add(verdict, f"try {tally.tried}")
        if not verdict.wrong():
            shutil.rmtree(arena.place)
        progress(tally, kills)


def torture_workers(place: Path, files: int, chance: random.Random, tally: Tally) -> None:
    arena = Arena(place)
    plant_innocents(arena.photos, files, side=140)
    whole = undisturbed(arena, *ONE_OUTPUT, *JOBS)
    verdict = kill_workers(arena, ONE_OUTPUT, whole, chance, at_most=files, pause=0.4)
    tally.add(verdict, f"{files} files")


def torture_by_full_disks(place: Path, disks: int, chance: random.Random, tally: Tally) -> None:
    """Disks of any size, and disks that fill up meanwhile."""
    problem = why_not_mount(place / "probe")
    if problem:
        say(f"disk: skipped: {problem}")
        return
    arena = Arena(place)
    plant_mixed(arena, 60)
    whole = undisturbed(arena, *TWO_OUTPUTS)
    for _ in range(disks):
        tally.add(fill_disk(arena, TWO_OUTPUTS, whole, chance), f"try {tally.tried}")
        progress(tally, disks)


@dataclass
class FaultsTally:
    """Results of faults, by call and error."""

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    astray: int = 0

    def add(self, trial: Trial) -> None:
        """Count one, and print at once what went wrong."""
        fault = trial.fault
        self.tried[fault.name, fault.error] += 1
        if self.tried.total() % 100 == 0:
            say(f"{fault.scene}-{fault.shape}: {self}")
        if trial.astray:
            self.astray += 1
            say(f"astray: {fault}: {trial.astray}")
        if wrong := trial.verdict.wrong():
            self.wrong[fault.name, fault.error] += 1
            say(f"WRONG: {trial.call}; to repeat: scripts/tool torture --faults --only {fault}")
            for line in wrong[:SHOWN]:
                say(f"  {line}")

    def __str__(self) -> str:
        astray = f", {self.astray} hit another call" if self.astray else ""
        return f"{self.tried.total()} faults tried, {self.wrong.total()} wrong{astray}"

    def table(self) -> str:
        """How many were tried, call by call, and how many of them went wrong."""
        errors = list(dict.fromkeys(error for _, error in self.tried))
        lines = [f"{'':12}" + "".join(f"{error:>12}" for error in errors)]
        for name in dict.fromkeys(name for name, _ in self.tried):
            cells = (self._cell(name, error) for error in errors)
            lines.append(f"{name:12}" + "".join(f"{cell:>12}" for cell in cells))
        return "\n".join(lines)

    def _cell(self, name: str, error: str) -> str:
        wrong = self.wrong[name, error]
        return f"{self.tried[name, error] or ''}" + (f" ({wrong} wrong)" if wrong else "")


def torture_by_faults(options: argparse.Namespace) -> int:
    """Fail one call after the other; return the exit code."""
    if trouble := tracing.trouble():
        sys.exit(f"error: {trouble}")
    scenes = list(chosen(options))
    place = Path(tempfile.mkdtemp(prefix="imgbatch-faults-", dir=options.work))
    begun = time.monotonic()
    tally = FaultsTally()
    environment = Arena(place).environment_of()
    lanes = [lane(environment) for _ in range(1 if options.only else os.cpu_count() or 1)]
    try:
        for scene, shape, choice in scenes:
            for trial in all_tried(place, lanes, scene, shape, choice):
                tally.add(trial)
            say(f"{scene.name}-{shape} is done: {tally}")
    except KeyboardInterrupt:
        say("interrupted; results so far:")
    finally:
        for one in lanes:
            one.close()
        shutil.rmtree(place, ignore_errors=True)
    print(tally.table())
    print(f"{tally}; seed {options.seed}, {time.monotonic() - begun:.0f} s")
    wrong = tally.wrong.total()
    return 1 if wrong else 0


def chosen(
    options: argparse.Namespace,
) -> Iterator[tuple[Scene, Shape, Callable[[list[Fault]], list[Fault]]]]:
    """The scenes to play, each with its selected faults."""
    chance = random.Random(options.seed)
    # Quick ones come first.
    named = {
        f"{scene.name}-{shape}": (scene, shape)
        for shape in get_args(Shape)
        for scene in SCENES.values()
        if shape in scene.roles
    }
    if not named.keys() >= set(options.scene):
        sys.exit(f"error: --scene: there are {', '.join(named)}")
    places = [named[name] for name in options.scene or named]
    for number, (scene, shape) in enumerate(places):
        only = [one for one in options.only if (one.scene, one.shape) == (scene.name, shape)]
        if options.only:
            if only:
                yield scene, shape, partial(wanted, only)
        elif options.sample is None:
            yield scene, shape, list
        else:
            share = (options.sample + number) // len(places)
            yield scene, shape, partial(spread, count=share, chance=chance)


def wanted(only: list[Fault], found: list[Fault]) -> list[Fault]:
    """The named faults, if there are such calls."""
    for fault in only:
        if fault not in found:
            sys.exit(f"error: {fault}: no such call, or no such fault of it")
    return only


if __name__ == "__main__":
    sys.exit(main())
