"""Animated PNG as chunks: the frames of a file, and stills joined into one file.

PNG, third edition (W3C 2025), 11.3.6: acTL, fcTL and fdAT. Each frame is given, and taken, as a
PNG file of its own, which Pillow decodes and encodes. Pillow's own composition blends half
transparent pixels incorrectly, and its writer does not support 16 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Final, NamedTuple

from msgspec import Struct

from imgbatch.imaging.containers.png import SIGNATURE, chunk, whole_chunks
from imgbatch.imaging.series.frames import KEEP
from imgbatch.model import Size

_FRAME: Final = struct.Struct(">5I2H2B")
_SEEN: Final = frozenset({b"PLTE", b"tRNS"})
_OF_FRAMES: Final = frozenset({b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IHDR", b"IEND"})


class Frame(NamedTuple):
    """One frame: where it is placed on the canvas, and a PNG file of it.

    `duration` is in milliseconds; `over` says that it is composited over what is there, by its
    alpha, and does not replace it.
    """

    at: tuple[int, int]
    png: bytes
    duration: float
    disposal: int = KEEP
    over: bool = False


class _Found(Struct, frozen=True):
    """A frame in a file: its fcTL, and the compressed pixels in their pieces."""

    control: tuple[int, ...]
    pieces: list[bytes]


class Frames(Struct, frozen=True):
    """The frames of a file. `plays` is how often they are shown, 0 for ever.

    `complete` is False if the file ends before its IEND. `still_beside` says that it also has a
    picture that is not a frame, for programs that do not play animations.
    """

    header: bytes
    around: tuple[tuple[bytes, bytes], ...]
    found: tuple[_Found, ...]
    plays: int
    complete: bool
    still_beside: bool

    def __iter__(self) -> Iterator[Frame]:
        # With everything around the pixels: palette, profile, metadata. Further frames
        # need only what is needed to display them.
        around = self.around
        for one in self.found:
            width, height, left, top, num, den, disposal, blend = one.control
            yield Frame(
                (left, top),
                self._png((width, height), around, one.pieces),
                1000 * num / (den or 100),
                disposal,
                over=blend == 1,
            )
            around = tuple(one for one in around if one[0] in _SEEN)

    def _png(
        self, size: Size, around: Iterable[tuple[bytes, bytes]], pieces: Sequence[bytes]
    ) -> bytes:
        return b"".join(
            (
                SIGNATURE,
                chunk(b"IHDR", struct.pack(">2I", *size) + self.header[8:]),
                *(chunk(*one) for one in around),
                *(chunk(b"IDAT", piece) for piece in pieces),
                chunk(b"IEND", b""),
            )
        )


def read(data: bytes) -> Frames | None:
    """Find the frames of a PNG file; nothing is decoded. None if it is not animated.

    Raises ValueError for a file that breaks the order of its chunks.
    """
    header, plays, announced = b"", 0, False
    around: list[tuple[bytes, bytes]] = []
    found: list[_Found] = []
    still_beside = complete = False
    whole = 0
    for kind, body in whole_chunks(data):
        if kind == b"IHDR":
            header = body
        elif kind == b"acTL":
            announced, plays = True, int.from_bytes(body[4:8])
        elif kind == b"fcTL":
            whole = len(found)
            found.append(_Found(_FRAME.unpack(body[:26])[1:], []))
        elif kind == b"IDAT":
            if found:
                found[0].pieces.append(body)
            else:
                still_beside = True
        elif kind == b"fdAT":
            if not found:
                raise ValueError("a frame's pixels come before its control chunk")
            found[-1].pieces.append(body[4:])
        elif kind == b"IEND":
            complete = True
            break
        else:
            around.append((kind, body))
    if not announced or not found:
        return None
    if any(not one.pieces for one in found[: None if complete else whole]):
        raise ValueError("a frame has no pixels")
    frames = found if complete else found[:whole]
    return Frames(header, tuple(around), tuple(frames), plays, complete, still_beside)


def join(frames: Iterable[Frame], *, plays: int) -> bytes:
    """One animation from PNG files; the first determines size, metadata and kind of pixels."""
    out = BytesIO()
    out.write(SIGNATURE)
    count_at = number = count = 0
    for count, frame in enumerate(frames, 1):
        chunks = list(whole_chunks(frame.png))
        size = struct.unpack(">2I", chunks[0][1][:8])
        if count == 1:
            out.write(chunk(*chunks[0]))
            count_at = out.tell()
            out.write(bytes(20))
            out.writelines(chunk(*one) for one in chunks[1:] if one[0] not in _OF_FRAMES)
        rest = (*size, *frame.at, *delay_of(frame.duration), frame.disposal, int(frame.over))
        out.write(chunk(b"fcTL", _FRAME.pack(number, *rest)))
        number += 1
        for piece in (body for kind, body in chunks if kind == b"IDAT"):
            if count == 1:
                out.write(chunk(b"IDAT", piece))
            else:
                out.write(chunk(b"fdAT", struct.pack(">I", number) + piece))
                number += 1
    out.write(chunk(b"IEND", b""))
    out.seek(count_at)
    out.write(chunk(b"acTL", struct.pack(">2I", count, plays)))
    return out.getvalue()


def delay_of(duration: float) -> tuple[int, int]:
    """Milliseconds as the nearest fraction of a second with two 16-bit numbers."""
    # It takes a while to load, and stills do not need it.
    from fractions import Fraction

    seconds = Fraction(duration / 1000).limit_denominator(65_535)
    for denominator in (1_000, 100, 10, 1):
        if seconds.numerator <= 65_535:
            break
        seconds = Fraction(round(duration / 1000 * denominator), denominator)
    return min(seconds.numerator, 65_535), seconds.denominator
