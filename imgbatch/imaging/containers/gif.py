"""GIF files as blocks: the frames of a file, and frames joined into one file.

GIF89a (CompuServe, 1990), and NETSCAPE2.0 for how often it is played. Pillow compresses each
frame; what happens to a frame under the next one is decided here, since Pillow leaves ghosts where
something becomes transparent, and gives each frame its own colour table.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import SEEK_CUR, BytesIO
from typing import BinaryIO, Final, NamedTuple

from msgspec import Struct

from imgbatch.imaging import limits
from imgbatch.model import Size

KEEP, CLEAR, RESTORE = 1, 2, 3
"""What happens to a frame when its time is over (GIF89a, 23.c.iv): it stays, its box is cleared,
or what was there before it comes back."""

MAX_COLOURS: Final = 256
LONGEST_DELAY: Final = 65_535
"""The longest delay of a frame, in hundredths of a second."""

_LOOP_NAMES: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_CONTROL, _COMMENT, _APPLICATION, _PLAIN_TEXT = 0xF9, 0xFE, 0xFF, 0x01
_MOST_NAMES: Final = 100


class Block(NamedTuple):
    """One frame of a file: its box on the canvas, and its data, still compressed.

    `colours` is its table of RGB triples, its own or the file's, `delay` in hundredths of a
    second, `transparent` the index in the table that leaves what is below visible.
    """

    box: tuple[int, int, int, int]
    data: bytes
    colours: bytes
    interlaced: bool = False
    delay: int = 0
    disposal: int = 0
    transparent: int | None = None

    def still(self) -> bytes:
        """A file with only this frame, at the upper left corner."""
        size = self.box[2] - self.box[0], self.box[3] - self.box[1]
        flags = 0x40 if self.interlaced else 0
        return b"".join(
            (
                _head(size, self.colours),
                _control(self),
                struct.pack("<B4HB", _IMAGE, 0, 0, *size, flags),
                self.data,
                b";",
            )
        )


class Blocks(Struct, frozen=True):
    """The frames of a file. `plays` is how often they are shown, 0 for ever.

    `complete` is False if the file ends inside a frame, or before the first. `extensions` are the
    names of the applications that added something, 11 bytes each, and "plain text".
    """

    frames: tuple[Block, ...]
    plays: int
    complete: bool
    extensions: frozenset[bytes] = frozenset()


def read(data: bytes) -> Blocks:
    """Find the frames of a GIF file; nothing is decoded."""
    frames: list[Block] = []
    plays, kind = 1, 0
    names: set[bytes] = set()
    control: tuple[int, int, int | None] = (0, 0, None)
    try:
        table, at = _table(data, 10, 13)
        while at < len(data) and data[at] != _END:
            kind = data[at]
            if kind == _EXTENSION:
                start, at = at + 2, _behind(data, at + 2)
                if data[start - 1] == _CONTROL and data[start] >= 4:
                    control = _graphic_control(data[start + 1 : start + 5])
                elif data[start - 1] == _PLAIN_TEXT:
                    names.add(b"plain text")
                elif data[start - 1] == _APPLICATION and len(names) < _MOST_NAMES:
                    names.add(data[start + 1 : start + 12])
                if data[start + 1 : start + 12] in _LOOP_NAMES and data[start + 13] == 1:
                    loops = int.from_bytes(data[start + 14 : start + 16], "little")
                    plays = loops + 1 if loops else 0
            elif kind == _IMAGE:
                left, top, width, height, flags = struct.unpack_from("<4HB", data, at + 1)
                own, start = _table(data, at + 9, at + 10)
                at = _behind(data, start + 1)
                box = (left, top, left + width, top + height)
                block = Block(box, data[start:at], own or table, bool(flags & 0x40), *control)
                frames.append(block)
                control = (0, 0, None)
            else:
                # Some programs leave a few bytes between blocks; everybody skips them.
                at += 1
    except (IndexError, struct.error):
        # A still is complete without anything after it.
        whole = len(frames) == 1 and kind == _EXTENSION
        return Blocks(tuple(frames), plays, whole, frozenset(names))
    return Blocks(tuple(frames), plays, bool(frames), frozenset(names))


def without_long_comments(file: BinaryIO) -> tuple[BinaryIO, int]:
    """A GIF with no longer comments before its first frame than are read, and how many bytes of
    them were left out. The same file, at its beginning, if they are no longer than that.
    """
    file.seek(10)
    flags = file.read(3)[:1]
    at = 13 + (6 << (flags[0] & 7) if flags and flags[0] & 0x80 else 0)
    kept, taken, blocks, left_out = [(0, at)], 0, 0, 0
    while True:
        start = file.seek(at)
        head = file.read(2)
        if len(head) < 2 or head[0] != _EXTENSION:
            break
        at += 2
        while length := (file.read(1) or b"\0")[0]:
            at = file.seek(length, SEEK_CUR)
            blocks += head[1] == _COMMENT
        at = file.tell()
        if head[1] == _COMMENT:
            taken += at - start
            if taken > limits.TEXT_BYTES or blocks > limits.TEXTS:
                left_out += at - start
                continue
        kept.append((start, at))
    if left_out:
        parts = []
        for start, stop in kept:
            file.seek(start)
            parts.append(file.read(stop - start))
        file.seek(at)
        file = BytesIO(b"".join((*parts, file.read())))
    file.seek(0)
    return file, left_out


def write(
    size: Size, frames: Sequence[Block], *, plays: int = 1, comment: bytes | None = None
) -> bytes:
    """A file of `frames`. The first one's colours are the file's table."""
    table = frames[0].colours
    parts = [_head(size, table, frames[0].transparent or 0)]
    if len(frames) > 1 and plays != 1:
        loops = min(plays - 1, 65_535) if plays else 0
        parts.append(struct.pack("<3B11sBBHB", 0x21, 0xFF, 11, _LOOP_NAMES[0], 3, 1, loops, 0))
    if comment:
        parts += [b"!\xfe", *_in_blocks(comment)]
    for frame in frames:
        left, top, right, bottom = frame.box
        flags, own = (0, b"") if frame.colours == table else _packed(frame.colours)
        flags |= 0x40 if frame.interlaced else 0
        parts += [
            _control(frame),
            struct.pack("<B4HB", _IMAGE, left, top, right - left, bottom - top, flags),
            own,
            frame.data,
        ]
    return b"".join((*parts, b";"))


def _head(size: Size, colours: bytes, background: int = 0) -> bytes:
    flags, table = _packed(colours) if colours else (0, b"")
    return b"GIF89a" + struct.pack("<HHBBB", *size, 0x70 | flags, background, 0) + table


def _packed(colours: bytes) -> tuple[int, bytes]:
    """The flags of a table, and the table padded to 2, 4, 8 ... 256 colours."""
    bits = max(1, (len(colours) // 3 - 1).bit_length())
    return 0x80 | (bits - 1), colours.ljust(3 << bits, b"\0")


def _control(frame: Block) -> bytes:
    if frame.transparent is None and not frame.delay and not frame.disposal:
        return b""
    flags = frame.disposal << 2 | (frame.transparent is not None)
    return struct.pack(
        "<4BHBB", _EXTENSION, _CONTROL, 4, flags, frame.delay, frame.transparent or 0, 0
    )


def _graphic_control(control: bytes) -> tuple[int, int, int | None]:
    flags, delay, transparent = struct.unpack("<BHB", control)
    return delay, flags >> 2 & 7, transparent if flags & 1 else None


def _table(data: bytes, flags_at: int, at: int) -> tuple[bytes, int]:
    """The colour table that these flags describe, and the position after it."""
    flags = data[flags_at]
    end = at + (6 << (flags & 7) if flags & 0x80 else 0)
    if end > len(data):
        raise IndexError
    return data[at:end], end


def _behind(data: bytes, at: int) -> int:
    """Where a row of sub-blocks that begins `at` ends."""
    while length := data[at]:
        at += length + 1
    return at + 1


def _in_blocks(data: bytes) -> list[bytes]:
    pieces = [data[at : at + 255] for at in range(0, len(data), 255)]
    return [bytes((len(piece),)) + piece for piece in pieces] + [b"\0"]
