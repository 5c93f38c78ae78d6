"""Where the time of one photo goes: CPU milliseconds of one core, stage by stage.

The stages are the library calls of bench/floor.py, timed one by one in this process; the rest of
imgbatch's time is the difference from the command itself. For comparison, libjpeg-turbo's own
programs do the codec's part alone, and sharp does everything.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median

from cykooz_resizer import ResizeOptions
from cykooz_resizer.resize import Resizer
from PIL import Image

from bench import floor
from bench.measure import Command, run
from bench.peers import BY_NAME
from bench.task import NotInstalledError, Place, Task, program
from bench.works import Make

PHOTOS = 12
ROUNDS = 3
TIMES = 3
"""The factor for the number of photos in the longer of the two runs of a command."""

COMMANDS = {"imgbatch": "imgbatch, one job", "floor": "the bare loop", "sharp": "sharp"}

STAGES = ("open, header, metadata", "decode at 1/2", "resample", "turn", "encode")

Say = Callable[[str], None]


class FailedError(Exception):
    """A measured command failed."""


def measured(photos: Sequence[Path], place: Place, say: Say) -> list[tuple[str, float]]:
    """Milliseconds of CPU for each stage, and for whole commands. Raises FailedError.

    Medians over the photos and a few rounds, in which everything has its turn. A command is run on
    all photos and on three times as many: the difference is the cost of photos without start-up.
    """
    from imgbatch.running import worker

    make = Make()
    # As in imgbatch's workers: freed memory is kept for the next photo.
    worker.tune_process()
    chosen = photos[:PHOTOS]
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    commands: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for number in range(ROUNDS):
        for photo in chosen:
            for name, seconds in _once(photo, make):
                stages[name].append(1000 * seconds)
        for name, found in commands.items():
            try:
                found.append(_command(place, name, chosen, make))
            except NotInstalledError as error:
                say(f"no {name}: {error}")
                continue
            say(f"round {number + 1} of {ROUNDS}: {name} {found[-1][0]:.1f} ms a photo")
    rows = [(name, median(found)) for name, found in stages.items()]
    library = sum(milliseconds for _, milliseconds in rows)
    each = {name: median(one for one, _ in found) for name, found in commands.items() if found}
    rows.append(("everything else of imgbatch", each["imgbatch"] - library))
    for name, milliseconds in each.items():
        rows.append((f"{COMMANDS[name]}: a photo", milliseconds))
        starting = median(one for _, one in commands[name])
        rows.append((f"{COMMANDS[name]}: start-up", starting))
    return rows + _programs(chosen, make, say)


def _once(photo: Path, make: Make) -> Iterator[tuple[str, float]]:
    assert make.size is not None
    clock = time.thread_time
    begun = clock()
    with photo.open("rb") as file:
        image = Image.open(file, formats=("JPEG",))
        scale = min(1.0, make.size / max(image.size))
        target = round(image.width * scale), round(image.height * scale)
        exif = image.getexif()
        turn = floor.UPRIGHT.get(exif.get(floor.ORIENTATION, 1))
        exif[floor.ORIENTATION] = 1
        block = exif.tobytes()
        opened = clock()
        yield STAGES[0], opened - begun
        image.draft(None, target)
        image.load()
    decoded = clock()
    yield STAGES[1], decoded - opened
    pixels = Image.new(image.mode, target, None)
    resizer = Resizer()  # type: ignore[no-untyped-call, unused-ignore]
    resizer.resize_pil(image, pixels, ResizeOptions(floor.LANCZOS))
    resized = clock()
    yield STAGES[2], resized - decoded
    if turn is not None:
        pixels = pixels.transpose(turn)
    turned = clock()
    yield STAGES[3], turned - resized
    pixels.save(
        BytesIO(),
        "JPEG",
        quality=make.quality,
        subsampling="4:2:0",
        exif=block,
        icc_profile=image.info.get("icc_profile"),
    )
    yield STAGES[4], clock() - turned


def _command(place: Place, name: str, photos: Sequence[Path], make: Make) -> tuple[float, float]:
    """Milliseconds of CPU of a command for each photo, and for starting."""
    few, many = len(photos), TIMES * len(photos)
    more, fewer = (_cpu(place, name, photos, count, make) for count in (many, few))
    each = 1000 * (more - fewer) / (many - few)
    return each, 1000 * fewer - few * each


def _cpu(place: Place, name: str, photos: Sequence[Path], count: int, make: Make) -> float:
    with _folder(place) as folder:
        sources, out = folder / "photos", folder / "out"
        sources.mkdir()
        out.mkdir()
        for number in range(count):
            os.link(photos[number % len(photos)], sources / f"{number:04}.jpg")
        links = tuple(sorted(sources.iterdir()))
        one = run(BY_NAME[name].command(place, Task(links, out, make, 1)))
    if one.problem:
        raise FailedError(f"{name}: {one.problem}")
    return one.cpu


def _programs(photos: Sequence[Path], make: Make, say: Say) -> list[tuple[str, float]]:
    """djpeg and cjpeg, with a picture as plain pixels between them."""
    try:
        djpeg, cjpeg = program("djpeg"), program("cjpeg")
    except NotInstalledError as error:
        say(f"{error}: see --install-peers")
        return []
    decoded, encoded = [], []
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "small.ppm")
        for photo in photos:
            decode = (djpeg, "-scale", "1/2", "-outfile", os.devnull, str(photo))
            decoded.append(_usual_cpu(Command(decode)))
            with Image.open(photo) as image:
                image.thumbnail((make.sizes[0], make.sizes[0]))
                image.save(plain)
            quality = ("-quality", str(make.quality), "-sample", "2x2")
            encode = (cjpeg, *quality, "-outfile", os.devnull, str(plain))
            encoded.append(_usual_cpu(Command(encode)))
    return [
        ("djpeg -scale 1/2", 1000 * median(decoded)),
        (f"cjpeg -quality {make.quality}, {make.size} px", 1000 * median(encoded)),
    ]


def _usual_cpu(command: Command) -> float:
    runs = [run(command) for _ in range(ROUNDS)]
    problems = [one.problem for one in runs if one.problem]
    if problems:
        raise FailedError(f"{command.argv[0]}: {problems[0]}")
    return median(one.cpu for one in runs)


@contextmanager
def _folder(place: Place) -> Iterator[Path]:
    """A folder next to the photos, on the same disk, so that links to them can be made."""
    with tempfile.TemporaryDirectory(prefix="stages-", dir=place.work) as folder:
        yield Path(folder)
