"""Editing an XMP packet (ISO 16684-1): positions, sizes, rights, and what is true no more.

Prefixes and order are kept, because many readers of XMP look for the usual prefixes only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from imgbatch.imaging.metadata import segments

_XMLNS: Final = "http://www.w3.org/2000/xmlns/"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC: Final = "http://purl.org/dc/elements/1.1/"
_TIFF: Final = "http://ns.adobe.com/tiff/1.0/"
_XMP: Final = "http://ns.adobe.com/xap/1.0/"
_XMP_NOTE: Final = "http://ns.adobe.com/xmp/note/"
_RIGHTS: Final = "http://ns.adobe.com/xap/1.0/rights/"
_PHOTOSHOP: Final = "http://ns.adobe.com/photoshop/1.0/"
_GEO: Final = "http://www.w3.org/2003/01/geo/wgs84_pos#"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_CAMERA: Final = "http://ns.google.com/photos/1.0/camera/"
# They speak of pictures, depths and sounds that are behind the picture, or hold them themselves.
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
_VIDEO: Final = re.compile(rb"\b(?:MotionPhoto|MicroVideo)(?:\s*=\s*[\"']|(?:\s[^<>]*)?>)\s*1\b")
_GAIN_MAP: Final = re.compile(
    rb"http://ns\.(?:adobe\.com/hdr-gain-map|apple\.com/HDRGainMap)/1\.0/"
)
_EMBEDDED: Final = re.compile(rb"\b(?:GImage|GDepth):(?:Data|Image)\b")
_EXTENDED: Final = re.compile(rb"\bxmpNote:HasExtendedXMP(?:\s*=\s*[\"']|>)\s*([0-9A-Fa-f]{32})\b")
_SIZES: Final = tuple(
    re.compile(rb"(\b(?:" + names + rb")(?:\s*=\s*[\"']|>)\s*)\d+(?=\s*[\"'<])")
    for names in (
        rb"exif:PixelXDimension|tiff:ImageWidth",
        rb"exif:PixelYDimension|tiff:ImageLength",
    )
)

_RIGHTS_NAMESPACES: Final = frozenset(
    {_RIGHTS, "http://creativecommons.org/ns#", "http://ns.useplus.org/ldf/xmp/1.0/"}
)

_POSITION: Final = re.compile(rb"gps|l[ao]\w*itude|wgs84_pos", re.IGNORECASE)
_POSITION_NAME: Final = re.compile(r"gps|latitude|longitude|longtitude", re.IGNORECASE)
_ORIENTATION: Final = re.compile(rb"\btiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])")
_INSTRUCTION: Final = minidom.Node.PROCESSING_INSTRUCTION_NODE
# Characters of the private use area that stand for tab, line feed and carriage return.
_BREAKS: Final = {9: "\ue009", 10: "\ue00a", 13: "\ue00d"}
_LONG_VALUE: Final = 1_000
# What XML 1.0 has no way to write.
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

Test = Callable[[str, str], bool]
"""Namespace and local name of an attribute or an element, to whether it is meant."""


def orientation(packet: bytes) -> int:
    """What tiff:Orientation says, 1 to 8; 1 if it says nothing."""
    found = _ORIENTATION.search(packet)
    return int(found[1]) if found else 1


def tells_of_video(packet: bytes) -> bool:
    """Whether it says that a video is behind the picture (Google's GCamera namespace)."""
    return _VIDEO.search(packet) is not None


def tells_of_gain_map(packet: bytes) -> bool:
    """Whether it says that a gain map is behind the picture (Adobe's namespace, or Apple's)."""
    return _GAIN_MAP.search(packet) is not None


def holds_picture(packet: bytes) -> bool:
    """Whether a second picture or a map of depths is inside (Google's GImage and GDepth)."""
    return _EMBEDDED.search(packet) is not None


def extension(packet: bytes) -> bytes | None:
    """The GUID of the extended packet that belongs to it, in a JPEG; None if there is none."""
    found = _EXTENDED.search(packet)
    return found[1].upper() if found else None


def merged(packet: bytes, extended: bytes) -> bytes:
    """With the descriptions of its extended packet (XMP specification, part 3, 1.1.3.1).

    Raises ValueError if either cannot be read.
    """
    document, further = _parse(packet), _parse(extended)
    descriptions = _descriptions(document)
    if not descriptions:
        raise ValueError("XMP without a description")
    above = descriptions[0].parentNode
    assert above is not None
    for description in _descriptions(further):
        copied = document.importNode(description, True)
        # The prefixes may be declared further up over there.
        _declare(copied, description)
        above.appendChild(copied)
    return _serialise(document)


def parted(packet: bytes, room: int) -> tuple[bytes, bytes] | None:
    """A packet of at most `room` bytes, and the properties that it had to leave, as a packet.

    The largest go first, and the second is empty where doing without padding was enough. None if
    nothing is enough. Raises ValueError if the packet cannot be read.
    """
    document, further = _parse(packet), _parse(_EMPTY)
    (target,) = _descriptions(further)
    descriptions = _descriptions(document)
    # Padding is white space between elements, and need not be carried.
    movable: list[tuple[int, minidom.Element]] = []
    for description in descriptions:
        for attribute in _attributes(description):
            if attribute.namespaceURI not in (_RDF, _XMLNS) and len(attribute.value) > _LONG_VALUE:
                _to_element(document, description, attribute)
        movable += [
            (len(child.toxml().encode("utf-8")), child)
            for child in description.childNodes
            if isinstance(child, minidom.Element)
        ]
    size = len(_serialise(document))
    # The GUID is still to be entered.
    room -= 200
    for length, child in sorted(movable, key=lambda one: -one[0]):
        if size <= room:
            break
        parent = child.parentNode
        assert parent is not None
        copied = further.importNode(child, True)
        _declare(copied, child)
        target.appendChild(copied)
        parent.removeChild(child)
        size -= length
    if size > room or not descriptions:
        return None
    if not target.childNodes:
        return _serialise(document), b""
    # Without the wrapper, which only the standard packet has.
    rest = further.getElementsByTagName("x:xmpmeta")[0].toxml().encode("utf-8")
    descriptions[0].setAttributeNS(_XMLNS, "xmlns:xmpNote", _XMP_NOTE)
    descriptions[0].setAttributeNS(_XMP_NOTE, "xmpNote:HasExtendedXMP", segments.guid(rest))
    return _serialise(document), rest


def with_size(packet: bytes, width: int, height: int) -> bytes:
    """With exif:PixelXDimension, tiff:ImageWidth and their like set, where it has them."""
    for pattern, number in zip(_SIZES, (width, height), strict=True):
        packet = pattern.sub(rb"\g<1>" + str(number).encode("ascii"), packet)
    return packet


def with_rights(packet: bytes | None, artist: str | None, copyright: str | None) -> bytes:  # noqa: A002
    """With dc:creator and dc:rights (in the language x-default) set to what is given.

    Without a packet a new one is made. Raises ValueError if it cannot be read.
    """
    document = _parse(packet or _EMPTY)
    descriptions = _descriptions(document)
    if not descriptions:
        return with_rights(None, artist, copyright)
    for name, kind, text in (("creator", "Seq", artist), ("rights", "Alt", copyright)):
        if not text:
            continue
        for description in descriptions:
            for attribute in _attributes(description):
                if (attribute.namespaceURI, attribute.localName) == (_DC, name):
                    description.removeAttributeNode(attribute)
            for child in list(description.childNodes):
                if (child.namespaceURI, child.localName) == (_DC, name):
                    description.removeChild(child)
        element = document.createElementNS(_DC, f"dc:{name}")
        element.setAttributeNS(_XMLNS, "xmlns:dc", _DC)
        element.setAttributeNS(_XMLNS, "xmlns:rdf", _RDF)
        array = element.appendChild(document.createElementNS(_RDF, f"rdf:{kind}"))
        item = array.appendChild(document.createElementNS(_RDF, "rdf:li"))
        if kind == "Alt":
            item.setAttributeNS(_XML, "xml:lang", "x-default")
        item.appendChild(document.createTextNode(_NO_XML.sub(" ", text)))
        descriptions[0].appendChild(element)
    return _serialise(document)


def upright(packet: bytes) -> bytes:
    """Without orientation, thumbnails, and what speaks of a gain map or a video that is gone.

    The very same bytes where there is nothing of that. Raises ValueError if the packet cannot be
    read.
    """
    _check(packet)
    if not _TO_EDIT.search(packet):
        return packet

    def stale(namespace: str, name: str) -> bool:
        if namespace == _CAMERA:
            return name.startswith(("MotionPhoto", "MicroVideo"))
        return namespace in _ATTACHED or (namespace, name) in {
            (_TIFF, "Orientation"),
            (_XMP, "Thumbnails"),
            # What it announced was merged, or is missing.
            (_XMP_NOTE, "HasExtendedXMP"),
        }

    return _without(packet, stale)


def without_position(packet: bytes) -> bytes:
    """Without GPS positions, also a drone maker's own; the same bytes where there is none.

    Raises ValueError if the packet cannot be read, or still holds a position afterwards (inside
    a text, say): then it has to be dropped as a whole.
    """
    _check(packet)
    if not _POSITION.search(packet):
        return packet

    def position(namespace: str, name: str) -> bool:
        return namespace == _GEO or _POSITION_NAME.search(name) is not None

    clean = _without(packet, position)
    if re.search(rb"gps\w*l|latitude|longitude", clean, re.IGNORECASE):
        raise ValueError("a position in a place that cannot be cleaned")
    return clean


def rights_only(packet: bytes) -> bytes | None:
    """Nothing but who made the picture and who may use it; None if it does not say.

    Kept are dc:creator, dc:rights, photoshop:Credit, and the xmpRights, Creative Commons and
    PLUS namespaces. Raises ValueError if the packet cannot be read.
    """

    def kept(namespace: str, name: str) -> bool:
        return namespace in _RIGHTS_NAMESPACES or (namespace, name) in {
            (_DC, "creator"),
            (_DC, "rights"),
            (_PHOTOSHOP, "Credit"),
        }

    document = _parse(packet)
    found = False
    descriptions = _descriptions(document)
    _isolate(descriptions)
    for description in descriptions:
        for attribute in _attributes(description):
            if kept(attribute.namespaceURI or "", attribute.localName):
                found = True
            elif attribute.namespaceURI not in (_RDF, _XMLNS):
                description.removeAttributeNode(attribute)
        for child in list(description.childNodes):
            if isinstance(child, minidom.Element) and kept(
                child.namespaceURI or "", child.localName
            ):
                found = True
            else:
                description.removeChild(child)
    return _serialise(document) if found else None


def _without(packet: bytes, test: Test) -> bytes:
    document = _parse(packet)
    for description in _descriptions(document):
        _prune(description, test)
    return _serialise(document)


def _prune(element: minidom.Element, test: Test) -> None:
    for attribute in _attributes(element):
        if test(attribute.namespaceURI or "", attribute.localName):
            element.removeAttributeNode(attribute)
    for child in list(element.childNodes):
        if isinstance(child, minidom.Element):
            if test(child.namespaceURI or "", child.localName):
                element.removeChild(child)
            else:
                _prune(child, test)


def _isolate(descriptions: list[minidom.Element]) -> None:
    """Remove all that stands beside descriptions, up to the document, but its instructions."""
    above: list[Any] = []
    for description in descriptions:
        node: Any = description.parentNode
        while node is not None and node not in above:
            above.append(node)
            node = node.parentNode
    for node in above:
        for child in list(node.childNodes):
            if child not in above and child not in descriptions and child.nodeType != _INSTRUCTION:
                node.removeChild(child)
        for attribute in _attributes(node) if isinstance(node, minidom.Element) else ():
            if attribute.namespaceURI != _XMLNS:
                node.removeAttributeNode(attribute)


def _declare(element: minidom.Element, original: minidom.Element) -> None:
    """Give a copy of an element the declarations of prefixes that stand above the original."""
    node: Any = original
    while isinstance(node, minidom.Element):
        for attribute in _attributes(node):
            name = attribute.name
            if attribute.namespaceURI == _XMLNS and not element.hasAttribute(name):
                element.setAttributeNS(_XMLNS, name, attribute.value)
        node = node.parentNode


def _to_element(
    document: minidom.Document, description: minidom.Element, attribute: minidom.Attr
) -> None:
    """The same property, written as an element (ISO 16684-1, 7.9.2.2)."""
    element = document.createElementNS(attribute.namespaceURI, attribute.name)
    element.appendChild(document.createTextNode(attribute.value))
    description.removeAttributeNode(attribute)
    description.appendChild(element)


def _attributes(element: minidom.Element) -> list[minidom.Attr]:
    return list(element.attributes.values())


def _descriptions(document: minidom.Document) -> list[minidom.Element]:
    """The top descriptions: those that stand right below rdf:RDF."""
    return [
        node
        for node in document.getElementsByTagNameNS(_RDF, "Description")
        if node.parentNode is not None and node.parentNode.localName == "RDF"
    ]


def _check(packet: bytes) -> None:
    # The words that are looked for here would not be found in UTF-16.
    if b"\0" in packet.strip(_PADDING):
        raise ValueError("XMP that is not in UTF-8")


def _parse(packet: bytes) -> minidom.Document:
    _check(packet)
    # XMP has no use for a document type, and an attacker has.
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise ValueError("a document type in the XMP packet")
    try:
        return minidom.parseString(packet.strip(_PADDING))
    except (ExpatError, ValueError, LookupError) as error:
        raise ValueError(f"XMP that is no XML: {error}") from None


def _serialise(document: minidom.Document) -> bytes:
    # minidom writes a line break in an attribute as it is, and it would be read as a space.
    for element in document.getElementsByTagName("*"):
        for attribute in _attributes(element):
            attribute.value = attribute.value.translate(_BREAKS)
    text = "".join(node.toxml() for node in document.childNodes)
    for code, placeholder in _BREAKS.items():
        text = text.replace(placeholder, f"&#{code};")
    return text.encode("utf-8")
