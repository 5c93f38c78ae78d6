"""How each format stores what travels with the pixels: EXIF, XMP, IPTC, ICC, dpi, comments.

Most of it is arguments of Pillow's `save`; a TIFF and a JPEG 2000 get theirs when finished.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from imgbatch.imaging.containers import jpeg, tiff
from imgbatch.imaging.containers.tiff import Directory, Field
from imgbatch.imaging.formats import Format
from imgbatch.imaging.metadata import boxes, iptc
from imgbatch.imaging.metadata import xmp as xmp_packet
from imgbatch.imaging.metadata.embedded import IPTC_TAG, STRUCTURE, unreadable
from imgbatch.imaging.metadata.exif import PREFIX, Exif
from imgbatch.imaging.picture import Metadata
from imgbatch.model import Notice

Options = dict[str, Any]
"""Keyword arguments of Pillow's `save`."""

_TIFF_XMP: Final = 0x02BC
_EXIF_ROOM: Final = jpeg.MAX_BYTES - len(PREFIX)
_XMP_ROOM: Final = jpeg.MAX_BYTES - len(jpeg.XMP)
# Pillow's limit for JPEG 2000 is that of a segment, minus the kind of text.
_COMMENT_ROOM: Final = {"jpeg": jpeg.MAX_BYTES, "jpeg2000": jpeg.MAX_BYTES - 3}
# PNG, 11.3.3.1: keywords are 1 to 79 bytes of Latin-1.
_KEYWORD_BYTES: Final = 79
_HEX_LINE: Final = 72
# Tags about the file and not the picture: which program wrote it, and when.
_OF_THE_FILE: Final = frozenset({"Software", "date"})


def held(kept: Metadata, row: Format) -> tuple[Metadata, tuple[Notice, ...]]:
    """The metadata that fits into a format, and a warning about what does not.

    A resolution is not worth a warning: it says how large to print.
    """
    notices: tuple[Notice, ...] = ()
    if kept.dpi and "exif" in row.holds:
        kept = _with_resolution(kept, row)
    if row.name == "jpeg":
        kept, notices = _shortened(kept)
    lost = []
    if kept.exif and "exif" not in row.holds:
        lost += [] if Exif(kept.exif).has_only_resolution else ["EXIF"]
        kept = replace(kept, exif=None)
    if kept.xmp and "xmp" not in row.holds:
        lost.append("XMP")
        kept = replace(kept, xmp=None)
    if kept.iptc and "iptc" not in row.holds:
        lost.append("IPTC")
        kept = replace(kept, iptc=None)
    room = _COMMENT_ROOM.get(row.name)
    too_long = room is not None and len((kept.comment or "").encode("utf-8")) > room
    if kept.comment and ("comment" not in row.holds or too_long):
        lost.append("the comment")
        kept = replace(kept, comment=None)
    if kept.texts and row.name != "png":
        keywords = [word for word, _ in kept.texts if word.partition(":")[0] not in _OF_THE_FILE]
        if keywords:
            lost.append("its texts" if len(keywords) > 1 else f"the text {keywords[0]!r}")
        kept = replace(kept, texts=())
    if "dpi" not in row.holds:
        kept = replace(kept, dpi=None)
    if lost:
        message = f"{_listed(lost)} cannot be stored in {row.label} and {_were(lost)} dropped"
        notices += (Notice("metadata-dropped", message),)
    return kept, notices


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _were(lost: list[str]) -> str:
    return "was" if len(lost) == 1 and lost[0] != "its texts" else "were"


def _with_resolution(kept: Metadata, row: Format) -> Metadata:
    """With the file's resolution in EXIF, too, or only there if the format has no field for it."""
    if kept.dpi is None or (kept.exif is None and "dpi" in row.holds):
        return kept
    exif = Exif(kept.exif) if kept.exif else Exif.empty()
    if exif.resolution or "dpi" not in row.holds:
        exif.set_resolution(kept.dpi)
    return replace(kept, exif=exif.tobytes())


def _shortened(kept: Metadata) -> tuple[Metadata, tuple[Notice, ...]]:
    """Shortened to fit a JPEG's segments: EXIF has one, and XMP one for what matters most."""
    notices = []
    if kept.exif and len(kept.exif) > _EXIF_ROOM:
        shorter = Exif(kept.exif).without_maker_notes()
        message = "MakerNotes were dropped: with them EXIF is too long for a JPEG"
        if len(shorter) > _EXIF_ROOM:
            shorter, message = b"", "EXIF is too long for a JPEG and was dropped"
        notices.append(Notice("metadata-dropped", message))
        kept = replace(kept, exif=shorter or None)
    if kept.xmp and len(kept.xmp) > _XMP_ROOM:
        packet, extended = _parted(kept.xmp)
        if packet is None:
            notices.append(Notice("metadata-dropped", "XMP is too long for a JPEG and was dropped"))
        kept = replace(kept, xmp=packet, extended=extended)
    return kept, tuple(notices)


def _parted(packet: bytes) -> tuple[bytes, bytes] | tuple[None, None]:
    try:
        return xmp_packet.parted(packet, _XMP_ROOM) or (None, None)
    except ValueError:
        return None, None


def options(kept: Metadata, icc: bytes | None, row: Format) -> Options:
    """The arguments of Pillow's `save` for metadata that `held` let through, and a profile."""
    place = _PLACES.get(row.name)
    found = place(kept) if place else {}
    return found | ({"icc_profile": icc} if icc and "icc" in row.holds else {})


def finished(data: bytes, kept: Metadata, row: Format) -> tuple[bytes, tuple[Notice, ...]]:
    """A file from Pillow's encoder with what had to wait for it, and a warning if that failed."""
    if row.name == "jpeg2000":
        return data + boxes.written(kept.exif, kept.xmp, kept.iptc), ()
    if row.name != "tiff" or not (kept.exif or kept.iptc):
        return data, ()
    try:
        return add_to_tiff(data, kept.exif, kept.iptc)
    except (ValueError, OverflowError) as error:
        message = f"EXIF and IPTC cannot be written into a TIFF and were dropped: {error}"
        return data, (Notice("metadata-dropped", message),)


def add_to_tiff(
    data: bytes, block: bytes | None, records: bytes | None = None
) -> tuple[bytes, tuple[Notice, ...]]:
    """A TIFF file with an EXIF block's tags and directories, and IPTC records, on its first page.

    The pixels, the other pages and the page's own values stay where they are; its new directory
    is appended, and the file's header points there (TIFF 6.0, section 2). A warning names tags
    that cannot be read. Raises ValueError.
    """
    from io import BytesIO

    own = tiff.read(BytesIO(data))
    there = {one.tag for one in own.fields}
    added = Directory(own.order)
    notices: tuple[Notice, ...] = ()
    if block:
        found = tiff.read(BytesIO(block)).only(
            lambda tag: tag not in STRUCTURE and tag not in there
        )
        added = found.in_order(own.order)
        notices = unreadable(found.lost_in_all)
    if records:
        added.fields.append(Field(IPTC_TAG, tiff.UNDEFINED, records))
    return tiff.extended(data, added), notices


def _jpeg(kept: Metadata) -> Options:
    found: Options = {}
    if kept.dpi:
        found["dpi"] = (round(kept.dpi[0]), round(kept.dpi[1]))
    if kept.exif:
        found["exif"] = PREFIX + kept.exif
    if kept.comment:
        found["comment"] = kept.comment.encode("utf-8")
    extra = jpeg.xmp_segments(kept.extended) if kept.extended else b""
    if kept.iptc:
        extra += jpeg.photoshop_segments(iptc.PHOTOSHOP, iptc.to_resources(kept.iptc))
    if kept.xmp:
        found["xmp"] = kept.xmp
    if extra:
        found["extra"] = extra
    return found


def _png(kept: Metadata) -> Options:
    from PIL.PngImagePlugin import PngInfo

    found: Options = {}
    if kept.dpi:
        found["dpi"] = kept.dpi
    if kept.exif:
        found["exif"] = kept.exif
    info = PngInfo()
    if kept.xmp:
        info.add_itxt("XML:com.adobe.xmp", kept.xmp.decode("utf-8", "replace"))
    if kept.iptc:
        text = _raw_profile("iptc", iptc.to_resources(kept.iptc))
        info.add_text("Raw profile type iptc", text, zip=True)
    comment = (("Comment", kept.comment),) if kept.comment else ()
    for keyword, text in (*comment, *kept.texts):
        _add_text(info, keyword, text)
    if info.chunks:
        found["pnginfo"] = info
    return found


def _add_text(info: Any, keyword: str, text: str) -> None:
    """As in the PNG specification: in Latin-1 if that is enough, otherwise in UTF-8."""
    try:
        if 0 < len(keyword.encode("latin-1")) <= _KEYWORD_BYTES:
            text.encode("latin-1")
            info.add_text(keyword, text)
    except UnicodeError:
        info.add_itxt(keyword, text)


def _raw_profile(kind: str, block: bytes) -> str:
    """In the form in which ImageMagick writes what has no place in PNG."""
    digits = block.hex()
    lines = [digits[at : at + _HEX_LINE] for at in range(0, len(digits), _HEX_LINE)]
    return "\n".join(("", kind, f"{len(block):8}", *lines, ""))


def _webp(kept: Metadata) -> Options:
    found: Options = {}
    if kept.exif:
        found["exif"] = kept.exif
    return found | _xmp(kept)


def _avif(kept: Metadata) -> Options:
    found: Options = {}
    if kept.exif:
        # Pillow would remove the orientation itself and rewrite the whole block for that.
        exif = Exif(kept.exif)
        exif.remove_orientation()
        found["exif"] = exif.tobytes()
    return found | _xmp(kept)


def _tiff(kept: Metadata) -> Options:
    # EXIF is added afterwards: libtiff, which compresses, cannot write its directories.
    found: Options = {}
    if kept.xmp:
        found["tiffinfo"] = {_TIFF_XMP: kept.xmp}
    if kept.dpi:
        found["dpi"] = kept.dpi
    return found


def _bmp(kept: Metadata) -> Options:
    return {"dpi": kept.dpi} if kept.dpi else {}


def _commented(kept: Metadata) -> Options:
    return {"comment": kept.comment.encode("utf-8")} if kept.comment else {}


def _xmp(kept: Metadata) -> Options:
    return {"xmp": kept.xmp} if kept.xmp else {}


_PLACES: Final[dict[str, Callable[[Metadata], Options]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "heif": _avif,
    "tiff": _tiff,
    "gif": _commented,
    "bmp": _bmp,
    "jpeg2000": _commented,
}
