"""Whether every codec gives back the pixels that it is given, for `imgbatch doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct
from PIL import Image, features

from imgbatch.imaging import formats
from imgbatch.imaging.decode import decode_bytes
from imgbatch.imaging.encode import encode
from imgbatch.imaging.formats import Format
from imgbatch.imaging.picture import Picture
from imgbatch.model import Encoding

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Check(Struct, frozen=True):
    """What was tried, and what is wrong with it; empty if nothing is."""

    name: str
    failure: str = ""


_COLOURS: Final = (
    *((0, 0, 0), (255, 255, 255), (200, 30, 40), (30, 160, 60)),
    *((40, 60, 190), (230, 190, 120), (128, 128, 128), (220, 170, 140)),
    *((20, 90, 110), (150, 80, 170), (240, 130, 60), (64, 64, 64)),
)
_BLOCK: Final = 16
"""The side of a block of one colour: lossy formats keep it whole."""

_LOSSY: Final = 24
"""By how many levels of 255 a lossy format at quality 95 may change such a block."""


def codecs() -> Iterator[Check]:
    """A check for each format of which this installation has the codec, once it is done."""
    for row in formats.every():
        if formats.available(row):
            # Nothing here makes a raw file.
            name = row.name if row.becomes is None else f"{row.name} (only loaded)"
            yield checked(name, partial(_wrong_with, row))
    for package, trouble in formats.unloadable().items():
        yield Check(package, trouble)


def checked(name: str, wrong: Callable[[], str]) -> Check:
    """The check that `wrong` does: it says what is wrong, if anything, or raises."""
    try:
        return Check(name, wrong())
    except (Exception, SystemExit) as error:
        return Check(name, f"{type(error).__name__}: {error}")


_NO_CODECS: Final = frozenset({"pil", "tkinter", "libjpeg_turbo", "mozjpeg"})


def versions() -> dict[str, str]:
    """The libraries inside Pillow, by name, with their versions as far as it tells."""
    names = (*features.modules, *features.codecs, *features.features)
    found = {name: features.version(name) for name in names if name not in _NO_CODECS}
    if features.check_feature("libjpeg_turbo"):
        found["jpg"] = f"libjpeg-turbo {features.version_feature('libjpeg_turbo')}"
    return {name: version for name, version in sorted(found.items()) if version}


def _wrong_with(row: Format) -> str:
    codec = formats.codec(row)
    if row.becomes is not None or not codec.can_encode():
        return ""
    blocks = _blocks(alpha=row.alpha)
    image = _back(Picture.of(Image.fromarray(blocks)), row).image
    wrong = _difference(np.asarray(image.convert("RGBA" if row.alpha else "RGB")), blocks, row, 1)
    if wrong or not (row.deep_modes and formats.installed("deep")):
        return wrong
    from imgbatch.imaging.deep import Deep

    deep = Deep(_blocks(alpha=False).astype(np.uint16) * 257)
    fine = _back(Picture(deep, "png", deep.size, (0, 0, *deep.size)), row)
    if fine.deep is None:
        return f"colours of 16 bits came back as {fine.mode}"
    return _difference(fine.deep.array, deep.array, row, 257)


def _back(picture: Picture, row: Format) -> Picture:
    """A picture from the file that it was made into."""
    encoding = Encoding(format=row.name, quality=95 if row.quality is not None else None)
    return decode_bytes(encode(picture, encoding).data, f"self-test{row.suffixes[0]}")


def _blocks(*, alpha: bool) -> NDArray[np.uint8]:
    """Blocks of all kinds of colours, one of them transparent: (height, width, 3 or 4)."""
    rows = [_COLOURS[at : at + 4] for at in range(0, len(_COLOURS), 4)]
    colours = np.array(rows, np.uint8).repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)
    if not alpha:
        return colours
    opaque = np.full((*colours.shape[:2], 1), 255, np.uint8)
    opaque[-_BLOCK:, -_BLOCK:] = 0
    return np.concatenate([colours, opaque], axis=2)


def _difference(found: NDArray[Any], expected: NDArray[Any], row: Format, level: int) -> str:
    """What is wrong with pixels from a file, where a `level` of 255 is so much.

    Transparent ones have no colour. Lossy formats blur the edges of blocks; some keep 10 or 12 of
    16 bits.
    """
    if found.shape != expected.shape:
        return f"its pixels came back as {found.shape}, expected {expected.shape}"
    off = np.abs(found.astype(np.int64) - expected)
    if expected.shape[2] == 4:
        off[..., :3][expected[..., 3] == 0] = 0
    limit = (1 << 16 - row.deep_bits) - 1 if level > 1 else 0
    if row.quality is not None:
        limit += _LOSSY * level
        within = np.abs(np.arange(_BLOCK) - (_BLOCK - 1) / 2) < _BLOCK / 4
        down, across = (np.resize(within, length) for length in off.shape[:2])
        off[~(down[:, None] & across)] = 0
    if off.max() <= limit:
        return ""
    y, x, _ = np.unravel_index(np.argmax(off), off.shape)
    pixel, wanted = (tuple(map(int, levels[y, x])) for levels in (found, expected))
    return f"the pixel at {x}, {y} came back as {pixel}, expected {wanted}"
