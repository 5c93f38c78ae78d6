"""The pixels of a JPEG, and whether they are those that were encoded (ITU-T T.81).

libjpeg only warns of nearly all damage, and Pillow drops its warnings; but Pillow's decoder tells
how many bytes it has taken. What is wrong in entropy-coded data shifts all that follows, so in the
end the decoder has all pixels before it has seen the last byte, or it wants more than there is. To
find out, it is given the data up to just before each marker, and then the rest of them.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from io import SEEK_CUR, SEEK_END, BytesIO
from typing import Any, BinaryIO, Final

from PIL import Image

from imgbatch.errors import PictureError
from imgbatch.imaging.codecs import jpeg_native
from imgbatch.imaging.codecs.base import restored
from imgbatch.imaging.containers import jpeg

# What `draft` tells the decoder without a scale; it may also tell nothing, ().
_FULL_SIZE: Final = (1, 0)
# As much as Pillow reads at once.
_PIECE: Final = 65_536
# Some encoders pad with zeros. They are held back, and so are the last two bytes before them.
_PADDING: Final = 16
_HELD: Final = _PADDING + 4
# libjpeg looks 57 bits ahead. Where it seeks a marker it skips these; as data they are hardly ever
# a whole block. In progressive files they might be the code for many empty ones, but no code
# consists of ones alone.
_AHEAD: Final = b"\xfe" * 8
_AHEAD_PROGRESSIVE: Final = b"\xff\0" * 8
_PROBE: Final = b"\xfe"
# Progressive data often end with a code for all the blocks that are left, however many. Most holes
# are of zeros; whole data have so many only in drawings.
_HOLE: Final = bytes(64)
_WARNING: Final = "Corrupt JPEG data"
_find_marker: Final = re.compile(rb"\xff[^\0\xff]").search
# Any number of these may precede a marker, whose own is the last of them (B.1.1.2).
_FILL: Final = 0xFF
_fill: Final = re.compile(rb"\xff+(?=\xff)").match

# The markers of arithmetically coded frames that libjpeg knows, SOF9 and SOF10.
_ARITHMETIC: Final = frozenset({0xC9, 0xCA})

_RESTART_INTERVAL: Final = b"\xff\xdd\0\4"
_START_OF_SCAN: Final = b"\xff\xda"
_END_OF_IMAGE: Final = b"\xff\xd9"
# Marker, length, and four components.
_LONGEST_HEADER: Final = 2 + 6 + 2 * 4
_FIRST_RESTART: Final = 0xD0
_RESTARTS: Final = 8
# After so many restart intervals only a few in each piece are looked at: to look takes 3 µs, in
# progressive files 20 µs. That is more than there are if each row of blocks has one.
_CLOSELY: Final = 4_000
_END: Final = 0xD9
_SCAN: Final = 0xDA
_WITH_LENGTH: Final = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xFF)})


def load(image: Any, *, salvage: bool) -> bool:
    """Load an opened image, and return whether its end is marked.

    Raises OSError if the file is cut short or cannot be decoded, PictureError if it is damaged.
    With `salvage` it is loaded as far as that goes.
    """
    file: BinaryIO = image.fp
    if salvage:
        if _is_arithmetic(file):
            _Feed(image, file, 0).load_at_once(_END_OF_IMAGE)
        image.load()
        return True
    start = file.tell() if image.format != "MPO" else _data_of_scan(file)
    if image.decoderconfig > _FULL_SIZE and jpeg_native.load(image, file, start):
        return True
    try:
        return _Feed(image, file, start).load(image)
    except PictureError:
        # Pictures or a video may follow.
        trailer = jpeg.samsung_trailer(file)
        file.seek(0)
        data = BytesIO(file.read(trailer.start if trailer is not None else -1))
        return _Feed(image, data, start).load(image, with_more=True)
    except OSError:
        if not _is_arithmetic(file):
            raise
        # libjpeg needs all of it at once, and skips what is left over in the end.
        _Feed(image, file, start).load_at_once(b"")
        if _is_warned_of(file):
            raise _damaged() from None
        image.tile = []
        return True


def in_several_scans(image: Any, file: BinaryIO) -> bool:
    """Whether the first scan lacks components (ITU-T T.81, B.2.3), or may do so.

    The header of a scan of all components is what Pillow read last, where it stopped.
    """
    length = 6 + 2 * image.layers
    if image.info.get("progressive") or file.tell() < length + 2:
        return True
    file.seek(-(length + 2), SEEK_CUR)
    head = file.read(5)
    file.seek(length + 2 - 5, SEEK_CUR)
    return bool(head != _START_OF_SCAN + length.to_bytes(2) + bytes((image.layers,)))


def _data_of_scan(file: BinaryIO) -> int:
    """Where the data of the first scan begin."""
    *_, last = jpeg.walk(file)
    return last.stop


def _is_arithmetic(file: BinaryIO) -> bool:
    try:
        return jpeg.frame(file).marker in _ARITHMETIC
    except ValueError:
        return False


def _is_warned_of(file: BinaryIO) -> bool:
    """Whether libjpeg warns of the data; decodes them once more, as small as it can."""
    try:
        import simplejpeg
    except ImportError:
        return False
    if all(one.marker != _SCAN for one in jpeg.walk(file)):
        # It would warn of what is between the segments of the header.
        return False
    file.seek(0)
    try:
        simplejpeg.decode_jpeg(file.read(), "GRAY", min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        return str(error).startswith(_WARNING)
    return False


class _Feed:
    """Gives the bytes of a file to Pillow's decoder."""

    def __init__(self, image: Any, file: BinaryIO, start: int) -> None:
        ((name, extents, _, args),) = image.tile
        image.load_prepare()
        self._decoder = Image._getdecoder(image.mode, name, args, image.decoderconfig)
        self._decoder.setimage(image.im, extents)
        self._file = file
        file.seek(0)
        self._data = file.read(start + _PIECE)
        # What the decoder has taken; where a segment of data ends; and what comes next.
        self._taken, self._end, self._next = 0, start, start
        self._done = False
        self._closely = _CLOSELY
        self._progressive = "progressive" in image.info
        self._doubtful = self._progressive and self._data.find(_HOLE, start) >= 0
        # That of the current scan, after its length; of the first one somewhere in here.
        self._header = self._data[start - _LONGEST_HEADER : start]

    def load(self, image: Any, *, with_more: bool = False) -> bool:
        """Decode all scans, and return whether the end is marked.

        Unless the file may end `with_more` than its picture, a marker is sought only at its end if
        there can be no other: that saves 2 ms for 5 MB.
        """
        try:
            if len(self._data) == self._next + _PIECE and not (
                with_more or self._has_markers(image)
            ):
                self._go_to_end()
            found = self._segments()
            if not self._done:
                found = self._other_scans(found, image.layers)
            elif found in _WITH_LENGTH:
                # The picture is whole, whatever is wrong behind it.
                with suppress(PictureError):
                    found = self._after_tables()
        finally:
            self._decoder.cleanup()
        if self._doubtful and _is_warned_of(self._file):
            raise _damaged()
        image.tile = []
        return found == _END

    def _has_markers(self, image: Any) -> bool:
        """Whether there may be other markers than that at the very end."""
        if self._progressive or _RESTART_INTERVAL in self._data[: self._next]:
            return True
        with restored(self._file) as file:
            file.seek(-2, SEEK_END)
            return image.format == "MPO" or file.read() != _END_OF_IMAGE

    def _go_to_end(self) -> None:
        """Give all but the last pieces of the file."""
        while len(piece := self._file.read(_PIECE)) == _PIECE:
            self._give(len(self._data) - _HELD)
            self._data = self._data[self._taken :] + piece
            self._taken = self._next = 0
        self._data += piece

    def load_at_once(self, end: bytes) -> None:
        """Decode all scans from a single buffer, with `end` behind it."""
        try:
            self._data += self._file.read() + end
            self._take(self._data)
        except OSError:
            if _END_OF_IMAGE in self._data[self._next :]:
                raise
        finally:
            self._decoder.cleanup()
        if not self._done:
            raise self._cut_short()

    def _segments(self) -> int | None:
        """Decode the rest of a scan; return the marker that follows, None if the file ends."""
        restart = 0
        while True:
            if not self._closely:
                self._pass_restarts(restart)
            found = self._find()
            self._finish(found)
            if self._done or found != _FIRST_RESTART + restart:
                return found
            restart = (restart + 1) % _RESTARTS
            self._closely -= self._closely > 0

    def _pass_restarts(self, restart: int) -> None:
        """Give the segments that are at hand whole, eight by eight while their numbers follow.

        What is wrong within one of them shifts nothing behind it, so libjpeg has to be asked.
        """
        passed = _cycles(restart).match(self._data, self._next)
        if passed and passed.end() > self._next:
            self._next = passed.end()
            self._give(self._next - 2)
            # In a progressive file that would take longer than all the rest.
            self._doubtful = self._doubtful or not self._progressive

    def _find(self) -> int | None:
        """The next marker, None if the file ends before that. Most data up to it are given."""
        at = self._next
        while (found := _find_marker(self._data, at)) is None:
            piece = self._piece()
            if not piece:
                self._end = self._next = len(self._data)
                break
            self._give(len(self._data) - _HELD)
            at = len(self._data) - 1 - self._taken
            self._data = self._data[self._taken :] + piece
            self._taken = 0
        else:
            self._end, self._next = found.span()
        while self._data[self._end - 1] == _FILL:
            self._end -= 1
        return self._data[self._next - 1] if found else None

    def _finish(self, found: int | None) -> None:
        """Give the rest of a segment before a marker.

        Raises PictureError unless the decoder wants just that.
        """
        stop = self._end - 2
        if not self._data[stop + 1]:
            stop = self._before_padding()
        if self._taken < stop:
            self._give(stop)
            # A decoder that seeks a marker takes one byte more, one that seeks bits never does.
            if self._taken == stop and self._take(self._data[stop : stop + 1]):
                raise _damaged()
        ahead = self._data[self._taken : self._end] + (
            _AHEAD_PROGRESSIVE if self._progressive else _AHEAD
        )
        if self._take(ahead) < len(ahead) or (self._progressive and not self._take(_PROBE)):
            raise self._cut_short() if found is None else _damaged()
        self._taken = self._end

    def _before_padding(self) -> int:
        """Where a segment lacks two bytes, besides the zeros at its end."""
        stop = self._end
        while self._data[stop - 1] == 0 and self._end - stop < _PADDING:
            stop -= 1
        return stop - 2

    def _other_scans(self, found: int | None, components: int) -> int | None:
        """Decode the scans after the first, and return the marker at the end if there is one."""
        header = self._header[self._header.rfind(_START_OF_SCAN) + 4 :]
        if not self._progressive and header[0] == components:
            # There are none: restart intervals are missing.
            raise self._cut_short() if found is None else _damaged()
        missing: dict[int, set[int]] = {}
        while True:
            _note(header, missing)
            if found is not None:
                found = self._after_tables()
            if found != _SCAN:
                break
            header = self._header
            found = self._segments()
        if found is None and (len(missing) < components or any(missing.values())):
            raise self._cut_short()
        self._take(_END_OF_IMAGE)
        if not self._done:
            raise _damaged()
        return found

    def _after_tables(self) -> int | None:
        """Go past tables to the data of the next scan.

        Returns the marker that was reached, the start of a scan or the end of the image, None if
        the file ends before that.
        """
        self._next -= 2
        while True:
            head = self._bytes(4)
            marker = head[1] if len(head) > 1 else 0
            if marker == _END:
                return marker
            if fill := _fill(self._data, self._next):
                self._next = fill.end()
                continue
            if len(head) < 4:
                return None
            if head[0] != 0xFF or marker not in _WITH_LENGTH:
                raise _damaged()
            length = int.from_bytes(head[2:])
            if marker == _SCAN:
                self._header = self._bytes(2 + length)[4:]
                self._next += 2 + length
                return marker
            self._next += 2 + length

    def _bytes(self, count: int) -> bytes:
        """Those that come next. What precedes them is given and dropped before more are read."""
        while len(self._data) < self._next + count:
            self._give(self._next)
            piece = self._piece()
            if not piece:
                break
            self._data = self._data[self._taken :] + piece
            self._next -= self._taken
            self._taken = 0
        return self._data[self._next : self._next + count]

    def _piece(self) -> bytes:
        piece = self._file.read(_PIECE)
        self._doubtful = self._doubtful or (self._progressive and _HOLE in piece)
        return piece

    def _give(self, stop: int) -> None:
        """Give what precedes `stop`."""
        if self._taken < stop:
            self._taken += self._take(memoryview(self._data)[self._taken : stop])

    def _take(self, data: bytes | memoryview) -> int:
        """How many of these bytes the decoder takes; all of them if it has all pixels then."""
        if self._done:
            return len(data)
        taken: int
        taken, error = self._decoder.decode(data)
        if error < 0:
            raise OSError("broken data stream when reading image file")
        if taken < 0:
            self._done = True
            return len(data)
        return taken

    def _cut_short(self) -> OSError:
        left = len(self._data) - self._taken
        return OSError(f"image file is truncated ({left} bytes not processed)")


@cache
def _cycles(first: int) -> re.Pattern[bytes]:
    """Eight segments, of which the first one ends with that restart marker, and eight more."""
    numbers = ((first + number) % _RESTARTS for number in range(_RESTARTS))
    segment = rb"[^\xff]*\xff(?:\0[^\xff]*\xff)*"
    return re.compile(
        b"(?:%b)*" % b"".join(segment + bytes((_FIRST_RESTART + one,)) for one in numbers)
    )


def _note(header: bytes, missing: dict[int, set[int]]) -> None:
    """Note which coefficients of which components a scan with this header completes (B.2.3)."""
    count = header[0]
    first, last, bits = header[1 + 2 * count :][:3]
    for component in header[1 : 1 + 2 * count : 2]:
        left = missing.setdefault(component, set(range(64)))
        if not bits & 15:
            left.difference_update(range(first, last + 1))


def _damaged() -> PictureError:
    message = "the file is damaged: a part of the picture is missing or wrong"
    return PictureError("decode", "damaged", message)
