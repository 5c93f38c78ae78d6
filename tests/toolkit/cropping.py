"""The part of a picture that a crop keeps."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image

from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.model import Size
from imgbatch.operations import parse
from toolkit.reference import image_of, levels_of_all_kinds

ALL_MODES: Final = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16", "LA;16", "RGB;16", "RGBA;16")
ORIENTATIONS: Final = range(1, 9)
Box = tuple[int, int, int, int]


def of_mode(mode: str, levels: NDArray[np.uint8]) -> Picture:
    """A picture of 8-bit levels (height, width, bands), times 257 where there are 16 bits."""
    if mode == "I;16":
        image = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
        return Picture.of(image)
    if mode.endswith(";16"):
        deep = Deep(levels.astype(np.uint16) * 257)
        return replace(Picture.of(Image.new("L", deep.size)).with_pixels(deep), full_size=deep.size)
    return Picture.of(image_of(mode, np.ascontiguousarray(levels)))


def picture_in(mode: str, size: Size = (83, 61)) -> Picture:
    return of_mode(mode, levels_of_all_kinds(bands_of(mode), *size))


def bands_of(mode: str) -> int:
    return {"L": 1, "I": 1, "LA": 2, "RGB": 3}.get(mode.partition(";")[0], 4)


def levels_in(picture: Picture) -> NDArray[Any]:
    deep = picture.deep
    levels = deep.array if deep else np.asarray(picture.image)
    return levels.reshape(picture.size[1], picture.size[0], -1)


def kept_of(words: str, picture: Picture) -> Box:
    """Which part of a picture is kept, found from the effect on all frames that begin with it."""
    width, height = picture.full_size
    settled = parse(words).settled(picture)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.uint16)
    marks = Deep(np.dstack([columns, rows]))
    marked = Picture.of(Image.new("L", (width, height))).with_pixels(marks)
    after = levels_in(settled.apply(marked))
    return (*map(int, after[0, 0]), *(int(level) + 1 for level in after[-1, -1]))  # type: ignore[return-value]
