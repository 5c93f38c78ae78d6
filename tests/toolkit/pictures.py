"""Pictures and files for tests, made by plain functions.

Nothing here uses imgbatch: EXIF blocks, XMP packets and ICC profiles are put together byte by byte,
so that expected values do not come from the code under test.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Pixels = NDArray[np.uint8]
Order = Literal["<", ">"]

RED: Final = (220, 30, 30)
GREEN: Final = (30, 180, 40)
BLUE: Final = (30, 50, 210)
YELLOW: Final = (235, 220, 40)
_NAMES: Final = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}

UPRIGHT: Final = ("red", "green", "blue", "yellow")
"""The corners of `quarters`, clockwise from the top left one."""


# Pixels


def scene(width: int = 96, height: int = 64) -> Pixels:
    """A photograph-like RGB array: a sky, a hill, a sun, and some fine grain; always the same."""
    return _scene(width, height).copy()


@functools.lru_cache(maxsize=64)
def _scene(width: int, height: int) -> Pixels:
    down = np.arange(float(height))[:, None] / max(1, height - 1)
    across = np.arange(float(width)) / max(1, width - 1)
    hill = down > 0.65 + 0.12 * np.sin(across * 7)
    sun = (across - 0.75) ** 2 + (down - 0.25) ** 2 < 0.015
    grain = np.random.default_rng(7).normal(0, 3, (height, width))
    skies = 90 + 60 * down, 140 + 50 * down, 230 - 60 * down
    hills = 60 + 90 * across, 120 - 40 * down, 40 + 30 * across
    picture = np.empty((height, width, 3), np.uint8)
    # Band by band: with all three in one array of float64, it takes five times as long.
    for band, (in_sky, on_hill, in_sun) in enumerate(
        zip(skies, hills, (250, 225, 120), strict=True)
    ):
        level = np.where(sun, in_sun, np.where(hill, on_hill, in_sky)) + grain
        picture[..., band] = np.clip(np.rint(level), 0, 255)
    return picture


def quarters(width: int = 64, height: int = 48) -> Pixels:
    """Four plain quarters: red, green, blue and yellow, clockwise from the top left one."""
    picture = np.empty((height, width, 3), np.uint8)
    middle, centre = height // 2, width // 2
    picture[:middle, :centre] = RED
    picture[:middle, centre:] = GREEN
    picture[middle:, centre:] = BLUE
    picture[middle:, :centre] = YELLOW
    return picture


def corners(image: Image.Image) -> tuple[str, ...]:
    """The names of the colours in the four corners, clockwise from the top left one."""
    pixels = np.asarray(image.convert("RGB")).astype(np.float64)
    deep, wide = max(1, pixels.shape[0] // 5), max(1, pixels.shape[1] // 5)
    patches = (
        pixels[:deep, :wide],
        pixels[:deep, -wide:],
        pixels[-deep:, -wide:],
        pixels[-deep:, :wide],
    )
    return tuple(_nearest(patch.reshape(-1, 3).mean(axis=0)) for patch in patches)


def _nearest(colour: NDArray[np.float64]) -> str:
    name, distance = min(
        ((name, float(np.abs(colour - known).max())) for name, known in _NAMES.items()),
        key=lambda pair: pair[1],
    )
    return name if distance < 40 else f"none of them: {colour.round()}"


SIDES: Final = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
"""Where the first row and first column of a file are displayed, by orientation (Exif 2.32)."""


def stored(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The rows of a file that, with this EXIF orientation, is displayed as `upright`."""
    first_row, first_column = SIDES[orientation]
    pixels = upright.swapaxes(0, 1) if first_row in ("left", "right") else upright
    if first_row in ("bottom", "right"):
        pixels = pixels[::-1]
    if first_column in ("bottom", "right"):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


# EXIF

_TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 11: 4, 12: 8}
Field = tuple[int, int, bytes]
"""Tag, TIFF type, and the value's bytes."""

MODEL: Final = "Testa 7"
TAKEN: Final = "2024:05:17 18:03:09"
ARTIST: Final = "Ada Licht"
COPYRIGHT: Final = "(c) 2024 Ada Licht"

# 48 deg 51' 29.6621" N, 2 deg 17' 40.0843" E
_LATITUDE: Final = (48, 1, 51, 1, 296_621, 10_000)
_LONGITUDE: Final = (2, 1, 17, 1, 400_843, 10_000)
_XMP_POSITIONS: Final = ("48,51.494368N", "2,17.668072E", "48.858239", "2.294468")


@dataclass(frozen=True)
class ExifBlock:
    """A TIFF block with its content and offsets; `thumbnail` is empty if it has none."""

    block: bytes
    maker_note: bytes
    maker_note_at: int
    thumbnail: bytes


def text(value: str) -> bytes:
    """An ASCII value, ended by a NUL as EXIF requires."""
    return value.encode("ascii") + b"\0"


def directory(order: Order, fields: Iterable[Field], at: int, link: int = 0) -> bytes:
    """A TIFF directory at an offset `at`, followed by its longer values."""
    rows = sorted(fields)
    entries, values = b"", b""
    values_at = at + 2 + 12 * len(rows) + 4
    for tag, kind, data in rows:
        cell = data.ljust(4, b"\0")
        if len(data) > 4:
            cell = struct.pack(order + "I", values_at + len(values))
            values += data + b"\0" * (len(data) % 2)
        entries += struct.pack(order + "HHI", tag, kind, len(data) // _TYPE_BYTES[kind]) + cell
    return struct.pack(order + "H", len(rows)) + entries + struct.pack(order + "I", link) + values


def tiff_header(order: Order) -> bytes:
    """The eight bytes before the first directory."""
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)


def exif_block(
    order: Order = "<",
    *,
    orientation: int | None = 6,
    size: tuple[int, int] = (96, 64),
    gps: bool = True,
    maker_note: bool = True,
    thumbnail: bytes | None = None,
    rights: bool = True,
    more: Sequence[Field] = (),
) -> ExifBlock:
    """An EXIF block as a camera makes it: IFD0, Exif, Interoperability, GPS, IFD1, thumbnail.

    The MakerNote repeats the position, and points to itself by an offset from the block's start.
    `more` are further fields of the Exif directory. `thumbnail` is any bytes, b"" for none.
    """
    if thumbnail is None:
        thumbnail = small_jpeg()
    short, long = order + "H", order + "I"
    zero = bytes(4)
    first: list[Field] = [
        (0x0100, 4, struct.pack(long, size[0])),
        (0x0101, 4, struct.pack(long, size[1])),
        (0x010F, 2, text("Testa")),
        (0x0110, 2, text(MODEL)),
        (0x011A, 5, struct.pack(order + "II", 300, 1)),
        (0x011B, 5, struct.pack(order + "II", 300, 1)),
        (0x0128, 3, struct.pack(short, 2)),
        (0x8769, 4, zero),
    ]
    if orientation is not None:
        first.append((0x0112, 3, struct.pack(short, orientation)))
    if rights:
        first += [(0x013B, 2, text(ARTIST)), (0x8298, 2, text(COPYRIGHT))]
    if gps:
        first.append((0x8825, 4, zero))
    note = b"TESTA\0" + zero + _position(order) + bytes(range(64)) if maker_note else b""
    below: list[Field] = [
        (0x829A, 5, struct.pack(order + "II", 1, 250)),
        (0x9003, 2, text(TAKEN)),
        (0xA002, 3, struct.pack(short, size[0])),
        (0xA003, 3, struct.pack(short, size[1])),
        (0xA005, 4, zero),
        *more,
    ]
    if maker_note:
        below.append((0x927C, 7, note))
    interoperability: list[Field] = [(0x0001, 2, text("R98")), (0x0002, 7, b"0100")]
    position: list[Field] = [
        (0x0000, 1, bytes((2, 3, 0, 0))),
        (0x0001, 2, text("N")),
        (0x0002, 5, struct.pack(order + "6I", *_LATITUDE)),
        (0x0003, 2, text("E")),
        (0x0004, 5, struct.pack(order + "6I", *_LONGITUDE)),
    ]
    second: list[Field] = [(0x0103, 3, struct.pack(short, 6)), (0x0201, 4, zero), (0x0202, 4, zero)]

    def place(fields: list[Field], tag: int, value: int) -> None:
        fields[:] = [
            (one, kind, struct.pack(long, value) if one == tag else data)
            for one, kind, data in fields
        ]

    at = 8 + len(directory(order, first, 0))
    place(first, 0x8769, at)
    below_at = at
    at += len(directory(order, below, 0))
    place(below, 0xA005, at)
    parts = [directory(order, below, below_at), directory(order, interoperability, at)]
    at += len(parts[-1])
    if gps:
        place(first, 0x8825, at)
        parts.append(directory(order, position, at))
        at += len(parts[-1])
    link = at if thumbnail else 0
    if thumbnail:
        place(second, 0x0201, at + len(directory(order, second, 0)))
        place(second, 0x0202, len(thumbnail))
        parts += [directory(order, second, at), thumbnail]
    block = tiff_header(order) + directory(order, first, 8, link) + b"".join(parts)
    note_at = block.index(note) if maker_note else 0
    if maker_note:
        note = note[:6] + struct.pack(long, note_at) + note[10:]
        block = block[:note_at] + note + block[note_at + len(note) :]
    return ExifBlock(block, note, note_at, thumbnail)


def _position(order: Order) -> bytes:
    return struct.pack(order + "12I", *_LATITUDE, *_LONGITUDE)


def traces_of_position(data: bytes) -> list[str]:
    """What of the test position can still be found in a file's bytes, in either byte order."""
    found = []
    for name, numbers in (("latitude", _LATITUDE), ("longitude", _LONGITUDE)):
        seconds = [struct.pack(order + "II", *numbers[4:]) for order in "<>"]
        if any(one in data for one in seconds):
            found.append(f"EXIF {name}")
    return found + [f"XMP {one}" for one in _XMP_POSITIONS if one.encode() in data]


def small_jpeg() -> bytes:
    """A thumbnail, which shows a picture quite different from `scene`."""
    return saved(quarters(32, 24), "JPEG", quality=60)


# XMP

Gps = Literal["attributes", "elements", "nested", "drone", "geo", "text"]

_GPS_ATTRIBUTES: Final = (
    'exif:GPSLatitude="48,51.494368N" exif:GPSLongitude="2,17.668072E" exif:GPSAltitude="35/1"'
)
_GPS_ELEMENTS: Final = (
    "<exif:GPSLatitude>48,51.494368N</exif:GPSLatitude>"
    "<exif:GPSLongitude>2,17.668072E</exif:GPSLongitude>"
)
_DRONE_ATTRIBUTES: Final = (
    'drone-dji:GpsLatitude="+48.858239" drone-dji:GpsLongtitude="+2.294468" '
    'drone-dji:Latitude="48.858239" drone-dji:Longitude="2.294468" '
    'drone-dji:CalibratedFocalLength="4"'
)
_NAMESPACES: Final = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpGImg": "http://ns.adobe.com/xap/1.0/g/img/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "drone-dji": "http://www.dji.com/drone-dji/1.0/",
    "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
XMP_THUMBNAIL: Final = "SGllciB3YXIgbWFsIGVpbiBHZXNpY2h0"
XMP_RIGHTS: Final = "All rights with Ada Licht"


def xmp_packet(
    *,
    orientation: int | None = None,
    gps: Gps | None = None,
    thumbnail: bool = False,
    rights: bool = True,
    extended: bool = False,
) -> bytes:
    """An XMP packet as photo programs write them, with the wrapper and a lens of its own."""
    attributes = ['xmp:Rating="4"', 'photoshop:Credit="Licht Agency"']
    elements = ["<xmp:Label>Sée &amp; Ufer</xmp:Label>"]
    if orientation is not None:
        attributes.append(f'tiff:Orientation="{orientation}"')
    if extended:
        attributes.append('xmpNote:HasExtendedXMP="00112233445566778899AABBCCDDEEFF"')
    if rights:
        elements.append(
            "<dc:creator><rdf:Seq><rdf:li>Ada Licht</rdf:li></rdf:Seq></dc:creator>"
            '<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">'
            f"{XMP_RIGHTS}</rdf:li></rdf:Alt></dc:rights>"
            "<xmpRights:Marked>True</xmpRights:Marked>"
        )
    if thumbnail:
        elements.append(
            '<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource">'
            f"<xmpGImg:image>{XMP_THUMBNAIL}</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>"
        )
    if gps in ("attributes", "drone", "geo"):
        attributes.append(
            {
                "attributes": _GPS_ATTRIBUTES,
                "drone": _DRONE_ATTRIBUTES,
                "geo": 'geo:lat="48.858239" geo:long="2.294468"',
            }[gps]
        )
    elif gps == "elements":
        elements.append(_GPS_ELEMENTS)
    elif gps == "nested":
        elements.append(
            "<Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li>"
            f"<rdf:Description {_GPS_ATTRIBUTES}><Iptc4xmpExt:City>Paris</Iptc4xmpExt:City>"
            "</rdf:Description></rdf:li></rdf:Bag></Iptc4xmpExt:LocationCreated>"
        )
    elif gps == "text":
        elements.append(
            "<dc:description>GPSLatitude 48.858239, GPSLongitude 2.294468</dc:description>"
        )
    body = " ".join((*attributes, *elements))
    prefixes = " ".join(
        f'xmlns:{prefix}="{name}"' for prefix, name in _NAMESPACES.items() if f"{prefix}:" in body
    )
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Test Toolkit 1.0">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        f'  <rdf:Description rdf:about="" {prefixes}\n    {" ".join(attributes)}>\n'
        f"   {''.join(elements)}\n"
        "  </rdf:Description>\n"
        " </rdf:RDF>\n"
        "</x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    ).encode()


# IPTC-IIM 4.2, Photoshop's image resources, PNG's texts

BY_LINE: Final = "Zoë Licht"
IPTC_COPYRIGHT: Final = "© Zoë Licht"
CAPTION: Final = "Am Ufer"
_CITY: Final = "Köln"


def data_set(record: int, number: int, value: bytes) -> bytes:
    """One data set with a length of two bytes."""
    return bytes((0x1C, record, number)) + struct.pack(">H", len(value)) + value


def iptc_records(*more: tuple[int, bytes]) -> bytes:
    """Records as photo programs write them, in UTF-8; `more` are numbers of record 2 and values."""
    sets: list[tuple[int, bytes]] = [
        (0, b"\0\4"),
        (25, b"river"),
        (25, b"shore"),
        (80, BY_LINE.encode()),
        (90, _CITY.encode()),
        (110, b"Licht Agency"),
        (116, IPTC_COPYRIGHT.encode()),
        (120, CAPTION.encode()),
        *more,
    ]
    head = data_set(1, 90, b"\x1b%G")
    return head + b"".join(data_set(2, number, value) for number, value in sets)


def image_resource(number: int, data: bytes, name: bytes = b"") -> bytes:
    """One of Photoshop's image resources; name and data are padded to even lengths."""
    called = bytes((len(name),)) + name
    called += b"\0" * (len(called) % 2)
    body = struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"8BIM" + struct.pack(">H", number) + called + body


def photoshop_segment(*resources: bytes) -> tuple[int, bytes]:
    """The segment of a JPEG (APP13) that holds these resources."""
    return 0xFFED, b"Photoshop 3.0\0" + b"".join(resources)


def raw_profile(kind: str, block: bytes) -> str:
    """What ImageMagick writes into a PNG's text "Raw profile type ..."."""
    return f"\n{kind}\n{len(block):8}\n{block.hex()}\n"


# ICC profiles (ICC.1:2001-04, version 2.4)

WIDE_GAMMA: Final = 563 / 256
WIDE_TO_XYZ: Final = np.array(
    # Adobe RGB (1998)'s primaries, adapted to D50, in columns of red, green and blue.
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
GREY_GAMMA: Final = 461 / 256
_D50: Final = (0.9642, 1.0, 0.8249)


def rgb_profile(
    to_xyz: NDArray[np.float64],
    curve: bytes,
    name: str = "test colours",
    white: tuple[float, float, float] = _D50,
) -> bytes:
    """An RGB profile of three primaries, in the columns of `to_xyz` (D50), and one curve.

    `white` is the media white, which matters only to an absolute rendering.
    """
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz.T, strict=True)
    return _icc(
        b"mntr",
        b"RGB ",
        b"XYZ ",
        {
            **{tag: _xyz(*column) for tag, column in columns},
            b"wtpt": _xyz(*white),
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
        },
        name,
    )


def gamma_curve(gamma: float) -> bytes:
    """A curve that is a single exponent, which profiles store in 1/256."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def table_curve(values: NDArray[np.float64]) -> bytes:
    """A curve from a table of values 0 to 1."""
    levels = np.rint(values * 65_535).astype(">u2").tobytes()
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + levels


def wide_gamut_profile() -> bytes:
    """An RGB profile that is much wider than sRGB in the greens."""
    return rgb_profile(WIDE_TO_XYZ, gamma_curve(WIDE_GAMMA))


def grey_profile() -> bytes:
    """A grey profile with the gamma of old Macintoshes, 1.8."""
    tags = {b"wtpt": _xyz(*_D50), b"kTRC": gamma_curve(GREY_GAMMA)}
    return _icc(b"mntr", b"GRAY", b"XYZ ", tags)


CMYK_INKS: Final = {
    # CMY to the Lab of its overprint on white paper.
    (0, 0, 0): (100, 0, 0),
    (1, 0, 0): (55, -36, -38),
    (0, 1, 0): (48, 72, -6),
    (0, 0, 1): (88, -6, 90),
    (1, 1, 0): (24, 18, -44),
    (1, 0, 1): (50, -64, 27),
    (0, 1, 1): (46, 66, 46),
    (1, 1, 1): (0, 0, 0),
}


def cmyk_profile() -> bytes:
    """A press profile of 16 colours, from the table above; with full black all of them are 0."""
    clut = b""
    for cyan in (0, 1):
        for magenta in (0, 1):
            for yellow in (0, 1):
                lightness, a, b = CMYK_INKS[cyan, magenta, yellow]
                clut += bytes((round(lightness * 2.55), a + 128, b + 128))
                clut += bytes((0, 128, 128))
    back = b"".join(
        bytes((0, 0, 0, 255 - 255 * lightness)) for lightness in (0, 1) for _ in range(4)
    )
    return _icc(
        b"prtr",
        b"CMYK",
        b"Lab ",
        {b"wtpt": _xyz(*_D50), b"A2B0": _lut(4, 3, clut), b"B2A0": _lut(3, 4, back)},
    )


def _lut(channels_in: int, channels_out: int, clut: bytes) -> bytes:
    ramp = bytes(range(256))
    identity = b"".join(_fixed(1.0 if i in (0, 4, 8) else 0.0) for i in range(9))
    head = b"mft1" + bytes(4) + bytes((channels_in, channels_out, 2, 0))
    return head + identity + ramp * channels_in + clut + ramp * channels_out


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(x) + _fixed(y) + _fixed(z)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65_536))


def _icc(
    kind: bytes,
    space: bytes,
    connection: bytes,
    tags: dict[bytes, bytes],
    name: str = "test colours",
) -> bytes:
    words = text(name)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(words)) + words + bytes(8 + 3 + 67),
        b"cprt": b"text" + bytes(4) + b"none\0",
        **tags,
    }
    at = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += tag + struct.pack(">II", at + len(data), len(value))
        data += value + b"\0" * (-len(value) % 4)
    head = struct.pack(">I", at + len(data)) + bytes(4) + struct.pack(">I", 0x02400000)
    head += kind + space + connection + struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp"
    head += bytes(28) + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + data


# Files


def saved(pixels: NDArray[Any] | Image.Image, format_name: str, **options: Any) -> bytes:
    """The bytes of a file with these pixels, by Pillow's own encoder."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def with_metadata(
    pixels: NDArray[Any] | Image.Image,
    format_name: str,
    *,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    icc: bytes | None = None,
    dpi: tuple[int, int] | None = None,
) -> bytes:
    """A JPEG, PNG, WebP, AVIF or TIFF file that holds these, each where its format stores it."""
    options: dict[str, Any] = {}
    if exif:
        options["exif"] = b"Exif\0\0" + exif if format_name == "JPEG" else exif
    if icc:
        options["icc_profile"] = icc
    if dpi:
        options["dpi"] = dpi
    if xmp and format_name == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    elif format_name == "TIFF":
        tags = Image.Exif()
        tags.load(exif or b"")
        # The size of a TIFF is that of its own pixels.
        for tag in {0x0100, 0x0101} & set(tags):
            del tags[tag]
        if xmp:
            tags[0x02BC] = xmp
        options["exif"] = tags
    elif xmp:
        options["xmp"] = xmp
    if format_name == "WEBP":
        options["lossless"] = True
    if format_name == "JPEG":
        options["quality"] = 95
    return saved(pixels, format_name, **options)


def with_segments(jpeg: bytes, segments: Iterable[tuple[int, bytes]]) -> bytes:
    """A JPEG with further segments (marker, payload) right after its first two bytes."""
    added = b"".join(
        struct.pack(">HH", marker, len(payload) + 2) + payload for marker, payload in segments
    )
    return jpeg[:2] + added + jpeg[2:]


def opened(data: bytes) -> Image.Image:
    """A file's bytes as a loaded Pillow image."""
    image = Image.open(BytesIO(data))
    image.load()
    return image
