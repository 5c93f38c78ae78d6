"""What a file says about its picture: read from any format, kept as the policy says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from PIL import Image

from imgbatch.imaging.metadata import embedded, iptc
from imgbatch.imaging.metadata import exif as exif_block
from imgbatch.imaging.metadata import xmp as xmp_packet
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata
from imgbatch.model import Encoding, Notice, NoticeKind, Size

Found = TypeVar("Found")
Edited = TypeVar("Edited")

# In a text's keyword, and in free text: the word for a position, or a number that looks like one.
_POSITION: Final = re.compile(r"gps|latitude|longitude|\b\d{1,3}\.\d{4,}", re.IGNORECASE)
# PNG's own keywords (11.3.3.1) that say who made a picture and who owns it.
_RIGHTS_TEXTS: Final = frozenset({"author", "copyright"})
# Its decoder has turned it as the container says (ISO 23008-12, 6.5.10), whatever XMP repeats.
_TURNED_BY_DECODER: Final = "HEIF"


def read(image: Image.Image) -> tuple[Metadata, int, tuple[Notice, ...]]:
    """Metadata of a just opened image, its orientation (1 to 8), and warnings.

    Nothing is decoded for it; a PNG may have more to tell when it is. The metadata already speak
    of the upright picture alone: orientation is reset, and thumbnails and what speaks of a gain
    map or a video are gone. What is broken is dropped with a warning; pixels do not suffer.
    """
    notices = _without_misfits(image)
    orientation: int | None = None
    exif = None
    try:
        block, more = embedded.exif(image)
        notices += more
        if block is not None:
            exif = Exif(block)
            orientation = exif.orientation
            exif.set_upright()
            exif.remove_broken_resolution()
            exif.remove_thumbnail()
    except ValueError as error:
        notices.append(Notice("exif-broken", f"EXIF dropped, it is broken: {error}"))
        exif = None
    packet, more = embedded.packet(image)
    notices += more
    if packet is not None:
        if xmp_packet.holds_picture(packet):
            message = "a second picture or a map of depths inside XMP was dropped"
            notices.append(Notice("gain-map-dropped", message))
        # EXIF has the last word, also where it says that nothing is to be turned.
        if orientation is None and image.format != _TURNED_BY_DECODER:
            orientation = xmp_packet.orientation(packet)
        packet = _edited("XMP", packet, xmp_packet.upright, notices)
    records = _edited("IPTC", image, _clean_records, notices)
    found = Metadata(
        exif.tobytes() if exif is not None else None,
        packet,
        records,
        embedded.dpi(image, exif),
        embedded.comment(image),
        embedded.texts(image),
    )
    return found, orientation or 1, tuple(notices)


def _clean_records(image: Image.Image) -> bytes | None:
    records = embedded.records(image)
    return None if records is None else iptc.clean(records)


def _without_misfits(image: Image.Image) -> list[Notice]:
    """Take blocks that a broken TIFF gives as numbers away, for Pillow falls over them, too."""
    notices = []
    kinds: tuple[tuple[str, NoticeKind, str], ...] = (
        ("icc_profile", "profile-dropped", "colour profile"),
        ("xmp", "metadata-dropped", "XMP"),
    )
    for key, kind, name in kinds:
        if not isinstance(image.info.get(key), bytes | str | None):
            del image.info[key]
            notices.append(Notice(kind, f"{name} dropped, it is broken"))
    return notices


def select(
    metadata: Metadata, encoding: Encoding, size: Size, *, srgb: Callable[[], bool] = lambda: True
) -> tuple[Metadata, tuple[Notice, ...]]:
    """What the policy of `encoding` lets through for an output of `size` pixels, and warnings.

    all: everything; no-gps: without positions, nor MakerNotes, which may hold them too (names of
    places in IPTC and XMP stay: somebody wrote them to be read); copyright: only who made it and
    who owns it; none: nothing. Whatever it is, the artist and the copyright that `encoding` names
    are entered. `srgb` says whether the output's colours are sRGB; it is asked only if EXIF, which
    has a word on that, goes along.
    """
    notices: list[Notice] = []
    if encoding.metadata == "none":
        kept = Metadata()
    elif encoding.metadata == "copyright":
        kept = _rights_only(metadata, notices)
    else:
        kept = _for_output(metadata, size, srgb)
        if encoding.metadata == "no-gps":
            kept = _without_position(kept, notices)
    if encoding.artist or encoding.copyright:
        kept = _with_rights(kept, encoding.artist, encoding.copyright)
    return kept, tuple(notices)


def _for_output(metadata: Metadata, size: Size, srgb: Callable[[], bool]) -> Metadata:
    block, packet = metadata.exif, metadata.xmp
    if block is not None:
        exif = Exif(block)
        exif.set_size(*size)
        exif.set_colour_space(srgb=srgb())
        block = exif.tobytes()
    if packet is not None:
        packet = xmp_packet.with_size(packet, *size)
    if block is packet is None:
        return metadata
    return replace(metadata, exif=block, xmp=packet)


def _without_position(metadata: Metadata, notices: list[Notice]) -> Metadata:
    block, packet, records = metadata.exif, metadata.xmp, metadata.iptc
    comment, texts = metadata.comment, metadata.texts
    if block is not None:
        exif = Exif(block)
        exif.remove_gps()
        block = exif.tobytes()
    if packet is not None:
        packet = _edited("XMP", packet, xmp_packet.without_position, notices)
    if records is not None:
        records, told = iptc.without_position(records)
        if told:
            _lost("a part of IPTC", notices)
    if comment is not None and _POSITION.search(comment):
        comment = None
        _lost("the comment", notices)
    cleaned = tuple(one for one in texts if not _POSITION.search(" ".join(one)))
    if cleaned != texts:
        # Those with a keyword for a position are what was to be removed.
        if any(not _POSITION.search(keyword) for keyword, _ in set(texts) - set(cleaned)):
            _lost("a text", notices)
        texts = cleaned
    return Metadata(block, packet, records, metadata.dpi, comment, texts)


def _lost(what: str, notices: list[Notice]) -> None:
    message = f"{what} was dropped: it may tell a position"
    notices.append(Notice("metadata-dropped", message))


def _rights_only(metadata: Metadata, notices: list[Notice]) -> Metadata:
    block, packet, records = metadata.exif, metadata.xmp, metadata.iptc
    if block is not None:
        exif = Exif(block)
        tags = (exif_block.ARTIST, exif_block.COPYRIGHT)
        block = exif.only(tag for tag in tags if exif.text(tag))
    if packet is not None:
        packet = _edited("XMP", packet, xmp_packet.rights_only, notices)
    if records is not None:
        records = iptc.rights_only(records)
    texts = tuple(one for one in metadata.texts if one[0].lower() in _RIGHTS_TEXTS)
    return Metadata(block, packet, records, texts=texts)


def _with_rights(metadata: Metadata, artist: str | None, copyright: str | None) -> Metadata:  # noqa: A002
    exif = Exif(metadata.exif) if metadata.exif else Exif.empty()
    if artist:
        exif.set_text(exif_block.ARTIST, artist)
    if copyright:
        exif.set_text(exif_block.COPYRIGHT, copyright)
    try:
        packet = xmp_packet.with_rights(metadata.xmp, artist, copyright)
    except (ValueError, RecursionError):
        packet = xmp_packet.with_rights(None, artist, copyright)
    records = metadata.iptc
    if records is not None:
        records = iptc.with_rights(records, artist, copyright)
    said = {"author": artist, "copyright": copyright}
    texts = tuple((keyword, said.get(keyword.lower()) or text) for keyword, text in metadata.texts)
    return replace(metadata, exif=exif.tobytes(), xmp=packet, iptc=records, texts=texts)


def _edited(
    name: str, found: Found, edit: Callable[[Found], Edited], notices: list[Notice]
) -> Edited | None:
    try:
        return edit(found)
    except (ValueError, RecursionError) as error:
        notices.append(Notice("metadata-dropped", f"{name} dropped: {error}"))
        return None
