"""Properties of the main picture of an AVIF, which no library here writes."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Final

from imgbatch.imaging.containers import isobmff

_CONTAINERS: Final = {b"meta": 4, b"iprp": 0, b"ipco": 0}
_ESSENTIAL: Final = 0x80


def clap(size: tuple[int, int], box: tuple[int, int, int, int]) -> bytes:
    """A clean aperture (ISO 14496-12, 12.1.4): left, top, right, bottom of a picture of `size`."""
    left, top, right, bottom = box
    across, down = left + right - size[0], top + bottom - size[1]
    return struct.pack(">4IiIiI", right - left, 1, bottom - top, 1, across, 2, down, 2)


def with_properties(data: bytes, *properties: tuple[bytes, bytes]) -> bytes:
    """A file of libavif's whose first item has more properties: types and contents, in order."""
    file = BytesIO(data)
    (store,) = isobmff.find(file, b"meta", b"iprp", b"ipco")
    there = len(list(isobmff.walk(file, store.start, store.stop)))
    more = b"".join(struct.pack(">I", 8 + len(one)) + kind + one for kind, one in properties)
    numbers = bytes(_ESSENTIAL | there + 1 + at for at in range(len(properties)))
    grown = len(more) + len(numbers)
    return b"".join(_rebuilt(data, 0, len(data), more, numbers, grown))


def _rebuilt(
    data: bytes, start: int, stop: int, more: bytes, numbers: bytes, grown: int
) -> list[bytes]:
    out = []
    for kind, begin, end in isobmff.walk(BytesIO(data), start, stop):
        content = data[begin:end]
        if kind in _CONTAINERS:
            head = _CONTAINERS[kind]
            inside = _rebuilt(data, begin + head, end, more, numbers, grown)
            content = content[:head] + b"".join(inside) + (more if kind == b"ipco" else b"")
        elif kind == b"ipma":
            # A version, how many items, and of the first its number and that of its properties.
            end = 11 + content[10]
            content = (
                content[:10]
                + bytes([content[10] + len(numbers)])
                + content[11:end]
                + numbers
                + content[end:]
            )
        elif kind == b"iloc":
            content = _moved(content, grown)
        out.append(struct.pack(">I", 8 + len(content)) + kind + content)
    return out


def _moved(content: bytes, by: int) -> bytes:
    """The places of items (8.11.3, version 0 with 4-byte places)."""
    out = bytearray(content)
    (count,) = struct.unpack_from(">H", content, 6)
    for at in range(8, 8 + 14 * count, 14):
        (place,) = struct.unpack_from(">I", content, at + 6)
        struct.pack_into(">I", out, at + 6, place + by)
    return bytes(out)
