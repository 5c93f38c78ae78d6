"""The overhead of each small file, counted instead of timed.

    python -m bench.overhead PHOTOS OUT [--calls]

makes thumbnails of the folder PHOTOS in this process: imgbatch's own code for a job, with no worker
process and no thread. With --calls it prints how many functions were called meanwhile, as a JSON
object. The counts for two numbers of files give the cost of one file, and the rest is start-up; a
count does not depend on how busy the machine is.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIGURES = ROOT / "tests" / "scripts" / "overhead.json"

FEW, MANY = 20, 60
SIDES = (160, 107)
LIMIT_SECONDS = 600

KINDS = {"call": "python", "c_call": "c"}
"""sys.setprofile's events, by their names here."""


class UncountedError(Exception):
    """Something needed for counting is missing or failed."""


def plant(folder: Path, count: int) -> None:
    """Plant this many different JPEGs of 160 pixels, with little detail and some noise."""
    # Not at the top: the counted code does without NumPy.
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[0 : SIDES[1], 0 : SIDES[0]]
    waves = 128 + 90 * np.sin(columns / 19) * np.cos(rows / 13)
    random = np.random.default_rng(7)
    for number in range(count):
        noisy = waves[..., None] + random.normal(0, 8, (*waves.shape, 3))
        pixels = np.clip(noisy, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg")


def thumbnails(photos: Path, out: Path) -> None:
    """Make all of `photos` 80 pixels in this process. Raises UncountedError if one fails."""
    from imgbatch import Recipe, run
    from imgbatch.running import worker

    worker.tune_process()
    # Without a time limit, which would take a thread.
    results = run(Recipe.from_options(sizes=["80"]), [photos], output=out, jobs=1, timeout=None)
    failed = [result for result in results if result.status != "done"]
    if failed:
        raise UncountedError(f"{failed[0]}")


def counted(photos: Path, out: Path) -> dict[str, int]:
    """The calls of Python and C functions while thumbnails are made."""
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: object) -> None:
        found[event] += 1

    sys.setprofile(note)
    try:
        thumbnails(photos, out)
    finally:
        sys.setprofile(None)
    return {name: found[event] for event, name in KINDS.items()}


def main(photos: str, out: str, *words: str) -> None:
    if "--calls" in words:
        print(json.dumps(counted(Path(photos), Path(out))))
    else:
        thumbnails(Path(photos), Path(out))


# Counting, from outside ----------------------------------------------------------------------


def calls(python: str) -> dict[str, float]:
    """Functions called per file, of Python and of C. Raises UncountedError."""
    few, many = (_calls_of(python, count) for count in (FEW, MANY))
    return {name: (many[name] - few[name]) / (MANY - FEW) for name in few}


def _calls_of(python: str, count: int) -> dict[str, int]:
    answer: dict[str, int] = json.loads(_driven(count, python, words=("--calls",)).stdout)
    return answer


def figures() -> dict[str, dict[str, float]]:
    """The committed calls per file, by version of Python."""
    answer: dict[str, dict[str, float]] = json.loads(FIGURES.read_text(encoding="utf-8"))
    return answer


def update(found: Mapping[str, float]) -> None:
    """Commit the calls of this version of Python."""
    known = figures() if FIGURES.exists() else {}
    known[version()] = {name: round(value, 1) for name, value in found.items()}
    text = json.dumps(dict(sorted(known.items())), indent=2)
    FIGURES.write_text(text + "\n", encoding="utf-8")


def version() -> str:
    """The version of Python, as far as calls depend on it."""
    return ".".join(platform.python_version_tuple()[:2])


def instructions(python: str) -> tuple[float, float]:
    """Machine instructions per file, and for starting. Raises UncountedError."""
    from bench.task import NotInstalledError, program

    try:
        valgrind = program("valgrind")
    except NotInstalledError as error:
        raise UncountedError(f"{error}: see --install-peers") from error
    few, many = (_instructions_of(valgrind, python, count) for count in (FEW, MANY))
    each = (many - few) / (MANY - FEW)
    return each, few - FEW * each


def _instructions_of(valgrind: str, python: str, count: int) -> int:
    # Cachegrind without its caches: faster than Callgrind, with the same number.
    counting = ("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    done = _driven(count, valgrind, *counting, python)
    answer = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if answer is None:
        raise UncountedError(f"valgrind: {done.stderr[-200:]}")
    return int(answer[1].replace(",", ""))


def _driven(
    count: int, *python: str, words: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run this module on this many files, which are made first."""
    # String hashes differ in each process, and so do collisions in a dict.
    fixed = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    paths = os.pathsep.join((str(HERE.parent), str(ROOT)))
    with tempfile.TemporaryDirectory(prefix="imgbatch-overhead-") as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        plant(photos, count)
        argv = (*python, "-m", "bench.overhead", str(photos), f"{folder}/out", *words)
        try:
            return subprocess.run(
                argv,
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
                check=True,
                env={**os.environ, **fixed, "PYTHONPATH": paths},
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise UncountedError(f"{argv[0]}: {said[-300:]}") from error


if __name__ == "__main__":
    main(*sys.argv[1:])
