"""Runs damaged pictures through the real command, for as long as desired.

    scripts/tool fuzz                                   ten minutes, a random seed
    scripts/tool fuzz --minutes 60 --seed 7             the same files as every run with seed 7
    scripts/tool fuzz --corpus ~/Pictures --keep found  damages those too; keeps what it finds

Files of every format that this Pillow writes are damaged (see tests/toolkit/mutations.py) and given
to `python -m imgbatch` in batches, with changing commands. After each batch, the exit code must be
0 or 1 and every input must have one row, done or failed; no worker has died, no failure is a bug in
imgbatch, no traceback was printed, no temporary file is left, and every output opens whole, at the
size its row states. Whatever breaks these rules is kept with its damage and its row, a few of each
sort. The exit code is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from PIL import Image
from toolkit import ROOT
from toolkit.mutations import damaged, dealt, opens_whole
from toolkit.specimens import Specimen, specimens

from imgbatch.imaging.formats import SUFFIXES

BATCH: Final = 300
BATCH_SECONDS: Final = 900
"""After this long a run counts as hanging: each picture has a time limit of its own."""
LARGEST: Final = 2_000_000
"""Larger files of a corpus are omitted: each would take the time of hundreds of small ones."""
KEPT_OF_A_SORT: Final = 3

# Every line is one run; {options} are limits, if the command has them.
COMMANDS: Final = tuple(
    line.split()
    for line in (
        "resize -s 64",
        "resize -s 64 -f webp --metadata no-gps",
        "resize -s 64 --profile srgb --on-conflict overwrite",
        "resize -s a=64 -s b=40x40 --fit cover --metadata copyright",
        "resize -s 64 -f jpeg --filter sharpen --filter autocontrast",
        "convert -f png",
        "resize -s 64 -f tiff",
        "resize -s 48x48 --fit pad --enlarge -f avif --metadata no-gps",
        "filter --filter grayscale --filter blur",
        "resize -s 64 --kernel mitchell -f jpeg2000 --profile srgb",
        "resize -s 64 -f gif",
        "convert -f jpeg --metadata no-gps",
    )
)
# Options that a command may not have yet, and the values given to them here.
LIMITS: Final = {"--timeout": "20", "--max-pixels": "20000000"}
SALVAGE: Final = "--salvage"

CRASHES: Final = re.compile(
    rb"Traceback \(most recent call last\)|Fatal Python error|Segmentation fault|"
    rb"Exception ignored in|resource_tracker"
)


@dataclass(frozen=True, slots=True)
class Input:
    """A damaged file: its path, what it was made from, and how."""

    path: Path
    origin: str
    damage: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not happen: what, and to which input, if known."""

    what: str
    one: Input | None = None
    row: dict[str, Any] | None = None

    @property
    def sort(self) -> str:
        """A key shared by findings that most likely have the same cause."""
        return re.sub(r"0x[0-9a-fA-F]+|b?'[^']*'|/\S+|\d+", "…", self.what)


@dataclass(slots=True)
class Tally:
    """The result of the whole session."""

    keep: Path
    inputs: int = 0
    done: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Finding, command: Sequence[str], session: str) -> None:
        """Count a finding; print and keep it unless there are enough of its sort."""
        self.findings[finding.sort] += 1
        if self.findings[finding.sort] > KEPT_OF_A_SORT:
            return
        print(f"FOUND: {finding.what}", flush=True)
        if finding.one is None:
            return
        print(f"    {finding.one.origin}: {finding.one.damage[:300]}", flush=True)
        self.keep.mkdir(parents=True, exist_ok=True)
        if finding.one.path.exists():
            shutil.copy(finding.one.path, self.keep / finding.one.path.name)
        story = {
            "finding": finding.what,
            "command": ["imgbatch", *command],
            "session": session,
            "origin": finding.one.origin,
            "damage": finding.one.damage,
            "row": finding.row,
        }
        text = json.dumps(story, indent=2, ensure_ascii=True)
        (self.keep / f"{finding.one.path.name}.json").write_text(text + "\n")


def main() -> int:
    options = parsed()
    # Outputs are checked here, and some are large on purpose.
    Image.MAX_IMAGE_PIXELS = None
    whole = specimens()
    corpus = read_corpus(options.corpus) if options.corpus else []
    keep = options.keep or Path(tempfile.gettempdir()) / f"imgbatch-fuzz-{options.seed}"
    tally = Tally(keep)
    given = commands()
    print(f"seed {options.seed}, {len(whole)} whole files, {len(corpus)} of a corpus", flush=True)
    end = time.monotonic() + options.minutes * 60
    number = 0
    while time.monotonic() < end:
        session = f"--seed {options.seed}, batch {number}"
        command = given[number % len(given)]
        with tempfile.TemporaryDirectory(prefix="imgbatch-fuzz-") as folder:
            place = Path(folder)
            rng = Random(f"{options.seed} {number}")
            inputs = plant(place / "in", whole, corpus, rng, number)
            for finding in run(place, command, inputs, tally):
                tally.add(finding, command, session)
                if finding.one is None:
                    kept = tally.keep / f"batch-{number}"
                    shutil.copytree(place, kept, dirs_exist_ok=True)
                    print(f"    {' '.join(command)}: everything is in {kept}", flush=True)
        number += 1
        found = sum(tally.findings.values())
        print(f"{tally.inputs} inputs, {tally.done} done, {found} findings", flush=True)
    return print_summary(tally, number)


def parsed() -> argparse.Namespace:
    words, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=words, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=None, help="default: a random one")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where findings are kept")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="further files to damage")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def read_corpus(folder: Path) -> list[Specimen]:
    """The pictures below a folder, by suffix, that are not too large."""
    return [
        Specimen(path.name, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.stat().st_size <= LARGEST
    ]


def commands() -> list[list[str]]:
    """The command lines, with the limits that this imgbatch knows."""
    found = []
    helps = {name: help_of(name) for name in sorted({words[0] for words in COMMANDS})}
    for words in COMMANDS:
        shown = helps[words[0]]
        known = [word for name, value in LIMITS.items() if name in shown for word in (name, value)]
        found.append([*words, *known])
        if SALVAGE in shown and len(found) % 3 == 0:
            found[-1].append(SALVAGE)
    # One with all limits at their defaults.
    return [*found, list(COMMANDS[0])]


def help_of(name: str) -> str:
    words = [sys.executable, "-m", "imgbatch", name, "--help"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def plant(
    folder: Path, whole: Sequence[Specimen], corpus: Sequence[Specimen], rng: Random, batch: int
) -> list[Input]:
    """Write the damaged files of one batch."""
    folder.mkdir()
    # A quarter of them are made from the corpus, if there is one.
    chosen = dealt(whole, BATCH - (BATCH // 4 if corpus else 0), rng)
    chosen += dealt(corpus, BATCH // 4, rng) if corpus else []
    inputs = []
    for index, specimen in enumerate(chosen):
        data, damage = damaged(specimen, whole, rng)
        path = folder / f"{batch:04}-{index:03}-{Path(specimen.name).stem}{specimen.suffix}"
        path.write_bytes(data)
        inputs.append(Input(path, specimen.name, damage))
    return inputs


def run(
    place: Path, command: Sequence[str], inputs: Sequence[Input], tally: Tally
) -> Iterator[Finding]:
    """Process one batch with the command, and yield everything that is wrong with the results."""
    output, report, errors = place / "out", place / "report.jsonl", place / "stderr"
    words = [*command, "--jobs", "2", "-o", str(output), "--report", str(report)]
    code = finished(words, place / "in", errors)
    tally.inputs += len(inputs)
    if code is None:
        yield Finding(f"did not end within {BATCH_SECONDS} s")
    elif code not in (0, 1):
        yield Finding(f"ended with {code}")
    said = errors.read_bytes()
    if crash := CRASHES.search(said):
        yield Finding(f"standard error: {said[crash.start() :][-300:].decode(errors='replace')!r}")
    by_path = {str(one.path): one for one in inputs}
    rows = read_rows(report)
    counted = Counter(row["source"] for row in rows if "source" in row)
    for path, one in by_path.items():
        if counted[path] != 1:
            yield Finding(f"has {counted[path]} rows", one)
    if strangers := set(counted) - set(by_path):
        yield Finding(f"rows of files that were not given: {sorted(strangers)[:3]}")
    if not rows or "summary" not in rows[-1]:
        yield Finding("the report has no summary")
    yield from checked(rows, by_path, tally)
    made = {Path(out["path"]) for row in rows for out in row.get("outputs", ())}
    for file in output.rglob("*"):
        left = file.relative_to(output)
        if file.is_file() and file not in made and left.parts[0] != ".imgbatch":
            yield Finding(f"left behind: {left}")
    if code in (0, 1) and code != any(row.get("status") == "failed" for row in rows):
        yield Finding(f"ended with {code}, which is not what the rows say")


def finished(words: Sequence[str], folder: Path, errors: Path) -> int | None:
    """Run the command on a folder; return its exit code, None if it had to be killed."""
    with errors.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "imgbatch", words[0], str(folder), *words[1:]],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            return process.wait(BATCH_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def read_rows(report: Path) -> list[dict[str, Any]]:
    if not report.exists():
        return []
    return [json.loads(line) for line in report.read_bytes().splitlines()]


def checked(
    rows: Sequence[dict[str, Any]], by_path: dict[str, Input], tally: Tally
) -> Iterator[Finding]:
    """What is wrong with the rows, and with the outputs they name."""
    for row in rows:
        one = by_path.get(row.get("source", ""))
        if one is None:
            continue
        if row["status"] == "done":
            tally.done += 1
            for output in row["outputs"]:
                if trouble := broken(output):
                    yield Finding(trouble, one, row)
        elif row["status"] == "failed":
            error = row["error"]
            kind = f"{error['stage']}: {error['kind']}"
            tally.failed[kind] += 1
            if error["stage"] == "worker" or error["kind"] == "internal":
                yield Finding(f"{kind}: {error['message']}", one, row)
        else:
            yield Finding(f"status {row['status']}", one, row)


def broken(output: dict[str, Any]) -> str | None:
    """What is wrong with an output, in words."""
    path = Path(output["path"])
    try:
        data = path.read_bytes()
        image = opens_whole(data)
    except Exception as error:
        return f"output {path.suffix} does not open: {type(error).__name__}: {error}"
    stated = (output["width"], output["height"], output["bytes"])
    if stated != (*image.size, len(data)):
        return f"output {path.suffix} is {(*image.size, len(data))}, its row says {stated}"
    return None


def print_summary(tally: Tally, batches: int) -> int:
    failed = sum(tally.failed.values())
    print(f"\n{tally.inputs} inputs in {batches} batches: {tally.done} done, {failed} failed")
    for kind, count in tally.failed.most_common():
        print(f"  {count:6} {kind}")
    if not tally.findings:
        print("no findings")
        return 0
    print(f"{sum(tally.findings.values())} findings of {len(tally.findings)} sorts:")
    for sort, count in tally.findings.most_common():
        print(f"  {count:6} {sort[:200]}")
    print(f"kept in {tally.keep}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
