"""Segments of a JPEG file, which hold its metadata (ITU-T T.81, annex B).

Pillow reads and writes most of them. This module does what it does not: what is spread over several
segments, and what hides after the picture.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from io import SEEK_END, BytesIO
from typing import BinaryIO, Final, NamedTuple

from imgbatch.imaging import limits

EXIF: Final = b"Exif\0\0"
EXTENSION: Final = b"http://ns.adobe.com/xmp/extension/\0"
HIDDEN: Final = bytes(len(EXIF))
"""What `without_exif` puts in its place."""
ICC: Final = b"ICC_PROFILE\0"
XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"

MAX_BYTES: Final = 65_533
"""What fits into one segment, whose length includes its own two bytes."""

# The markers of frame headers, one for each coding process (ITU-T T.81, table B.1).
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP1: Final = 0xE1
_APP13: Final = 0xED
_START_OF_SCAN: Final = 0xDA
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xDA)})
_END_OF_IMAGE: Final = b"\xff\xd9"
_GUID_BYTES: Final = 32
_ICC_HEAD: Final = len(ICC) + 2
_MOST_OF_SAMSUNG: Final = 12_000
_OF_APPLICATIONS: Final = frozenset({0xFE, *range(0xE0, 0xF0)})
# A file this short cannot have many.
_FEW_BYTES: Final = 65_536
# XMP specification, part 3, 1.1.3.1: an extension's segment holds 65,400 bytes at most.
_PORTION: Final = 65_400


class Segment(NamedTuple):
    """Marker, where it is, and where what follows it begins; fill bytes have the marker 0xFF."""

    marker: int
    at: int
    stop: int

    @property
    def start(self) -> int:
        """Where the payload begins, after marker and length."""
        return min(self.at + 4, self.stop)


def walk(file: BinaryIO) -> Iterator[Segment]:
    """The segments up to the header of the first scan, as far as they can be read.

    They follow each other without a gap; the last may be cut short. Reads only their heads. The
    caller may move the file's position between items.
    """
    end = file.seek(0, SEEK_END)
    at = 2
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        marker = head[1]
        # Any number of 0xFF may precede a marker.
        step = 1 if marker == 0xFF else 2
        if marker != 0xFF and marker not in _WITHOUT_LENGTH:
            step = 2 + max(2, int.from_bytes(head[2:]))
        yield Segment(marker, at, min(at + step, end))
        if marker == _START_OF_SCAN:
            return
        at += step


class Frame(NamedTuple):
    """A frame header: its marker, which tells the coding process, and the pixels' form (B.2.2)."""

    marker: int
    bits: int
    channels: int


def frame(file: BinaryIO) -> Frame:
    """The first frame header. Raises ValueError if there is no whole one."""
    for one in walk(file):
        if one.marker in _FRAMES:
            file.seek(one.start)
            if len(head := file.read(6)) == 6:
                return Frame(one.marker, head[0], head[5])
    raise ValueError("it has no frame header")


def thinned(file: BinaryIO) -> tuple[BinaryIO, int]:
    """A JPEG with no more segments before its picture than are read, and how many were left out.

    The same file, at whatever position, if it has no more than that.
    """
    at, spans, taken, left_out = 2, [(0, 2)], 0, 0
    if file.seek(0, SEEK_END) > _FEW_BYTES:
        for one in walk(file):
            if one.marker == _START_OF_SCAN:
                break
            many = len(spans) > limits.SEGMENTS or taken + one.stop - one.at > limits.SEGMENT_BYTES
            if many and one.marker in _OF_APPLICATIONS:
                left_out += 1
            else:
                spans.append((one.at, one.stop))
                taken += one.stop - one.at
            at = one.stop
    if not left_out:
        return file, 0
    kept = BytesIO()
    for start, stop in spans:
        file.seek(start)
        kept.write(file.read(stop - start))
    file.seek(at)
    kept.write(file.read())
    kept.seek(0)
    return kept, left_out


def without_exif(jpeg: bytes) -> tuple[bytes, bytes]:
    """A JPEG whose EXIF nobody finds, with all else in place; and the block it had."""
    hidden = bytearray(jpeg)
    block = b""
    for one in walk(BytesIO(jpeg)):
        if one.marker == _APP1 and jpeg[one.start : one.stop].startswith(EXIF):
            after = one.start + len(EXIF)
            block = block or jpeg[after : one.stop]
            hidden[one.start : after] = HIDDEN
    return bytes(hidden), block


def behind(jpeg: bytes) -> bytes:
    """What follows the first picture's end; nothing if it has none."""
    walked = walk(BytesIO(jpeg))
    scan = next((one.stop for one in walked if one.marker == _START_OF_SCAN), len(jpeg))
    end = jpeg.find(_END_OF_IMAGE, scan)
    return jpeg[end + 2 :] if end >= 0 else b""


class Trailer(NamedTuple):
    """What Samsung's telephones append: where it begins, and the types of its parts."""

    start: int
    kinds: frozenset[int]


def samsung_trailer(file: BinaryIO) -> Trailer | None:
    """The trailer that Samsung's telephones append; None without one.

    It ends with its directory: "SEFH", a version and a count, a type, an offset back from there and
    a length for each part, the directory's length, and "SEFT" (exiftool, Samsung.pm). The position
    is not restored.
    """
    size = file.seek(0, SEEK_END)
    file.seek(max(0, size - 8))
    length, mark = int.from_bytes(file.read(4), "little"), file.read(4)
    if mark != b"SEFT" or not 12 <= length <= min(size - 8, _MOST_OF_SAMSUNG):
        return None
    file.seek(size - 8 - length)
    directory = file.read(length)
    if not directory.startswith(b"SEFH"):
        return None
    parts = [struct.unpack_from("<2xHI", directory, at) for at in range(12, length - 11, 12)]
    start = size - 8 - length - max((back for _, back in parts), default=0)
    return Trailer(max(0, start), frozenset(kind for kind, _ in parts))


def joined_exif(payloads: Iterable[bytes]) -> tuple[bytes | None, bool]:
    """The EXIF block of APP1 payloads, and whether there was more than one block.

    A long one continues in the next segment; one with a header of its own is another block, which
    readers ignore.
    """
    parts: list[bytes] = []
    more = False
    for payload in payloads:
        if not payload.startswith(EXIF):
            continue
        part = payload[len(EXIF) :]
        if parts and part[:4] in (b"II*\0", b"MM\0*"):
            more = True
        elif not more:
            parts.append(part)
    return b"".join(parts) if parts else None, more


def joined_icc(payloads: Iterable[bytes]) -> bytes | None:
    """The profile in APP2 payloads; None if a piece of it is missing (ICC.1:2022, B.4).

    A piece that is there twice counts once. Where the number of pieces is wrong, the length that
    the profile begins with decides.
    """
    pieces: dict[int, bytes] = {}
    counts = set()
    for payload in payloads:
        if payload.startswith(ICC) and len(payload) >= _ICC_HEAD:
            number, count = payload[len(ICC) : _ICC_HEAD]
            piece = payload[_ICC_HEAD:]
            counts.add(count)
            if pieces.setdefault(number, piece) != piece:
                return None
    numbers = sorted(pieces)
    profile = b"".join(pieces[number] for number in numbers)
    if not numbers or numbers[-1] - numbers[0] != len(numbers) - 1:
        return None
    if counts == {1}:
        return profile
    is_whole = len(profile) >= int.from_bytes(profile[:4]) > 0
    return profile if is_whole else None


def extended_xmp(payloads: Iterable[bytes], guid: bytes) -> bytes | None:
    """The extended packet with this GUID; None if it is not there.

    Raises ValueError if a part of it is missing or its MD5 is not the GUID.
    """
    parts: dict[int, bytes] = {}
    whole = 0
    head = EXTENSION + guid
    for payload in payloads:
        if payload.startswith(head) and len(payload) >= len(head) + 8:
            whole, offset = struct.unpack_from(">II", payload, len(head))
            parts[offset] = payload[len(head) + 8 :]
    if not parts:
        return None
    packet = b"".join(parts[offset] for offset in sorted(parts))
    if len(packet) != whole or _guid(packet) != guid.upper():
        raise ValueError("extended XMP with a part missing")
    return packet


def guid(packet: bytes) -> str:
    """The value of xmpNote:HasExtendedXMP in the standard packet: the MD5 in capital letters."""
    return _guid(packet).decode("ascii")


def _guid(packet: bytes) -> bytes:
    return hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode("ascii")


def xmp_segments(extension: bytes) -> bytes:
    """The segments of an extended packet."""
    head = EXTENSION + _guid(extension)
    return b"".join(
        _segment(
            _APP1,
            head + struct.pack(">II", len(extension), at) + extension[at : at + _PORTION],
        )
        for at in range(0, len(extension), _PORTION)
    )


def photoshop_segments(prefix: bytes, resources: bytes) -> bytes:
    """The segments of Photoshop's image resources; several if they are too long for one."""
    room = MAX_BYTES - len(prefix)
    return b"".join(
        _segment(_APP13, prefix + resources[at : at + room])
        for at in range(0, len(resources), room)
    )


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
