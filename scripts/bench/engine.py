"""Measures the overhead of the engine: supervision, a second run, a large plan.

    scripts/tool bench.engine                         5,000 tiny files, 100,000 up to date,
                                                      1 M planned
    scripts/tool bench.engine --planned 100000        a smaller plan
    scripts/tool bench.engine --rounds 9 --work DIR   where the files are made (a few GB)

Supervision: wall time of 5,000 files of 160 pixels to 80, divided by that of a bare
multiprocessing.Pool around the same decoder, resampling and encoder, writing straight to the
targets. A second run: wall time when everything is up to date, divided by that of
`find -printf '%s %T@ %p\\n'` on the sources. Ratios are medians of each round's own. A large
plan: peak of the parent's resident memory until the first outputs exist, less that of a plan of a
thousand files, per file. Needs Linux.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from bench.measure import environment
from bench.task import HERE

FILES_OF_A_FOLDER = 1000
IMGBATCH = (sys.executable, "-m", "imgbatch")


def seed(folder: Path) -> Path:
    """One JPEG of 160 pixels."""
    rows, columns = np.mgrid[0:107, 0:160]
    noise = np.random.default_rng(7).normal(0, 8, (107, 160, 3))
    waves = 128 + 90 * np.sin(columns / 19) * np.cos(rows / 13)
    path = folder / "seed.jpg"
    Image.fromarray(np.clip(waves[..., None] + noise, 0, 255).astype(np.uint8)).save(path)
    return path


def plant(folder: Path, original: Path, count: int, *, nested: bool = True) -> Path:
    """Plant copies of a file, a thousand to a folder; links if there are very many."""
    for number in range(count):
        below = folder / f"2024-05-{number // FILES_OF_A_FOLDER:04}" if nested else folder
        if number % FILES_OF_A_FOLDER == 0:
            below.mkdir(parents=True, exist_ok=True)
        # Some file systems allow 65,000 links to a file.
        if number % 50_000 == 0:
            current = below / f"IMG_{number:07}.jpg"
            shutil.copyfile(original, current)
        elif count > 100_000:
            os.link(current, below / f"IMG_{number:07}.jpg")
        else:
            shutil.copyfile(original, below / f"IMG_{number:07}.jpg")
    return folder


def wall(*command: str | Path) -> float:
    begun = time.perf_counter()
    subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        check=True,
    )
    return time.perf_counter() - begun


def compare(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> str:
    """Run both in turn, after a round that is not counted."""
    pairs = [(ours(), theirs()) for _ in range(rounds + 1)][1:]
    ratio = median(one / other for one, other in pairs)
    mine, other = (median(pair[place] for pair in pairs) for place in (0, 1))
    return f"{mine:.2f} s against {other:.2f} s: {ratio:.2f} ×"


def supervision(work: Path, original: Path, rounds: int) -> str:
    photos = plant(work / "tiny", original, 5000, nested=False)
    out = work / "out"

    def fresh(*command: str | Path) -> float:
        shutil.rmtree(out, ignore_errors=True)
        return wall(*command)

    bare = HERE / "bare_pool.py"
    return compare(
        rounds,
        lambda: fresh(*IMGBATCH, "resize", photos, "-o", out, "-s", "80", "--jobs", "2"),
        lambda: fresh(sys.executable, bare, photos, out, "80", "2"),
    )


def second_run(work: Path, original: Path, rounds: int) -> str:
    photos = plant(work / "current", original, 100_000)
    command = (*IMGBATCH, "resize", photos, "-o", work / "current-out", "-s", "80")
    wall(*command)
    return compare(
        rounds,
        lambda: wall(*command),
        lambda: wall("find", photos, "-type", "f", "-printf", r"%s %T@ %p\n"),
    )


def peak(work: Path, photos: Path) -> int:
    """Peak bytes of the parent until the first outputs exist."""
    out = work / "plan-out"
    with subprocess.Popen(
        [*IMGBATCH, "resize", photos, "-o", out, "-s", "40", "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as process:
        most, until = 0, None
        while process.poll() is None and (until is None or time.monotonic() < until):
            status = Path(f"/proc/{process.pid}/status").read_text()
            if "VmHWM:" in status:
                most = int(status.split("VmHWM:")[1].split()[0]) * 1024
            if until is None and list(out.glob("2024-05-*")):
                until = time.monotonic() + 1
            time.sleep(0.05)
        process.terminate()
    shutil.rmtree(out)
    return most


def large_plan(work: Path, original: Path, count: int) -> str:
    small = peak(work, plant(work / "small", original, 1000))
    large = peak(work, plant(work / "large", original, count))
    return f"{(large - small) / (count - 1000):.0f} bytes a file, {large / 1e6:.0f} MB in all"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--planned", type=int, default=1_000_000)
    parser.add_argument("--work", type=Path, help="a folder to work in; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgbatch-bench-", dir=options.work) as folder:
        work = Path(folder)
        original = seed(work)
        print("supervision, 5,000 tiny files:", supervision(work, original, options.rounds))
        print("second run, 100,000 files:", second_run(work, original, options.rounds))
        print(f"plan of {options.planned:,} files:", large_plan(work, original, options.planned))


if __name__ == "__main__":
    main()
