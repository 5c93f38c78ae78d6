"""`no-gps` and `no-location` against every tag about places that exiftool knows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from toolkit import ROOT, pictures
from toolkit.exiftool import exiftool
from toolkit.metadata import IPTC_HOLDING, made, photo, with_exiftool, xmp_of
from toolkit.shared import folder_of, made_once
from tools import make_place_tags
from tools.make_place_tags import Tag

import imgbatch
from imgbatch.imaging.metadata import positions
from imgbatch.model import METADATA_POLICIES

# One of them is what a tag takes.
VALUES: Final = ("1", "2020:01:01 10:00:00", "True", " ".join("1" * 16))
# What is not about places, written beside it; some of these names are like those of places.
OTHERS: Final = {
    "IFD0:Model": "Testa 7",
    "ExifIFD:ISOSpeedLatitudeyyy": "1",
    "IPTC:Keywords": "Lake",
    "IPTC:By-line": "Ada",
    "XMP-dc:Title": "A lake",
    "XMP-photoshop:Headline": "Lake",
    "XMP-dwc:EarliestAgeOrLowestStage": "Eocene",
    "XMP-iptcCore:CreatorCity": "Bern",
    "XMP-plus:LicensorCity": "Bern",
    "XMP-xmp:Identifier": "urn:lake",
    "XMP-GPano:StitchingSoftware": "Testa",
}


def written(path: Path, tags: list[Tag]) -> None:
    """Write all tags into a file: each gets the first value that it takes."""
    quietly = ("-n", "-q", "-q", "-m", "-overwrite_original")
    for value in VALUES:
        words = [f"-{tag.full_name}={value}" for tag in tags if tag.writable and not tag.structure]
        exiftool(*quietly, "-wm", "cg", *words, path, check=False)
    words = [f"-{name}={value}" for name, value in OTHERS.items()]
    exiftool(*quietly, *words, path, check=False)


def read(path: Path) -> dict[str, Any]:
    (found,) = json.loads(exiftool("-j", "-n", "-a", "-G1", "-s", path))
    return dict(found)


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> list[Tag]:
    return made_once(folder_of("place-tags", tmp_path_factory), lambda _: make_place_tags.tags())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, tags: list[Tag]) -> bytes:
    def make(folder: Path) -> bytes:
        path = folder / "photo.jpg"
        path.write_bytes(photo(gps="elements"))
        written(path, tags)
        return path.read_bytes()

    return made_once(folder_of("places", tmp_path_factory), make)


@pytest.mark.slow
@with_exiftool
@pytest.mark.parametrize("policy", ["no-gps", "no-location"])
@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "tiff"])
def test_every_tag_that_exiftool_can_write_is_removed(
    tmp_path: Path, source: bytes, tags: list[Tag], policy: str, target: str
) -> None:
    (tmp_path / "before.jpg").write_bytes(source)
    before = read(tmp_path / "before.jpg")
    kinds = {tag.full_name: tag.kind for tag in tags}
    # Those that exiftool's own rules keep out of a JPEG, or give a value of their own, are few.
    writable = {tag.full_name for tag in tags if tag.writable and not tag.structure}
    assert len(writable & set(before)) >= 0.95 * len(writable) >= 200
    result = made(tmp_path, source, format=target, metadata=policy)
    after = read(result.path)

    names = {
        name
        for name in before
        if kinds.get(name) == "place" and (target in IPTC_HOLDING or name[:4] != "IPTC")
    }
    assert {name for name in kinds if name in after} == (names if policy == "no-gps" else set())
    for name, value in OTHERS.items():
        if target in IPTC_HOLDING or not name.startswith("IPTC"):
            assert str(after[name]) == value, name
    assert set(result.warnings) <= (set() if target in IPTC_HOLDING else {"metadata-dropped"})


@with_exiftool
def test_table_is_what_exiftool_says(tags: list[Tag], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_place_tags, "tags", lambda: tags)
    table = make_place_tags.MODULE.read_text(encoding="utf-8")
    if f"exiftool {make_place_tags.version()}." not in table:
        pytest.skip("another exiftool: run scripts/tool make_place_tags, and look at what is new")
    assert make_place_tags.module() == table, "run scripts/tool make_place_tags"


def test_tags_of_geotiff_are_those_that_tifffile_knows() -> None:
    tifffile = pytest.importorskip("tifffile")
    known = {
        "ModelPixelScaleTag",
        "IntergraphMatrixTag",
        "ModelTiepointTag",
        "JPLCartoIFD",
        "ModelTransformationTag",
        "GeoKeyDirectoryTag",
        "GeoDoubleParamsTag",
        "GeoAsciiParamsTag",
        "GDAL_METADATA",
        "RPCCoefficientTag",
        "GEO_METADATA",
    }
    assert positions.exif_tags() == {tifffile.TIFF.TAGS[name] for name in known}


# What exiftool does not know


def packet(properties: str, namespaces: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dwc="http://rs.tdwg.org/dwc/terms/" '
        'xmlns:dji="http://www.dji.com/drone-dji/2.0/" '
        'xmlns:lr="http://ns.adobe.com/lightroom/1.0/" '
        'xmlns:digiKam="http://www.digikam.org/ns/1.0/" '
        'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        'xmlns:skydio="https://www.skydio.com/drone-skydio/1.0/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/" {namespaces}>{properties}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


POSITIONS: Final = (
    "<dwc:verbatimCoordinates>41 05 54S 121 05 34W</dwc:verbatimCoordinates>",
    "<dwc:footprintWKT>POLYGON ((10 20))</dwc:footprintWKT>",
    "<dji:LRFTargetLat>48.1</dji:LRFTargetLat>",
    "<dji:GimbalYawDegree>12</dji:GimbalYawDegree>",
    "<skydio:AbsoluteAltitude>120</skydio:AbsoluteAltitude>",
    "<skydio:hdrp_makernote>SERSUAJ7Hhc=</skydio:hdrp_makernote>",
    "<skydio:what3words>filled.count.soap</skydio:what3words>",
)


@pytest.mark.parametrize("text", POSITIONS)
@pytest.mark.parametrize("policy", ["no-gps", "no-location"])
def test_version_of_a_namespace_does_not_matter(tmp_path: Path, text: str, policy: str) -> None:
    other = "<photoshop:Headline>Lake</photoshop:Headline>"
    data = pictures.with_metadata(pictures.quarters(), "JPEG", xmp=packet(text + other))
    result = made(tmp_path, data, metadata=policy)
    name = text.partition(">")[0].strip("<")
    assert name.encode() not in result.data
    assert other in xmp_of(result.data)
    assert result.warnings == []


def test_structures_that_are_left_empty_are_removed(tmp_path: Path) -> None:
    structures = (
        '<dwc:dctermsLocation rdf:parseType="Resource">\n <dwc:footprintSRS>x</dwc:footprintSRS>\n'
        "</dwc:dctermsLocation><dwc:list><rdf:Bag><rdf:li><rdf:Description "
        'dwc:footprintSRS="x"/></rdf:li></rdf:Bag></dwc:list>'
        "<photoshop:Headline></photoshop:Headline>"
    )
    data = pictures.with_metadata(pictures.quarters(), "JPEG", xmp=packet(structures))
    kept = xmp_of(made(tmp_path, data, metadata="no-gps").data)
    assert "<dwc:" not in kept
    assert "rdf:Bag" not in kept
    assert "<photoshop:Headline" in kept


def test_packet_without_places_is_kept_byte_for_byte(tmp_path: Path) -> None:
    plain = packet("<photoshop:Headline>Lake</photoshop:Headline>", "xmlns:a = 'urn:a'")
    data = pictures.with_metadata(pictures.quarters(), "JPEG", xmp=plain)
    for policy in ("no-gps", "no-location"):
        assert plain in made(tmp_path, data, metadata=policy).data


def test_no_location_drops_keywords_below_places(tmp_path: Path) -> None:
    keywords = (
        "<lr:hierarchicalSubject><rdf:Bag><rdf:li>Places|France|Paris</rdf:li>"
        "<rdf:li>People|Ada</rdf:li></rdf:Bag></lr:hierarchicalSubject>"
        "<digiKam:TagsList><rdf:Seq><rdf:li>Places/France/Paris</rdf:li>"
        "<rdf:li>Placeholder/Ada</rdf:li></rdf:Seq></digiKam:TagsList>"
    )
    data = pictures.with_metadata(pictures.quarters(), "JPEG", xmp=packet(keywords))
    kept = xmp_of(made(tmp_path, data, metadata="no-location").data)
    assert "Paris" not in kept
    assert "People|Ada" in kept
    assert "Placeholder/Ada" in kept
    assert "Paris" in xmp_of(made(tmp_path, data, metadata="no-gps").data)


MWG_KEYWORDS: Final = (
    '<kw:Keywords rdf:parseType="Resource"><kw:Hierarchy><rdf:Bag>'
    '<rdf:li rdf:parseType="Resource"><kw:Children><rdf:Bag><rdf:li rdf:parseType="Resource">'
    "<kw:Keyword>Paris</kw:Keyword></rdf:li></rdf:Bag></kw:Children>"
    "<kw:Keyword>Places</kw:Keyword></rdf:li>{}</rdf:Bag></kw:Hierarchy></kw:Keywords>"
)
MWG_ATTRIBUTES: Final = (
    "<kw:Keywords><rdf:Description><kw:Hierarchy><rdf:Bag>"
    '<rdf:li><rdf:Description kw:Keyword="Places"><kw:Children><rdf:Bag>'
    '<rdf:li kw:Keyword="Paris"/></rdf:Bag></kw:Children></rdf:Description></rdf:li>{}'
    "</rdf:Bag></kw:Hierarchy></rdf:Description></kw:Keywords>"
)
ADA: Final = '<rdf:li kw:Keyword="Ada"/>'
CATEGORIES: Final = (
    '&lt;Category Assigned="1"&gt;Places&lt;Category&gt;Paris&lt;/Category&gt;&lt;/Category&gt;'
)
LIGHTROOM: Final = (
    "<l:hierarchicalSubject>\n <rdf:Bag>\n <rdf:li>Places|France|Paris</rdf:li>{}\n </rdf:Bag>\n"
    "</l:hierarchicalSubject>"
)


def keywords_packet(properties: str) -> bytes:
    """Without a namespace that is known for places."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:l="http://ns.adobe.com/lightroom/1.0/" '
        'xmlns:kw="http://www.metadataworkinggroup.com/schemas/keywords/" '
        'xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/">{properties}'
        "<dc:format>image/jpeg</dc:format></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize(
    ("properties", "left"),
    [
        (MWG_KEYWORDS.format(""), ""),
        (MWG_KEYWORDS.format(ADA), "Ada"),
        (MWG_ATTRIBUTES.format(""), ""),
        (MWG_ATTRIBUTES.format(ADA), "Ada"),
        (f"<acdsee:categories>{CATEGORIES}</acdsee:categories>", ""),
        (
            f"<acdsee:categories>{CATEGORIES.replace('Places', 'People')}</acdsee:categories>",
            "Paris",
        ),
        (LIGHTROOM.format(""), ""),
        (LIGHTROOM.format("<rdf:li>People|Ada</rdf:li>"), "People|Ada"),
    ],
)
def test_no_location_drops_every_kind_of_hierarchy_and_leaves_none_empty(
    tmp_path: Path, properties: str, left: str
) -> None:
    data = pictures.with_metadata(
        pictures.quarters(), "JPEG", xmp=keywords_packet(properties.replace('"', "'"))
    )
    assert "Paris" in xmp_of(made(tmp_path, data, metadata="no-gps").data)

    result = made(tmp_path, data, metadata="no-location")

    kept = xmp_of(result.data)
    assert "image/jpeg" in kept
    assert ("Paris" in kept) == (left == "Paris")
    assert left in kept
    assert left or not re.search(r"<(?:kw|l|acdsee):|rdf:Bag", kept)
    assert result.warnings == []


def test_no_location_drops_texts_of_a_png_that_name_a_place(tmp_path: Path) -> None:
    texts = PngInfo()
    for keyword, text in {"City": "Paris", "Sub-location": "Montmartre", "Title": "A lake"}.items():
        texts.add_text(keyword, text)
    data = pictures.saved(pictures.quarters(), "PNG", pnginfo=texts)
    named = made(tmp_path, data, ".png", metadata="no-gps").data
    assert b"Paris" in named
    result = made(tmp_path, data, ".png", metadata="no-location")
    assert b"Paris" not in result.data
    assert b"Montmartre" not in result.data
    assert b"A lake" in result.data
    assert result.warnings == []


@pytest.mark.parametrize("tag", [0x8649, 0xC634, 0x83BB])
def test_blocks_inside_exif_are_dropped_where_they_may_tell(tmp_path: Path, tag: int) -> None:
    block = Image.Exif()
    block[tag] = b"\x1c\x02\x5a\x00\x05Paris"
    data = pictures.with_metadata(pictures.quarters(), "JPEG", exif=block.tobytes()[6:])
    assert b"Paris" in made(tmp_path, data).data
    assert b"Paris" not in made(tmp_path, data, metadata="no-location").data
    named = made(tmp_path, data, metadata="no-gps").data
    assert (b"Paris" in named) == (tag == 0x83BB)


# Links and words in texts


@pytest.mark.parametrize(
    "text",
    [
        "https://maps.app.goo.gl/abcDEF123",
        "http://maps.google.com/?q=Paris",
        "https://www.google.co.uk/maps/place/Paris",
        "https://goo.gl/maps/abc",
        "https://maps.apple.com/?address=Paris",
        "https://www.openstreetmap.org/relation/7444",
        "at ///filled.count.soap",
        "what3words: filled.count.soap",
        "48° 51' 29\" N 2° 17' 40\" E",
        "48°51.49'N",
        "POINT (-121.1 -41.1)",
        "POINT Z(4 52 10)",
    ],
)
def test_text_that_leads_to_a_place_tells_a_position(text: str) -> None:
    assert positions.in_text(text)
    assert positions.in_text(text.encode())
    assert positions.in_text(text.encode("utf-16-le"))


@pytest.mark.parametrize(
    "text",
    [
        "20° below zero, 5' from the lake",
        "file:///home/ada.b.c",
        "https://google.com/search?q=maps",
        "the point (see below)",
        "Starting point (2nd lap)",
        "Focal point (1 of 3)",
        "a/// b.c.d",
        "///",
    ],
)
def test_text_that_only_looks_like_it_does_not(text: str) -> None:
    assert not positions.in_text(text)


# One declaration


@pytest.mark.parametrize("policy", METADATA_POLICIES)
def test_every_policy_is_known_everywhere(policy: str) -> None:
    recipe = imgbatch.Recipe.from_options(metadata=policy)
    (output,) = recipe.outputs
    assert output.encoding.metadata == policy
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert policy in page[page.index("`--metadata`") :].partition("\n")[0]
