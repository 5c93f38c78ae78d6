"""Read EXIF blocks independently of the code under test."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import pytest

from imgbatch.imaging.metadata.exif import Exif
from toolkit import pictures
from toolkit.pictures import Order

both_orders: Final = pytest.mark.parametrize("order", ["<", ">"])

EDITS: Final[dict[str, Callable[[Exif], None]]] = {
    "set_upright": Exif.set_upright,
    "set_size": lambda exif: exif.set_size(12, 345),
    "remove_orientation": Exif.remove_orientation,
    "remove_thumbnail": Exif.remove_thumbnail,
    "remove_gps": Exif.remove_gps,
    "remove_broken_resolution": Exif.remove_broken_resolution,
    "set_resolution": lambda exif: exif.set_resolution((96, 72)),
    "set_text": lambda exif: exif.set_text(0x013B, "Zoë"),
    "set_colour_space": lambda exif: exif.set_colour_space(srgb=False),
}


def entry_of(block: bytes, order: str, ifd: int, tag: int) -> int | None:
    """The offset of a tag's entry in a directory."""
    (count,) = struct.unpack_from(order + "H", block, ifd)
    for at in range(ifd + 2, ifd + 2 + 12 * count, 12):
        if struct.unpack_from(order + "H", block, at) == (tag,):
            return at
    return None


def value_of(block: bytes, order: str, ifd: int, tag: int) -> int:
    """A SHORT or LONG value that is stored in its entry."""
    at = entry_of(block, order, ifd, tag)
    assert at is not None, f"tag 0x{tag:04X} is missing"
    (kind,) = struct.unpack_from(order + "H", block, at + 2)
    value: int = struct.unpack_from(order + ("H" if kind == 3 else "I"), block, at + 8)[0]
    return value


def tiny(order: Order, *directories: tuple[int, list[pictures.Field], int]) -> bytes:
    """A block of directories, each given with its own offset and the link to the next."""
    block = bytearray(pictures.tiff_header(order))
    for at, fields, link in directories:
        block += bytes(at - len(block))
        block += pictures.directory(order, fields, at, link)
    return bytes(block)


def long(order: Order, value: int) -> bytes:
    return struct.pack(order + "I", value)
