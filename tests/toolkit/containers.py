"""Files as the parts they consist of, which can be joined again."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple


class Part(NamedTuple):
    """A chunk, segment or box; `claims` is a length that it declares instead of its own."""

    kind: bytes
    payload: bytes
    claims: int | None = None

    @property
    def length(self) -> int:
        return len(self.payload) if self.claims is None else self.claims


class Container(NamedTuple):
    """How a family of formats is split into parts and joined again."""

    label: str
    split: Callable[[bytes], list[Part]]
    join: Callable[[Sequence[Part]], bytes]


_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
ZIPPED: Final = {b"IDAT": 0, b"fdAT": 4}


def _split_png(data: bytes) -> list[Part]:
    parts, at = [], len(_PNG_MAGIC)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append(Part(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def _join_png(parts: Sequence[Part]) -> bytes:
    return _PNG_MAGIC + b"".join(
        struct.pack(">I", part.length & 0xFFFFFFFF)
        + part.kind
        + part.payload
        + struct.pack(">I", zlib.crc32(part.kind + part.payload))
        for part in parts
    )


_SCAN: Final = b""


def _split_jpeg(data: bytes) -> list[Part]:
    """Segments by marker, and what is between two of them as parts of no kind."""
    parts, at = [], 2
    while at + 4 <= len(data):
        if data[at] == 0xFF and data[at + 1] not in (0x00, 0xFF, *range(0xD0, 0xDA)):
            (length,) = struct.unpack_from(">H", data, at + 2)
            parts.append(Part(data[at : at + 2], data[at + 4 : at + 2 + length]))
            at += 2 + length
        else:
            end = next(
                (
                    found.start()
                    for found in re.finditer(rb"\xff[^\x00\xff\xd0-\xd9]", data)
                    if found.start() > at
                ),
                len(data),
            )
            parts.append(Part(_SCAN, data[at:end]))
            at = end
    return [*parts, Part(_SCAN, data[at:])]


def _join_jpeg(parts: Sequence[Part]) -> bytes:
    return b"\xff\xd8" + b"".join(
        part.kind + struct.pack(">H", (part.length + 2) & 0xFFFF) + part.payload
        if part.kind
        else part.payload
        for part in parts
    )


def _split_riff(data: bytes) -> list[Part]:
    parts, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        parts.append(Part(data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return parts


def _join_riff(parts: Sequence[Part]) -> bytes:
    body = b"".join(
        part.kind
        + struct.pack("<I", part.length & 0xFFFFFFFF)
        + part.payload
        + bytes(len(part.payload) % 2)
        for part in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


# Boxes that contain boxes, and the number of bytes before those (ISO 14496-12; ISO 15444-1, I).
NESTS: Final = {
    **dict.fromkeys((b"iprp", b"ipco", b"jp2h", b"moov", b"trak", b"mdia", b"minf", b"stbl"), 0),
    b"meta": 4,
    b"iinf": 6,
}


def split_boxes(data: bytes) -> list[Part]:
    parts, at = [], 0
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        # 0 extends to the end of the file.
        length = length if length >= 8 else len(data) - at
        parts.append(Part(data[at + 4 : at + 8], data[at + 8 : at + length]))
        at += length
    return parts


def join_boxes(parts: Sequence[Part]) -> bytes:
    return b"".join(
        struct.pack(">I", (part.length + 8) & 0xFFFFFFFF) + part.kind + part.payload
        for part in parts
    )


def _split_codestream(data: bytes) -> list[Part]:
    """The main header's segments of a JPEG 2000 codestream (ISO 15444-1, annex A)."""
    parts, at = [], 2
    while at + 4 <= len(data) and data[at + 1] != 0x90:
        (length,) = struct.unpack_from(">H", data, at + 2)
        parts.append(Part(data[at : at + 2], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return [*parts, Part(_SCAN, data[at:])]


def _join_codestream(parts: Sequence[Part]) -> bytes:
    return b"\xff\x4f" + _join_jpeg(parts)[2:]


PNG: Final = Container("PNG", _split_png, _join_png)
JPEG: Final = Container("JPEG", _split_jpeg, _join_jpeg)
RIFF: Final = Container("WebP", _split_riff, _join_riff)
BOXES: Final = Container("box", split_boxes, join_boxes)
CODESTREAM: Final = Container("codestream", _split_codestream, _join_codestream)


def container_of(data: bytes) -> Container | None:
    """How this file is split into parts; None if it does not consist of any."""
    for magic, container in (
        (_PNG_MAGIC, PNG),
        (b"\xff\xd8\xff", JPEG),
        (b"RIFF", RIFF),
        (b"\xff\x4f\xff\x51", CODESTREAM),
    ):
        if data.startswith(magic):
            return container
    return BOXES if data[4:8] in (b"ftyp", b"jP  ") else None
