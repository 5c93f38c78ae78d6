"""Photoshop's image resources, which JPEG, TIFF and PNG files hold (Photoshop File Formats, 2019).

A resource is a signature, its number, a name as a Pascal string, its length and its data; name and
data are padded to even lengths.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

IPTC: Final = 0x0404
WORKING_PATH: Final = 0x0401
PATHS: Final = range(2000, 3000)
"""Paths in fractions of the picture, and, last, the name of the one that clips it."""

# Other programs put theirs among them (exiftool's table of resources).
_SIGNATURES: Final = frozenset({b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"})


class Resource(NamedTuple):
    """A resource: its number, its data, all of its bytes, and whether some are missing."""

    number: int
    data: bytes
    whole: bytes
    is_cut: bool

    @property
    def is_path(self) -> bool:
        """Whether it is a path, or the name of the one that clips the picture."""
        return self.number in PATHS or self.number == WORKING_PATH


def resources(packed: bytes) -> Iterator[Resource]:
    """The resources, as far as they go; the last may be cut."""
    at = 0
    while packed[at : at + 4] in _SIGNATURES and at + 12 <= len(packed):
        (number,) = struct.unpack_from(">H", packed, at + 4)
        name = 1 + packed[at + 6]
        start = at + 6 + name + name % 2
        if start + 4 > len(packed):
            return
        (length,) = struct.unpack_from(">I", packed, start)
        start += 4
        stop = start + length + length % 2
        if packed[at : at + 4] == b"8BIM":
            # Some writers omit the padding of the last one.
            whole, is_cut = packed[at:stop], start + length > len(packed)
            whole += bytes(len(whole) % 2)
            yield Resource(number, packed[start : start + length], whole, is_cut)
        at = stop


def resource(number: int, data: bytes) -> bytes:
    """One resource without a name."""
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


def paths(packed: bytes) -> bytes | None:
    """Those of the resources that are paths, as they are; None if there are none."""
    if b"8BIM" not in packed:
        return None
    found = [one.whole for one in resources(packed) if one.is_path and not one.is_cut]
    return b"".join(found) or None
