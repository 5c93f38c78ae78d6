"""`no-gps` finds a position in any text: there is one list of patterns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from toolkit import pictures

import imgbatch
from imgbatch.imaging.metadata import positions

TELLING: Final = (
    "at home, 48.858239, 2.294468",
    "GPS 48 51 29 N",
    "latitude fifty",
    "Longitude: two",
    "the Longtitude of a drone",
    "a lattitude",
    "geo:lat=48.8582",
    "http://www.w3.org/2003/01/geo/wgs84_pos#",
)
OTHERS: Final = ("Paris, f/2.8 at 1/250, ISO 100", "No. 2024.0512", "v1.234", "at an altitude")


def _packet(elements: str = "", attributes: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        f"{attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def _exif(tag: int, value: bytes | str) -> bytes:
    exif = Image.Exif()
    exif[0x0110] = pictures.MODEL
    if tag == 0x9286:
        exif.get_ifd(0x8769)[tag] = value
    else:
        exif[tag] = value
    return exif.tobytes()


def _jpeg(**blocks: Any) -> bytes:
    return pictures.with_metadata(pictures.quarters(), "JPEG", **blocks)


def _png(keyword: str, text: str) -> bytes:
    info = PngInfo()
    info.add_text(keyword, text)
    return pictures.saved(pictures.quarters(), "PNG", pnginfo=info)


def _caption(text: str) -> bytes:
    records = pictures.iptc_records((120, text.encode()))
    segment = pictures.photoshop_segment(pictures.image_resource(0x0404, records))
    return pictures.with_segments(_jpeg(), [segment])


PLACES: Final[dict[str, Callable[[str], bytes]]] = {
    "EXIF description": lambda text: _jpeg(exif=_exif(0x010E, text)),
    "EXIF comment": lambda text: _jpeg(exif=_exif(0x9286, b"ASCII\0\0\0" + text.encode())),
    "EXIF comment in UTF-16": lambda text: _jpeg(
        exif=_exif(0x9286, b"UNICODE\0" + text.encode("utf-16-le"))
    ),
    "Windows' comment": lambda text: _jpeg(exif=_exif(0x9C9C, text.encode("utf-16-le"))),
    "XMP description": lambda text: _jpeg(
        xmp=_packet(
            f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li>'
            "</rdf:Alt></dc:description>"
        )
    ),
    "XMP keyword": lambda text: _jpeg(
        xmp=_packet(f"<dc:subject><rdf:Bag><rdf:li>{text}</rdf:li></rdf:Bag></dc:subject>")
    ),
    "XMP attribute": lambda text: _jpeg(
        xmp=_packet(attributes=f"photoshop:Headline={quoteattr(text)}")
    ),
    "XMP references": lambda text: _jpeg(
        xmp=_packet(f"<dc:title>{''.join(f'&#{ord(letter)};' for letter in text)}</dc:title>")
    ),
    "IPTC caption": _caption,
    "PNG text": lambda text: _png("Description", text),
    "PNG comment": lambda text: _png("Comment", text),
    "JPEG comment": lambda text: pictures.with_segments(_jpeg(), [(0xFFFE, text.encode())]),
}


def made(folder: Path, data: bytes) -> tuple[bytes, list[str]]:
    """The output for `no-gps`, and the kinds of its warnings."""
    suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
    (folder / "in").mkdir()
    (folder / f"in/photo{suffix}").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(sizes=["32"], metadata="no-gps")
    (result,) = imgbatch.run(recipe, [folder / "in"], output=folder / "out", jobs=1)
    assert result.failure is None, result.failure
    data = Path(result.written[0].path).read_bytes()
    return data, [notice.kind for notice in result.notices]


def stands_in(text: str, data: bytes) -> bool:
    references = "".join(f"&#{ord(letter)};" for letter in text)
    spelled = (text.encode(), text.encode("utf-16-le"), references.encode())
    return any(one in data for one in spelled)


@pytest.mark.slow
@pytest.mark.parametrize("text", TELLING)
@pytest.mark.parametrize("place", PLACES)
def test_text_with_a_position_is_removed(tmp_path: Path, place: str, text: str) -> None:
    before = PLACES[place](text)
    assert stands_in(text, before)

    after, warnings = made(tmp_path, before)

    assert not stands_in(text, after)
    assert warnings == ["metadata-dropped"]


@pytest.mark.slow
@pytest.mark.parametrize("text", OTHERS)
@pytest.mark.parametrize("place", PLACES)
def test_other_text_is_kept(tmp_path: Path, place: str, text: str) -> None:
    after, warnings = made(tmp_path, PLACES[place](text))

    assert stands_in(text, after)
    assert warnings == []


def test_rest_of_the_exif_block_is_kept(tmp_path: Path) -> None:
    after, _ = made(tmp_path, PLACES["EXIF description"](TELLING[0]))

    exif = pictures.opened(after).getexif()
    assert exif[0x0110] == pictures.MODEL
    assert 0x010E not in exif


@pytest.mark.parametrize("text", TELLING)
def test_bytes_and_utf_16_are_treated_alike(text: str) -> None:
    for encoded in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be")):
        assert positions.in_text(encoded)
    assert not positions.in_text("é".join(OTHERS).encode())


def test_names_are_words_not_numbers() -> None:
    assert positions.in_name("GpsLongtitude")
    assert not positions.in_name("CalibratedFocalLength")
    assert not positions.in_name("10.12345")


def test_three_letters_in_encoded_data_prove_nothing() -> None:
    assert not positions.in_block(b"QmFzZTY0gpsQmFzZTY0")
    assert positions.in_block(b"exif:GPSLatitude")
    assert positions.in_block(b"GpsAltitudel")
