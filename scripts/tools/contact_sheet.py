"""scripts/tool contact_sheet BEFORE AFTER OUT.png: originals next to their finished pictures."""

from __future__ import annotations

import argparse
import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageDraw, ImageFont, ImageOps

CELL, GAP, CAPTION, COLUMNS = 330, 10, 42, 2
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif"}
PAPER, INK, QUIET, ALARM = (246, 246, 244), (20, 20, 20), (90, 90, 90), (170, 30, 30)
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Shown:
    """A file's thumbnail and the caption below it."""

    thumbnail: Image.Image
    caption: str
    bytes: int


def pictures(folder: Path) -> Iterator[Path]:
    """The pictures in a folder and below."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path


def shown(path: Path) -> Shown:
    """A file as it should be seen; a grey cell if it cannot be read."""
    length = path.stat().st_size
    try:
        with Image.open(path) as image:
            # Read from the header: rotating the whole picture to learn its size would be slow.
            width, height = image.size
            if image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8):
                width, height = height, width
            caption = f"{width} x {height} · {amount(length)} · {image.format}"
            return Shown(thumbnail(image), caption, length)
    except UNREADABLE:
        empty = Image.new("RGB", (CELL, CELL * 2 // 3), (200, 200, 198))
        ImageDraw.Draw(empty).text(
            (CELL / 2, CELL / 3), "unreadable", QUIET, font=letters(18), anchor="mm"
        )
        return Shown(empty, amount(length), length)


def thumbnail(image: Image.Image) -> Image.Image:
    """The picture upright, small, in sRGB, on a checkerboard where it is transparent."""
    pixels: Image.Image = image
    if image.mode == "I;16":
        # Pillow's own conversion clips everything above 255 to white.
        pixels = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("P", "1"):
        # Pillow takes the nearest pixel in these.
        pixels = image.convert("RGBA" if image.mode == "P" else "L")
    # In one step from all pixels: shrinking while decoding, or in two steps, turns fine detail into
    # rings.
    pixels.thumbnail((CELL, CELL), Image.Resampling.LANCZOS, reducing_gap=None)
    upright = in_srgb(ImageOps.exif_transpose(pixels), image.info.get("icc_profile"))
    down, across = np.indices((upright.height, upright.width)) // 8
    board = Image.fromarray((225 + 25 * ((down + across) % 2)).astype(np.uint8)).convert("RGBA")
    board.alpha_composite(upright.convert("RGBA"))
    return board.convert("RGB")


def in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if profile is None or picture.mode not in ("RGB", "RGBA", "CMYK"):
        return picture
    mode = "RGB" if picture.mode == "CMYK" else picture.mode
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, source, target, outputMode=mode) or picture
    except (OSError, ImageCms.PyCMSError):
        return picture


def amount(length: int) -> str:
    """Bytes for people."""
    return f"{length / 1e6:,.1f} MB" if length >= 1e6 else f"{length / 1e3:,.0f} KB"


def letters(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size=size)


def printable(text: str) -> str:
    """The text in ASCII: that font has hardly any other characters."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    kept = (letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() or letter == "·" else "?" for letter in kept)


def source_of(finished: Path, before: Path, after: Path) -> Path | None:
    """The original of a finished picture; only its suffix may differ."""
    place = before / finished.relative_to(after)
    if not place.parent.is_dir():
        return None
    found = sorted(
        path
        for path in place.parent.iterdir()
        if path.stem == place.stem and path.suffix.lower() in SUFFIXES
    )
    return place if place in found else found[0] if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("before", "after", "out"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    finished = [path for path in pictures(options.after) if path != options.out]
    sources = [source_of(path, options.before, options.after) for path in finished]
    missing = [
        str(path.relative_to(options.before))
        for path in pictures(options.before)
        if path not in sources
    ]
    cells = [
        ((source, shown(source) if source else None), (path, shown(path)))
        for source, path in zip(sources, finished, strict=True)
    ]
    lines = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    heights = [
        max(one.thumbnail.height for pair in line for _, one in pair if one) for line in lines
    ]
    width = COLUMNS * (2 * CELL + 3 * GAP)
    tall = 44 + sum(heights) + len(lines) * (CAPTION + GAP) + 30
    sheet = Image.new("RGB", (width, tall), PAPER)
    draw = ImageDraw.Draw(sheet)
    was = sum(one.bytes for (_, one), _ in cells if one)
    now = sum(one.bytes for _, (_, one) in cells)
    title = (
        f"{len(cells)} pictures, before (left) and after (right) · {amount(was)} to {amount(now)}"
    )
    draw.text((GAP, 10), title, INK, font=letters(18))
    font, top = letters(13), 44
    for line, height in zip(lines, heights, strict=True):
        for column, pair in enumerate(line):
            left = column * (2 * CELL + 3 * GAP) + GAP
            for offset, (path, one) in enumerate(pair):
                if one is None or path is None:
                    continue
                x = left + offset * (CELL + GAP)
                small = one.thumbnail
                place = (x + (CELL - small.width) // 2, top + (height - small.height) // 2)
                sheet.paste(small, place)
                draw.text((x, top + height + 4), printable(path.name), INK, font=font)
                draw.text((x, top + height + 21), one.caption, QUIET, font=font)
        top += height + CAPTION + GAP
    if missing:
        note = printable(f"no output: {', '.join(missing)}")
        draw.text((GAP, tall - 25), note, ALARM, font=font)
    sheet.save(options.out)


if __name__ == "__main__":
    main()
