"""What tells a position or names a place: what `no-gps` and `no-location` remove, wherever it is.

`place_tags` has the tags that are made for it; patterns find the rest. All patterns are bounded: a
search that restarts at each of a million places must not look at all the rest from each of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

# However it is spelled: one drone maker writes Longtitude.
_ANGLE: Final = r"l[ao]\w{0,9}itude"
# W3C's Basic Geo vocabulary, and the words of a square of three metres.
_WORD: Final = rf"gps|{_ANGLE}|wgs84_pos|what3words|w3w"
# Heights, what a drone aims at, and makers' own notes, which may hold a position in XMP as in EXIF.
_PROPERTY: Final = rf"{_WORD}|altitude|lrftarget|maker_?note|shot_log_data"
# Four decimals of a degree are 11 m, a second is 31 m. What is not UTF-8 may be a degree sign.
_NUMBER: Final = (
    r"(?<![0-9A-Za-z_])\d{1,3}\.\d{4}"
    r"|\d[°º\ufffd]\s?\d{1,2}(?:\.\d{1,9})?\s?['´’′]"
    r"|\bpoint\s?z?\s?\(\s?-?\d[\d.]{0,20}\s{1,9}-?\d"
)
# Links to maps, and the three words themselves.
_MAP: Final = (
    r"\bmaps\.(?:google|apple|app\.goo)\.|\bgoo\.gl/maps"
    r"|\b(?:google|bing)\.[a-z]{2,3}(?:\.[a-z]{2})?/maps"
    r"|\b(?:openstreetmap|osm)\.org/|\bplus\.codes/"
    r"|(?<![/\w:])///\w{1,50}\.\w{1,50}\.\w{1,50}"
)

_IN_NAME: Final = re.compile(_PROPERTY, re.IGNORECASE)
_IN_TEXT: Final = re.compile(f"{_WORD}|{_NUMBER}|{_MAP}", re.IGNORECASE)
# Three letters prove nothing in encoded data.
_IN_BLOCK: Final = re.compile(rf"gps\w{{0,99}}l|{_ANGLE}", re.IGNORECASE)
# The root of a hierarchy of keywords: `Places|France|Paris`, in Lightroom's form or digiKam's.
_PLACE_ROOT: Final = r"(?:places?|locations?|geo\w{0,20}|countr(?:y|ies)|cit(?:y|ies))\s{0,9}"
_PLACE_KEYWORD: Final = re.compile(rf"\s{{0,99}}{_PLACE_ROOT}[|/]", re.IGNORECASE)
_PLACE_CATEGORY: Final = re.compile(rf">\s{{0,9}}{_PLACE_ROOT}<", re.IGNORECASE)

# GeoTIFF's tags that exiftool does not know (tifffile does): JPL's, the coefficients of a
# satellite's camera, and a description in XML.
_MORE_EXIF: Final = frozenset({0x85D7, 0xC69C, 0xC6DD})


def family(namespace: str) -> str:
    """A namespace of XMP without its last part, which is a version or the name of a file."""
    return namespace.rstrip("/").rpartition("/")[0]


def exif_tags() -> frozenset[int]:
    """The tags that locate a picture on the earth, besides those of the GPS directory."""
    from imgbatch.imaging.metadata import place_tags

    return place_tags.EXIF_POSITIONS | _MORE_EXIF


def is_place_set(record: int, number: int) -> bool:
    """Whether a data set of IPTC names a place."""
    from imgbatch.imaging.metadata import place_tags

    return (record, number) in place_tags.IPTC_PLACES


def has_property(packet: bytes, *, names: bool) -> bool:
    """Whether an XMP packet may have a property with a position, or one that `names` a place.

    Only namespaces are looked for, and the words of `in_text`.
    """
    from imgbatch.imaging.metadata import place_tags

    families = set(place_tags.XMP_POSITIONS) | (set(place_tags.XMP_PLACES) if names else set())
    return (
        in_text(packet)
        or in_name(packet.decode("utf-8", "replace"))
        or any(one.encode() in packet for one in families)
    )


def of_property(*, names: bool) -> Callable[[str, str, str], bool]:
    """A test for properties of XMP: whether one has a position, or `names` a place.

    It takes the namespace, the local name, and the name of the structure that the property is in.
    """
    from imgbatch.imaging.metadata import place_tags

    tables = (place_tags.XMP_POSITIONS, *([place_tags.XMP_PLACES] if names else []))

    def test(namespace: str, name: str, structure: str) -> bool:
        of = family(namespace)
        return (
            in_name(name)
            or "wgs84_pos" in namespace
            or any(name in table.get(of, ()) for table in tables)
            or (structure, (of, name)) in place_tags.XMP_POSITIONS_WITHIN
        )

    return test


def in_name(name: str) -> bool:
    """Whether the name of a property or a namespace, or a text's keyword, is about a position."""
    return _IN_NAME.search(name) is not None


def is_place_name(keyword: str) -> bool:
    """Whether a text with this keyword names a place."""
    from imgbatch.imaging.metadata import place_tags

    word = keyword.rpartition(":")[2].replace("-", "").replace(" ", "").lower()
    return any(word == one.lower() for names in place_tags.XMP_PLACES.values() for one in names)


def is_place_keyword(keyword: str) -> bool:
    """Whether a keyword with all those above it, as `Places|France|Paris`, is of a place."""
    return _PLACE_KEYWORD.match(keyword) is not None


def is_place_root(keyword: str) -> bool:
    """Whether a keyword stands for places, as all below it do."""
    return is_place_keyword(f"{keyword}|")


def has_place_category(text: str) -> bool:
    """Whether ACDSee's tree of categories, as XML, has one for places."""
    return _PLACE_CATEGORY.search(text) is not None


def in_text(text: str | bytes) -> bool:
    """Whether a text that people wrote may contain a position: a word for it, or such a number.

    Bytes are UTF-8, or UTF-16, of which only ASCII matters here.
    """
    if isinstance(text, bytes):
        text = text.replace(b"\0", b"").decode("utf-8", "replace")
    return _IN_TEXT.search(text) is not None


def in_block(block: bytes) -> bool:
    """Whether a block whose names and texts were cleaned still contains a position somewhere."""
    return _IN_BLOCK.search(block.decode("utf-8", "replace")) is not None
