"""Damage in fax data (CCITT T.4 and T.6), of which Pillow says nothing.

libtiff fills with white what it cannot decode, or leaves there what was there, and goes on. It
reports bad codes to a handler, which `heard` sets, but not an early end: so `lost` looks whether
the rows and the data of a strip have the same end.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import SEEK_END, BytesIO
from typing import Any, BinaryIO, Final, NamedTuple

from PIL import Image, ImageChops

from imgbatch.imaging.containers import tiff

GROUP_3: Final = 3
GROUP_4: Final = 4
_END_OF_LINE: Final = "000000000001"
_END_OF_BLOCK: Final = 2 * _END_OF_LINE
# Bits after the last row: the end of the block, and what fills bytes or words.
_BEHIND: Final = 64
_LOWEST_FIRST: Final = 2
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_COMPARED: Final = 8
"""How many rows at the end of a strip are compared by their codes."""
# At once: bytes of data, rows of pixels, and pixels of the ends of strips.
_PIECE: Final = 1 << 18
_BAND: Final = 256
_PIXELS: Final = 1 << 20
# How many times a file's length its strips together may claim: they do not overlap.
_OVERLAP: Final = 4
# Tags of TIFF 6.0: StripOffsets and StripByteCounts.
_OFFSETS: Final = 0x0111
_COUNTS: Final = 0x0117

_one_at_a_time: Final = threading.Lock()
_here: Final = threading.local()
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


class Strips(NamedTuple):
    """Where the strips are in a file and in the picture, and how they are coded."""

    compression: int
    fill_order: int
    rows: int
    offsets: Sequence[int]
    counts: Sequence[int]


@contextmanager
def heard() -> Iterator[list[bytes]]:
    """A context that collects what libtiff says of fax data in this thread, instead of printing it.

    Nothing is collected where Pillow's libtiff cannot be called.
    """
    told: list[bytes] = []
    set_handler = _error_setter()
    if set_handler is None:
        yield told
        return
    # There is one handler for the process, and it is put back.
    with _one_at_a_time:
        before = set_handler(ctypes.cast(_collector(), ctypes.c_void_p))
        _here.told = told
        try:
            yield told
        finally:
            _here.told = None
            set_handler(before)


@cache
def _collector() -> Any:
    """The handler, kept for ever: other threads may still call it once it is no longer set."""

    def on_error(module: bytes | None, form: bytes | None, values: int | None) -> None:
        told = getattr(_here, "told", None)
        if told is not None and (module or b"").startswith(b"Fax"):
            told.append(form or b"")

    return _Handler(on_error)


@cache
def _error_setter() -> Any:
    from PIL import _imaging

    try:
        # Opened as a library, it also finds the functions of those that it is linked with.
        found = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError):
        return None
    found.restype, found.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return found


def lost(image: Image.Image, file: BinaryIO, strips: Strips, *, inverted: bool) -> bool:
    """Whether the data of a strip end with other codes than those of its rows.

    `image` is in mode 1, as it is stored; white where the codes have a 0 if it is `inverted`. Group
    4 is compared by the codes of each strip's last rows, for which T.6 leaves no choice; group 3 by
    how many lines there are. Strips that overlap too much are not looked at. The file's position is
    not restored.
    """
    size = file.seek(0, SEEK_END)
    tops = range(0, image.height, strips.rows)
    places = [
        (top, offset, max(0, min(count, size - offset)))
        for top, offset, count in zip(tops, strips.offsets, strips.counts, strict=False)
    ]
    if sum(count for _, _, count in places) > _OVERLAP * size:
        return False
    if strips.compression == GROUP_4:
        ends = _last_codes(image, strips.rows, inverted=inverted)
        return any(
            not _codes(_bits(_read(file, strips, offset, count, len(end)))).endswith(end)
            for (_, offset, count), end in zip(places, ends, strict=False)
        )
    return any(
        _lines(file, strips, offset, count) < min(strips.rows, image.height - top)
        for top, offset, count in places
    )


def _read(file: BinaryIO, strips: Strips, offset: int, count: int, bits: int) -> bytes:
    """What ends a strip, with at least so many bits before the end of the block."""
    begin = max(0, count - bits // 8 - _BEHIND)
    file.seek(offset + begin)
    data = file.read(count - begin)
    return data.translate(_REVERSED) if strips.fill_order == _LOWEST_FIRST else data


def _lines(file: BinaryIO, strips: Strips, offset: int, count: int) -> int:
    """How many lines a strip of group 3 has at most: one is before each, or after."""
    lines = 0
    for at in range(0, count, _PIECE):
        bits = _bits(_read(file, strips, offset + at, min(_PIECE, count - at), 8 * _PIECE))
        # One may be on the border.
        lines += bits.count(_END_OF_LINE) + (at > 0)
        lines += at == 0 and "1" in bits[: len(_END_OF_LINE) - 1]
    return lines


def _last_codes(image: Image.Image, rows: int, *, inverted: bool) -> Iterator[str]:
    """What each strip ends with: the codes of its last rows, or of all that are white."""

    def part(top: int, bottom: int) -> Image.Image:
        found = image.crop((0, top, width, bottom))
        return ImageChops.invert(found) if inverted else found

    width, height = image.size
    compared = min(_COMPARED, rows, height)
    at_once = rows * max(1, _PIXELS // (width * compared))
    before = b""
    for begin in range(0, height, at_once):
        strips = [
            (top, min(top + rows, height))
            for top in range(begin, min(begin + at_once, height), rows)
        ]
        for (top, bottom), (end, pixels) in zip(strips, _ends(part, strips, compared), strict=True):
            whole = bottom - top <= compared
            if "0" not in end:
                end = "1" * (_blank_rows(part, top, bottom) - 1)
            elif pixels == before and not whole:
                # Pillow's buffer still has the strip before.
                (end,) = _coded(part(top, bottom), bottom - top)
            before = pixels
            yield end


def _ends(
    part: Callable[[int, int], Image.Image], strips: Sequence[tuple[int, int]], compared: int
) -> Iterator[tuple[str, bytes]]:
    """The codes and pixels of the last rows of strips, which have a top and a bottom."""
    lasts = [part(max(top, bottom - compared), bottom) for top, bottom in strips]
    width = lasts[0].width
    # A row of which the code is not known, because it depends on the one above; white at the top.
    first = Image.new("1", (width, len(strips)))
    together = Image.new("1", (width, compared * len(strips)))
    for number, last in enumerate(lasts):
        together.paste(last, (0, compared * (number + 1) - last.height))
        first.paste(last.crop((0, 0, width, 1)), (0, number))
    coded = zip(_coded(first, 1), _coded(together, compared), strict=True)
    for (top, bottom), last, (unknown, codes) in zip(strips, lasts, coded, strict=True):
        missing = compared - last.height
        known = missing if bottom - top <= compared else len(unknown)
        yield codes[known:], last.tobytes()


def _blank_rows(part: Callable[[int, int], Image.Image], top: int, bottom: int) -> int:
    """How many rows above `bottom` are white, looked for in bands."""
    for low in range(bottom, top, -_BAND):
        high = max(top, low - _BAND)
        box = part(high, low).getbbox()
        if box is not None:
            return bottom - high - box[3]
    return bottom - top


def _coded(image: Image.Image, rows: int) -> Iterator[str]:
    """The codes of an image in strips of so many rows, by libtiff."""
    file = BytesIO()
    image.save(file, "TIFF", compression="group4", strip_size=rows * -(-image.width // 8))
    data = file.getvalue()
    # Not through Pillow: its limit of pixels is for pictures.
    found = tiff.read(file)
    for offset, count in zip(found.numbers(_OFFSETS), found.numbers(_COUNTS), strict=True):
        yield _codes(_bits(data[offset : offset + count]))


def _bits(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"


def _codes(bits: str) -> str:
    """What is before the end of the block, or before what fills the last byte."""
    end = bits.rfind(_END_OF_BLOCK)
    if end < 0 or len(bits) - end > len(_END_OF_BLOCK) + _BEHIND:
        return bits.rstrip("0")
    return bits[:end]
