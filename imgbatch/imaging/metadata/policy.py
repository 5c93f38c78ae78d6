"""What a file says about its picture: read from any format, kept according to the policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image

from imgbatch.imaging import limits
from imgbatch.imaging.metadata import embedded, iptc, positions
from imgbatch.imaging.metadata import exif as exif_block
from imgbatch.imaging.metadata import xmp as xmp_packet
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata
from imgbatch.model import METADATA_POLICIES, Encoding, MetadataPolicy, Notice, NoticeKind, Size

if TYPE_CHECKING:
    from imgbatch.imaging.affine import Geometry
    from imgbatch.imaging.codecs.base import Codec

Block = TypeVar("Block")
Edited = TypeVar("Edited")

# PNG's own keywords (11.3.3.1) that say who made a picture and who owns it.
_RIGHTS_TEXTS: Final = frozenset({"author", "copyright"})
# Policies that keep nothing of XMP that says how a picture is turned.
_UPRIGHT_ANYWAY: Final = frozenset({"copyright", "none"})
_PLACELESS: Final = frozenset({"no-gps", "no-location"})
# Losses that concern nobody who keeps no metadata.
_OF_METADATA: Final = frozenset({"metadata-dropped", "credentials-dropped", "extras-dropped"})
# Copies of a block while it is read, edited and written.
_COPIES: Final = 4

EVERY_POLICY: Final = tuple(METADATA_POLICIES)


class Found(Struct, frozen=True):
    """What a just opened image has besides its pixels, unchanged.

    Only EXIF was parsed, and already describes the upright picture: its orientation is reset and
    its thumbnails are gone. `xmp` is the packet and `extended` its continuation if a JPEG has two;
    `iptc` are the records, `paths` Photoshop's resources. `orientation` is 1 to 8.
    """

    exif: Exif | None
    orientation: int
    xmp: bytes | None
    extended: bytes | None
    iptc: bytes | None
    dpi: tuple[float, float] | None
    comment: str | None
    texts: tuple[tuple[str, str], ...]
    paths: bytes | None
    notices: tuple[Notice, ...]

    def working_bytes(self, policies: Collection[MetadataPolicy], *, dates: bool = False) -> int:
        """The memory that it takes to keep it, and to parse it for these policies or for dates."""
        keeps_some = dates or bool(set(policies) - {"none"})
        taken = _COPIES * len(self.exif) if self.exif else 0
        for packet in (self.xmp, self.extended):
            if packet:
                taken += _COPIES * len(packet)
                taken += xmp_packet.working_bytes(packet) if keeps_some else 0
        if keeps_some and self.iptc:
            taken += iptc.working_bytes(self.iptc)
        if keeps_some and self.texts:
            taken += _COPIES * sum(len(keyword) + len(text) for keyword, text in self.texts)
        return taken + _COPIES * len(self.paths or b"")

    def settled(
        self, policies: Collection[MetadataPolicy], *, dates: bool = False
    ) -> tuple[Metadata, tuple[Notice, ...]]:
        """The metadata of the upright picture for outputs with these policies, and warnings.

        What is broken is dropped with a warning. If all policies are `none`, nothing is parsed, and
        only EXIF is kept, which also tells about colours, unless `dates` are to be found in it;
        in neither case is there a warning about losses.
        """
        notices = list(self.notices)
        packet = self.xmp
        if packet and any(xmp_packet.holds_picture(one) for one in (packet, self.extended) if one):
            message = "a second picture or a depth map inside XMP was dropped"
            notices.append(Notice("gain-map-dropped", message))
        keeps_some = bool(set(policies) - {"none"})
        if not keeps_some and not dates:
            return Metadata(self.exif, dpi=self.dpi), _without_losses(notices)
        if packet is not None and self.extended:
            try:
                packet = xmp_packet.merged(packet, self.extended)
            except ValueError as error:
                notices.append(Notice("metadata-dropped", f"a part of XMP dropped: {error}"))
        if packet is not None and set(policies) - _UPRIGHT_ANYWAY:
            packet = _edited("XMP", packet, xmp_packet.upright, notices)
        records = _edited("IPTC", self.iptc, iptc.clean, notices) if self.iptc else None
        found = Metadata(
            self.exif, packet, records, self.dpi, self.comment, self.texts, paths=self.paths
        )
        return found, tuple(notices) if keeps_some else _without_losses(notices)


def _without_losses(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """For those who keep no metadata: what nobody wants is no loss."""
    return tuple(one for one in notices if one.kind not in _OF_METADATA)


def found(image: Image.Image, codec: Codec, earlier: Iterable[Notice] = ()) -> Found:
    """The metadata of a just opened image, and warnings, after those that are given.

    Nothing is decoded for it; a PNG may have more once it is. What is broken or beyond the
    `limits` is dropped with a warning; the pixels are not affected.
    """
    notices = [*earlier, *_without_misfits(image)]
    exif, orientation, more = _exif(image, codec)
    notices += more
    packet, extended, more = embedded.packet(image, codec)
    notices += more
    return Found(
        exif,
        orientation or (_orientation(codec, packet, extended) if packet else 1),
        packet,
        extended,
        codec.iptc(image),
        embedded.dpi(image, exif, codec),
        embedded.comment(image, codec),
        codec.texts(image),
        codec.paths(image),
        tuple(dict.fromkeys(notices)),
    )


def header(image: Image.Image, codec: Codec) -> tuple[Exif | None, int]:
    """The EXIF block of a just opened image, and its orientation; nothing else is read."""
    _without_misfits(image)
    exif, orientation, _ = _exif(image, codec)
    if orientation is None:
        packet, extended, _ = embedded.packet(image, codec)
        orientation = _orientation(codec, packet, extended)
    return exif, orientation


def _exif(image: Image.Image, codec: Codec) -> tuple[Exif | None, int | None, tuple[Notice, ...]]:
    """The block, reset to upright; its original orientation, if it had one; and warnings."""
    orientation = None
    try:
        block, notices = codec.exif(image)
        if block is None:
            return None, None, notices
        exif = Exif(block)
        orientation = exif.orientation
        exif.set_upright()
        exif.remove_broken_resolution()
        exif.remove_thumbnail()
    except ValueError as error:
        return None, orientation, (Notice("exif-broken", f"EXIF dropped, it is broken: {error}"),)
    return exif, orientation, notices + embedded.unreadable(exif.lost)


def _orientation(codec: Codec, *packets: bytes | None) -> int:
    """The orientation in XMP, which counts if EXIF has none."""
    if codec.upright:
        return 1
    orientations = (xmp_packet.orientation(packet) for packet in packets if packet)
    return next((orientation for orientation in orientations if orientation != 1), 1)


def _without_misfits(image: Image.Image) -> list[Notice]:
    """Remove blocks on which Pillow fails, too, or which are too long; return warnings about them.

    A broken TIFF has numbers in place of some of them.
    """
    notices: list[Notice] = []
    kinds: tuple[tuple[str, NoticeKind, str], ...] = (
        ("icc_profile", "profile-dropped", "colour profile"),
        ("xmp", "metadata-dropped", "XMP"),
    )
    for key, kind, name in kinds:
        if key in image.info and not isinstance(image.info[key], bytes | str):
            # Pillow has None for a profile that it could not put together.
            del image.info[key]
            notices.append(Notice(kind, f"{name} dropped, it is broken"))
    length = len(image.info.get("icc_profile") or b"")
    if length > limits.ICC_BYTES:
        del image.info["icc_profile"]
        message = (
            f"colour profile dropped: it has {length:,} bytes, and at most "
            f"{limits.ICC_BYTES:,} are read"
        )
        notices.append(Notice("profile-dropped", message))
    return notices


def select(
    metadata: Metadata,
    encoding: Encoding,
    size: Size,
    *,
    srgb: Callable[[], bool] = lambda: True,
    moved: Geometry | None = None,
) -> tuple[Metadata, tuple[Notice, ...]]:
    """The metadata that the policy of `encoding` keeps for an output of `size`, and warnings.

    all: everything; no-gps: without positions, texts that may contain one, and MakerNotes,
    which may hold them too (names of places stay: they are meant to be read); no-location: also
    without names of places; copyright: only who made it and who owns it; none: nothing. In any
    case the artist and the copyright of `encoding` are added. `srgb` tells whether the output's
    colours are sRGB; it is called only if metadata that record that are kept.
    `moved` is what became of the picture, if the metadata may tell places in it, which then move
    along.
    """
    notices: list[Notice] = []
    if encoding.metadata == "none":
        kept = Metadata()
    elif encoding.metadata == "copyright":
        kept = _rights_only(metadata, notices)
    else:
        kept = _for_output(metadata, size, srgb)
        if encoding.metadata in _PLACELESS:
            names = encoding.metadata == "no-location"
            kept = _without_position(kept, notices, names=names)
        if moved is not None:
            from imgbatch.imaging.metadata import geometry

            kept, lost = geometry.moved(kept, moved.resized(size))
            notices += lost
    if encoding.artist or encoding.copyright:
        kept = _with_rights(kept, encoding.artist, encoding.copyright)
    if dpi := encoding.dpi:
        kept = replace(kept, dpi=(dpi, dpi), xmp=xmp_packet.with_resolution(kept.xmp, dpi))
    return kept, tuple(notices)


def _for_output(metadata: Metadata, size: Size, srgb: Callable[[], bool]) -> Metadata:
    exif, packet = metadata.exif, metadata.xmp
    if exif is not None:
        exif = exif.copy()
        exif.set_size(*size)
        exif.set_colour_space(srgb=srgb())
    if packet is not None:
        packet = xmp_packet.with_size(packet, *size)
        if xmp_packet.tells_colours(packet):
            packet = xmp_packet.with_colour_space(packet, srgb=srgb())
    if exif is None and packet is None:
        return metadata
    return replace(metadata, exif=exif, xmp=packet)


def _without_position(metadata: Metadata, notices: list[Notice], *, names: bool) -> Metadata:
    """Without positions and, if `names`, names of places; what was to be removed is no loss."""
    exif, packet, records = metadata.exif, metadata.xmp, metadata.iptc
    comment, texts = metadata.comment, metadata.texts
    if exif is not None:
        exif = exif.copy()
        if exif.remove_texts(positions.in_text):
            _lost("a text in EXIF", notices)
        exif.remove_gps(names=names)
    if packet is not None:
        edit = partial(xmp_packet.without_position, names=names)
        packet = _edited("XMP", packet, edit, notices)
    if records is not None:
        records, had_position = iptc.without_position(records, names=names)
        if had_position:
            _lost("a part of IPTC", notices)
    if comment is not None and positions.in_text(comment):
        comment = None
        _lost("the comment", notices)
    if names:
        texts = tuple(one for one in texts if not positions.is_place_name(one[0]))
    cleaned = tuple(one for one in texts if not positions.in_text(" ".join(one)))
    if cleaned != texts:
        # Those with a keyword for a position are what was to be removed.
        if any(not positions.in_text(keyword) for keyword, _ in set(texts) - set(cleaned)):
            _lost("a text", notices)
        texts = cleaned
    return replace(metadata, exif=exif, xmp=packet, iptc=records, comment=comment, texts=texts)


def _lost(what: str, notices: list[Notice]) -> None:
    message = f"{what} was dropped: it may contain a position"
    notices.append(Notice("metadata-dropped", message))


def _rights_only(metadata: Metadata, notices: list[Notice]) -> Metadata:
    exif, packet, records = metadata.exif, metadata.xmp, metadata.iptc
    if exif is not None:
        tags = (exif_block.ARTIST, exif_block.COPYRIGHT)
        exif = exif.only([tag for tag in tags if exif.text(tag)])
    if packet is not None:
        packet = _edited("XMP", packet, xmp_packet.rights_only, notices)
    if records is not None:
        records = iptc.rights_only(records)
    texts = tuple(one for one in metadata.texts if one[0].lower() in _RIGHTS_TEXTS)
    return Metadata(exif, packet, records, texts=texts)


def _with_rights(metadata: Metadata, artist: str | None, copyright: str | None) -> Metadata:  # noqa: A002
    exif = metadata.exif.copy() if metadata.exif else Exif.empty()
    if artist:
        exif.set_text(exif_block.ARTIST, artist)
    if copyright:
        exif.set_text(exif_block.COPYRIGHT, copyright)
    try:
        packet = xmp_packet.with_rights(metadata.xmp, artist, copyright)
    except ValueError:
        packet = xmp_packet.with_rights(None, artist, copyright)
    records = metadata.iptc
    if records is not None:
        records = iptc.with_rights(records, artist, copyright)
    rights = {"author": artist, "copyright": copyright}
    texts = tuple(
        (keyword, rights.get(keyword.lower()) or text) for keyword, text in metadata.texts
    )
    return replace(metadata, exif=exif, xmp=packet, iptc=records, texts=texts)


def _edited(
    name: str, block: Block, edit: Callable[[Block], Edited], notices: list[Notice]
) -> Edited | None:
    try:
        return edit(block)
    except ValueError as error:
        notices.append(Notice("metadata-dropped", f"{name} dropped: {error}"))
        return None
