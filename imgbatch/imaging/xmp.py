"""Editing an XMP packet (ISO 16684-1): a position, an orientation, an embedded thumbnail.

Prefixes and order are kept, because many readers of XMP look for the usual prefixes only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from xml.dom import minidom
from xml.parsers.expat import ExpatError

_XMLNS: Final = "http://www.w3.org/2000/xmlns/"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC: Final = "http://purl.org/dc/elements/1.1/"
_TIFF: Final = "http://ns.adobe.com/tiff/1.0/"
_XMP: Final = "http://ns.adobe.com/xap/1.0/"
_XMP_NOTE: Final = "http://ns.adobe.com/xmp/note/"
_RIGHTS: Final = "http://ns.adobe.com/xap/1.0/rights/"
_PHOTOSHOP: Final = "http://ns.adobe.com/photoshop/1.0/"
_GEO: Final = "http://www.w3.org/2003/01/geo/wgs84_pos#"
_RIGHTS_NAMESPACES: Final = frozenset(
    {_RIGHTS, "http://creativecommons.org/ns#", "http://ns.useplus.org/ldf/xmp/1.0/"}
)

_POSITION: Final = re.compile(rb"gps|l[ao]\w*itude|wgs84_pos", re.IGNORECASE)
_POSITION_NAME: Final = re.compile(r"gps|latitude|longitude|longtitude", re.IGNORECASE)
_ORIENTATION: Final = re.compile(rb"\btiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])")
_INSTRUCTION: Final = minidom.Node.PROCESSING_INSTRUCTION_NODE
# Characters of the private use area that stand for tab, line feed and carriage return.
_BREAKS: Final = {9: "\ue009", 10: "\ue00a", 13: "\ue00d"}
_PADDING: Final = b"\0 \t\r\n"
_TO_EDIT: Final = re.compile(rb"Orientation|Thumbnails|HasExtendedXMP")

Test = Callable[[str, str], bool]
"""Namespace and local name of an attribute or an element, to whether it is meant."""


def orientation(packet: bytes) -> int:
    """What tiff:Orientation says, 1 to 8; 1 if it says nothing."""
    found = _ORIENTATION.search(packet)
    return int(found[1]) if found else 1


def upright(packet: bytes) -> bytes:
    """Without orientation and thumbnails; the very same bytes where there is neither.

    Raises ValueError if the packet cannot be read.
    """
    _check(packet)
    if not _TO_EDIT.search(packet):
        return packet

    def stale(namespace: str, name: str) -> bool:
        return (namespace, name) in {
            (_TIFF, "Orientation"),
            (_XMP, "Thumbnails"),
            # Its continuation is in other segments, which are not carried along.
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
