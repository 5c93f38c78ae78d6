"""Pixels with 16 bits per channel from the decoders of the extra `deep` (imagecodecs, tifffile).

Pillow reads the header and what travels with the pixels; only the pixels themselves are decoded by
others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgbatch.errors import PictureError
from imgbatch.imaging.deep import Deep
from imgbatch.model import Notice, Size

if TYPE_CHECKING:
    from imgbatch.imaging.modes import PixelsAndNotices

_MAXIMUM: Final = 65_535
_CUT_SHORT: Final = ("too small", "truncated", "read error", "not enough data")


def _says_so(message: str, data: bytes) -> bool:
    return any(words in message.lower() for words in _CUT_SHORT)


def read(
    decode: Callable[[bytes], NDArray[Any]],
    file: BinaryIO,
    size: Size,
    is_cut_short: Callable[[str, bytes], bool] = _says_so,
) -> NDArray[Any]:
    """What a decoder makes of a whole file: an array of this width and height.

    The file's position is not restored. Raises EOFError if the file is cut short, which
    `is_cut_short` tells from a library's message and the file's bytes, ValueError if it is broken.
    """
    file.seek(0)
    data = file.read()
    try:
        array = decode(data)
    except RuntimeError as error:
        # The error classes of imagecodecs; the messages are those of the C libraries.
        text = str(error)
        if is_cut_short(text, data):
            raise EOFError(text) from error
        raise ValueError(text or "its decoder fails") from error
    except IndexError as error:
        raise ValueError(str(error)) from error
    if array.shape[1::-1] != size:
        raise ValueError("it does not have the size in its header")
    return array


def keyed(image: Image.Image) -> Deep:
    """A loaded image in mode I;16 with one transparent level (PNG, tRNS)."""
    grey = np.asarray(image)
    opaque = grey != image.info["transparency"]
    return Deep(np.dstack([grey, np.where(opaque, _MAXIMUM, 0).astype(np.uint16)]))


def from_bits(levels: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Levels of so many bits as 16 bits."""
    return stretched(levels, (1 << bits) - 1)


def stretched(levels: NDArray[Any], highest: int) -> NDArray[np.uint16]:
    """Levels up to `highest` as 16 bits: that and all above becomes 65535, rounded."""
    if highest == _MAXIMUM:
        return levels.astype(np.uint16, copy=False)
    wide = (np.arange(highest + 1, dtype=np.uint32) * _MAXIMUM + highest // 2) // highest
    table = wide.astype(np.uint16)
    out = np.empty(levels.shape, np.uint16)
    # Row by row, because the look-up takes eight bytes per number on the way.
    for row, target in zip(levels, out, strict=True):
        target[:] = table[np.minimum(row, highest)]
    return out


def in_16_bits(array: NDArray[Any], *, premultiplied: bool = False) -> PixelsAndNotices:
    """An array (height, width, channels) of any number, as Deep; grey as an image in I;16.

    Integers count as parts of their highest, floats as parts of 1; floats beyond 0 to 1 are scaled
    to fit, with a warning. Raises PictureError for any other kind.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise _unsupported(f"pixels in {array.ndim} dimensions")
    notices: tuple[Notice, ...] = ()
    if array.dtype != np.uint16:
        array, notices = _scaled(array)
    if array.shape[2] == 1:
        return Image.fromarray(np.ascontiguousarray(array[:, :, 0], np.uint16)), notices
    if array.shape[2] not in (2, 3, 4):
        raise _unsupported(f"{array.shape[2]} channels")
    if premultiplied:
        array = straight(array)
    return Deep(np.ascontiguousarray(array, np.uint16)), notices


def _unsupported(what: str) -> PictureError:
    return PictureError("decode", "no-codec", f"a picture with {what} cannot be read")


def straight(array: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Colours divided by their alpha (TIFF 6.0, section 18), rounded, row by row."""
    out = np.empty_like(array)
    for row, target in zip(array, out, strict=True):
        alpha = row[:, -1:].astype(np.uint32)
        colours = row[:, :-1].astype(np.uint64) * _MAXIMUM + alpha // 2
        target[:, :-1] = np.minimum(colours // np.maximum(alpha, 1), _MAXIMUM)
        target[:, -1:] = alpha
    return out


def _scaled(array: NDArray[Any]) -> tuple[NDArray[np.uint16], tuple[Notice, ...]]:
    """Floats from 0 to 1, and integers of another width, as 16 bits."""
    if array.dtype.kind == "u":
        highest = int(np.iinfo(array.dtype).max)
        # In 64 bits, multiplying by 65535 would overflow: so it is a quotient.
        for row in array:
            row[:] = np.rint(row * (_MAXIMUM / highest))
        return array.astype(np.uint16), ()
    if array.dtype.kind != "f":
        raise ValueError(f"its pixels are of an unsupported kind ({array.dtype})")
    for row in array:
        np.nan_to_num(row, copy=False)
    low, high = float(array.min()), float(array.max())
    notices: tuple[Notice, ...] = ()
    if low < 0 or high > 1:
        message = f"values from {low:g} to {high:g} were scaled to 16 bits"
        notices += (Notice("range-scaled", message),)
    else:
        low, high = 0.0, 1.0
    out = np.empty(array.shape, np.uint16)
    # Row by row, because they are widened on the way.
    for row, target in zip(array, out, strict=True):
        target[:] = np.rint((row.astype(np.float64) - low) * (_MAXIMUM / ((high - low) or 1)))
    return out, notices
