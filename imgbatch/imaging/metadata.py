"""What a file says about its picture: read from any format, kept as the policy says."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any, Final

from PIL import Image

from imgbatch.imaging import exif as exif_block
from imgbatch.imaging import xmp as xmp_packet
from imgbatch.imaging.exif import Exif
from imgbatch.imaging.picture import Metadata
from imgbatch.model import MetadataPolicy, Notice, Size

# Tags that describe the file's own layout, not the picture (TIFF 6.0): they are the encoder's.
_STRUCTURE: Final = frozenset(
    {
        *(0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116),
        *(0x0117, 0x0118, 0x0119, 0x011C, 0x0120, 0x0121, 0x0122, 0x0123, 0x0124, 0x0125, 0x012D),
        *(0x013D, 0x0140, 0x0141, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x014C, 0x0152, 0x0153),
        *(0x0154, 0x0155, 0x0156, 0x015B, 0x0200, 0x0201, 0x0202, 0x0203, 0x0205, 0x0206, 0x0207),
        *(0x0208, 0x0209, 0x0211, 0x0212, 0x0213, 0x0214, 0x02BC, 0x8649, 0x83BB, 0x8773, 0x935C),
    }
)

_STRIP_OFFSETS: Final = 0x0111
_ENTRY_BYTES: Final = 12
_DIRECTORIES: Final = (exif_block.EXIF_IFD, exif_block.GPS_IFD)


def read(image: Image.Image) -> tuple[Metadata, int, tuple[Notice, ...]]:
    """Metadata of a just opened image, its orientation (1 to 8), and warnings.

    The metadata already speak of the upright picture: orientation is reset and the thumbnail
    gone. What is broken is dropped with a warning; pixels do not suffer from it.
    """
    notices = _without_misfits(image)
    orientation: int | None = None
    try:
        block = _exif_of(image)
        if block is not None:
            exif = Exif(block)
            orientation = exif.orientation
            exif.set_upright()
            exif.remove_thumbnail()
            block = exif.tobytes()
    except ValueError as error:
        notices.append(Notice("exif-broken", f"EXIF dropped, it is broken: {error}"))
        block = None
    packet = image.info.get("xmp")
    if isinstance(packet, str):
        packet = packet.encode("utf-8")
    if isinstance(packet, bytes):
        # EXIF has the last word, also where it says that nothing is to be turned.
        if orientation is None:
            orientation = xmp_packet.orientation(packet)
        packet = _edited(packet, xmp_packet.upright, notices)
    return Metadata(block, packet or None, _dpi(image)), orientation or 1, tuple(notices)


def _without_misfits(image: Image.Image) -> list[Notice]:
    """Take blocks that a broken TIFF gives as numbers away, for Pillow falls over them, too."""
    notices = []
    for key, kind, name in (
        ("icc_profile", "profile-dropped", "colour profile"),
        ("xmp", "metadata-dropped", "XMP"),
    ):
        if not isinstance(image.info.get(key), bytes | str | None):
            del image.info[key]
            notices.append(Notice(kind, f"{name} dropped, it is broken"))
    return notices


def select(
    metadata: Metadata, policy: MetadataPolicy, size: Size
) -> tuple[Metadata, tuple[Notice, ...]]:
    """What `policy` lets through for an output of `size` pixels, and warnings.

    all: everything; no-gps: without positions, nor MakerNotes, which may hold them too;
    copyright: only who made it and who owns it; none: nothing.
    """
    if policy == "none" or not (metadata or metadata.dpi):
        return Metadata(), ()
    if policy == "copyright":
        return _rights_only(metadata)
    notices: list[Notice] = []
    block, packet = metadata.exif, metadata.xmp
    if block is not None:
        exif = Exif(block)
        exif.set_size(*size)
        if policy == "no-gps":
            exif.remove_gps()
        block = exif.tobytes()
    if packet is not None and policy == "no-gps":
        packet = _edited(packet, xmp_packet.without_position, notices)
    return replace(metadata, exif=block, xmp=packet), tuple(notices)


def without_orientation(block: bytes) -> bytes:
    """An EXIF block for formats that tell orientation in another place (AVIF)."""
    exif = Exif(block)
    exif.remove_orientation()
    return exif.tobytes()


def add_to_tiff(tiff: bytes, block: bytes) -> bytes:
    """A TIFF file with an EXIF block's tags and directories added to its own.

    The pixels stay where they are; a new first directory is appended behind them and the file's
    header points there (TIFF 6.0, section 2).
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    order = "<" if tiff[:2] == b"II" else ">"
    first = struct.unpack(order + "I", tiff[4:8])[0]
    written = ImageFileDirectory_v2(tiff[:8])
    file = BytesIO(tiff)
    file.seek(first)
    written.load(file)
    directory = ImageFileDirectory_v2(tiff[:8])
    for tag, value in written.items():
        directory.tagtype[tag] = written.tagtype[tag]
        directory[tag] = value
    tags = Image.Exif()
    tags.load(block)
    for tag in set(tags) - _STRUCTURE - set(directory):
        if tag not in _DIRECTORIES:
            directory[tag] = tags[tag]
            continue
        below = tags.get_ifd(tag)
        # Two values that only say which version of the standard they follow.
        below.pop(exif_block.INTEROPERABILITY_IFD, None)
        directory[tag] = below
    start = len(tiff) + len(tiff) % 2
    file.seek(start)
    file.write(directory.tobytes(start))
    file.seek(4)
    file.write(struct.pack(order + "I", start))
    # Pillow takes the strips to be behind the directory and moves their offsets; the old entry
    # is right, and so is the place of its values.
    whole = file.getbuffer()
    old, new = (_entry(whole, ifd, _STRIP_OFFSETS, order) for ifd in (first, start))
    whole[new : new + _ENTRY_BYTES] = whole[old : old + _ENTRY_BYTES]
    return bytes(whole)


def _entry(tiff: memoryview, ifd: int, tag: int, order: str) -> int:
    """Where the entry of a tag stands in a directory."""
    (count,) = struct.unpack_from(order + "H", tiff, ifd)
    positions = range(ifd + 2, ifd + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES)
    return next(at for at in positions if struct.unpack_from(order + "H", tiff, at)[0] == tag)


def _rights_only(metadata: Metadata) -> tuple[Metadata, tuple[Notice, ...]]:
    notices: list[Notice] = []
    block = None
    if metadata.exif is not None:
        found = Exif(metadata.exif)
        rights = Image.Exif()
        for tag in (exif_block.ARTIST, exif_block.COPYRIGHT):
            if text := found.text(tag):
                rights[tag] = text
        block = rights.tobytes().removeprefix(exif_block.PREFIX) if len(rights) else None
    packet = metadata.xmp
    if packet is not None:
        packet = _edited(packet, xmp_packet.rights_only, notices)
    return Metadata(block, packet), tuple(notices)


def _edited(
    packet: bytes, edit: Callable[[bytes], bytes | None], notices: list[Notice]
) -> bytes | None:
    try:
        return edit(packet)
    except (ValueError, RecursionError) as error:
        notices.append(Notice("metadata-dropped", f"XMP dropped: {error}"))
        return None


def _exif_of(image: Image.Image) -> bytes | None:
    """The EXIF block as it stands in the file, or one made of a TIFF's own tags."""
    raw: Any = image.info.get("exif")
    if isinstance(raw, bytes) and raw:
        # A JPEG may have several blocks, one behind the other: the first one counts.
        return raw.removeprefix(exif_block.PREFIX)
    if image.format == "TIFF" or "Raw profile type exif" in image.info:
        return _rebuilt(image)
    return None


def _rebuilt(image: Image.Image) -> bytes | None:
    try:
        tags = image.getexif()
        # Read while their offsets still mean something.
        for pointer in _DIRECTORIES:
            if pointer in tags:
                tags.get_ifd(pointer)
        for tag in _STRUCTURE & set(tags):
            del tags[tag]
        return tags.tobytes().removeprefix(exif_block.PREFIX) if len(tags) else None
    except Exception as error:
        # Pillow fails in many ways on values of another type than usual.
        raise ValueError(f"its tags cannot be read ({error})") from error


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    # 1 is what Pillow gives for a TIFF that does not say.
    return (across, down) if 1 < across <= 65_535 and 1 < down <= 65_535 else None
