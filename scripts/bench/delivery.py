"""Measures a whole delivery: a recipe of three outputs, and where its time goes.

    scripts/tool bench.delivery PHOTOS --photos 40

White balance, a lookup table, three sizes, output sharpening and a watermark on two of them,
against the three sizes alone, in turns; then the milliseconds of each step. Ratios are medians of
each round's own. Rows 3 and 4 of scripts/tool bench compare several sizes and sharpening with other
tools.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from PIL import Image, ImageDraw

from bench import photos as synthetic_photos
from bench import tables
from bench.measure import Command, Run, adopt_orphans, run
from bench.results import ratios
from bench.task import ROOT, Place

SIZES = (2400, 1600, 400)
QUALITY = 85
PROFILED = 12

DELIVERY = """
name = "delivery"

[prepare]
profile = "srgb"
operations = ["white-balance", { name = "lut", file = "film.cube" }]

[[output]]
name = "large"
size = 2400
quality = 88
operations = ["output-sharpen", { name = "watermark", file = "mark.png" }]

[[output]]
name = "web"
size = 1600
operations = ["output-sharpen", { name = "watermark", file = "mark.png" }]

[[output]]
name = "thumb"
size = 400
operations = ["output-sharpen"]
"""


@dataclass
class Row:
    """One way of doing it, and its measured rounds."""

    name: str
    command: Command
    runs: list[Run] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True)
class Setting:
    """What all rows share."""

    photos: tuple[Path, ...]
    place: Place
    work: Path
    jobs: int

    @property
    def folder(self) -> Path:
        return self.photos[0].parent

    @property
    def out(self) -> Path:
        return self.work / "out"

    def imgbatch(self, *words: str) -> Command:
        head = (self.place.python, "-m", "imgbatch")
        tail = ("-o", str(self.out), "-j", str(self.jobs), "--quiet")
        return Command((*head, *words, *tail), folder=ROOT)

    def resize(self, *sizes: int) -> Command:
        words = [word for size in sizes for word in ("-s", str(size))]
        return self.imgbatch("resize", str(self.folder), *words, "-q", str(QUALITY))


def main() -> int:
    """Run the command line; return the exit code."""
    options = parsed()
    adopt_orphans()
    options.work.mkdir(parents=True, exist_ok=True)
    folder = options.folder or synthetic_photos.synthetic(options.photos, options.work, say)
    chosen = tuple(synthetic_photos.select(folder, options.photos, options.work))
    setting = Setting(chosen, Place(options.work), options.work, options.jobs)
    total = sum(photo.stat().st_size for photo in chosen)
    print(
        f"{len(chosen)} photos, {total / 1e6:.0f} MB, {options.jobs} jobs, {options.rounds} rounds"
    )
    recipe(setting, options.rounds)
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", nargs="?", type=Path, metavar="PHOTOS_DIR", help="default: computed photos")
    add("--photos", type=int, default=40, metavar="N")
    add("--rounds", type=int, default=5, metavar="N")
    add("--jobs", type=int, default=2, metavar="N")
    default = Path(tempfile.gettempdir()) / "imgbatch-bench"
    add("--work", type=Path, default=default, metavar="DIR", help=f"default: {default}")
    return parser.parse_args()


def say(text: str) -> None:
    """Print to standard error: standard output has only the tables."""
    print(text, file=sys.stderr, flush=True)


def recipe(setting: Setting, rounds: int) -> None:
    """A whole delivery, and where its time goes."""
    folder = setting.work / "recipe"
    folder.mkdir(exist_ok=True)
    path = folder / "delivery.toml"
    path.write_text(DELIVERY, encoding="utf-8")
    (folder / "film.cube").write_text(film(), encoding="ascii")
    mark().save(folder / "mark.png")
    rows = [
        Row("the recipe", setting.imgbatch("run", str(path), str(setting.folder))),
        Row("its three sizes alone", setting.resize(*SIZES)),
    ]
    measured(setting, rows, rounds)
    stages(setting, path)


def film() -> str:
    """A warm look with soft contrast, as a table of 33 colours a side."""
    levels = [step / 32 for step in range(33)]
    lines = ["LUT_3D_SIZE 33"]
    for blue in levels:
        for green in levels:
            for red in levels:
                grey = 0.3 * red + 0.6 * green + 0.1 * blue
                mixed = [0.9 * one + 0.1 * grey for one in (red, green, blue)]
                curved = [one * one * (3 - 2 * one) * 0.5 + one * 0.5 for one in mixed]
                lines.append(f"{curved[0] ** 0.95:.6f} {curved[1]:.6f} {curved[2] ** 1.06:.6f}")
    return "\n".join(lines) + "\n"


def mark() -> Image.Image:
    """A ring with a bar, white, with soft edges."""
    large = Image.new("L", (1600, 800))
    draw = ImageDraw.Draw(large)
    draw.ellipse((40, 40, 760, 760), outline=255, width=70)
    draw.rectangle((840, 340, 1560, 460), fill=255)
    image = Image.new("RGBA", (800, 400), (255, 255, 255, 0))
    image.putalpha(large.resize((800, 400), Image.Resampling.BOX))
    return image


def stages(setting: Setting, path: Path) -> None:
    """Where one process spends its time, by the steps of the recipe."""
    from imgbatch.model import Job, Run, Source, Target
    from imgbatch.recipes import toml
    from imgbatch.running import worker

    out = setting.out
    shutil.rmtree(out, ignore_errors=True)
    loaded = toml.load(path)
    worker.tune_process()
    profile = cProfile.Profile()
    results = []
    # The first one, not counted, loads what is loaded only once.
    for number, photo in enumerate((setting.photos[0], *setting.photos[:PROFILED])):
        state = photo.stat()
        source = Source(str(photo.parent), photo.name, state.st_size, state.st_mtime_ns)
        targets = tuple(
            Target(output.name, str(out), f"{number}-{output.name}.jpg")
            for output in loaded.outputs
        )
        (out / ".imgbatch").mkdir(parents=True, exist_ok=True)
        if number:
            profile.enable()
        result = worker.process(Job(source, targets), 1.0, loaded, Run("bench", str(out)))
        profile.disable()
        assert result is not None
        assert result.status == "done", result
        results += [result] if number else []
    shutil.rmtree(out, ignore_errors=True)
    spent = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    total = sum(result.seconds for result in results) / len(results)
    print("\n| step | ms a photo | % |\n|---|--:|--:|")
    told = 0.0
    for name, seconds in by_step(spent, len(results)):
        told += seconds
        print(f"| {name} | {1000 * seconds:.1f} | {100 * seconds / total:.0f} |")
    print(f"| the rest | {1000 * (total - told):.1f} | {100 * (total - told) / total:.0f} |")
    print(f"| all | {1000 * total:.1f} | 100 |\n")


# Functions of the package, by module, that are listed separately.
STEPS: Mapping[tuple[str, str], str] = {
    ("decode.py", "_pixels"): "decode",
    ("encode.py", "encode"): "encode",
    ("worker.py", "_publish"): "publish",
}


def by_step(
    spent: Mapping[tuple[str, int, str], tuple[float, ...]], photos: int
) -> list[tuple[str, float]]:
    """Seconds per photo of decoding, of each operation, of encoding and of publishing."""
    found: dict[str, float] = {}
    for (file, line, function), numbers in spent.items():
        path = Path(file)
        if "imgbatch" not in path.parts:
            continue
        name = STEPS.get((path.name, function), "")
        if path.parent.name == "operations" and function == "apply":
            name = class_at(path, line)
            # Its own caller is listed already; and one without its own `apply` appears here alone.
            name = {"PointOperation": "", "ToneOperation": "OutputSharpen"}.get(name, name)
        if name:
            found[name] = found.get(name, 0.0) + numbers[3] / photos
    return sorted(found.items(), key=lambda item: -item[1])


def class_at(path: Path, line: int) -> str:
    """The class whose method begins in a line of a file."""
    above = path.read_text(encoding="utf-8").splitlines()[:line]
    heads = [text for text in above if text.startswith("class ")]
    return heads[-1].removeprefix("class ").partition("(")[0]


def measured(setting: Setting, rows: list[Row], rounds: int) -> None:
    """Run every row in every round, and print the table."""
    out = setting.out
    for number in range(rounds + 1):
        first = number % len(rows)
        for row in rows[first:] + rows[:first]:
            if row.problem:
                continue
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            done = run(row.command)
            made = sum(1 for one in out.rglob("*.jpg"))
            wanted = len(SIZES) * len(setting.photos)
            row.problem = done.problem or ("" if made == wanted else f"{made} of {wanted} made")
            if number and not row.problem:
                row.runs.append(done)
            say(f"round {number}: {row.name} {row.problem or f'{done.wall:.2f} s'}")
    shutil.rmtree(out, ignore_errors=True)
    cells = [_cells(row, rows[0], len(setting.photos)) for row in rows]
    head = ("tool", "wall s", "CPU s", "photos/s", "wall ÷", "CPU ÷")
    print(f"\nA delivery\n\n{tables.table(head, cells, markdown=True)}")
    sys.stdout.flush()


def _cells(row: Row, ours: Row, photos: int) -> tuple[str, ...]:
    if row.problem:
        return (row.name, row.problem, *["-"] * 4)
    walls, cpus = ([getattr(one, what) for one in row.runs] for what in ("wall", "cpu"))
    wall_ratios = ratios([one.wall for one in ours.runs], walls)
    cpu_ratios = ratios([one.cpu for one in ours.runs], cpus)
    return (
        row.name,
        f"{median(walls):.2f}",
        f"{median(cpus):.2f}",
        f"{photos / median(walls):.1f}",
        f"{median(wall_ratios):.2f}" if wall_ratios else "-",
        f"{median(cpu_ratios):.2f}" if cpu_ratios else "-",
    )


if __name__ == "__main__":
    sys.exit(main())
