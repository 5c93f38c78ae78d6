"""The other sources, derived from photographs: PNG, very small JPEGs, a mixture, a single file.

Made once, and kept in the work folder for the next time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from bench.photos import jpegs
from bench.works import Source

PNG_SHARE = 0.6
"""PNG for each photo."""
PNG_MEGAPIXELS = (8.0, 16.0)
PNG_DIFFERENT = 12
"""This many are made, half of them with alpha; others are links to these."""

SMALL_SHARE = 200
"""JPEGs of 160 pixels for each photo."""
SMALL_SIDES = (160, 107)
SMALL_DIFFERENT = 500
SMALL_QUALITY = 85

MIXED_OTHERS = (("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif"))
MIXED_OTHER_SHARE = 0.1
_MIXED_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"quality": 90},
    "TIFF": {"compression": "tiff_lzw"},
}

# Part of the folders' names, so that what an older version made is not reused.
_RECIPE = "1"

Say = Callable[[str], None]


def gathered(
    kind: Source, photos: Sequence[Path], mixed: Path | None, work: Path, say: Say
) -> tuple[Path, ...]:
    """The sources of a kind, as many as belong to this number of `photos`, alone in their folder.

    `mixed` is the folder whose JPEGs go into the mixture; None uses the photos. Raises
    NoPhotosError if it has none.
    """
    if kind == "photos":
        return tuple(photos)
    origin = jpegs(mixed) if kind == "mixed" and mixed else list(photos)
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in origin]
    digest = hashlib.sha256(repr((_RECIPE, kind, len(photos), states)).encode()).hexdigest()[:12]
    folder = work / f"{kind.replace(' ', '-')}-{digest}"
    if not folder.exists():
        say(f"making the sources of kind {kind!r} in {folder}")
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            _MAKERS[kind](origin, len(photos), unfinished)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return tuple(sorted(folder.iterdir()))


def _one(photos: Sequence[Path], count: int, folder: Path) -> None:
    shutil.copyfile(photos[0], folder / "0000.jpg")


def _png(photos: Sequence[Path], count: int, folder: Path) -> None:
    total = max(2, round(PNG_SHARE * count))
    different = min(total, PNG_DIFFERENT)
    least, most = PNG_MEGAPIXELS

    def make(number: int) -> None:
        megapixels = least + (most - least) * number / max(1, different - 1)
        with Image.open(photos[number % len(photos)]) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        scale = (megapixels * 1e6 / (upright.width * upright.height)) ** 0.5
        size = round(upright.width * scale), round(upright.height * scale)
        small = upright.resize(size, Image.Resampling.BICUBIC)
        if number % 2:
            small.putalpha(_cut_out(size))
        small.save(folder / f"{number:04}.png")

    _in_threads(make, range(different))
    for number in range(different, total):
        os.link(folder / f"{number % different:04}.png", folder / f"{number:04}.png")


def _cut_out(size: tuple[int, int]) -> Image.Image:
    """An ellipse with soft edges, like an object cut out of its background."""
    across = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :]
    down = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    inside = np.clip((0.9 - np.hypot(across, down)) * 40, 0, 1)
    return Image.fromarray((255 * inside).astype(np.uint8))


def write_small(photos: Sequence[Path], count: int, folder: Path) -> None:
    """This many JPEGs of 160 pixels, of which 500 are different: crops of the photos."""
    made: list[bytes] = []
    different = min(count, SMALL_DIFFERENT)
    crops = -(-different // len(photos))
    random = np.random.default_rng(160)
    for photo in photos:
        with Image.open(photo) as image:
            # A quarter of the photo's side for each: as detailed as a thumbnail of all of it.
            image.draft("RGB", (image.width // 4, image.height // 4))
            whole = image.convert("RGB")
        whole.thumbnail((8 * SMALL_SIDES[0], 8 * SMALL_SIDES[1]))
        for _ in range(crops):
            left, top = (
                int(random.integers(0, max(1, side - least)))
                for side, least in zip(whole.size, SMALL_SIDES, strict=True)
            )
            crop = whole.crop((left, top, left + SMALL_SIDES[0], top + SMALL_SIDES[1]))
            buffer = BytesIO()
            crop.save(buffer, "JPEG", quality=SMALL_QUALITY)
            made.append(buffer.getvalue())
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(made[number % different])


def _small(photos: Sequence[Path], count: int, folder: Path) -> None:
    write_small(photos[:50], SMALL_SHARE * count, folder)


def _mixed(photos: Sequence[Path], count: int, folder: Path) -> None:
    each = max(1, round(MIXED_OTHER_SHARE * count))
    plain = max(1, count - each * len(MIXED_OTHERS))
    for number in range(plain):
        copy = folder / f"{number:04}.jpg"
        if number < len(photos):
            shutil.copyfile(photos[number], copy)
        else:
            os.link(folder / f"{number % len(photos):04}.jpg", copy)

    def make(number: int) -> None:
        kind, suffix = MIXED_OTHERS[number % len(MIXED_OTHERS)]
        with Image.open(photos[number * len(photos) // (each * len(MIXED_OTHERS))]) as image:
            upright = ImageOps.exif_transpose(image)
            profile = image.info.get("icc_profile")
        if upright.mode not in ("L", "RGB"):
            upright, profile = upright.convert("RGB"), None
        path = folder / f"{plain + number:04}{suffix}"
        clean = Image.new(upright.mode, upright.size)
        clean.paste(upright)
        clean.save(path, kind, icc_profile=profile, **_MIXED_OPTIONS[kind])

    _in_threads(make, range(each * len(MIXED_OTHERS)))


def _in_threads(make: Callable[[int], None], numbers: Iterable[int]) -> None:
    # Pillow releases the GIL. No more than 4, because of memory.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for _ in pool.map(make, numbers):
            pass


_MAKERS: dict[Source, Callable[[Sequence[Path], int, Path], None]] = {
    "one photo": _one,
    "png": _png,
    "small": _small,
    "mixed": _mixed,
}
