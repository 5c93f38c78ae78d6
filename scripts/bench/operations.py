"""Measures every operation on one picture, against Pillow, libvips and ImageMagick.

    scripts/tool bench.operations                    1600 x 1067 RGB, milliseconds of one core
    scripts/tool bench.operations --rounds 15 --markdown

CPU time, the best of several rounds, everything in memory. Pillow's column has only what Pillow
itself provides; libvips runs through pyvips on one thread, ImageMagick as a command with one
thread, less the time of the same command doing nothing. They do nearly the same, not exactly: the
table shows orders of magnitude, not percentages. Pictures are computed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from bench.task import HERE, NotInstalledError, Place, program, python_with
from imgbatch.imaging.picture import Picture
from imgbatch.operations import names, parse
from imgbatch.operations.point import joined

WIDTH, HEIGHT = 1600, 1067

# The operation's settings, if it needs more than its name; and its name in the others' tables.
WORDS = {
    "blur 0.7": ("blur:radius=0.7", "blur 0.7"),
    "blur 2": ("blur:radius=2", "blur 2"),
    "blur 20": ("blur:radius=20", "blur 20"),
    "unsharp 1": ("unsharp:radius=1", "unsharp 1"),
    "unsharp 5": ("unsharp:radius=5", "unsharp 5"),
    "levels": ("levels:black=10,white=240,gamma=1.1", "levels"),
    "denoise": ("denoise", ""),
    "median": ("denoise:method=median", "median"),
    "lut": ("lut:file=film.cube", "lut"),
    "watermark": ("watermark:file=mark.png", "watermark"),
    "text": ('text:text="© 2026 Ada Licht"', ""),
    "crop": ("crop:ratio=1:1", "crop"),
    "smart-crop": ("smart-crop:ratio=1:1", "smart-crop"),
    "rotate": ("rotate:angle=7", "rotate"),
}
REPLACED = {"blur", "unsharp"}


def pillow(table: Image.Image) -> dict[str, Callable[[Image.Image], Image.Image]]:
    film = ImageFilter.Color3DLUT.generate(33, lambda r, g, b: (r**0.9, g, b**1.1))
    return {
        "autocontrast": lambda image: ImageOps.autocontrast(image, 0.5),
        "blur 0.7": lambda image: image.filter(ImageFilter.GaussianBlur(0.7)),
        "blur 2": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
        "blur 20": lambda image: image.filter(ImageFilter.GaussianBlur(20)),
        "border": lambda image: ImageOps.expand(image, 53, "white"),
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
        "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.1),
        "crop": lambda image: image.crop((266, 0, 1333, 1067)),
        "equalize": lambda image: ImageOps.equalize(image),
        "flip": lambda image: ImageOps.mirror(image),
        "grayscale": lambda image: image.convert("L"),
        "invert": lambda image: ImageOps.invert(image),
        "lut": lambda image: image.filter(film),
        "median": lambda image: image.filter(ImageFilter.MedianFilter(3)),
        "posterize": lambda image: ImageOps.posterize(image, 2),
        "rotate": lambda image: image.rotate(-7, Image.Resampling.BICUBIC, expand=True),
        "saturation": lambda image: ImageEnhance.Color(image).enhance(1.2),
        "sharpen": lambda image: image.filter(ImageFilter.UnsharpMask(1, 80, 0)),
        "threshold": lambda image: image.convert("L").point([0] * 128 + [255] * 128),
        "unsharp 1": lambda image: image.filter(ImageFilter.UnsharpMask(1, 80, 0)),
        "unsharp 5": lambda image: image.filter(ImageFilter.UnsharpMask(5, 80, 0)),
        "watermark": lambda image: Image.alpha_composite(image.convert("RGBA"), table),
    }


MAGICK = {
    "autocontrast": "-contrast-stretch 0.5%x0.5%",
    "blur 0.7": "-gaussian-blur 0x0.7",
    "blur 2": "-gaussian-blur 0x2",
    "blur 20": "-blur 0x20",
    "border": "-bordercolor white -border 53",
    "brightness": "-evaluate multiply 1.1",
    "contrast": "-brightness-contrast 0x10",
    "crop": "-gravity center -crop 1067x1067+0+0",
    "curves": "-sigmoidal-contrast 3x50%",
    "denoise": "-enhance",
    "equalize": "-equalize",
    "exposure": "-evaluate multiply 1.4",
    "flip": "-flop",
    "gamma": "-gamma 1.2",
    "grain": "-attenuate 0.2 +noise Gaussian",
    "grayscale": "-colorspace Gray",
    "hue": "-modulate 100,100,150",
    "invert": "-negate",
    "levels": "-level 5%,95%,1.1",
    "lut": "hald.png -hald-clut",
    "median": "-statistic Median 3x3",
    "posterize": "-posterize 4",
    "rotate": "-rotate 7",
    "saturation": "-modulate 100,120",
    "sepia": "-sepia-tone 80%",
    "sharpen": "-sharpen 0x0.7",
    "text": "-fill white -pointsize 32 -annotate +30+1000 2026",
    "threshold": "-threshold 50%",
    "trim": "-fuzz 4% -trim",
    "unsharp 1": "-unsharp 0x1+0.8+0",
    "unsharp 5": "-unsharp 0x5+0.8+0",
    "vignette": "-background black -vignette 0x100",
    "watermark": "mark.png -gravity southeast -composite",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="NAME,...")
    default = Path(tempfile.gettempdir()) / "imgbatch-bench"
    parser.add_argument("--work", type=Path, default=default, metavar="DIR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        image = photo()
        image.save("photo.ppm")
        image.save("photo.png", compress_level=1)
        mark = Image.new("RGBA", (320, 160), (255, 255, 255, 128))
        mark.save("mark.png")
        Path("film.cube").write_text(film(), encoding="ascii")
        full = Image.new("RGBA", image.size)
        full.paste(mark, (1250, 880))
        vips = of_vips(Place(options.work), options.rounds)
        table = pillow(full)
        magick = imagemagick()
        if magick:
            subprocess.run([magick, "hald:8", "hald.png"], check=False)
        head = ("operation", "imgbatch", "Pillow", "÷", "libvips", "÷", "ImageMagick", "÷")
        print(row(head, options.markdown))
        if options.markdown:
            print("|---|--:|--:|--:|--:|--:|--:|--:|")
        for name in options.only or sorted((*WORDS, *(set(names()) - {*WORDS} - REPLACED))):
            words, known = WORDS.get(name, (name, name))
            ours = best(partial(ours_of, words, image), options.rounds)
            known_to = table.get(name)
            theirs = best(partial(known_to, image), options.rounds) if known_to else None
            others = (theirs, vips.get(known), of_magick(magick, MAGICK.get(name), options.rounds))
            cells = [cell for other in others for cell in compared(ours, other)]
            print(row((f"`{words}`", f"{ours:.1f}", *cells), options.markdown), flush=True)
        chain = joined([parse(words) for words in ("exposure", "curves", "gamma", "contrast")])
        ours = best(partial(applied, chain, image), options.rounds)
        print(row(("four point operations, joined", f"{ours:.1f}", *[""] * 6), options.markdown))
    return 0


def photo() -> Image.Image:
    """Soft shapes, edges and a sensor's noise."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    noise = np.random.default_rng(3).normal(0, 4, (HEIGHT, WIDTH, 3))
    waves = 120 + 70 * np.sin(x / 90) * np.cos(y / 70) + 40 * ((x // 160 + y // 130) % 2)
    layers = np.stack([waves, waves * 0.9 + 10, waves * 0.7 + 30], axis=-1) + noise
    return Image.fromarray(np.clip(layers, 0, 255).astype(np.uint8))


def film() -> str:
    """A table of 33 colours a side."""
    levels = [step / 32 for step in range(33)]
    rows = [f"{r**0.9:.5f} {g:.5f} {b**1.1:.5f}" for b in levels for g in levels for r in levels]
    return "LUT_3D_SIZE 33\n" + "\n".join(rows) + "\n"


def ours_of(words: str, image: Image.Image) -> None:
    applied(joined([parse(words)]), image)


def applied(operations: Any, image: Image.Image) -> None:
    picture = Picture.of(image)
    for operation in operations:
        picture = operation.apply(picture)


def best(function: Callable[[], object], rounds: int) -> float:
    """CPU time in milliseconds."""
    found = float("inf")
    for _ in range(rounds + 1):
        begun = time.process_time()
        function()
        found = min(found, time.process_time() - begun)
    return 1000 * found


def of_vips(place: Place, rounds: int) -> dict[str, float]:
    """Milliseconds by name; empty if pyvips is not installed."""
    try:
        python = python_with(place, "pyvips")
    except NotInstalledError:
        return {}
    script = str(HERE / "vips_operations.py")
    words = [python, script, "photo.png", "mark.png", str(rounds)]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def imagemagick() -> str | None:
    try:
        return program("imagemagick")
    except NotInstalledError as error:
        print(error, file=sys.stderr)
        return None


def of_magick(magick: str | None, words: str | None, rounds: int) -> float | None:
    """Milliseconds of a command, less those of one that does nothing."""
    if magick is None or words is None:
        return None
    nothing = min(cpu_of(magick, []) for _ in range(rounds // 2 + 1))
    return max(0.0, min(cpu_of(magick, words.split()) for _ in range(rounds // 2 + 1)) - nothing)


def cpu_of(magick: str, words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MAGICK_THREAD_LIMIT": "1"}
    subprocess.run(
        [magick, "photo.ppm", "-depth", "8", *words, "null:"], check=False, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def compared(ours: float, theirs: float | None) -> tuple[str, str]:
    if theirs is None:
        return "", ""
    return f"{theirs:.1f}", f"{ours / theirs:.2f}" if theirs >= 0.5 else ""


def row(cells: tuple[str, ...], markdown: bool) -> str:
    if markdown:
        return f"| {' | '.join(cells)} |"
    return f"{cells[0]:34}" + "".join(f"{cell:>11}" for cell in cells[1:])


if __name__ == "__main__":
    sys.exit(main())
