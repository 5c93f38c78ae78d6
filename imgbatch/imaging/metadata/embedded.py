"""What a file has besides its pixels, unchanged: one function for each kind.

All of them take an image that was just opened, and decode nothing; a PNG can have more after its
pixels, which is known once they are loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, BinaryIO, Final

from PIL import Image

from imgbatch.imaging.containers import jpeg, tiff
from imgbatch.imaging.formats import Format
from imgbatch.imaging.metadata import boxes, iptc, xmp
from imgbatch.imaging.metadata.exif import PREFIX, Exif
from imgbatch.model import Notice

# Tags that describe the file's own layout, not the picture (TIFF 6.0): the encoder writes them.
STRUCTURE: Final = frozenset(
    {
        *(0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116),
        *(0x0117, 0x0118, 0x0119, 0x011C, 0x0120, 0x0121, 0x0122, 0x0123, 0x0124, 0x0125, 0x012D),
        *(0x013D, 0x0140, 0x0141, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x014C, 0x0152, 0x0153),
        *(0x0154, 0x0155, 0x0156, 0x015B, 0x0200, 0x0201, 0x0202, 0x0203, 0x0205, 0x0206, 0x0207),
        *(0x0208, 0x0209, 0x0211, 0x0212, 0x0213, 0x0214, 0x02BC, 0x8649, 0x83BB, 0x8773, 0x935C),
    }
)
"""Tags of a TIFF that are not carried as EXIF; XMP, IPTC and ICC have places of their own."""

NOTICES: Final = "imgbatch: notices"
"""The key in an image's `info` for warnings about what was left out when it was opened."""

IPTC_TAG: Final = 0x83BB
_PHOTOSHOP_TAG: Final = 0x8649
_RAW_PROFILE: Final = "Raw profile type "
# The entry for the EXIF item (ISO 14496-12, 8.11.6), and where such entries are.
_EXIF_ITEM: Final = re.compile(rb"(infe.{8}(?:..)?)Exif", re.DOTALL)
_META_BYTES: Final = 65_536

# Encoders sign with a comment, which is about their own work and not about the picture.
_SIGNATURE: Final = re.compile(r"Created by OpenJPEG|CREATOR: gd-jpeg|Kakadu-|Lavc\d")
# Copies of EXIF that ImageMagick makes, and which nobody would keep in sync.
_STALE_TEXT: Final = re.compile(
    r"(?:exif|tiff):(?:thumbnail:|\w*Orientation|\w*Dimension|Image(?:Width|Length))"
)
_XMP_IN_GIF: Final = b"XMP DataXMP"
_XMP_TRAILER: Final = b"\x01\xff\xfe\xfd"
_PADDING: Final = "\0 \t\r\n"
_NO_TEXT: Final = frozenset({"xmp", "XML:com.adobe.xmp", "Comment"})


def opened_without_exif(file: BinaryIO, row: Format) -> Image.Image | None:
    """An image that Pillow cannot open because of its EXIF, opened without that.

    The block is in its `info` nevertheless, where `exif` finds it. None if there is none. Raises
    whatever Pillow raises.
    """
    file.seek(0)
    if row.name == "jpeg":
        data, block = jpeg.without_exif(file.read())
    elif row.name == "avif":
        data, block = file.read(), b""
        head = _EXIF_ITEM.sub(rb"\1skip", data[:_META_BYTES])
        if head != data[:_META_BYTES]:
            data, block = head + data[_META_BYTES:], b"no block that can be read"
    else:
        return None
    if not block:
        return None
    image = Image.open(BytesIO(data), formats=(row.pillow,))
    image.info["exif"] = PREFIX + block
    return image


def attachments(image: Image.Image) -> tuple[Notice, ...]:
    """A warning about what follows the picture in a JPEG, and is dropped: a gain map, a video.

    What XMP says about them counts only if there is something: it often outlives them.
    """
    if image.format not in ("JPEG", "MPO"):
        return ()
    raw_xmp: Any = image.info.get("xmp")
    raw_xmp = raw_xmp if isinstance(raw_xmp, bytes) else b""
    video, gain_map = xmp.announces_video(raw_xmp), xmp.announces_gain_map(raw_xmp)
    rest = _behind(image) if video or (gain_map and image.format == "JPEG") else b""
    notices: tuple[Notice, ...] = ()
    if image.format == "MPO" or (gain_map and b"\xff\xd8\xff" in rest):
        message = "a second picture in the file (gain map, preview or other view) was dropped"
        notices += (Notice("gain-map-dropped", message),)
    if video and b"ftyp" in rest:
        notices += (Notice("video-dropped", "the video of a motion photo was dropped"),)
    return notices


def _behind(image: Any) -> bytes:
    file = image.fp
    before = file.tell()
    file.seek(0)
    rest = jpeg.behind(file.read())
    file.seek(before)
    return rest


def exif(image: Image.Image) -> tuple[bytes | None, tuple[Notice, ...]]:
    """The EXIF block without its prefix, or one made of a TIFF's own tags; and warnings.

    Raises ValueError if a TIFF's tags cannot be read.
    """
    if image.format in ("JPEG", "MPO"):
        return _of_jpeg(image)
    raw: Any = image.info.get("exif")
    if isinstance(raw, bytes) and raw:
        return raw.removeprefix(PREFIX), ()
    if image.format == "TIFF":
        return _of_tiff(image)
    if image.format == "PNG":
        block = _raw_profile(image, "exif") or _raw_profile(image, "APP1")
        return (block.removeprefix(PREFIX) if block and not _is_xmp(block) else None), ()
    if image.format == "JPEG2000":
        block = _boxes(image).exif
        return (block.removeprefix(PREFIX) if block else None), ()
    return None, ()


def _is_xmp(payload: bytes) -> bool:
    return payload.startswith(jpeg.XMP)


def _of_jpeg(image: Image.Image) -> tuple[bytes | None, tuple[Notice, ...]]:
    block, more = jpeg.joined_exif(_payloads(image, "APP1"))
    if block is None:
        # It was hidden from Pillow, which failed on it (see `opened_without_exif`).
        hidden: Any = image.info.get("exif")
        block = hidden.removeprefix(PREFIX) if isinstance(hidden, bytes) else None
    message = "of several EXIF blocks only the first was kept"
    return block or None, (Notice("metadata-dropped", message),) if more else ()


def _of_tiff(image: Image.Image) -> tuple[bytes | None, tuple[Notice, ...]]:
    kept = _directory(image, lambda tag: tag not in STRUCTURE)
    block = tiff.block(kept) if kept.fields or kept.below else None
    return block, unreadable(kept.lost_in_all)


def unreadable(lost: int) -> tuple[Notice, ...]:
    """A warning if this many tags could not be read."""
    what = "1 EXIF tag that cannot be read was" if lost == 1 else f"{lost} EXIF tags were"
    message = f"{what} dropped" + ("" if lost == 1 else ", which cannot be read")
    return (Notice("metadata-dropped", message),) if lost else ()


def _directory(image: Any, wanted: Callable[[int], bool]) -> tiff.Directory:
    """The directory of a TIFF's first page, with the tags that are wanted."""
    file = image.fp
    before = file.tell()
    try:
        return tiff.read(file, wanted=wanted)
    finally:
        file.seek(before)


def packet(image: Image.Image) -> tuple[bytes | None, bytes | None, tuple[Notice, ...]]:
    """The XMP packet, and the extended one that a JPEG may have; and warnings.

    Only their length is checked.
    """
    raw = _packet(image)
    if not raw:
        return None, None, ()
    if problem := xmp.excess(raw):
        return None, None, (Notice("metadata-dropped", f"XMP dropped: {problem}"),)
    guid = xmp.extension(raw) if image.format in ("JPEG", "MPO") else None
    if guid is None:
        return raw, None, ()
    try:
        extended = jpeg.extended_xmp(_payloads(image, "APP1"), guid)
        if problem := xmp.excess(extended or b""):
            raise ValueError(problem)
    except ValueError as error:
        return raw, None, (Notice("metadata-dropped", f"a part of XMP dropped: {error}"),)
    return raw, extended, ()


def _packet(image: Image.Image) -> bytes | None:
    raw: Any = image.info.get("xmp")
    if isinstance(raw, str):
        raw = raw.encode("utf-8")
    if image.format == "PNG" and not raw:
        raw = _raw_profile(image, "xmp") or _raw_profile(image, "APP1")
        if raw and _is_xmp(raw):
            raw = raw.removeprefix(jpeg.XMP)
        elif raw and raw.startswith(PREFIX):
            raw = None
    elif image.format == "JPEG2000":
        raw = _boxes(image).xmp
    elif image.format == "GIF":
        raw = _xmp_of_gif(image)
    return raw if isinstance(raw, bytes) else None


def records(image: Image.Image) -> bytes | None:
    """The records of IPTC-IIM."""
    if image.format in ("JPEG", "MPO"):
        prefix = iptc.PHOTOSHOP
        parts = [one for one in _payloads(image, "APP13") if one.startswith(prefix)]
        return iptc.from_resources(b"".join(part[len(prefix) :] for part in parts))
    if image.format == "TIFF":
        try:
            found = _directory(image, frozenset((IPTC_TAG, _PHOTOSHOP_TAG)).__contains__)
            fields = {one.tag: one for one in found.fields}
        except ValueError:
            # Whoever asks for EXIF hears about it.
            return None
        own, photoshop = fields.get(IPTC_TAG), fields.get(_PHOTOSHOP_TAG)
        if own is not None and own.data:
            return own.data if own.data[0] == iptc.MARKER else own.turned().data
        return iptc.from_resources(photoshop.data) if photoshop is not None else None
    if image.format == "JPEG2000":
        return _boxes(image).iptc
    if image.format == "PNG":
        # ImageMagick has them in Photoshop's resources, others unwrapped.
        raw = _raw_profile(image, "iptc") or _raw_profile(image, "8bim") or b""
        raw = raw.removeprefix(iptc.PHOTOSHOP)
        return iptc.from_resources(raw) if raw.startswith(b"8BIM") else raw or None
    return None


def _boxes(image: Any) -> boxes.Found:
    return boxes.read(image.fp) if image.fp is not None else boxes.Found(None, None, None)


def _xmp_of_gif(image: Any) -> bytes | None:
    """The unpacked content of an application extension, up to a trailer that ends it for readers of
    blocks (XMP specification, part 3, 1.1.2).
    """
    name, at = image.info.get("extension", (b"", 0))
    file = image.fp
    if not name.startswith(_XMP_IN_GIF) or file is None:
        return None
    before = file.tell()
    # Pillow says where the block after the name begins.
    file.seek(at)
    text, trailer, _ = file.read().partition(_XMP_TRAILER)
    file.seek(before)
    return text if trailer else None


def comment(image: Image.Image) -> str | None:
    """The comment: for a JPEG all of them, one per line; for a PNG the text with that keyword."""
    if image.format in ("JPEG", "MPO"):
        found = [_decoded(one) for one in _payloads(image, "COM")]
    else:
        raw: Any = image.info.get("Comment" if image.format == "PNG" else "comment")
        found = [_decoded(raw)] if isinstance(raw, bytes | str) else []
    return "\n".join(one for one in found if one and not _SIGNATURE.match(one)) or None


def _decoded(raw: bytes | str) -> str:
    if isinstance(raw, str):
        # A PNG's text also has its language.
        return str(raw).strip(_PADDING)
    try:
        text = raw.decode("utf-8")
    except ValueError:
        text = raw.decode("latin-1")
    return text.strip(_PADDING)


def texts(image: Image.Image) -> tuple[tuple[str, str], ...]:
    """A PNG's texts by keyword, without those that are read elsewhere."""
    if image.format != "PNG":
        return ()
    return tuple(
        (keyword, str(value))
        for keyword, value in image.info.items()
        if isinstance(value, str)
        and isinstance(keyword, str)
        and keyword not in _NO_TEXT
        and not keyword.startswith(_RAW_PROFILE)
        and not _STALE_TEXT.match(keyword)
    )


def dpi(image: Image.Image, exif: Exif | None) -> tuple[float, float] | None:
    """Pixels per inch across and down: the file's own, or else what EXIF says."""
    own = _own_dpi(image)
    if exif is not None and image.format != "TIFF" and (own is None or exif.has_resolution(own)):
        # Files that count whole pixels per metre store 300 dpi as 299.9994.
        own = exif.resolution
    if own is None:
        return None
    across, down = own
    # 1 is what Pillow gives for a TIFF without a resolution.
    return (across, down) if 1 < across <= 65_535 and 1 < down <= 65_535 else None


def _own_dpi(image: Image.Image) -> tuple[float, float] | None:
    # For a JPEG without it Pillow looks into EXIF, and takes broken values for 72.
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):
        return None
    try:
        across, down = (float(number) for number in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return across, down


def _payloads(image: Any, name: str) -> Iterator[bytes]:
    return (payload for kind, payload in getattr(image, "applist", ()) if kind == name)


def _raw_profile(image: Image.Image, kind: str) -> bytes | None:
    """A block in hexadecimal digits, after its name and length: ImageMagick's way in a PNG."""
    text: Any = image.info.get(_RAW_PROFILE + kind)
    if not isinstance(text, str):
        return None
    parts = text.split(None, 2)
    try:
        return bytes.fromhex(parts[2]) if len(parts) == 3 and parts[1].isdigit() else None
    except ValueError:
        return None
