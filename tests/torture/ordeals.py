"""What is done to a running command at random, and what must hold afterwards.

The tests do a few of each, `scripts/tool torture` does hundreds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from toolkit import programs
from torture.arena import (
    Arena,
    Ended,
    Tree,
    differing,
    leftovers,
    partial,
    plant_innocents,
    seals,
    visible,
    workers_of,
)


@dataclass
class Verdict:
    """Findings: files `lost` (or without a row), outputs `broken`, and anything else.

    `strikes` counts what was done to the command while it ran.
    """

    strikes: int = 0
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def wrong(self) -> list[str]:
        """All findings."""
        return self.lost + self.broken + self.others

    def add(self, other: Verdict) -> None:
        """Add the findings of another verdict."""
        self.strikes += other.strikes
        self.lost += other.lost
        self.broken += other.broken
        self.others += other.others

    def check(self, right: bool, otherwise: str) -> None:
        """Note what is wrong unless the condition holds."""
        if not right:
            self.others.append(otherwise)


def undisturbed(arena: Arena, *words: str) -> Tree:
    """What the command makes of the sources undisturbed; nothing of it is kept."""
    ended = arena.run(*words, haste=True)
    assert ended.code == 0, ended.said
    whole = visible(arena.out)
    shutil.rmtree(arena.out)
    return whole


# Kills of the command itself


def kill_command(
    arena: Arena, words: tuple[str, ...], whole: Tree, chance: random.Random
) -> Verdict:
    """Start, kill the command's own process at a random moment; its workers are left alone.

    Outputs must be complete or absent, earlier ones untouched, and all processes gone soon, without
    a message.
    """
    verdict = Verdict()
    before = seals(arena.out)
    with arena.begun(*words) as process:
        verdict.strikes += _strike(arena, process, len(whole), chance)
        ended = arena.end(process)
    verdict.others += ended.problems()
    verdict.others += _spoken(ended)
    verdict.broken += partial(visible(arena.out), whole)
    verdict.others += _made_again(before, arena.out)
    return verdict


def finish(arena: Arena, words: tuple[str, ...], whole: Tree) -> Verdict:
    """Run the command to its end: it makes what is missing, and nothing twice."""
    verdict = Verdict()
    before = seals(arena.out)
    with arena.begun(*words, haste=True) as process:
        ended = arena.end(process)
    verdict.others += ended.problems()
    verdict.check(ended.code == 0, f"the rerun ended with {ended.code} and said: {ended.said}")
    made = visible(arena.out)
    verdict.lost += [name for name in whole if name not in made]
    verdict.broken += partial(made, whole)
    verdict.others += [f"{name} was left behind" for name in leftovers(arena.out)]
    verdict.others += _made_again(before, arena.out)
    return verdict


def _strike(
    arena: Arena, process: subprocess.Popen[bytes], outputs: int, chance: random.Random
) -> bool:
    """Kill a command while it starts or works; return whether it was still running."""
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0, 1))
    else:
        present = len(seals(arena.out))
        arena.wait_for_outputs(process, chance.randint(min(present, outputs), outputs))
        time.sleep(chance.choice((0, chance.uniform(0, 0.1))))
    struck = process.poll() is None
    process.kill()
    return struck


def _spoken(ended: Ended) -> list[str]:
    """Output of a killed command, except for the summary, which it may just have finished."""
    if ended.code != -signal.SIGKILL or not ended.said or " done" in ended.said:
        return []
    return [f"the killed command said: {ended.said}"]


def _made_again(before: dict[str, tuple[int, int]], folder: Path) -> list[str]:
    now = seals(folder)
    return [f"{name} was made again" for name, seal in before.items() if now.get(name) != seal]


# Kills in place


@dataclass(frozen=True)
class Originals:
    """A folder processed in place: what its files contain before and afterwards."""

    arena: Arena
    words: tuple[str, ...]
    before: Tree
    after: Tree
    backup: Path | None

    def kill(self, chance: random.Random) -> Verdict:
        """Start, kill the command at a random moment, and watch the files all the time."""
        verdict = Verdict()
        results = chance.randint(self.finished(), len(self.before))
        end = time.monotonic() + chance.uniform(0, 1) if chance.random() < 0.25 else None
        with self.arena.begun(*self.words) as process:
            while process.poll() is None:
                verdict.broken += self.harmed()
                if end is None and self.finished() >= results:
                    end = time.monotonic() + chance.choice((0, chance.uniform(0, 0.1)))
                if end is not None and time.monotonic() > end:
                    verdict.strikes = 1
                    break
            process.kill()
            ended = self.arena.end(process)
        verdict.others += ended.problems()
        verdict.others += _spoken(ended)
        verdict.broken += self.harmed()
        return verdict

    def finish(self) -> Verdict:
        """Run to the end: every file becomes what a single processing makes of it."""
        verdict = Verdict()
        before = {
            name: seal
            for name, seal in seals(self.arena.photos).items()
            if (self.arena.photos / name).read_bytes() == self.after[name]
        }
        with self.arena.begun(*self.words) as process:
            ended = self.arena.end(process)
        verdict.others += ended.problems()
        verdict.check(ended.code == 0, f"the rerun ended with {ended.code} and said: {ended.said}")
        verdict.broken += self.harmed()
        verdict.broken += differing(visible(self.arena.photos), self.after)
        verdict.others += _made_again(before, self.arena.photos)
        if self.backup:
            verdict.lost += differing(visible(self.backup), self.before)
        for folder in filter(None, (self.arena.photos, self.backup)):
            verdict.others += [f"{name} was left behind" for name in leftovers(folder)]
        return verdict

    def harmed(self) -> list[str]:
        """Files that are neither whole originals nor whole results, or have no backup."""
        found = []
        for name, original in self.before.items():
            try:
                now = (self.arena.photos / name).read_bytes()
            except FileNotFoundError:
                found.append(f"{name} is gone")
                continue
            if now not in (original, self.after[name]):
                found.append(f"{name} is neither original nor result")
            if now != original and self.backup and _content(self.backup / name) != original:
                found.append(f"{name} was replaced without a right backup")
        return found

    def finished(self) -> int:
        now = visible(self.arena.photos)
        return sum(now.get(name) == data for name, data in self.after.items())


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


# Kills of workers


def kill_workers(
    arena: Arena,
    words: tuple[str, ...],
    whole: Tree,
    chance: random.Random,
    *,
    at_most: int,
    pause: float = 0.5,
) -> Verdict:
    """Kill random workers during a run: nothing but the time it takes may show it.

    Only one of several is killed: a file whose worker dies twice, the second time alone, is rightly
    given up.
    """
    verdict = Verdict()
    with arena.begun(*words, "--jobs", "3") as process:
        while process.poll() is None and verdict.strikes < at_most:
            time.sleep(chance.uniform(0, pause))
            workers = workers_of(process.pid)
            if len(workers) > 1 and seals(arena.out):
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    verdict.strikes += 1
        ended = arena.end(process)
    verdict.others += ended.problems()
    verdict.check(ended.code == 0, f"it ended with {ended.code} and said: {ended.said}")
    made, rows = visible(arena.out), ended.statuses()
    verdict.broken += partial(made, whole)
    verdict.lost += [name for name in whole if name not in made]
    verdict.lost += [
        f"{name}: {rows.get(name)}" for name in visible(arena.photos) if rows.get(name) != "done"
    ]
    verdict.others += [f"{name} was left behind" for name in leftovers(arena.out)]
    return verdict


# Full disks


@contextmanager
def small_disk(place: Path, size: int, *options: str) -> Iterator[Path]:
    """Mount a file system of this many bytes at `place`. Only root may do that."""
    place.mkdir(parents=True, exist_ok=True)
    wanted = ",".join((f"size={size}", *options))
    _call("mount", "-t", "tmpfs", "-o", wanted, "none", place)
    try:
        yield place
    finally:
        _call("umount", "--lazy", place)


def resize_disk(place: Path, size: int) -> None:
    _call("mount", "-o", f"remount,size={size}", place)


def _call(program: str, *words: str | Path) -> None:
    subprocess.run([programs.path_of(program), *words], check=True, capture_output=True)


def why_not_mount(place: Path) -> str | None:
    """Why this process cannot mount a small disk; None if it can."""
    try:
        with small_disk(place, 1 << 20):
            return None
    except programs.LackingError as error:
        return str(error)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode(errors="replace").strip()
        return f"this process may not mount a small disk: {said or error}"


def fill_disk(arena: Arena, words: tuple[str, ...], whole: Tree, chance: random.Random) -> Verdict:
    """Run on a disk that is too small, or that somebody else fills; then finish with room.

    `strikes` is 1 if the disk did get full.
    """
    verdict = Verdict()
    total = sum(map(len, whole.values()))
    ample = 4 * total + (32 << 20)
    precious = os.urandom(5000)
    by_others = chance.random() < 0.5
    size = ample if by_others else (16 << 10) + chance.randrange(total)
    with small_disk(arena.out, size) as out:
        ballast = out / ".precious"
        ballast.write_bytes(precious)
        with arena.begun(*words) as process:
            if by_others:
                arena.wait_for_outputs(process, chance.randrange(len(whole)))
                time.sleep(chance.uniform(0, 0.1))
                _fill_up(out / ".filler")
            ended = arena.end(process)
        verdict.others += ended.problems()
        verdict.check(ended.code in (0, 1, 2), f"it ended with {ended.code}: {ended.said}")
        verdict.strikes = int(ended.code != 0)
        made = visible(out)
        for precious_name in (".precious", ".filler"):
            made.pop(precious_name, None)
        verdict.check(ballast.read_bytes() == precious, "what was there before is harmed")
        verdict.broken += partial(made, whole)
        verdict.others += [f"{name} was left behind" for name in leftovers(out, logs=False)]
        for name in (".precious", ".filler"):
            (out / name).unlink(missing_ok=True)
        resize_disk(out, ample)
        verdict.add(finish(arena, words, whole))
    return verdict


def _fill_up(path: Path) -> None:
    with suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


# Sources for them


def plant_mixed(arena: Arena, count: int) -> None:
    """Plant PNG and JPEG files that take a few milliseconds each."""
    plant_innocents(arena.photos / "png", count // 2, ".png", 240)
    plant_innocents(arena.photos / "jpeg", count - count // 2, ".jpg", 240)
