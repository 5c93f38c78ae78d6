"""Text as masks: fonts, their characters, and lines that fit into a width."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from io import BytesIO
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from imgbatch.imaging import affine
from imgbatch.imaging.picture import turn
from imgbatch.model import Size

Font = ImageFont.FreeTypeFont

_LINE: Final = 1.25
"""From one baseline to the next, in font sizes."""

_LARGEST: Final = 4_000
"""The largest font size in pixels: FreeType's outlines end at 32767."""

_SMALLEST: Final = 1.0

_FINER: Final = ((8, 60.0), (4, 200.0), (2, 400.0), (1, math.inf))
"""How many times larger letters that are turned are drawn, and up to which font size: FreeType fits
their outlines to upright pixels, which shows where they are small."""

_REACH: Final = 2
"""How far bicubic interpolation reaches, in pixels."""

MOST_FINER: Final = 16_000_000
"""The most pixels of a mask that is drawn larger."""

SPREAD: Final = 0.1
"""Standard deviation of a shadow's blur, in font sizes."""

DENSITY: Final = 1.5
"""How dark a shadow is: blurring leaves little of thin strokes."""

_PROBED: Final = 24
"""The font size in pixels at which glyphs are compared."""

_ABSENT: Final = "\uffff"
"""Not a character, so no font has it: drawing it gives the symbol for missing ones."""

_BUNDLED: Final = "NotoSans-Regular.ttf"
"""Noto Sans 2.004, with all of Latin, Greek and Cyrillic (fonts/OFL.txt is its licence)."""

_PLACED: Final = frozenset({"Mn", "Mc", "Me"})
_FROM_RIGHT: Final = frozenset({"R", "AL"})
_SELECTORS: Final = frozenset((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x034F))
"""Code points that choose among glyphs, and have none themselves."""


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
    return ImageFont.truetype(_file(data), size)


def _file(data: bytes | None) -> BytesIO:
    if data is not None:
        return BytesIO(data)
    fonts = resources.files("imgbatch.imaging.filters").joinpath("fonts")
    return BytesIO(fonts.joinpath(_BUNDLED).read_bytes())


def missing(text: Iterable[str], data: bytes | None) -> str:
    """The characters of a text that a font cannot draw, sorted.

    It has no glyph for them or, where Pillow has no Raqm here, they would not be put in their
    places: combining marks, and scripts that are written from right to left.
    """
    seen = (one for one in set(text) if not (one.isspace() or _is_invisible(one)))
    return "".join(sorted(one for one in seen if not _draws(data, one)))


def drawable(text: str, data: bytes | None) -> tuple[str, str]:
    """A text as a font can draw it, and the characters that it lacks, as from `missing`.

    Accented letters that it lacks lose their accents, if it has the plain ones. All others become
    boxes, or whatever the font has for them.
    """
    lacking = missing(text, data)
    replaced = {one: _plain(one, data) for one in lacking}
    for one in set(text):
        if one.isspace() and one != "\n" and not _has(data, one):
            replaced[one] = " "
        elif _is_invisible(one) and not _is_shaped(data):
            replaced[one] = ""
    return "".join(replaced.get(one, one) for one in text), lacking


def _plain(letter: str, data: bytes | None) -> str:
    # Other signs mean something else without a part of them: ≠ or ㎡.
    parts = unicodedata.normalize("NFD", letter)
    first, marks = parts[0], parts[1:]
    is_letter = unicodedata.category(first)[0] == "L" and all(map(unicodedata.combining, marks))
    return first if is_letter and _draws(data, first) else letter


def _is_invisible(character: str) -> bool:
    """Whether it has no glyph of its own: marks for direction, joining and choice."""
    return unicodedata.category(character) == "Cf" or ord(character) in _SELECTORS


def _draws(data: bytes | None, character: str) -> bool:
    if not _is_shaped(data) and (
        unicodedata.category(character) in _PLACED
        or unicodedata.bidirectional(character) in _FROM_RIGHT
    ):
        return False
    return _has(data, character)


@lru_cache(maxsize=4)
def _is_shaped(data: bytes | None) -> bool:
    """Whether lines are laid out by Raqm, which needs libraries that not all systems have."""
    return font_of(data, _PROBED).layout_engine == ImageFont.Layout.RAQM


@lru_cache(maxsize=4)
def _unshaped(data: bytes | None) -> Font:
    # Raqm puts a circle under a mark that stands alone, whether or not there is a glyph for it.
    return ImageFont.truetype(_file(data), _PROBED, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _has(data: bytes | None, character: str) -> bool:
    font = _unshaped(data)
    found, absent = font.getmask(character), font.getmask(_ABSENT)
    return (found.size, bytes(found)) != (absent.size, bytes(absent))


class Drawn(NamedTuple):
    """A text as a mask (L), turned; `upright` is its size before that, `font` that of its font in
    pixels."""

    mask: Image.Image
    upright: Size
    font: float


@lru_cache(maxsize=8)
def drawn(
    text: str, data: bytes | None, size: float, room: Size, align: str, degrees: float = 0
) -> Drawn:
    """A text in a font of `size` pixels, or of what fits into `room`, turned clockwise.

    `align` is left, center or right. The mask is as wide as its widest line, and at least as high
    as capitals and descenders, so that texts of the same size have the same baseline.
    """
    size = min(max(size, _SMALLEST), _LARGEST)
    lines = text.split("\n")
    laid = _Lines(lines, font_of(data, size))
    wide, high = affine.extent(laid.size, degrees)
    # Letters do not shrink exactly in proportion: their outlines are fitted to pixels.
    while size > _SMALLEST and (wide > room[0] or high > room[1]):
        size = max(_SMALLEST, size * min(room[0] / wide, room[1] / high, 0.98))
        laid = _Lines(lines, font_of(data, size))
        wide, high = affine.extent(laid.size, degrees)
    if degrees % 90 == 0:
        mask = laid.drawn(align)
        return Drawn(_turned(mask, degrees), mask.size, size)
    finer = _finer(size, (wide, high))
    mask = _Lines(lines, font_of(data, finer * size)).drawn(align)
    # Beyond its edges there is nothing to mix with.
    mask = _framed(mask, _REACH)
    upright = math.ceil(mask.width / finer), math.ceil(mask.height / finer)
    return Drawn(_turned(mask, degrees).reduce(finer), upright, size)


def _finer(size: float, extent: Size) -> int:
    """How many times larger letters are drawn to be turned, so that their edges stay clean.

    The larger they are, the less that matters.
    """
    pixels = extent[0] * extent[1]
    return next(
        finer
        for finer, largest in _FINER
        if finer == 1 or (size <= largest and finer**2 * pixels <= MOST_FINER)
    )


def _turned(mask: Image.Image, degrees: float) -> Image.Image:
    """A mask turned clockwise around its centre: by quarters as it is, else bicubic."""
    if degrees % 90 == 0:
        return turn(mask, (1, 6, 3, 8)[round(degrees / 90) % 4])
    size = affine.extent(mask.size, degrees)
    back = (
        affine.moved(-size[0] / 2, -size[1] / 2)
        .then(affine.rotated(-degrees))
        .then(affine.moved(mask.width / 2, mask.height / 2))
    )
    return mask.transform(size, Image.Transform.AFFINE, back, Image.Resampling.BICUBIC)


def halo(mask: Image.Image, size: float) -> tuple[Image.Image, int]:
    """The mask of a shadow all around a text whose font has `size` pixels, and how far it reaches
    beyond the text's own mask.

    It is the text blurred by a Gaussian of `SPREAD` font sizes, times `DENSITY`, at most 255.
    """
    sigma = SPREAD * size
    reach = math.ceil(3 * sigma)
    blurred = _framed(mask, reach).filter(ImageFilter.GaussianBlur(sigma))
    return blurred.point([min(255, round(DENSITY * level)) for level in range(256)]), reach


def _framed(mask: Image.Image, reach: int) -> Image.Image:
    """A mask with empty pixels around it."""
    wider = Image.new("L", (mask.width + 2 * reach, mask.height + 2 * reach))
    wider.paste(mask, (reach, reach))
    return wider


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
        self._width = max(1, *self._widths)
        self._height = (
            self._first + math.ceil(max(bottom, boxes[-1][3])) + self._step * (len(lines) - 1)
        )

    @property
    def size(self) -> Size:
        return self._width, self._height

    def drawn(self, align: str) -> Image.Image:
        """As a mask (L), without the small margins that fonts leave at either side."""
        mask = Image.new("L", self.size)
        draw = ImageDraw.Draw(mask)
        for number, (line, width) in enumerate(zip(self._lines, self._widths, strict=True)):
            room = self._width - width
            indent = {"left": 0, "center": room // 2, "right": room}[align]
            place = indent - self._left, self._first + number * self._step
            draw.text(place, line, fill=255, font=self._font, anchor="ls")
        left, _, right, _ = mask.getbbox() or (0, 0, *mask.size)
        return mask.crop((left, 0, right, self._height))
