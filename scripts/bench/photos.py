"""The photographs to work on: the user's, or computed ones."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ExifTags import IFD, Base

Pixels = npt.NDArray[np.float32]

WIDTH, HEIGHT = 6000, 4000
QUALITY = 92
ORIENTATIONS = (1, 6, 8, 3)
SUBSAMPLINGS = ("4:2:0", "4:2:2")
SUFFIXES = (".jpg", ".jpeg")

# Part of the folder's name, so that photos computed by an older version are not reused.
_RECIPE = "synthetic-1"


class NoPhotosError(Exception):
    """There is nothing to measure with."""


def select(folder: Path, count: int | None, work: Path) -> list[Path]:
    """Copies of the first `count` JPEGs below `folder`, in a folder of their own.

    Copies, because a peer may write where it reads, and all peers then see the same names. If there
    are fewer than `count`, they are repeated under other names, as links: so each is still opened
    and decoded, and takes no more space. Raises NoPhotosError if there are none.
    """
    found = jpegs(folder)
    chosen = found[:count]
    name = hashlib.sha256(f"{folder.resolve()}\0{count or len(chosen)}".encode()).hexdigest()[:12]
    target = work / f"photos-{name}"
    target.mkdir(parents=True, exist_ok=True)
    copies = [target / f"{number:04}.jpg" for number in range(count or len(chosen))]
    for stray in set(target.iterdir()) - set(copies):
        stray.unlink()
    for number, copy in enumerate(copies):
        source = chosen[number % len(chosen)]
        if copy.exists() and _identity(copy) == _identity(source):
            continue
        copy.unlink(missing_ok=True)
        if number < len(chosen):
            shutil.copy2(source, copy)
        else:
            os.link(copies[number % len(chosen)], copy)
    return copies


def jpegs(folder: Path) -> list[Path]:
    """The JPEGs below a folder, by name. Raises NoPhotosError if there are none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise NoPhotosError(f"no JPEG files below {folder}")
    return found


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, int(status.st_mtime)


def synthetic(count: int, work: Path, say: Callable[[str], None]) -> Path:
    """A folder with `count` or more computed photos, kept for the next time."""
    folder = work / _RECIPE
    folder.mkdir(parents=True, exist_ok=True)
    lacking = [number for number in range(count) if not _photo_path(folder, number).exists()]
    if lacking:
        say(f"computing {len(lacking)} photos of {WIDTH} x {HEIGHT} pixels in {folder}")
    # Threads: NumPy and Pillow release the GIL. No more than 4, because of memory.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for number in pool.map(lambda number: _write_photo(folder, number), lacking):
            say(f"  {_photo_path(folder, number).name}")
    return folder


def _photo_path(folder: Path, number: int) -> Path:
    return folder / f"photo-{number:04}.jpg"


def _write_photo(folder: Path, number: int) -> int:
    path = _photo_path(folder, number)
    # Under another name first: a partially written photo must not be found the next time.
    unfinished = path.with_suffix(".part")
    _landscape(np.random.default_rng([2026, number])).save(
        unfinished,
        "JPEG",
        quality=QUALITY,
        subsampling=SUBSAMPLINGS[number % len(SUBSAMPLINGS)],
        exif=_exif(number),
    )
    unfinished.rename(path)
    return number


def _exif(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[Base.Make] = "Imaginary"
    exif[Base.Model] = "Fractal 24"
    exif[Base.Orientation] = ORIENTATIONS[number % len(ORIENTATIONS)]
    exif[Base.DateTime] = date = f"2026:05:{number % 28 + 1:02} 12:00:00"
    exif.get_ifd(IFD.Exif).update(
        {
            Base.DateTimeOriginal: date,
            Base.ISOSpeedRatings: 200,
            Base.FNumber: 8.0,
            Base.ExposureTime: 0.004,
        }
    )
    return exif


def _landscape(random: np.random.Generator) -> Image.Image:
    """Rough ground under a cloudy sky, with sensor noise over both."""
    rough = _fractal(random, first=6, octaves=10, persistence=0.74)
    ridge = HEIGHT * (0.45 + 0.25 * _profile(random))
    down = np.arange(HEIGHT, dtype=np.float32)[:, None]
    ground: Pixels = np.clip((down - ridge[None, :]) / 6 + 0.5, 0, 1)
    sky = np.clip(0.35 + 0.45 * down / HEIGHT + 0.25 * rough, 0, 1)
    earth = np.clip(0.38 + 0.55 * rough * (0.4 + down / HEIGHT), 0, 1)
    light = sky + (earth - sky) * ground
    # Brightness at the dark end of both scenes, and at the bright one.
    sky_colours = _colours(random, (70, 110, 170), (245, 245, 250))
    earth_colours = _colours(random, (25, 35, 15), (215, 195, 150))
    noise = random.standard_normal((HEIGHT, WIDTH), dtype=np.float32)
    noise *= 4.5 * np.sqrt(0.2 + light)
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    for channel in range(3):
        low = _between(sky_colours[0][channel], earth_colours[0][channel], ground)
        high = _between(sky_colours[1][channel], earth_colours[1][channel], ground)
        # Shifted noise is as good as new noise, and drawing it is most of the work.
        grain = np.roll(noise, 977 * channel, axis=1)
        picture[:, :, channel] = np.clip(low + (high - low) * light + grain, 0, 255)
    return Image.fromarray(picture)


def _between(low: float, high: float, amount: Pixels) -> Pixels:
    return low + (high - low) * amount


def _colours(
    random: np.random.Generator, dark: Sequence[int], bright: Sequence[int]
) -> tuple[list[float], list[float]]:
    """The two ends of a colour scale, slightly different in each photo."""
    shift = random.uniform(-20, 20, 3)
    return [float(a + b) for a, b in zip(dark, shift, strict=True)], [float(a) for a in bright]


def _fractal(random: np.random.Generator, first: int, octaves: int, persistence: float) -> Pixels:
    """Noise of the photo's size, about -1 to 1: each octave twice as fine and weaker."""
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for octave in range(octaves):
        columns = first << octave
        grid = random.uniform(-1, 1, (columns * HEIGHT // WIDTH + 1, columns + 1))
        field = Image.fromarray(grid.astype(np.float32))
        wide = field.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        total += persistence**octave * np.asarray(wide)
    return total


def _profile(random: np.random.Generator) -> Pixels:
    """The outline of the hills: one number for each column, about -1 to 1."""
    across = np.linspace(0, 1, WIDTH, dtype=np.float32)
    line = np.zeros(WIDTH, np.float32)
    for octave in range(9):
        knots = random.uniform(-1, 1, 4 * 2**octave + 1)
        places = np.linspace(0, 1, knots.size)
        line += (0.5**octave * np.interp(across, places, knots)).astype(np.float32)
    return line * np.float32(0.5)
