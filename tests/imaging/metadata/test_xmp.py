"""XMP packets are edited with their prefixes kept; packets that cannot be cleaned are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from xml.etree import ElementTree

import pytest
from toolkit import pictures
from toolkit.pictures import Gps

from imgbatch.imaging.containers import jpeg
from imgbatch.imaging.metadata import xmp

Edit = Callable[[bytes], bytes | None]

EDITS: Final[dict[str, Edit]] = {
    "upright": xmp.upright,
    "without_position": xmp.without_position,
    "rights_only": xmp.rights_only,
    "with_rights": lambda packet: xmp.with_rights(packet, "Zoë", "© Zoë"),
}
each_edit: Final = pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)

TIFF: Final = "{http://ns.adobe.com/tiff/1.0/}"
XMP: Final = "{http://ns.adobe.com/xap/1.0/}"


def names_in(packet: bytes) -> set[str]:
    """All names of elements and attributes, read by another parser than the code's."""
    root = ElementTree.fromstring(packet.decode("utf-8").removeprefix("\ufeff"))
    return {name for element in root.iter() for name in (element.tag, *element.attrib)}


def packet_with(elements: str = "", attributes: str = "") -> bytes:
    """A small packet with this content in its one description."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f"{attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "form",
    [
        'tiff:Orientation="{}"',
        "tiff:Orientation='{}'",
        'tiff:Orientation = "{}"',
        "<tiff:Orientation>{}</tiff:Orientation>",
        "<tiff:Orientation> {} </tiff:Orientation>",
    ],
)
def test_orientation_is_read_as_attribute_and_as_element(form: str, orientation: int) -> None:
    written = form.format(orientation)
    packet = packet_with(written) if written.startswith("<") else packet_with("", written)
    assert xmp.orientation(packet) == orientation


@pytest.mark.parametrize("value", ["0", "9", "", "top"])
def test_invalid_orientation_is_ignored(value: str) -> None:
    assert xmp.orientation(packet_with(attributes=f'tiff:Orientation="{value}"')) == 1


def test_packet_without_orientation_is_upright() -> None:
    assert xmp.orientation(pictures.xmp_packet()) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_removes_the_orientation_attribute(orientation: int) -> None:
    packet = pictures.xmp_packet(orientation=orientation)
    after = xmp.upright(packet)
    assert f"{TIFF}Orientation" in names_in(packet)
    assert names_in(after) == names_in(packet) - {f"{TIFF}Orientation"}
    assert xmp.orientation(after) == 1


def test_upright_removes_an_orientation_element() -> None:
    packet = packet_with("<tiff:Orientation>6</tiff:Orientation><dc:format>image/jpeg</dc:format>")
    after = xmp.upright(packet)
    assert b"Orientation" not in after
    assert b"<dc:format>image/jpeg</dc:format>" in after


def test_upright_removes_embedded_thumbnails() -> None:
    packet = pictures.xmp_packet(thumbnail=True)
    after = xmp.upright(packet)
    assert pictures.XMP_THUMBNAIL.encode() in packet
    assert pictures.XMP_THUMBNAIL.encode() not in after
    assert f"{XMP}Thumbnails" not in names_in(after)
    assert f"{XMP}Label" in names_in(after)


def test_upright_removes_the_link_to_an_extension_that_is_not_carried() -> None:
    packet = pictures.xmp_packet(extended=True)
    assert b"HasExtendedXMP" in packet
    assert b"HasExtendedXMP" not in xmp.upright(packet)


# Same bytes


@pytest.mark.parametrize("gps", [None, "attributes", "drone"])
def test_upright_returns_the_same_bytes_if_nothing_is_to_be_edited(gps: Gps | None) -> None:
    packet = pictures.xmp_packet(gps=gps)
    assert xmp.upright(packet) == packet


def test_without_a_position_the_same_bytes_are_returned() -> None:
    packet = pictures.xmp_packet(orientation=6, thumbnail=True)
    assert xmp.without_position(packet) == packet


def test_padding_after_a_packet_is_no_reason_to_edit_it() -> None:
    packet = pictures.xmp_packet() + b"\n" + b" " * 2_000 + b"\0"
    assert xmp.upright(packet) == packet
    assert xmp.without_position(packet) == packet


# Positions


@pytest.mark.parametrize("gps", ["attributes", "elements", "nested", "drone", "geo"])
def test_positions_are_removed_in_every_form(gps: Gps) -> None:
    packet = pictures.xmp_packet(gps=gps, orientation=3)
    after = xmp.without_position(packet)
    assert pictures.traces_of_position(packet) != []
    assert pictures.traces_of_position(after) == []
    gone = {name.split("}")[1] for name in names_in(packet) - names_in(after)}
    assert gone
    assert all("gps" in name.lower() or name[:2].lower() in ("la", "lo") for name in gone)
    assert xmp.orientation(after) == 3


def test_siblings_of_a_nested_position_are_kept() -> None:
    after = xmp.without_position(pictures.xmp_packet(gps="nested"))
    assert b"<Iptc4xmpExt:City>Paris</Iptc4xmpExt:City>" in after


def test_other_properties_next_to_a_drone_position_are_kept() -> None:
    after = xmp.without_position(pictures.xmp_packet(gps="drone"))
    assert b'drone-dji:CalibratedFocalLength="4"' in after


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(pictures.xmp_packet(gps="text"), id="in a description"),
        pytest.param(packet_with("<!-- GPSLatitude 48.858239 -->"), id="in a comment"),
        pytest.param(packet_with("<dc:x>Longitude 2.294468</dc:x>"), id="in a word of a text"),
        pytest.param(
            packet_with("<dc:x>&lt;exif:GPSLatitude&gt;48</dc:x>"), id="in escaped mark-up"
        ),
        pytest.param(
            packet_with().replace(b"<rdf:RDF", b'<rdf:RDF exif="GPSLatitude 48"'), id="outside"
        ),
    ],
)
def test_position_that_cannot_be_removed_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match="position"):
        xmp.without_position(packet)


# Prefixes, text and wrapper


@pytest.mark.parametrize("edit", [xmp.upright, xmp.without_position])
def test_prefixes_text_and_wrapper_are_kept(edit: Callable[[bytes], bytes]) -> None:
    after = edit(pictures.xmp_packet(orientation=6, gps="attributes")).decode()
    for kept in (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>',
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Test Toolkit 1.0">',
        'xmp:Rating="4"',
        'photoshop:Credit="Licht Agency"',
        "<xmp:Label>Sée &amp; Ufer</xmp:Label>",
        "<dc:creator><rdf:Seq><rdf:li>Ada Licht</rdf:li></rdf:Seq></dc:creator>",
        f'<rdf:li xml:lang="x-default">{pictures.XMP_RIGHTS}</rdf:li>',
        '<?xpacket end="w"?>',
    ):
        assert kept in after
    assert "ns0" not in after


@pytest.mark.parametrize("edit", [xmp.upright, xmp.without_position])
def test_line_breaks_in_attributes_are_kept(edit: Callable[[bytes], bytes]) -> None:
    packet = packet_with(
        "<exif:GPSAltitude>1</exif:GPSAltitude>",
        'dc:x="one&#xA;two&#9;three&#13;four" tiff:Orientation="6"',
    )
    (value,) = (
        element.attrib["{http://purl.org/dc/elements/1.1/}x"]
        for element in ElementTree.fromstring(edit(packet)).iter()
        if "{http://purl.org/dc/elements/1.1/}x" in element.attrib
    )
    assert value == "one\ntwo\tthree\rfour"


# Rights


def test_only_rights_are_left() -> None:
    packet = pictures.xmp_packet(orientation=6, gps="nested", thumbnail=True, extended=True)
    after = xmp.rights_only(packet)
    assert after is not None
    text = after.decode()
    assert "<dc:creator><rdf:Seq><rdf:li>Ada Licht</rdf:li></rdf:Seq></dc:creator>" in text
    assert pictures.XMP_RIGHTS in text
    assert "<xmpRights:Marked>True</xmpRights:Marked>" in text
    assert 'photoshop:Credit="Licht Agency"' in text
    for gone in ("Rating", "Label", "Orientation", "GPS", "Paris", pictures.XMP_THUMBNAIL):
        assert gone not in text
    assert pictures.traces_of_position(after) == []


@pytest.mark.parametrize(
    "stray",
    [
        pytest.param(b"<!-- Label 48.858239 -->", id="a comment"),
        pytest.param(
            b'<exif:Place xmlns:exif="http://ns.adobe.com/exif/1.0/">48.858239</exif:Place>',
            id="an element",
        ),
        pytest.param(b"48.858239", id="text"),
    ],
)
@pytest.mark.parametrize("place", [b"</rdf:RDF>", b"</x:xmpmeta>", b"  </rdf:Description>"])
def test_nothing_but_the_rights_is_left_anywhere(stray: bytes, place: bytes) -> None:
    after = xmp.rights_only(pictures.xmp_packet().replace(place, stray + place))
    assert after is not None
    assert b"48.858239" not in after
    assert pictures.XMP_RIGHTS.encode() in after


def test_packet_without_rights_becomes_nothing() -> None:
    assert xmp.rights_only(packet_with("<dc:format>image/jpeg</dc:format>")) is None


@pytest.mark.parametrize(
    ("namespace", "element"),
    [
        ("http://purl.org/dc/elements/1.1/", "creator"),
        ("http://purl.org/dc/elements/1.1/", "rights"),
        ("http://ns.adobe.com/photoshop/1.0/", "Credit"),
        ("http://ns.adobe.com/xap/1.0/rights/", "WebStatement"),
        ("http://creativecommons.org/ns#", "license"),
        ("http://ns.useplus.org/ldf/xmp/1.0/", "Licensor"),
    ],
)
def test_each_kind_of_right_is_kept_under_any_prefix(namespace: str, element: str) -> None:
    packet = packet_with(f'<some:{element} xmlns:some="{namespace}">mine</some:{element}>')
    after = xmp.rights_only(packet)
    assert after is not None
    assert f"<some:{element}" in after.decode()
    assert "{" + namespace + "}" + element in names_in(after)


def test_right_as_an_attribute_is_kept() -> None:
    packet = packet_with(attributes='dc:rights="mine" dc:format="image/jpeg"')
    after = xmp.rights_only(packet)
    assert after is not None
    assert b'dc:rights="mine"' in after
    assert b"image/jpeg" not in after


# Packets that cannot be read


DOCTYPE: Final = b'<!DOCTYPE x [<!ENTITY a "GPSLatitude Orientation">]>'


@each_edit
@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(DOCTYPE + packet_with("<dc:x>&a;</dc:x>"), id="document type"),
        pytest.param(b"<GPSLatitude><Orientation>", id="not closed"),
        pytest.param(b"GPSLatitude Orientation", id="no XML"),
        pytest.param(packet_with("<b:GPSLatitude/><b:Orientation/>"), id="unknown prefix"),
        pytest.param(
            packet_with("<dc:x>GPS Orientation \xff</dc:x>".replace("\xff", "\x01")), id="control"
        ),
        pytest.param(packet_with("<dc:x>GPS Orientation</dc:x>")[:-20], id="cut short"),
        pytest.param(
            b"<?xml version='1.0' encoding='no-such'?><a>GPS Orientation</a>", id="encoding"
        ),
        pytest.param(
            ('<?xml version="1.0" encoding="utf-16"?>' + DOCTYPE.decode() + "<a>&a;</a>").encode(
                "utf-16"
            ),
            id="UTF-16",
        ),
        pytest.param(b"<a>GPS Orientation \xff\xfe</a>", id="not UTF-8"),
    ],
)
def test_unreadable_packet_raises_value_error(edit: Edit, packet: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        edit(packet)


@each_edit
def test_position_in_utf_16_is_found(edit: Edit) -> None:
    packet = pictures.xmp_packet(gps="attributes").decode().encode("utf-16")
    with pytest.raises(ValueError, match="UTF-8"):
        edit(packet)


@pytest.mark.parametrize("edit", [xmp.upright, xmp.without_position])
def test_truncated_packet_raises_value_error_or_is_unchanged(
    edit: Callable[[bytes], bytes],
) -> None:
    whole = pictures.xmp_packet(orientation=6, gps="elements")
    end = len(whole.rstrip()) - len(b'<?xpacket end="w"?>')
    for length in range(1, end - 5, 7):
        cut = whole[:length]
        try:
            assert edit(cut) == cut
        except ValueError:
            pass
        else:
            assert b"Orientation" not in cut or edit is xmp.without_position


# Sizes


@pytest.mark.parametrize(
    "form", ['{}="{}"', "{}='{}'", '{} = "{}"', "<{0}>{1}</{0}>", "<{0}> {1} </{0}>"]
)
def test_only_sizes_are_set_in_every_form(form: str) -> None:
    names = ("exif:PixelXDimension", "exif:PixelYDimension", "tiff:ImageWidth", "tiff:ImageLength")

    def written(*numbers: int) -> bytes:
        parts = [form.format(name, n) for name, n in zip(names, numbers, strict=True)]
        parts.append(form.format("tiff:ImageDescription", 6000))
        joined = " ".join(parts)
        return packet_with(joined) if "<" in form else packet_with("", joined)

    assert xmp.with_size(written(6000, 4000, 6000, 4000), 48, 32) == written(48, 32, 48, 32)


def test_packet_without_sizes_is_unchanged() -> None:
    packet = pictures.xmp_packet(gps="attributes")
    assert xmp.with_size(packet, 48, 32) == packet


# Rights


def texts_in(packet: bytes, name: str) -> list[str | None]:
    """The texts of the items below an element, read by another parser than the code's."""
    root = ElementTree.fromstring(packet.decode("utf-8").removeprefix("\ufeff"))
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    found = root.findall(f".//{{http://purl.org/dc/elements/1.1/}}{name}")
    return [item.text for element in found for item in element.iter(f"{rdf}li")]


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(None, id="none"),
        pytest.param(pictures.xmp_packet(), id="with others"),
        pytest.param(packet_with(attributes='dc:rights="old" dc:creator="old"'), id="attributes"),
        pytest.param(b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', id="no description"),
    ],
)
def test_rights_are_set_in_any_packet(packet: bytes | None) -> None:
    after = xmp.with_rights(packet, "Zoë & <Søn>", "© \x01 2026")
    assert texts_in(after, "creator") == ["Zoë & <Søn>"]
    # XML cannot represent most control characters.
    assert texts_in(after, "rights") == ["©   2026"]
    assert b'xml:lang="x-default"' in after
    assert b"old" not in after
    assert xmp.rights_only(after) is not None


def test_rights_not_given_are_left_alone() -> None:
    after = xmp.with_rights(pictures.xmp_packet(), "Zoë", None)
    assert texts_in(after, "creator") == ["Zoë"]
    assert texts_in(after, "rights") == [pictures.XMP_RIGHTS]
    assert names_in(after) == names_in(pictures.xmp_packet())


# Extended packets


def test_packet_in_two_parts_is_whole_again_when_merged() -> None:
    long = "x" * 5_000
    packet = packet_with(
        f"<dc:description>{long}</dc:description><dc:format>image</dc:format>",
        'exif:UserComment="' + "y" * 3_000 + '"',
    )
    parts = xmp.parted(packet, 4_500)
    assert parts is not None
    standard, extended = parts
    assert len(standard) <= 4_500
    assert long.encode() in extended
    assert b"image" in standard
    assert xmp.extension(standard) == jpeg.guid(extended).encode()
    whole = xmp.upright(xmp.merged(standard, extended))
    root = ElementTree.fromstring(whole.decode("utf-8").removeprefix("\ufeff"))
    told = {
        element.tag: element.text
        for element in root.iter()
        if element.text and element.text.strip()
    }
    told |= {name: value for element in root.iter() for name, value in element.attrib.items()}
    assert told["{http://purl.org/dc/elements/1.1/}description"] == long
    assert told["{http://purl.org/dc/elements/1.1/}format"] == "image"
    assert told["{http://ns.adobe.com/exif/1.0/}UserComment"] == "y" * 3_000
    assert "{http://ns.adobe.com/xmp/note/}HasExtendedXMP" not in told


def test_packet_that_cannot_be_made_short_enough_becomes_none() -> None:
    assert xmp.parted(pictures.xmp_packet(), 400) is None
