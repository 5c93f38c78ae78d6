"""Text as masks: fonts, their characters, and lines that fit into a width."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from imgbatch.model import Size

Font = ImageFont.FreeTypeFont

_LINE: Final = 1.25
"""From one baseline to the next, in font sizes."""

_LARGEST: Final = 4_000
"""The largest font size in pixels: FreeType's outlines end at 32767."""

_SMALLEST: Final = 2.0

SPREAD: Final = 0.1
"""Standard deviation of a shadow's blur, in font sizes."""

DENSITY: Final = 1.5
"""How dark a shadow is: blurring leaves little of thin strokes."""

_ABSENT: Final = "\uffff"
"""Not a character, so no font has it: drawing it gives the symbol for missing ones."""

# Fonts of common systems, by file name; the first with all letters is used.
_SYSTEM_FONTS: Final = (
    "DejaVuSans",
    "Arial",
    "Helvetica",
    "LiberationSans-Regular",
    "NotoSans-Regular",
    "Arial Unicode",
    "NotoSansCJK-Regular",
    "msyh",
    "PingFang",
)


def readable(text: str) -> str:
    """Text without anything that cannot be drawn: tabs and control characters become spaces.

    Undecodable bytes of file names (lone surrogates) become U+FFFD, lines end in "\\n", and
    letters are combined with their accents (NFC), which is how fonts have them.
    """
    lines = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(_DRAWN.get(unicodedata.category(c), c) if c != "\n" else c for c in lines)


_DRAWN: Final = {"Cc": " ", "Cs": "\ufffd", "Zl": "\n", "Zp": "\n"}


def system_font(name: str) -> str | None:
    """The path of a font of this system, by its file name; None if there is none."""
    try:
        # Pillow looks into the folders that fonts are in.
        path = ImageFont.truetype(name, 10).path
    except OSError:
        return None
    return path if isinstance(path, str) and os.path.isfile(path) else None


@lru_cache(maxsize=4)
def font_of(data: bytes | None, size: float) -> Font:
    """A font from the bytes of its file, or the bundled one, at a size in pixels.

    Raises OSError if it is not a font.
    """
    if data is not None:
        return ImageFont.truetype(BytesIO(data), size)
    bundled: Any = ImageFont.load_default(size)
    return bundled  # type: ignore[no-any-return]


def missing(text: Iterable[str], data: bytes | None) -> str:
    """The characters of a text for which a font has no glyph, sorted."""
    return "".join(sorted(c for c in set(text) if not c.isspace() and not _has(data, c)))


@lru_cache(maxsize=4096)
def _has(data: bytes | None, character: str) -> bool:
    if unicodedata.category(character) == "Cf":
        # Marks for direction and joining have no glyph of their own.
        return True
    font = font_of(data, 24)
    found, absent = font.getmask(character), font.getmask(_ABSENT)
    return (found.size, bytes(found)) != (absent.size, bytes(absent))


@lru_cache(maxsize=256)
def suitable(text: str, data: bytes | None) -> bytes | None:
    """The font to draw a text with: the given one or, if that is the bundled one and lacks letters,
    the font of this system that lacks the fewest.
    """
    best, fewest = data, len(missing(text, data))
    if data is not None or not fewest:
        return data
    for other in filter(None, map(_system_font, _SYSTEM_FONTS)):
        lacking = len(missing(text, other))
        if lacking < fewest:
            best, fewest = other, lacking
        if not lacking:
            break
    return best


@lru_cache(maxsize=len(_SYSTEM_FONTS))
def _system_font(name: str) -> bytes | None:
    path = system_font(name)
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def without_accents(text: str, data: bytes | None) -> str:
    """A text with plain letters instead of accented ones that a font lacks, if it has those."""
    lacking = missing(text, data)
    plain = {letter: unicodedata.normalize("NFKD", letter)[0] for letter in lacking}
    return "".join(
        letter if missing(plain.get(letter, ""), data) else plain.get(letter, letter)
        for letter in text
    )


@lru_cache(maxsize=8)
def mask_of(
    text: str, data: bytes | None, size: float, room: Size, align: str
) -> tuple[Image.Image, float]:
    """A text as a mask (L) and its font's size: `size` pixels, or what fits into `room`.

    `align` is left, center or right. The mask is as wide as its widest line, and at least as high
    as capitals and descenders, so that texts of the same size have the same baseline.
    """
    size = min(max(size, _SMALLEST), _LARGEST)
    lines = text.split("\n")
    laid = _Lines(lines, font_of(data, size))
    # Letters do not shrink exactly in proportion: their outlines are fitted to pixels.
    while size > _SMALLEST and (laid.width > room[0] or laid.height > room[1]):
        ratio = min(room[0] / laid.width, room[1] / laid.height)
        size = max(_SMALLEST, size * min(ratio, 0.98))
        laid = _Lines(lines, font_of(data, size))
    return laid.drawn(align), size


def halo(mask: Image.Image, size: float) -> tuple[Image.Image, int]:
    """The mask of a shadow all around a text whose font has `size` pixels, and how far it reaches
    beyond the text's own mask.

    It is the text blurred by a Gaussian of `SPREAD` font sizes, times `DENSITY`, at most 255.
    """
    sigma = SPREAD * size
    reach = math.ceil(3 * sigma)
    wider = Image.new("L", (mask.width + 2 * reach, mask.height + 2 * reach))
    wider.paste(mask, (reach, reach))
    blurred = wider.filter(ImageFilter.GaussianBlur(sigma))
    return blurred.point([min(255, round(DENSITY * level)) for level in range(256)]), reach


class _Lines:
    """Lines of text laid out in a font, not drawn yet: they may be far too large."""

    def __init__(self, lines: list[str], font: Font) -> None:
        self._lines, self._font = lines, font
        self._step = round(_LINE * font.size)
        boxes = [font.getbbox(line, anchor="ls") for line in lines]
        # Accents may be above capitals, and some letters reach below others.
        _, top, _, bottom = font.getbbox("Hg", anchor="ls")
        self._first = math.ceil(-min(top, boxes[0][1]))
        self._left = min(math.floor(box[0]) for box in boxes)
        self._widths = [math.ceil(box[2]) - self._left for box in boxes]
        self.width = max(1, *self._widths)
        self.height = (
            self._first + math.ceil(max(bottom, boxes[-1][3])) + self._step * (len(lines) - 1)
        )

    def drawn(self, align: str) -> Image.Image:
        """As a mask (L), without the small margins that fonts leave at either side."""
        mask = Image.new("L", (self.width, self.height))
        draw = ImageDraw.Draw(mask)
        for number, (line, width) in enumerate(zip(self._lines, self._widths, strict=True)):
            room = self.width - width
            indent = {"left": 0, "center": room // 2, "right": room}[align]
            place = indent - self._left, self._first + number * self._step
            draw.text(place, line, fill=255, font=self._font, anchor="ls")
        left, _, right, _ = mask.getbbox() or (0, 0, *mask.size)
        return mask.crop((left, 0, right, self.height))
