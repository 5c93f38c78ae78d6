"""What of a picture's metadata a format can hold, and warnings about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from imgbatch.imaging.formats import Format
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata
from imgbatch.model import Notice

if TYPE_CHECKING:
    from imgbatch.imaging.codecs.base import Codec, Options

# Tags about the file and not the picture: which program wrote it, and when.
_OF_THE_FILE: Final = frozenset({"Software", "date"})


def held(kept: Metadata, codec: Codec) -> tuple[Metadata, tuple[Notice, ...]]:
    """The metadata that fits into a format, and a warning about what does not.

    A resolution is not worth a warning: it says how large to print.
    """
    row = codec.row
    if kept.dpi and "exif" in row.holds:
        kept = _with_resolution(kept, row)
    kept, notices = codec.shortened(kept)
    lost = []
    if kept.exif and "exif" not in row.holds:
        lost += [] if kept.exif.has_only_resolution else ["EXIF"]
        kept = replace(kept, exif=None)
    if kept.xmp and "xmp" not in row.holds:
        lost.append("XMP")
        kept = replace(kept, xmp=None)
    if kept.iptc and "iptc" not in row.holds:
        lost.append("IPTC")
        kept = replace(kept, iptc=None)
    if kept.paths and "paths" not in row.holds:
        lost.append("its paths")
        kept = replace(kept, paths=None)
    room = codec.comment_bytes
    too_long = room is not None and len((kept.comment or "").encode("utf-8")) > room
    if kept.comment and ("comment" not in row.holds or too_long):
        lost.append("the comment")
        kept = replace(kept, comment=None)
    if kept.texts and not codec.has_texts:
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


def without_orientation(kept: Metadata) -> Metadata:
    """The same without an orientation in EXIF."""
    if kept.exif is None:
        return kept
    exif = kept.exif.copy()
    exif.remove_orientation()
    return replace(kept, exif=exif)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _were(lost: list[str]) -> str:
    return "was" if len(lost) == 1 and lost[0] not in ("its texts", "its paths") else "were"


def _with_resolution(kept: Metadata, row: Format) -> Metadata:
    """With the file's resolution in EXIF, too, or only there if the format has no field for it."""
    if kept.dpi is None or (kept.exif is None and "dpi" in row.holds):
        return kept
    exif = kept.exif.copy() if kept.exif else Exif.empty()
    if exif.resolution or "dpi" not in row.holds:
        exif.set_resolution(kept.dpi)
    return replace(kept, exif=exif)


def options(kept: Metadata, icc: bytes | None, codec: Codec) -> Options:
    """Pillow's arguments for metadata that `held` let through, and a profile."""
    found = codec.metadata_options(kept)
    return found | ({"icc_profile": icc} if icc and "icc" in codec.row.holds else {})
