"""Editing an XMP packet (ISO 16684-1): positions, sizes, rights, and what is no longer true.

Prefixes and order are preserved, because many readers of XMP look only for the usual prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from imgbatch.imaging import limits
from imgbatch.imaging.containers import jpeg
from imgbatch.imaging.metadata import positions, xml_tree
from imgbatch.imaging.metadata.exif import UNCALIBRATED
from imgbatch.imaging.metadata.xml_tree import RDF, XML, XMLNS, Attribute, Element, Markup

_DC: Final = "http://purl.org/dc/elements/1.1/"
_EXIF: Final = "http://ns.adobe.com/exif/1.0/"
_TIFF: Final = "http://ns.adobe.com/tiff/1.0/"
_XMP: Final = "http://ns.adobe.com/xap/1.0/"
_XMP_NOTE: Final = "http://ns.adobe.com/xmp/note/"
_RIGHTS: Final = "http://ns.adobe.com/xap/1.0/rights/"
_PHOTOSHOP: Final = "http://ns.adobe.com/photoshop/1.0/"
_RDF_ELEMENT: Final = (RDF, "RDF")
_DESCRIPTION: Final = (RDF, "Description")
_ITEM: Final = (RDF, "li")
_WRAPPER: Final = ("adobe:ns:meta/", "xmpmeta")
_CAMERA: Final = "http://ns.google.com/photos/1.0/camera/"
# They describe pictures, depths and sounds that follow the picture, or contain them themselves.
_ATTACHED: Final = frozenset(
    {
        "http://ns.adobe.com/hdr-gain-map/1.0/",
        "http://ns.apple.com/HDRGainMap/1.0/",
        "http://ns.google.com/photos/1.0/container/",
        "http://ns.google.com/photos/1.0/container/item/",
        "http://ns.google.com/photos/1.0/image/",
        "http://ns.google.com/photos/1.0/depthmap/",
        "http://ns.google.com/photos/1.0/audio/",
    }
)
# All patterns are bounded: a search that restarts at each of a million places must not look
# at the whole packet from each of them.
_VIDEO: Final = re.compile(
    rb"\b(?:MotionPhoto|MicroVideo)(?:\s{0,99}=\s{0,99}[\"']|(?:\s[^<>]{0,99})?>)\s{0,99}1\b"
)
_GAIN_MAP: Final = re.compile(
    rb"http://ns\.(?:adobe\.com/hdr-gain-map|apple\.com/HDRGainMap)/1\.0/"
)
_EMBEDDED: Final = re.compile(rb"\b(?:GImage|GDepth):(?:Data|Image)\b")
_EXTENDED: Final = re.compile(
    rb"\bxmpNote:HasExtendedXMP(?:\s{0,99}=\s{0,99}[\"']|>)\s{0,99}([0-9A-Fa-f]{32})\b"
)
_RESOLUTIONS: Final = tuple(
    re.compile(
        rb"(\btiff:(?:"
        + names
        + rb")(?:\s{0,99}=\s{0,99}[\"']|>)\s{0,99})\d{1,20}(?:/\d{1,20})?(?=\s{0,99}[\"'<])"
    )
    for names in (rb"XResolution|YResolution", rb"ResolutionUnit")
)
_SIZES: Final = tuple(
    re.compile(
        rb"(\b(?:" + names + rb")(?:\s{0,99}=\s{0,99}[\"']|>)\s{0,99})\d{1,20}(?=\s{0,99}[\"'<])"
    )
    for names in (
        rb"exif:PixelXDimension|tiff:ImageWidth",
        rb"exif:PixelYDimension|tiff:ImageLength",
    )
)
_COLOUR_SPACE: Final = re.compile(
    rb"(\bexif:ColorSpace(?:\s{0,99}=\s{0,99}[\"']|>)\s{0,99})\d{1,9}(?=\s{0,99}[\"'<])"
)
_PROFILE_NAME: Final = re.compile(
    rb"(\bphotoshop:ICCProfile(?:\s{0,99}=\s{0,99}[\"']|>))[^<\"']{1,999}(?=[<\"'])"
)

# Texts meant to be read, which may contain a position.
_FREE_TEXTS: Final = frozenset(
    {
        *((_DC, name) for name in ("title", "description", "subject")),
        *((_PHOTOSHOP, name) for name in ("Headline", "Instructions")),
        *((_EXIF, "UserComment"), (_TIFF, "ImageDescription")),
    }
)
_RIGHTS_NAMESPACES: Final = frozenset(
    {_RIGHTS, "http://creativecommons.org/ns#", "http://ns.useplus.org/ldf/xmp/1.0/"}
)

_ORIENTATION: Final = re.compile(rb"\btiff:Orientation(?:\s{0,99}=\s{0,99}[\"']|>)\s{0,99}([1-8])")
_LONG_VALUE: Final = 1_000
# Characters that XML 1.0 cannot represent.
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_PADDING: Final = b"\0 \t\r\n"
_TO_EDIT: Final = re.compile(
    rb"Orientation|Thumbnails|HasExtendedXMP|MotionPhoto|MicroVideo"
    rb"|hdr-gain-map|HDRGainMap|photos/1\.0/(?:container|image|depthmap|audio)/"
)
_EMPTY: Final = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"/>'
    b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)

# Lists of keywords, each with all those above it.
_HIERARCHIES: Final = frozenset(
    {"hierarchicalSubject", "TagsList", "LastKeywordXMP", "CatalogSets"}
)
# One with keywords inside each other, and one with a text of XML.
_HIERARCHY: Final = "Hierarchy"
_KEYWORD: Final = "Keyword"
_ACDSEE: Final = "http://ns.acdsee.com/"
_CATEGORIES: Final = "categories"
_PLACE_KEYWORDS: Final = re.compile(
    rb"\b(?:" + "|".join(sorted(_HIERARCHIES)).encode("ascii") + rb"|Hierarchy|categories)\b"
)

Test = Callable[[Attribute | Element, str], bool]
"""Whether an attribute or an element is meant, given also the local name of the property that it is
in, empty if it is a property of the picture itself."""


def orientation(packet: bytes) -> int:
    """The value of tiff:Orientation, 1 to 8; 1 if there is none."""
    found = _ORIENTATION.search(packet)
    return int(found[1]) if found else 1


def announces_video(packet: bytes) -> bool:
    """Whether it says that a video follows the picture (Google's GCamera namespace)."""
    return _VIDEO.search(packet) is not None


def announces_gain_map(packet: bytes) -> bool:
    """Whether it says that a gain map follows the picture (Adobe's namespace, or Apple's)."""
    return _GAIN_MAP.search(packet) is not None


def holds_picture(packet: bytes) -> bool:
    """Whether a second picture or a depth map is inside (Google's GImage and GDepth)."""
    return _EMBEDDED.search(packet) is not None


def extension(packet: bytes) -> bytes | None:
    """The GUID of the extended packet that belongs to it, in a JPEG; None if there is none."""
    found = _EXTENDED.search(packet)
    return found[1].upper() if found else None


def excess(packet: bytes) -> str | None:
    """What a packet has more of than is read, in words; None if there is nothing.

    Counted by bytes alone, before anything is parsed.
    """
    if len(packet) > limits.XMP_BYTES:
        return f"it has {len(packet):,} bytes, and at most {limits.XMP_BYTES:,} are read"
    if parts(packet) > limits.XMP_PARTS:
        return f"it has {parts(packet):,} parts, and at most {limits.XMP_PARTS:,} are read"
    return None


def parts(packet: bytes) -> int:
    """How many elements, attributes and the like a packet may have at most."""
    return packet.count(b"<") + packet.count(b"=")


def working_bytes(packet: bytes) -> int:
    """The memory it takes to parse a packet and write it again, measured."""
    return 8 * len(packet) + 400 * parts(packet)


def merged(packet: bytes, extended: bytes) -> bytes:
    """With the descriptions of its extended packet (XMP specification, part 3, 1.1.3.1).

    Raises ValueError if either cannot be read.
    """
    document, further = _parse(packet), _parse(extended)
    target = next(_of_rdf(document), None)
    if target is None or not any(_descriptions(target[0])):
        raise ValueError("XMP without a description")
    for above, outer in _of_rdf(further):
        for description in _descriptions(above):
            xml_tree.adopt(*target, description, outer)
    return xml_tree.written(document)


def parted(packet: bytes, room: int) -> tuple[bytes, bytes] | None:
    """A packet of at most `room` bytes, and the properties that do not fit, as a packet.

    The largest are removed first; the second packet is empty if removing padding was enough. None
    if nothing is enough. Raises ValueError if the packet cannot be read.
    """
    document, further = _parse(packet), _parse(_EMPTY)
    ((rest, bound),) = _of_rdf(further)
    (target,) = _descriptions(rest)
    bound = bound | target.bindings
    # Padding is white space between elements, and need not be carried.
    movable: list[tuple[int, Element, Element, dict[str, str]]] = []
    first: Element | None = None
    for above, outer in _of_rdf(document):
        for description in _descriptions(above):
            first = first or description
            _shorten(description)
            scope = outer | description.bindings
            movable += [
                (len(xml_tree.written(child)), child, description, scope)
                for child in description.elements
            ]
    size = len(xml_tree.written(document))
    # The GUID is still to be entered.
    room -= 200
    moved: set[Element] = set()
    for length, child, _, scope in sorted(movable, key=lambda one: -one[0]):
        if size <= room:
            break
        xml_tree.adopt(target, bound, child, scope)
        moved.add(child)
        size -= length
    if size > room or first is None:
        return None
    for description in {id(one): one for _, child, one, _ in movable if child in moved}.values():
        _keep(description, lambda child: child not in moved)
    if not moved:
        return xml_tree.written(document), b""
    # Without the wrapper, which only the standard packet has.
    ((wrapper, _),) = xml_tree.found(further, _WRAPPER)
    extended = xml_tree.written(wrapper)
    first.bind("xmpNote", _XMP_NOTE)
    name = (_XMP_NOTE, "HasExtendedXMP")
    first.attributes.append(Attribute(name, "xmpNote:HasExtendedXMP", jpeg.guid(extended)))
    return xml_tree.written(document), extended


def with_size(packet: bytes, width: int, height: int) -> bytes:
    """With exif:PixelXDimension, tiff:ImageWidth and the like set, where it has them."""
    for pattern, number in zip(_SIZES, (width, height), strict=True):
        packet = pattern.sub(rb"\g<1>" + str(number).encode("ascii"), packet)
    return packet


def tells_colours(packet: bytes) -> bool:
    """Whether it says which colour space or which profile the picture has."""
    return b"exif:ColorSpace" in packet or b"photoshop:ICCProfile" in packet


def with_colour_space(packet: bytes, *, srgb: bool) -> bytes:
    """With exif:ColorSpace and photoshop:ICCProfile as the pixels are, where it has them.

    The profile is named only if it is sRGB's: any other is the file's own, whose name stays.
    """
    space = b"1" if srgb else str(UNCALIBRATED).encode("ascii")
    packet = _COLOUR_SPACE.sub(rb"\g<1>" + space, packet)
    return _PROFILE_NAME.sub(_named_srgb, packet) if srgb else packet


def _named_srgb(found: re.Match[bytes]) -> bytes:
    return found[0] if b"sRGB" in found[0] else found[1] + b"sRGB IEC61966-2.1"


def with_resolution(packet: bytes | None, dpi: int) -> bytes | None:
    """With tiff:XResolution and the like set to `dpi` pixels per inch, where it has them."""
    if packet is None:
        return None
    for pattern, value in zip(_RESOLUTIONS, (f"{dpi}/1", "2"), strict=True):
        packet = pattern.sub(rb"\g<1>" + value.encode("ascii"), packet)
    return packet


def with_rights(packet: bytes | None, artist: str | None, copyright: str | None) -> bytes:  # noqa: A002
    """With dc:creator and dc:rights (in the language x-default) set to what is given.

    Without a packet a new one is made. Raises ValueError if it cannot be read.
    """
    document = _parse(packet or _EMPTY)
    places = [
        (description, outer | description.bindings)
        for above, outer in _of_rdf(document)
        for description in _descriptions(above)
    ]
    if not places:
        return with_rights(None, artist, copyright)
    rights = (("creator", "Seq", artist), ("rights", "Alt", copyright))
    gone = {(_DC, name) for name, _, text in rights if text}
    for description, _ in places:
        description.attributes = [one for one in description.attributes if one.name not in gone]
        _keep(description, lambda child: not isinstance(child, Element) or child.name not in gone)
    for name, kind, text in rights:
        if text:
            language = Attribute((XML, "lang"), "xml:lang", "x-default")
            item = Element((RDF, "li"), "rdf:li", [language] if kind == "Alt" else [])
            item.children.append(_NO_XML.sub(" ", text))
            array = Element((RDF, kind), f"rdf:{kind}", [], [item])
            element = Element((_DC, name), f"dc:{name}", [], [array])
            xml_tree.adopt(*places[0], element, {"dc": _DC, "rdf": RDF})
    return xml_tree.written(document)


def upright(packet: bytes) -> bytes:
    """Without orientation, thumbnails, and references to a gain map or a video that is gone.

    The very same bytes if there is nothing of that. Raises ValueError if the packet cannot be
    read.
    """
    _check(packet)
    if not _TO_EDIT.search(packet):
        return packet

    def stale(one: Attribute | Element, _: str) -> bool:
        namespace, name = one.name
        if namespace == _CAMERA:
            return name.startswith(("MotionPhoto", "MicroVideo"))
        return namespace in _ATTACHED or (namespace, name) in {
            (_TIFF, "Orientation"),
            (_XMP, "Thumbnails"),
            # What it announced was merged, or is missing.
            (_XMP_NOTE, "HasExtendedXMP"),
        }

    return _without(packet, stale)


def without_position(packet: bytes, *, names: bool = False) -> bytes:
    """Without positions and, if `names`, names of places; the same bytes if there are none.

    Raises ValueError if the packet cannot be read, or may still contain a position afterwards (for
    instance inside a text): then the whole packet has to be dropped.
    """
    _check(packet)
    # A letter or digit written as a reference (&#52;) is not seen.
    if not (
        positions.has_property(packet, names=names)
        or (names and _PLACE_KEYWORDS.search(packet))
        or b"&#" in packet
    ):
        return packet
    is_property = positions.of_property(names=names)

    def goes(one: Attribute | Element, structure: str) -> bool:
        return is_property(*one.name, structure) or (names and _is_place_keyword(one, structure))

    clean = _without(packet, goes)
    if positions.in_block(clean) or any(map(positions.in_text, _free_texts(clean))):
        raise ValueError("a position in a place that cannot be cleaned")
    return clean


def _is_place_keyword(one: Attribute | Element, structure: str) -> bool:
    """Whether it is a keyword below one that stands for places, in a list that says so.

    All above it are in its text (Lightroom, digiKam), or it is in theirs (MWG Guidelines 2.0, 5.8;
    ACDSee, as XML in a text).
    """
    namespace, name = one.name
    if name == _CATEGORIES and namespace.startswith(_ACDSEE):
        text = one.value if isinstance(one, Attribute) else "".join(_texts(one))
        return positions.has_place_category(text)
    if isinstance(one, Attribute) or one.name != _ITEM:
        return False
    if structure == _HIERARCHY:
        return any(map(positions.is_place_root, _keywords(one)))
    return structure in _HIERARCHIES and positions.is_place_keyword("".join(_texts(one)))


def _keywords(item: Element) -> Iterator[str]:
    """The keyword of an item of MWG's hierarchy itself, not those below it."""
    inner = (one for one in item.elements if one.name == _DESCRIPTION)
    for holder in (item, *inner):
        yield from (one.value for one in holder.attributes if one.name[1] == _KEYWORD)
        yield from ("".join(_texts(one)) for one in holder.elements if one.name[1] == _KEYWORD)


def _free_texts(packet: bytes) -> Iterator[str]:
    for above, _ in _of_rdf(_parse(packet)):
        for description in _descriptions(above):
            for one in description.attributes:
                if one.name in _FREE_TEXTS:
                    yield one.value
            for element in description.elements:
                if element.name in _FREE_TEXTS:
                    yield from _texts(element)


def _texts(element: Element) -> Iterator[str]:
    """All text in an element, and in those below it."""
    for child in element.children:
        if isinstance(child, Element):
            yield from _texts(child)
        else:
            yield child


def rights_only(packet: bytes) -> bytes | None:
    """Only who made the picture and who may use it; None if it does not say.

    dc:creator, dc:rights, photoshop:Credit, and the xmpRights, Creative Commons and PLUS
    namespaces are kept. Raises ValueError if the packet cannot be read.
    """

    def kept(namespace: str, name: str) -> bool:
        return namespace in _RIGHTS_NAMESPACES or (namespace, name) in {
            (_DC, "creator"),
            (_DC, "rights"),
            (_PHOTOSHOP, "Credit"),
        }

    document = _parse(packet)
    found = False
    _isolate(document)
    for above, _ in _of_rdf(document):
        for description in _descriptions(above):
            rights = [one for one in description.attributes if kept(*one.name)]
            _keep(description, lambda child: isinstance(child, Element) and kept(*child.name))
            found = found or bool(rights or description.children)
            description.attributes = [
                one
                for one in description.attributes
                if one.name[0] in (RDF, XMLNS) or kept(*one.name)
            ]
    return xml_tree.written(document) if found else None


def edited(packet: bytes, edit: Callable[[list[Element]], bool]) -> bytes:
    """With its descriptions edited; the very same bytes if `edit` says that it changed nothing.

    Raises ValueError if the packet cannot be read.
    """
    document = _parse(packet)
    found = [one for above, _ in _of_rdf(document) for one in _descriptions(above)]
    return xml_tree.written(document) if edit(found) else packet


def _without(packet: bytes, test: Test) -> bytes:
    """Without what the test says; the same bytes if there is nothing of that."""
    document = _parse(packet)
    pruned = [
        _prune(description, test)
        for above, _ in _of_rdf(document)
        for description in _descriptions(above)
    ]
    return xml_tree.written(document) if any(pruned) else packet


def _prune(element: Element, test: Test, structure: str = "") -> bool:
    """Remove what the test says from an element and those below it; return whether there was any.

    So are structures and arrays that are left empty. `structure` is the local name of the property
    that the element is, or is in.
    """
    attributes = [
        one for one in element.attributes if one.name[0] == XMLNS or not test(one, structure)
    ]
    kept = [
        child
        for child in element.children
        if not isinstance(child, Element) or not test(child, structure)
    ]
    before = len(element.attributes), len(element.children)
    gone = before != (len(attributes), len(kept))
    element.attributes, element.children = attributes, kept
    hollow: set[Element | str] = set()
    for child in element.elements:
        inner = structure if child.name[0] == RDF else child.name[1]
        if _prune(child, test, inner):
            gone = True
            if _is_hollow(child):
                hollow.add(child)
    _keep(element, lambda child: child not in hollow)
    return gone


def _is_hollow(element: Element) -> bool:
    """Whether it has nothing but white space and syntax."""
    return all(one.name[0] in (RDF, XMLNS) for one in element.attributes) and not any(
        isinstance(child, Element) or child.strip() for child in element.children
    )


def _keep(element: Element, test: Callable[[Element | str], bool]) -> None:
    element.children = [child for child in element.children if test(child)]


def _isolate(element: Element) -> bool:
    """Remove everything except descriptions, up to the document, but not its instructions.

    Returns whether there are any descriptions.
    """
    of_rdf = element.name == _RDF_ELEMENT

    def leads(child: Element | str) -> bool:
        if isinstance(child, str):
            return isinstance(child, Markup) and child.is_instruction
        return child.name == _DESCRIPTION if of_rdf else _isolate(child)

    _keep(element, leads)
    element.attributes = [one for one in element.attributes if one.name[0] == XMLNS]
    return any(element.elements)


def _shorten(description: Element) -> None:
    """Write long attributes as elements (ISO 16684-1, 7.9.2.2)."""

    def is_long(one: Attribute) -> bool:
        return one.name[0] not in (RDF, XMLNS) and len(one.value) > _LONG_VALUE

    description.children += [
        Element(one.name, one.written, [], [one.value])
        for one in description.attributes
        if is_long(one)
    ]
    description.attributes = [one for one in description.attributes if not is_long(one)]


def _of_rdf(document: Element) -> Iterator[tuple[Element, dict[str, str]]]:
    """The elements directly below descriptions, each with what is bound at it."""
    return xml_tree.found(document, _RDF_ELEMENT)


def _descriptions(above: Element) -> Iterator[Element]:
    return (child for child in above.elements if child.name == _DESCRIPTION)


def _check(packet: bytes) -> None:
    # The words that are searched for here would not be found in UTF-16.
    if b"\0" in packet.strip(_PADDING):
        raise ValueError("XMP that is not UTF-8")


def _parse(packet: bytes) -> Element:
    _check(packet)
    if problem := excess(packet):
        raise ValueError(problem)
    return xml_tree.parsed(packet.strip(_PADDING))
