"""Texts and profiles in the chunks of a PNG (third edition, 11.3.3), and how much of them is read.

They may be compressed: a hundred bytes become a hundred thousand. If there is too much, Pillow
refuses the whole picture.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, Final

from imgbatch.imaging import limits
from imgbatch.imaging.codecs import beside
from imgbatch.imaging.containers import png
from imgbatch.model import Notice, NoticeKind

_TEXTS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_PROFILE: Final = b"iCCP"
_PACKED: Final = _TEXTS | {_PROFILE}
_PIXELS: Final = frozenset({b"IDAT", b"fdAT"})
_XMP: Final = b"XML:com.adobe.xmp"
_RAW_PROFILE: Final = b"Raw profile type "
# A chunk this short cannot unpack to too much: zlib reaches 1 : 1032.
_FEW_BYTES: Final = 8_192
_FEW_TEXTS: Final = 1_000


def thinned(file: BinaryIO) -> tuple[BinaryIO, tuple[Notice, ...]]:
    """A PNG with no more texts and profiles than are read, and warnings about what was left out.

    The same file, at its beginning, if it has no more than that.
    """
    kinds, lengths, ends = set(), [], False
    for kind, _, length in png.walk(file):
        if not ends:
            kinds.add(kind)
            ends = kind == b"IEND"
        if _counts(kind, length):
            lengths.append(length)
    notices: tuple[Notice, ...] = ()
    if len(lengths) > _FEW_TEXTS or sum(lengths) > _FEW_BYTES:
        left_out, notices = _excess(file)
        if left_out:
            file = png.without(file, frozenset(left_out))
    file.seek(0)
    # Anything but letters is damage, which decoding will report.
    return file, notices + beside.of_png(kind for kind in kinds if kind.isalpha())


def _counts(kind: bytes, length: int) -> bool:
    """Whether a chunk may be left out: texts, profiles, and others that are far too long."""
    return kind in _PACKED or (length > limits.PNG_CHUNK_BYTES and kind not in _PIXELS)


def _excess(file: BinaryIO) -> tuple[list[int], tuple[Notice, ...]]:
    """Where the chunks begin that are more than is read, and warnings."""
    left_out: list[int] = []
    notices: list[Notice] = []
    count = taken = lost = 0
    for chunk in png.walk(file):
        kind, at, length = chunk
        if not _counts(kind, length):
            continue
        if kind not in _PACKED:
            message = f"a chunk {kind.decode('latin-1')!r} of {length:,} bytes was dropped"
            notices.append(Notice("metadata-dropped", message))
            left_out.append(at)
            continue
        file.seek(chunk.start)
        # Nothing longer than this is kept, packed or not.
        data = file.read(min(length, limits.PNG_CHUNK_BYTES + 1))
        keyword = data[:80].partition(b"\0")[0]
        most = _most_of(kind, keyword)
        size = _unpacked(kind, data, most)
        if most is None:
            too_much = count >= limits.TEXTS or taken + size > limits.TEXT_BYTES
            lost += too_much
            count += not too_much
            taken += 0 if too_much else size
        elif too_much := size > most:
            name = "profile" if kind == _PROFILE else keyword.decode("latin-1")
            message = f"{name} dropped: it has more than the {most:,} bytes that are read"
            notice: NoticeKind = "profile-dropped" if kind == _PROFILE else "metadata-dropped"
            notices.append(Notice(notice, message))
        if too_much:
            left_out.append(at)
    if lost:
        message = (
            f"{lost:,} of its texts dropped: at most {limits.TEXTS:,} of "
            f"{limits.TEXT_BYTES:,} bytes are read"
        )
        notices.append(Notice("metadata-dropped", message))
    return left_out, tuple(dict.fromkeys(notices))


def _most_of(kind: bytes, keyword: bytes) -> int | None:
    """How many bytes are read of a chunk of its own kind; None for one of many texts."""
    if kind == _PROFILE:
        return limits.ICC_BYTES
    if keyword == _XMP:
        return limits.XMP_BYTES
    # In hexadecimal digits.
    return 2 * limits.EXIF_BYTES if keyword.startswith(_RAW_PROFILE) else None


def _unpacked(kind: bytes, data: bytes, most: int | None) -> int:
    """The length of the text or the profile in a chunk, or at least how much too long it is."""
    if kind == b"tEXt":
        return len(data)
    keyword, _, rest = data.partition(b"\0")
    if kind == b"iTXt":
        flag, rest = rest[:1], rest[2:]
        if flag != b"\1":
            return len(data)
        # The language and the translated keyword.
        rest = rest.partition(b"\0")[2].partition(b"\0")[2]
    else:
        rest = rest[1:]
    limit = (limits.TEXT_BYTES if most is None else most) + 1
    try:
        return len(keyword) + len(zlib.decompressobj().decompress(rest, limit))
    except zlib.error:
        return len(data)
