"""scripts/tool make_docs: write docs/operations.md from the operations themselves, with pictures.

The text comes from docstrings and declared settings, the pictures (docs/operations/*.webp, before
on the left, after on the right) from sample_images. `--text` prints the text and writes nothing.
"""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from typing import Final

import numpy as np
from PIL import Image
from toolkit import ROOT

from imgbatch.imaging.picture import Picture
from imgbatch.model import Origin
from imgbatch.operations import Operation, names, parameters_of, parse

PAGE: Final = ROOT / "docs" / "operations.md"
PICTURES: Final = ROOT / "docs" / "operations"
WIDTH: Final = 440
GAP: Final = 8

HEAD: Final = """\
# Operations

What can be done to a picture: with `--filter NAME` or `--filter NAME:key=value,key=value` (a value
with a comma in it stands in quotes), and in recipes as a word or as a table with a `name`.

Operations of this list that are curves for each channel by itself are joined when they are
neighbours: they cost one look-up together and are rounded once. All of them take pictures in grey
and in colour, with and without transparency, and every frame of an animation; one that goes by what
it sees takes the first frame for all. Where nothing else is said they work in the picture's own
profile, on 8 bits a channel (16 bits are reduced, with a warning).

This page is written by `scripts/tool make_docs`.
"""

# Pictures that show an operation better than the landscape that is used for the others.
SOURCES: Final = {
    "smart-crop": "lake-with-gps.jpg",
    "vibrance": "lake-with-gps.jpg",
    "white-balance": "lake-with-gps.jpg",
}


def page() -> str:
    kinds = names()
    index = " · ".join(f"[{name}](#{name})" for name in kinds)
    return "\n".join([HEAD, index, "", *(section(name, kind) for name, kind in kinds.items())])


def section(name: str, kind: type[Operation]) -> str:
    words = kind.example or name
    lines = [f"## {name}", "", inspect.getdoc(kind) or "", ""]
    lines += [f"![`{words}`: before and after](operations/{name}.webp)", "", f"`{words}`", ""]
    declared = parameters_of(kind)
    if declared:
        lines += ["| Setting | Default | Values | Meaning |", "|---|---|---|---|"]
    for key, one in declared.items():
        default = "" if one.default is None else f"`{one.kind.word(one.default)}`"
        cells = (f"`{key}`", default, one.expected, one.help)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the page and its pictures, or print the text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", action="store_true", help="print the text, write nothing")
    options = parser.parse_args()
    text = page()
    if options.text:
        print(text, end="")
        return 0
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.webp"):
        old.unlink()
    # The files that examples name are there.
    os.chdir(ROOT)
    for name, kind in names().items():
        before = source(name)
        after = parse(kind.example or name).apply(before)
        sheet = side_by_side(before.image, after.image)
        sheet.save(PICTURES / f"{name}.webp", quality=80, method=6)
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} and {len(names())} pictures")
    return 0


def source(name: str) -> Picture:
    """The picture that an operation is shown on."""
    path = ROOT / "sample_images" / SOURCES.get(name, "mountains.jpg")
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image = image.resize((WIDTH, round(WIDTH * image.height / image.width)), reducing_gap=3)
    if name == "denoise":
        noise = np.random.default_rng(1).normal(0, 14, (image.height, image.width, 3))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    if name == "trim":
        framed = Image.new("RGB", image.size, "#e8e4da")
        framed.paste(image.resize((WIDTH * 2 // 3, image.height * 2 // 3)), (60, 40))
        image = framed
    origin = Origin("IMG_0042", ".jpg", "2026/lake", 42, 1_760_000_000_000_000_000)
    return Picture(image, "jpeg", image.size, (0, 0, *image.size), origin=origin)


def side_by_side(before: Image.Image, after: Image.Image) -> Image.Image:
    """Both on white, the second no wider than the first."""
    after = after.convert("RGB")
    after.thumbnail((WIDTH, before.height * 3 // 2))
    sheet = Image.new("RGB", (2 * WIDTH + GAP, max(before.height, after.height)), "white")
    sheet.paste(before, (0, 0))
    sheet.paste(after, (WIDTH + GAP, 0))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
