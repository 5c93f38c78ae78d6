"""What files have besides pixels and the metadata that are carried along, in one table.

Each part is either without worth in another file, for a reason given here, or dropped with a
warning; what is not in the table counts as the latter. docs/formats.md has it in print. Sources:
exiftool's tables of segments, boxes and chunks; PNG (third edition) and its registered extensions;
Photoshop File Formats Specification (image resource IDs); C2PA 2.1, A.3 (where formats hold it).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, Final, NamedTuple

from imgbatch.imaging.codecs.base import VIDEO, restored
from imgbatch.imaging.containers import isobmff, photoshop
from imgbatch.imaging.containers.photoshop import Resource
from imgbatch.model import Notice, NoticeKind

C2PA_UUID: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The name of the box that holds Content Credentials in HEIC, AVIF and JPEG 2000 (C2PA, A.3.2)."""

CREDENTIALS: Final = Notice(
    "credentials-dropped", "Content Credentials (C2PA) dropped: they certify the file as it was"
)


class Part(NamedTuple):
    """A part of a file: where it is, what it begins with, and what it is.

    It is read by other code if `reason` is None, without worth for a `reason`, and dropped with a
    warning if that is empty.
    """

    place: str
    begins: bytes
    name: str
    reason: str | None = None
    kind: NoticeKind = "extras-dropped"


_JPEG: Final = b"\xff\xd8\xff"
_PREVIEW: Final = "a smaller copy of the picture"
_OF_CODING: Final = "about how this file was coded"
_OF_PROGRAM: Final = "a setting of the program that wrote it"
_REPEATED: Final = "repeated in EXIF, XMP or the profile"
_OF_DISPLAY: Final = "for displays of few colours"

JPEG: Final = (
    Part("APP0", b"JFIF\0", "JFIF: the resolution"),
    Part("APP0", b"JFXX\0", "JFIF extension", _PREVIEW),
    Part("APP0", b"AVI1", "a frame of a video", _OF_CODING),
    Part("APP0", b"Ocad", "Photobucket's mark", _OF_PROGRAM),
    Part("APP0", b"II\x1a\0\0\0HEAP", "CIFF data of a Canon camera", ""),
    Part("APP0", b"MM\0\0\0\x1aHEAP", "CIFF data of a Canon camera", ""),
    Part("APP1", b"Exif\0", "EXIF"),
    Part("APP1", b"http://ns.adobe.com/xap/1.0/\0", "XMP"),
    Part("APP1", b"http://ns.adobe.com/xmp/extension/\0", "extended XMP"),
    Part("APP1", b"FLIR\0", "the thermal data of a FLIR camera", ""),
    Part("APP2", b"ICC_PROFILE\0", "the colour profile"),
    Part(
        "APP2",
        b"MPF\0",
        "an index of other pictures, which have a warning of their own, but for previews",
    ),
    Part("APP2", b"urn:iso:std:iso:ts:21496", "of a gain map, which has a warning of its own"),
    *(Part(f"APP{number}", b"FPXR\0", "FlashPix data", "") for number in (2, 4)),
    *(Part("APP2", one + _JPEG, "a preview", _PREVIEW) for one in (b"", b"QVGA\0", b"BGTH")),
    *(Part(f"APP{number}", _JPEG, "a preview", _PREVIEW) for number in (3, 4, 5)),
    Part("APP3", b"Meta\0", "Kodak's Meta data", ""),
    Part("APP3", b"META\0", "Kodak's Meta data", ""),
    Part("APP3", b"_JPSJPS_", "the stereo data (JPS)", ""),
    Part("APP4", b"SCALADO\0", "Scalado's index", _OF_CODING),
    Part("APP5", b"ssuniqueid\0", "Samsung's number of the file", _OF_PROGRAM),
    Part("APP5", b"RMETA\0", "Ricoh's RMETA data", ""),
    Part("APP6", b"MMIMETA\0", "a Motorola camera's tuning", _OF_PROGRAM),
    Part("APP7", b"HUAWEI\0", "a Huawei camera's tuning", _OF_PROGRAM),
    Part("APP6", b"EPPIM\0", "print settings (PrintIM)", _OF_PROGRAM),
    Part("APP7", b"\x1aQualcomm Camera Attributes", "a Qualcomm camera's tuning", _OF_PROGRAM),
    Part("APP8", b"SPIFF\0", "SPIFF, the size again", _OF_CODING),
    Part("APP10", b"AROT", "a telephone's tone curve", _OF_PROGRAM),
    Part("APP10", b"UNICODE\0", "the comment of PhotoStudio", ""),
    Part("APP11", b"HDR_RI", "the HDR picture of a JPEG-HDR", "", "gain-map-dropped"),
    Part("APP12", b"Ducky", "the quality of Photoshop's Save for Web", _OF_CODING),
    Part("APP13", b"Photoshop 3.0\0", "Photoshop's image resources (below)"),
    Part("APP13", b"Adobe_CM", "Adobe's colour management", _OF_CODING),
    Part("APP14", b"Adobe", "Adobe's colour transform", _OF_CODING),
    Part("APP15", b"Q ", "GraphicConverter's quality", _OF_CODING),
    Part("COM", b"", "the comment"),
)
"""Segments, by their payloads (ITU-T T.81, B.2.4.6)."""

BOXES: Final = (
    *(Part("box", kind, "the structure of the file") for kind in (b"ftyp", b"meta", b"moov")),
    *(Part("box", kind, "the structure of the file") for kind in (b"jP  ", b"jp2h", b"jp2c")),
    *(Part("box", kind, "the structure of the file") for kind in (b"JXL ", b"jxlc", b"jxlp")),
    *(Part("box", kind, "EXIF, XMP or IPTC") for kind in (b"Exif", b"xml ", b"brob")),
    *(Part("box", kind, "data that others refer to") for kind in (b"mdat", b"idat")),
    *(Part("box", kind, "padding", "empty") for kind in (b"free", b"skip", b"wide")),
    *(Part("box", kind, "an index", _OF_CODING) for kind in (b"jxll", b"jxli", b"styp", b"sidx")),
    *(Part("box", kind, "an index", _OF_CODING) for kind in (b"pdin", b"mfra", b"rreq")),
    Part("box", b"jbrd", "how a JPEG was coded", _OF_CODING),
    Part("box", b"jhgm", "a gain map, which has a warning of its own"),
    Part("box", b"uinf", "addresses for UUIDs", _OF_PROGRAM),
    Part("box", b"sefd", "Samsung's notes on the exposure", _OF_PROGRAM),
    Part("box", b"mpvd", "the video of a motion photo", "", "video-dropped"),
    Part("box", b"jp2i", "IP rights in a box of JPEG 2000", ""),
    Part("box", b"asoc", "associated data, such as GML", ""),
    Part("box", C2PA_UUID, "Content Credentials", "", "credentials-dropped"),
    Part("box", b"uuid", "data in a box with an unknown UUID", ""),
    Part("box", b"jumb", "data in JUMBF boxes", ""),
)
"""Boxes at the top of a file, by their types."""

PNG: Final = (
    *(Part("chunk", kind, "pixels") for kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")),
    *(Part("chunk", kind, "an animation") for kind in (b"acTL", b"fcTL", b"fdAT")),
    *(Part("chunk", kind, "colours") for kind in (b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP")),
    *(Part("chunk", kind, "metadata") for kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"pHYs")),
    Part("chunk", b"CgBI", "the mark of Apple's kind of PNG"),
    Part("chunk", b"bKGD", "a colour for behind the picture", _OF_DISPLAY),
    Part("chunk", b"hIST", "how often colours occur", _OF_DISPLAY),
    Part("chunk", b"sPLT", "a suggested palette", _OF_DISPLAY),
    Part("chunk", b"sBIT", "how many bits were there before", _OF_CODING),
    Part("chunk", b"tIME", "when the file was changed", "about the file, not the picture"),
    Part("chunk", b"oFFs", "a place on a page", "the page is not in the file"),
    *(Part("chunk", kind, "a page around it", _OF_PROGRAM) for kind in (b"vpAg", b"caNv")),
    Part("chunk", b"orNT", "ImageMagick's orientation", _REPEATED),
    Part("chunk", b"iDOT", "Apple's index", _OF_CODING),
    *(Part("chunk", kind, "limits of a display", _OF_CODING) for kind in (b"mDCV", b"cLLI")),
    *(Part("chunk", kind, "limits of a display", _OF_CODING) for kind in (b"mDCv", b"cLLi")),
    *(Part("chunk", kind, "of a converted GIF", _OF_CODING) for kind in (b"gIFg", b"gIFx")),
    *(Part("chunk", kind, "of Android's nine patches", _OF_PROGRAM) for kind in (b"npTc", b"npOl")),
    Part("chunk", b"npLb", "of Android's nine patches", _OF_PROGRAM),
    Part("chunk", b"caBX", "Content Credentials", "", "credentials-dropped"),
    Part("chunk", b"dSIG", "a digital signature", "", "credentials-dropped"),
    Part("chunk", b"sTER", "the mark of a stereo picture", ""),
    Part("chunk", b"sCAL", "the scale of the subject", ""),
    Part("chunk", b"pCAL", "what levels measure", ""),
    *(Part("chunk", kind, "the layers of Fireworks", "") for kind in (b"mkBF", b"mkBS", b"mkBT")),
    Part("chunk", b"prVW", "Fireworks' preview", _PREVIEW),
    Part("chunk", b"mkTS", "the layers of Fireworks", ""),
    Part("chunk", b"msOG", "the animated GIF of Microsoft Office", ""),
)
"""Chunks, by their types."""

WEBP: Final = (
    *(Part("chunk", kind, "pixels") for kind in (b"VP8 ", b"VP8L", b"VP8X", b"ALPH")),
    *(Part("chunk", kind, "an animation") for kind in (b"ANIM", b"ANMF")),
    *(Part("chunk", kind, "metadata") for kind in (b"ICCP", b"EXIF", b"XMP ")),
    Part("chunk", b"C2PA", "Content Credentials", "", "credentials-dropped"),
)
"""Chunks, by their types."""

GIF: Final = (
    Part("extension", b"NETSCAPE2.0", "how often it is played"),
    Part("extension", b"ANIMEXTS1.0", "how often it is played"),
    Part("extension", b"XMP DataXMP", "XMP"),
    Part("extension", b"ImageMagick", "ImageMagick's gamma", _OF_CODING),
    Part("extension", b"ICCRGBG1012", "a colour profile", ""),
    Part("extension", b"C2PA_GIF", "Content Credentials", "", "credentials-dropped"),
    Part("extension", b"MGKIPTC0000", "IPTC", ""),
    Part("extension", b"MGK8BIM0000", "Photoshop's resources", ""),
    Part("extension", b"plain text", "a text to be drawn over the picture", ""),
)
"""Extensions, by the names of the applications (GIF89a, 26)."""

TIFF: Final = (
    Part("tag 0x014A", b"", "smaller copies of the picture, and masks", _PREVIEW),
    Part("tag 0x935C", b"", "the layers of Photoshop", ""),
    Part("tag 0xCD41", b"", "Content Credentials", "", "credentials-dropped"),
)
"""Tags; all others are carried, but those on the layout of the file."""

RESOURCES: Final[tuple[tuple[Iterable[int], str, str | None], ...]] = (
    ((photoshop.IPTC,), "IPTC", None),
    ((*photoshop.PATHS, photoshop.WORKING_PATH), "paths", None),
    (
        (0x03E9, 0x03EB, *range(0x03F1, 0x03FC), 0x042F, 0x043A, 0x043B, 0x2710),
        "for printing",
        _OF_PROGRAM,
    ),
    ((0x03E8, 0x03EA, 0x03ED), "sizes and resolution", _REPEATED),
    ((0x03EE, 0x03EF, 0x03F0, 0x0413, 0x0415, 0x0435), "names of channels and scales", _OF_PROGRAM),
    (
        (*range(0x03FC, 0x0401), 0x0402, 0x0403, 0x0405, 0x0406, 0x042D, 0x0430),
        "layers, quality, how raw files are opened",
        _OF_CODING,
    ),
    (
        (0x0408, *range(0x040D, 0x040F), *range(0x0410, 0x0422)),
        "guides, slices, links",
        _OF_PROGRAM,
    ),
    ((0x0409, 0x040C), "thumbnails", _PREVIEW),
    ((0x040A, 0x040B, 0x0425), "copyright flag and address, digest of IPTC", _REPEATED),
    ((0x040F, 0x0422, 0x0423, 0x0424), "profile, EXIF and XMP", _REPEATED),
    ((*range(0x0426, 0x042D), 0x042E, *range(0x0431, 0x0441)), "views, time lines", _OF_PROGRAM),
    ((*range(3000, 5000), 0x1B58, 0x1B59, 0x1F40), "plug-ins, ImageReady, Lightroom", _OF_PROGRAM),
)
"""Photoshop's image resources, by their numbers."""

_MOST_NAMED: Final = 10
_KNOWN_RESOURCES: Final = frozenset(number for numbers, *_ in RESOURCES for number in numbers)
_KNOWN_SEGMENTS: Final = {
    place: tuple(one.begins for one in JPEG if one.place == place and one.reason != "")
    for place in {one.place for one in JPEG}
}
# JUMBF in a segment, and the kind of it that is C2PA's (C2PA, 11.1.4.2 and A.3.1).
_JUMBF: Final = b"JP"
_TYPE: Final = 4
_SHORT_NAME: Final = 8
_WITH_KIND: Final = frozenset({b"jumb"})
_KIND_BYTES: Final = 64
_C2PA: Final = b"c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71"


def of_segments(found: Iterable[tuple[str, bytes]]) -> tuple[Notice, ...]:
    """Warnings about segments of a JPEG, given as pairs of a marker's name and a payload."""
    lost = [
        (marker, payload)
        for marker, payload in found
        if payload and not payload.startswith(_KNOWN_SEGMENTS.get(marker, ()))
    ]
    if not lost:
        return ()
    # A box may be spread over segments, of which only the first says what it is.
    of_c2pa = {_instance(one) for one in lost if _C2PA in one[1]} - {None}
    rest = [one for one in lost if _instance(one) not in of_c2pa]
    return tuple(dict.fromkeys([*(CREDENTIALS for _ in of_c2pa), *map(_of_segment, rest)]))


def _instance(found: tuple[str, bytes]) -> bytes | None:
    """The number of the box of JUMBF that a segment is of (ISO 19566-5, annex D); None if none."""
    marker, payload = found
    return payload[2:4] if marker == "APP11" and payload.startswith(_JUMBF) else None


def _of_segment(found: tuple[str, bytes]) -> Notice:
    marker, payload = found
    if _instance(found) is not None:
        return dropped("data in JUMBF boxes")
    known = (one for one in JPEG if one.place == marker and payload.startswith(one.begins))
    return _about(next(known, None), f"a segment {marker} of unknown data")


def of_boxes(names: Iterable[bytes], jumbf: bytes = b"") -> tuple[Notice, ...]:
    """Warnings about the boxes with these types or UUIDs at the top of a file.

    `jumbf` is how its boxes of that type begin.
    """
    kinds = {one if len(one) == _TYPE or one == C2PA_UUID else b"uuid" for one in names}
    if _C2PA in jumbf:
        kinds.discard(b"jumb")
        return (CREDENTIALS, *_of_all(BOXES, kinds, "box"))
    return _of_all(BOXES, kinds, "box")


def in_boxes(file: BinaryIO) -> tuple[Notice, ...]:
    """Warnings about the boxes at the top of a HEIC or AVIF. The position is restored."""
    with restored(file):
        boxes = list(isobmff.contents(file, _WITH_KIND, _KIND_BYTES))
    jumbf = b"".join(content for kind, content in boxes if kind == b"jumb")
    return of_boxes((kind for kind, _ in boxes), jumbf)


def of_png(kinds: Iterable[bytes]) -> tuple[Notice, ...]:
    """Warnings about the chunks of these types in a PNG."""
    return _of_all(PNG, kinds, "chunk")


def of_webp(kinds: Iterable[bytes]) -> tuple[Notice, ...]:
    """Warnings about the chunks of these types in a WebP."""
    return _of_all(WEBP, kinds, "chunk")


def of_gif(names: Iterable[bytes]) -> tuple[Notice, ...]:
    """Warnings about a GIF's extensions with these names, 11 bytes each."""
    known = {one.begins for one in GIF}
    # The last three may be a code.
    kinds = (one[:_SHORT_NAME] if one[:_SHORT_NAME] in known else one for one in names)
    return _of_all(GIF, kinds, "extension")


def of_tiff(tags: Iterable[int]) -> tuple[Notice, ...]:
    """Warnings about those of a TIFF's tags that are in the table."""
    places = {f"tag 0x{tag:04X}" for tag in tags}
    return tuple(_about(one, "") for one in TIFF if one.place in places and one.reason == "")


def of_resources(found: Iterable[Resource]) -> tuple[Notice, ...]:
    """Warnings about Photoshop's image resources."""
    found = list(found)
    lost = {one.number for one in found if one.data and one.number not in _KNOWN_RESOURCES}
    notices = []
    if lost:
        noun = "resource" if len(lost) == 1 else "resources"
        numbers = ", ".join(map(str, sorted(lost)[:_MOST_NAMED]))
        notices.append(dropped(f"Photoshop's {noun} {numbers}", many=len(lost) > 1))
    if any(one.is_cut and one.is_path for one in found):
        notices.append(Notice("metadata-dropped", "a path dropped: it is cut short"))
    return tuple(notices)


def dropped(what: str, kind: NoticeKind = "extras-dropped", *, many: bool = False) -> Notice:
    """A warning about something, or `many` things, that no output can have."""
    return Notice(kind, f"{what} dropped: {'they' if many else 'it'} cannot be carried along")


def _of_all(parts: Iterable[Part], kinds: Iterable[bytes], what: str) -> tuple[Notice, ...]:
    known = {one.begins for one in parts if one.reason != ""}
    lost = sorted(set(kinds) - known)
    return tuple(dict.fromkeys(_of_kind(parts, kind, what) for kind in lost))


def _of_kind(parts: Iterable[Part], kind: bytes, what: str) -> Notice:
    known = (one for one in parts if one.begins == kind)
    return _about(next(known, None), f"a {what} {kind.decode('latin-1')!r}")


def _about(part: Part | None, otherwise: str) -> Notice:
    if part is None:
        return dropped(otherwise)
    if part.kind == "credentials-dropped":
        return CREDENTIALS
    return VIDEO if part.kind == VIDEO.kind else dropped(part.name, part.kind)
