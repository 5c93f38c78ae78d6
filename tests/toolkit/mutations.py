"""Small valid files of every format, and ways to damage them.

Used by tests/imaging/test_fuzz.py for a few seconds and by `scripts/tool fuzz` for as long as one
likes. The same random numbers always give the same damage.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from random import Random
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from toolkit.pictures import (
    Order,
    cmyk_profile,
    exif_block,
    grey_profile,
    saved,
    scene,
    wide_gamut_profile,
    with_metadata,
    with_segments,
    xmp_packet,
)

Damage = tuple[bytes, str]
"""The damaged bytes, and words for what was done to them."""

EXTREMES: Final[tuple[int, ...]] = (
    *(0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000),
    *(0xFFFFFF, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF),
)


@dataclass(frozen=True, slots=True)
class Specimen:
    """A whole file, with a name that ends in the suffix of its format."""

    name: str
    data: bytes

    @property
    def suffix(self) -> str:
        return self.name[self.name.rindex(".") :]


# Whole files


def specimens() -> list[Specimen]:
    """At least one file of every format that this Pillow can write, in its many kinds."""
    makers: list[Callable[[], Iterator[Specimen]]] = [_jpeg, _png, _tiff, _simple, _ico]
    makers += [_webp] if features.check("webp") else []
    makers += [_avif] if features.check("avif") else []
    makers += [_jpeg2000] if features.check("jpg_2000") else []
    makers += [_heif] if find_spec("pillow_heif") else []
    makers += [_raw] if find_spec("rawpy") and find_spec("tifffile") else []
    return [specimen for make in makers for specimen in make()]


def _everything(format_name: str, order: Order = "<", orientation: int = 6) -> bytes:
    """A file with EXIF, a position, a thumbnail, XMP, a profile and a resolution."""
    block = exif_block(order, orientation=orientation).block
    packet = xmp_packet(orientation=3, gps="attributes", thumbnail=True)
    return with_metadata(
        _rgb(), format_name, exif=block, xmp=packet, icc=wide_gamut_profile(), dpi=(300, 300)
    )


def _rgb() -> Image.Image:
    return Image.fromarray(scene(72, 48))


def _rgba() -> Image.Image:
    picture = _rgb().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def _wide() -> Image.Image:
    return Image.fromarray(scene(72, 48)[..., 0].astype(np.uint16) * 257)


def _frames(mode: str = "RGB") -> dict[str, Any]:
    others = [_rgb().rotate(angle).convert(mode) for angle in (90, 180)]
    return {"save_all": True, "append_images": others}


def _jpeg() -> Iterator[Specimen]:
    block = exif_block(">", orientation=8).block
    yield Specimen("plain.jpg", saved(scene(300, 200), "JPEG", quality=60))
    yield Specimen("everything.jpg", _everything("JPEG"))
    yield Specimen("grey.jpg", saved(_rgb().convert("L"), "JPEG", icc_profile=grey_profile()))
    yield Specimen("cmyk.jpg", saved(_rgb().convert("CMYK"), "JPEG", icc_profile=cmyk_profile()))
    options: dict[str, Any] = {"exif": b"Exif\0\0" + block, "restart_marker_blocks": 2}
    yield Specimen("progressive.jpg", saved(_rgb(), "JPEG", progressive=True, **options))
    yield Specimen("full-chroma.jpg", saved(_rgb(), "JPEG", subsampling=0, optimize=True))
    yield Specimen("two-pictures.mpo", saved(_rgb(), "MPO", exif=b"Exif\0\0" + block, **_frames()))
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x10\x1c\x02\x50\0\x0bAda Licht..\0"
    segments = [(0xFFED, iptc), (0xFFFE, b"a remark"), (0xFFEE, b"Adobe\0d\0\0\0\0\1")]
    yield Specimen("segments.jpg", with_segments(saved(_rgb(), "JPEG"), segments))


def _heif() -> Iterator[Specimen]:
    from pillow_heif import from_pillow

    options = {"exif": exif_block().block, "xmp": xmp_packet(), "quality": 60}
    for name, picture in (("everything.heic", _rgb()), ("alpha.heic", _rgba())):
        file = BytesIO()
        from_pillow(picture).save(file, **options)
        yield Specimen(name, file.getvalue())


def _raw() -> Iterator[Specimen]:
    from toolkit.raw import dng

    yield Specimen("camera.dng", dng(previews=(saved(_rgb(), "JPEG"),)))


def _png() -> Iterator[Specimen]:
    few = _rgb().quantize(12)
    yield Specimen("rgb.png", saved(_rgb(), "PNG"))
    yield Specimen("everything.png", _everything("PNG"))
    yield Specimen("alpha.png", saved(_rgba(), "PNG", icc_profile=wide_gamut_profile()))
    yield Specimen("grey-alpha.png", saved(_rgba().convert("LA"), "PNG"))
    yield Specimen("palette.png", saved(few, "PNG", transparency=3, bits=4))
    yield Specimen("one-bit.png", saved(_rgb().convert("1"), "PNG"))
    yield Specimen("deep-grey.png", saved(_wide(), "PNG"))
    yield Specimen("keyed.png", saved(_rgb(), "PNG", transparency=(90, 140, 230)))
    yield Specimen("moving.png", saved(_rgb(), "PNG", duration=50, **_frames()))
    yield Specimen("interlaced.png", _hand_made_png(scene(37, 21), depth=8, interlaced=True))
    deep = scene(37, 21).astype(np.uint16) * 257
    yield Specimen("deep.png", _hand_made_png(deep, depth=16, interlaced=False))
    raw = b"\nexif\n%8d\n%b\n" % (6 + len(_OLD_EXIF), (b"Exif\0\0" + _OLD_EXIF).hex().encode())
    text = Part(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))
    parts = PNG.split(saved(_rgb(), "PNG"))
    yield Specimen("old-exif.png", PNG.join([parts[0], text, *parts[1:]]))


_OLD_EXIF: Final = exif_block(orientation=5).block
_ADAM7: Final = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)),
    *((1, 0, 2, 2), (0, 1, 1, 2)),
)


def _hand_made_png(pixels: Any, *, depth: int, interlaced: bool) -> bytes:
    """RGB in ways that Pillow reads but does not write (ISO 15948, section 8)."""
    height, width = pixels.shape[:2]
    wide = pixels.astype(">u2" if depth == 16 else np.uint8)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(
        b"\0" + row.tobytes() for left, top, dx, dy in passes for row in wide[top::dy, left::dx]
    )
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, interlaced)
    parts = [Part(b"IHDR", header), Part(b"IDAT", zlib.compress(rows)), Part(b"IEND", b"")]
    return PNG.join(parts)


def _webp() -> Iterator[Specimen]:
    yield Specimen("lossy.webp", saved(_rgb(), "WEBP", quality=60))
    yield Specimen("everything.webp", _everything("WEBP"))
    yield Specimen("alpha.webp", saved(_rgba(), "WEBP", quality=60))
    yield Specimen("moving.webp", saved(_rgb(), "WEBP", duration=40, **_frames()))


def _avif() -> Iterator[Specimen]:
    quick: dict[str, Any] = {"speed": 10, "max_threads": 1}
    block = exif_block(orientation=6).block
    parts: dict[str, Any] = {"exif": block, "xmp": xmp_packet(gps="nested")}
    parts["icc_profile"] = wide_gamut_profile()
    yield Specimen("everything.avif", saved(_rgb(), "AVIF", **quick, **parts))
    yield Specimen("alpha.avif", saved(_rgba(), "AVIF", **quick))
    yield Specimen("moving.avif", saved(_rgb(), "AVIF", **quick, duration=40, **_frames()))


def _tiff() -> Iterator[Specimen]:
    yield Specimen("everything.tif", _everything("TIFF"))
    yield Specimen("turned.tif", _everything("TIFF", orientation=8, order=">"))
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        data = saved(_rgb(), "TIFF", compression=name, strip_size=4096)
        yield Specimen(f"{name.replace('_', '-')}.tif", data)
    yield Specimen(
        "predicted.tif", saved(_rgb(), "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    )
    yield Specimen("fax.tif", saved(_rgb().convert("1"), "TIFF", compression="group4"))
    yield Specimen("pages.tif", saved(_rgb(), "TIFF", **_frames()))
    yield Specimen(
        "big.tif", saved(_rgb(), "TIFF", big_tiff=True, icc_profile=wide_gamut_profile())
    )
    yield Specimen("deep.tif", saved(_wide(), "TIFF"))
    yield Specimen("float.tif", saved(_rgb().convert("F"), "TIFF"))
    yield Specimen("integers.tif", saved(_rgb().convert("I"), "TIFF"))
    yield Specimen("palette.tif", saved(_rgb().quantize(200), "TIFF"))
    yield Specimen("alpha.tif", saved(_rgba(), "TIFF", compression="tiff_lzw"))
    cmyk = saved(_rgb().convert("CMYK"), "TIFF", icc_profile=cmyk_profile())
    yield Specimen("cmyk.tif", cmyk)
    yield Specimen("lab.tif", saved(Image.new("LAB", (40, 30), (120, 140, 90)), "TIFF"))


def _jpeg2000() -> Iterator[Specimen]:
    yield Specimen("whole.jp2", saved(_rgb(), "JPEG2000"))
    yield Specimen("stream.j2k", saved(_rgb(), "JPEG2000", no_jp2=True, irreversible=True))
    tiles: dict[str, Any] = {"tile_size": (32, 32), "progression": "RPCL", "num_resolutions": 3}
    yield Specimen("tiles.jp2", saved(_rgba(), "JPEG2000", **tiles))


def _simple() -> Iterator[Specimen]:
    """Formats with a header and little else."""
    few, grey, bits = _rgb().quantize(12), _rgb().convert("L"), _rgb().convert("1")
    yield Specimen("plain.gif", saved(few, "GIF", interlace=0))
    yield Specimen("interlaced.gif", saved(few, "GIF", interlace=1, transparency=2))
    yield Specimen("moving.gif", saved(_rgb(), "GIF", duration=40, loop=0, **_frames()))
    for name, image in (("rgb", _rgb()), ("alpha", _rgba()), ("palette", few), ("bits", bits)):
        yield Specimen(f"{name}.bmp", saved(image, "BMP"))
    yield Specimen("runs.bmp", _run_length_bmp())
    yield Specimen("rgb.ppm", saved(_rgb(), "PPM"))
    yield Specimen("grey.pgm", saved(grey, "PPM"))
    yield Specimen("deep.pgm", saved(_wide(), "PPM"))
    yield Specimen("bits.pbm", saved(bits, "PPM"))
    yield Specimen("float.pfm", saved(grey.convert("F"), "PPM"))
    digits = b" ".join(b"%d" % level for level in scene(12, 9).tobytes())
    yield Specimen("words.ppm", b"P3\n# a remark\n12 9\n255\n" + digits + b"\n")
    yield Specimen("rgb.qoi", saved(_rgb(), "QOI"))
    yield Specimen("alpha.qoi", saved(_rgba(), "QOI"))
    for name, image in (("rgb", _rgb()), ("alpha", _rgba()), ("grey", grey), ("palette", few)):
        yield Specimen(f"{name}.tga", saved(image, "TGA"))
    yield Specimen("runs.tga", saved(_rgb(), "TGA", compression="tga_rle"))


def _run_length_bmp() -> bytes:
    """8 bits with BI_RLE8: 16 x 8 in runs, a literal run, and a jump."""
    line = b"\x06\x01\x00\x04\x01\x02\x03\x04\x06\x02\x00\x00"
    pixels = line * 7 + b"\x00\x02\x04\x00\x0c\x03\x00\x01"
    palette = b"".join(bytes((level, 255 - level, 90, 0)) for level in range(16))
    start = 54 + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, 16, 8, 1, 8, 1, len(pixels), 2835, 2835, 16, 16)
    return head + palette + pixels


def _ico() -> Iterator[Specimen]:
    sizes = [(16, 16), (32, 32), (48, 48)]
    square = _rgba().resize((48, 48))
    yield Specimen("png.ico", saved(square, "ICO", sizes=sizes))
    yield Specimen("bmp.ico", saved(square, "ICO", sizes=sizes, bitmap_format="bmp"))


# Files as the parts they consist of


class Part(NamedTuple):
    """A chunk, segment or box; `claims` is a length that it tells instead of its own."""

    kind: bytes
    payload: bytes
    claims: int | None = None

    @property
    def length(self) -> int:
        return len(self.payload) if self.claims is None else self.claims


class Container(NamedTuple):
    """How a family of formats is cut into parts, and put together from them again."""

    label: str
    split: Callable[[bytes], list[Part]]
    join: Callable[[Sequence[Part]], bytes]


_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_ZIPPED: Final = {b"IDAT": 0, b"fdAT": 4}


def _split_png(data: bytes) -> list[Part]:
    parts, at = [], len(_PNG_MAGIC)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append(Part(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def _join_png(parts: Sequence[Part]) -> bytes:
    return _PNG_MAGIC + b"".join(
        struct.pack(">I", part.length & 0xFFFFFFFF)
        + part.kind
        + part.payload
        + struct.pack(">I", zlib.crc32(part.kind + part.payload))
        for part in parts
    )


_SCAN: Final = b""


def _split_jpeg(data: bytes) -> list[Part]:
    """Segments by their marker, and what stands between two of them as parts of no kind."""
    parts, at = [], 2
    while at + 4 <= len(data):
        if data[at] == 0xFF and data[at + 1] not in (0x00, 0xFF, *range(0xD0, 0xDA)):
            (length,) = struct.unpack_from(">H", data, at + 2)
            parts.append(Part(data[at : at + 2], data[at + 4 : at + 2 + length]))
            at += 2 + length
        else:
            end = next(
                (
                    found.start()
                    for found in re.finditer(rb"\xff[^\x00\xff\xd0-\xd9]", data)
                    if found.start() > at
                ),
                len(data),
            )
            parts.append(Part(_SCAN, data[at:end]))
            at = end
    return [*parts, Part(_SCAN, data[at:])]


def _join_jpeg(parts: Sequence[Part]) -> bytes:
    return b"\xff\xd8" + b"".join(
        part.kind + struct.pack(">H", (part.length + 2) & 0xFFFF) + part.payload
        if part.kind
        else part.payload
        for part in parts
    )


def _split_riff(data: bytes) -> list[Part]:
    parts, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        parts.append(Part(data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return parts


def _join_riff(parts: Sequence[Part]) -> bytes:
    body = b"".join(
        part.kind
        + struct.pack("<I", part.length & 0xFFFFFFFF)
        + part.payload
        + bytes(len(part.payload) % 2)
        for part in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


# Boxes that hold boxes, and how many bytes come before those (ISO 14496-12; ISO 15444-1, I).
_NESTS: Final = {
    **dict.fromkeys((b"iprp", b"ipco", b"jp2h", b"moov", b"trak", b"mdia", b"minf", b"stbl"), 0),
    b"meta": 4,
    b"iinf": 6,
}


def _split_boxes(data: bytes) -> list[Part]:
    parts, at = [], 0
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        # 0 goes to the end of the file.
        length = length if length >= 8 else len(data) - at
        parts.append(Part(data[at + 4 : at + 8], data[at + 8 : at + length]))
        at += length
    return parts


def _join_boxes(parts: Sequence[Part]) -> bytes:
    return b"".join(
        struct.pack(">I", (part.length + 8) & 0xFFFFFFFF) + part.kind + part.payload
        for part in parts
    )


def _split_codestream(data: bytes) -> list[Part]:
    """The main header's segments of a JPEG 2000 codestream (ISO 15444-1, annex A)."""
    parts, at = [], 2
    while at + 4 <= len(data) and data[at + 1] != 0x90:
        (length,) = struct.unpack_from(">H", data, at + 2)
        parts.append(Part(data[at : at + 2], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return [*parts, Part(_SCAN, data[at:])]


def _join_codestream(parts: Sequence[Part]) -> bytes:
    return b"\xff\x4f" + _join_jpeg(parts)[2:]


PNG: Final = Container("PNG", _split_png, _join_png)
JPEG: Final = Container("JPEG", _split_jpeg, _join_jpeg)
RIFF: Final = Container("WebP", _split_riff, _join_riff)
BOXES: Final = Container("box", _split_boxes, _join_boxes)
CODESTREAM: Final = Container("codestream", _split_codestream, _join_codestream)


def container_of(data: bytes) -> Container | None:
    """How this file is cut into parts; None if it is not made of any."""
    for magic, container in (
        (_PNG_MAGIC, PNG),
        (b"\xff\xd8\xff", JPEG),
        (b"RIFF", RIFF),
        (b"\xff\x4f\xff\x51", CODESTREAM),
    ):
        if data.startswith(magic):
            return container
    return BOXES if data[4:8] in (b"ftyp", b"jP  ") else None


# Damage


def damaged(specimen: Specimen, others: Sequence[Specimen], rng: Random) -> Damage:
    """A specimen damaged in one to three places; `others` lend their parts."""
    data, words = specimen.data, []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data, word = _damaged_once(data, others, rng)
        words.append(word)
    return data, "; ".join(words)


def _damaged_once(data: bytes, others: Sequence[Specimen], rng: Random) -> Damage:
    container = container_of(data)
    if container and rng.random() < 0.55:
        return _parts_damaged(data, container, others, rng)
    if _tiff_headers(data) and rng.random() < 0.6:
        return _inside(data, rng, keep_length=True)
    if rng.random() < 0.1:
        return _spliced(data, rng.choice(others).data, rng)
    return _blindly(data, rng)


def _blindly(data: bytes, rng: Random) -> Damage:
    """Damage that knows nothing of formats."""
    return rng.choice(
        (_bits_flipped, _run_replaced, _cut_short, _run_removed, _run_doubled, _number, _number)
    )(data, rng)


def _place(data: bytes, rng: Random) -> int:
    """A position, as often as not in the first 64 bytes, where headers are."""
    return rng.randrange(max(1, min(len(data), 64) if rng.random() < 0.5 else len(data)))


def _bits_flipped(data: bytes, rng: Random) -> Damage:
    changed = bytearray(data)
    places = [_place(data, rng) for _ in range(rng.choice((1, 1, 2, 8, 40)))] if data else []
    for at in places:
        changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed), f"bits flipped at {places}"


def _run_replaced(data: bytes, rng: Random) -> Damage:
    at, length = _place(data, rng), rng.choice((1, 2, 4, 16, 100, 1000))
    filling = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return data[:at] + filling + data[at + length :], f"{length} bytes replaced at {at}"


def _cut_short(data: bytes, rng: Random) -> Damage:
    left = rng.choice((_place(data, rng), max(0, len(data) - rng.randrange(1, 40))))
    return data[:left], f"cut to {left} bytes"


def _run_removed(data: bytes, rng: Random) -> Damage:
    at, length = _place(data, rng), rng.choice((1, 2, 4, 13, 100))
    return data[:at] + data[at + length :], f"{length} bytes removed at {at}"


def _run_doubled(data: bytes, rng: Random) -> Damage:
    at, length, times = _place(data, rng), rng.choice((1, 4, 16, 256)), rng.choice((1, 1, 100))
    run = data[at : at + length]
    return data[:at] + run * times + data[at:], f"{len(run)} bytes repeated {times} times at {at}"


def _number(data: bytes, rng: Random) -> Damage:
    """An integer, most likely of a header, set to one that is hard to bear."""
    width, order = rng.choice((1, 2, 2, 4, 4)), rng.choice("<>")
    at = _place(data, rng)
    value = _hard_number(len(data), rng) & ((1 << 8 * width) - 1)
    packed = struct.pack(order + {1: "B", 2: "H", 4: "I"}[width], value)
    return data[:at] + packed + data[at + width :], f"{width} bytes at {at} set to {value}"


def _hard_number(length: int, rng: Random) -> int:
    if rng.random() < 0.3:
        return max(0, length + rng.randrange(-16, 17))
    return rng.choice(EXTREMES)


def _spliced(data: bytes, other: bytes, rng: Random) -> Damage:
    here, there = _place(data, rng), _place(other, rng)
    return data[:here] + other[there:], f"the first {here} bytes, then another file from {there}"


def _parts_damaged(
    data: bytes, container: Container, others: Sequence[Specimen], rng: Random
) -> Damage:
    try:
        parts = container.split(data)
    except struct.error:
        parts = []
    if not parts:
        return _blindly(data, rng)
    parts, words = _rearranged(parts, container, others, rng)
    return container.join(parts), f"{container.label}: {words}"


def _rearranged(
    parts: list[Part], container: Container, others: Sequence[Specimen], rng: Random
) -> tuple[list[Part], str]:
    index = rng.randrange(len(parts))
    part = parts[index]
    name = f"part {index} ({part.kind!r})"
    way = rng.choice(("inside",) * 6 + ("drop", "double", "swap", "claim", "retype", "foreign"))
    if way == "drop":
        return parts[:index] + parts[index + 1 :], f"{name} left out"
    if way == "double":
        times = rng.choice((1, 1, 200))
        return parts[:index] + [part] * times + parts[index:], f"{name} repeated {times} times"
    if way == "swap":
        other = rng.randrange(len(parts))
        parts[index], parts[other] = parts[other], parts[index]
        return parts, f"{name} exchanged with part {other}"
    if way == "claim":
        parts[index] = part._replace(claims=_hard_number(part.length, rng))
        return parts, f"{name} claims {parts[index].claims} bytes"
    if way == "retype" and part.kind:
        parts[index] = part._replace(kind=rng.choice(parts).kind or part.kind)
        return parts, f"{name} called {parts[index].kind!r}"
    if way == "foreign":
        lent = _lent(container, others, rng) or part
        return [*parts[:index], lent, *parts[index:]], f"{lent.kind!r} of another before {name}"
    skipped = _NESTS.get(part.kind) if container is BOXES else None
    if (
        skipped is not None
        and rng.random() < 0.8
        and (below := _split_boxes(part.payload[skipped:]))
    ):
        below, words = _rearranged(below, container, others, rng)
        payload = part.payload[:skipped] + _join_boxes(below)
    elif container is PNG and rng.random() < 0.8:
        payload, words = _png_payload(part, rng)
    else:
        payload, words = _inside(part.payload, rng, keep_length=False)
    parts[index] = part._replace(payload=payload)
    return parts, f"in {name}: {words}"


def _lent(container: Container, others: Sequence[Specimen], rng: Random) -> Part | None:
    """A part of another file of the family; None if there is none."""
    lenders = [other for other in others if container_of(other.data) is container]
    return rng.choice(container.split(rng.choice(lenders).data)) if lenders else None


def _png_payload(part: Part, rng: Random) -> Damage:
    """Behind the compression, where it would otherwise only break."""
    head = _ZIPPED.get(part.kind, part.payload.find(b"\0") + 2 if part.kind in _NAMED else None)
    if head is None:
        return _inside(part.payload, rng, keep_length=False)
    try:
        plain = zlib.decompress(part.payload[head:])
        # An old way of keeping EXIF: a name, a length, and hexadecimal digits.
        lead, length, digits = plain[1:].split(b"\n", 2) if part.kind == b"zTXt" else (b"",) * 3
        hidden = bytes.fromhex(digits.decode("ascii"))
    except (zlib.error, ValueError):
        # Damaged before.
        return _blindly(part.payload, rng)
    if hidden and rng.random() < 0.7:
        block, words = _inside(hidden, rng, keep_length=False)
        plain = b"\n" + lead + b"\n" + length + b"\n" + block.hex().encode()
    else:
        plain, words = _inside(plain, rng, keep_length=False)
    return part.payload[:head] + zlib.compress(plain), f"unzipped, {words}"


_NAMED: Final = frozenset({b"iCCP", b"zTXt"})


def _inside(payload: bytes, rng: Random, *, keep_length: bool) -> Damage:
    """Damage to what a payload turns out to hold: EXIF or TIFF, a profile, XMP, or anything."""
    ways: list[Callable[[], Damage]] = []
    if headers := _tiff_headers(payload):
        ways += [lambda: _directories(payload, rng.choice(headers), rng)] * 3
    if (profile := payload.find(b"acsp") - 36) >= 0:
        ways.append(lambda: _profile(payload, profile, rng))
    if (packet := payload.find(b"<?xpacket")) >= 0:
        ways.append(lambda: _packet(payload, packet, rng, keep_length))
    if not ways or rng.random() < 0.15:
        ways = [lambda: _blindly(payload, rng)]
    return rng.choice(ways)()


# TIFF and EXIF

_TIFF_HEADER: Final = re.compile(rb"II\*\0|MM\0\*|II\+\0\x08\0|MM\0\+\0\x08")
_TAGS: Final[tuple[int, ...]] = (
    *(0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0112, 0x0115, 0x0116, 0x0117, 0x011A),
    *(0x011C, 0x0128, 0x013B, 0x013D, 0x0140, 0x0142, 0x0144, 0x014A, 0x0152, 0x0153, 0x015B),
    *(0x0201, 0x0202, 0x0212, 0x02BC, 0x8298, 0x83BB, 0x8649, 0x8769, 0x8773, 0x8825, 0x9003),
    *(0x927C, 0xA002, 0xA005),
)

_TYPES: Final[tuple[int, ...]] = (*range(20), 0xFFFF)


def _tiff_headers(data: bytes) -> list[int]:
    return [found.start() for found in _TIFF_HEADER.finditer(data)][:4]


class _Layout(NamedTuple):
    """The integers of a TIFF (6.0, section 2) or a BigTIFF, as struct has them."""

    order: str
    many: str
    offset: str

    def number(self, data: bytes, at: int, form: str) -> int:
        if at > len(data):
            # Offsets of a BigTIFF may be more than an index can be.
            raise struct.error
        value: int = struct.unpack_from(self.order + form, data, at)[0]
        return value


def _directories(data: bytes, start: int, rng: Random) -> Damage:
    """One number of a directory set to another: a tag, type, count, value, offset or link."""
    order = "<" if data[start : start + 1] == b"I" else ">"
    big = data[start + 2 : start + 4] in (b"+\0", b"\0+")
    layout = _Layout(order, "Q", "Q") if big else _Layout(order, "H", "I")
    link = start + (8 if big else 4)
    places: list[tuple[int, str, str]] = [(link, layout.offset, "first link")]
    offsets: list[int] = [0, 8]
    values: list[tuple[int, int]] = []
    try:
        pending = [layout.number(data, link, layout.offset)]
        for ifd in pending[:12]:
            offsets.append(ifd)
            _walk(data, start, ifd, layout, places, pending, values)
    except struct.error:
        pass
    if values and rng.random() < 0.2:
        at, length = rng.choice(values)
        length = min(length, 4000)
        changed = data[:at] + rng.randbytes(length) + data[at + length :]
        return changed, f"a value of {length} bytes at {at} replaced"
    at, form, what = rng.choice(places)
    number = _for(what, data, start, offsets, rng) & ((1 << 8 * struct.calcsize(form)) - 1)
    changed = data[:at] + struct.pack(order + form, number) + data[at + struct.calcsize(form) :]
    return changed, f"{what} at {at} set to {number}"


def retyped(tiff: bytes, tag: int, kind: int, count: int) -> bytes:
    """A TIFF file in which one tag of the first directory says another type and count."""
    order = "<" if tiff[:1] == b"I" else ">"
    layout = _Layout(order, "H", "I")
    ifd = layout.number(tiff, 4, "I")
    entries = range(ifd + 2, ifd + 2 + 12 * layout.number(tiff, ifd, "H"), 12)
    at = next(entry for entry in entries if layout.number(tiff, entry, "H") == tag)
    return tiff[: at + 2] + struct.pack(order + "HI", kind, count) + tiff[at + 8 :]


def _walk(
    data: bytes,
    start: int,
    ifd: int,
    layout: _Layout,
    places: list[tuple[int, str, str]],
    pending: list[int],
    values: list[tuple[int, int]],
) -> None:
    """Collect where the numbers of one directory stand, and the directories it refers to."""
    at = start + ifd
    places.append((at, layout.many, "number of entries"))
    count = layout.number(data, at, layout.many)
    width = struct.calcsize(layout.offset)
    at += struct.calcsize(layout.many)
    for _ in range(min(count, 60)):
        tag, kind = (layout.number(data, at + step, "H") for step in (0, 2))
        length = layout.number(data, at + 4, layout.offset) * (0, 1, 1, 2, 4, 8)[kind % 6]
        value = layout.number(data, at + 4 + width, layout.offset)
        name = f"tag 0x{tag:04X}'s "
        places += [(at, "H", name + "tag"), (at + 2, "H", name + "type")]
        places.append((at + 4, layout.offset, name + "count"))
        places += [(at + 4 + width, layout.offset, name + "value")] * 3
        if length > width:
            values.append((start + value, length))
        if tag in (0x8769, 0x8825, 0xA005) and value not in pending:
            pending.append(value)
        at += 4 + 2 * width
    places.append((at, layout.offset, "link"))
    pending.append(layout.number(data, at, layout.offset))


def _for(what: str, data: bytes, start: int, offsets: Sequence[int], rng: Random) -> int:
    if what.endswith("'s tag"):
        return rng.choice(_TAGS)
    if what.endswith("type"):
        return rng.choice(_TYPES)
    if rng.random() < 0.3:
        return rng.choice(offsets) + rng.choice((0, 0, 2, 14))
    return _hard_number(len(data) - start, rng)


# Profiles

_ICC_FIELDS: Final = {
    0: "size",
    8: "version",
    12: "class",
    16: "space",
    20: "connection",
    128: "tags",
}
_ICC_WORDS: Final = (
    b"GRAY",
    b"RGB ",
    b"CMYK",
    b"Lab ",
    b"XYZ ",
    b"6CLR",
    b"link",
    b"abst",
    b"nmcl",
)


def _profile(data: bytes, start: int, rng: Random) -> Damage:
    """A field of an ICC profile's header, or of its table of tags (ICC.1, section 7)."""
    if rng.random() < 0.5:
        at, what = rng.choice(sorted(_ICC_FIELDS.items()))
        words = struct.pack(">I", _hard_number(len(data) - start, rng) & 0xFFFFFFFF)
        if at in (12, 16, 20) and rng.random() < 0.8:
            words = rng.choice(_ICC_WORDS)
    elif rng.random() < 0.6:
        at, what = 132 + 4 * rng.randrange(30), "table"
        words = struct.pack(">I", _hard_number(len(data) - start, rng) & 0xFFFFFFFF)
    else:
        at, what = 128 + rng.randrange(max(1, len(data) - start - 128)), "curves"
        words = rng.randbytes(rng.choice((1, 4, 12)))
    at += start
    return data[:at] + words + data[at + len(words) :], f"profile's {what} at {at}: {words.hex()}"


# XMP

_XML: Final[dict[str, Callable[[bytes], bytes]]] = {
    "a deep nest": lambda xml: xml.replace(b"</rdf:RDF>", b"<a>" * 3000 + b"</a>" * 3000, 1),
    "a nest": lambda xml: xml.replace(
        b"</rdf:RDF>", b"<b>" * 3000 + b"</b>" * 3000 + b"</rdf:RDF>"
    ),
    "entities": lambda xml: b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + xml.replace(b"Ada", b"&a;&a;"),
    "an unknown entity": lambda xml: xml.replace(b"Ada", b"&what;"),
    "a NUL": lambda xml: xml.replace(b"Licht", b"L\0cht"),
    "UTF-16": lambda xml: xml.decode("utf-8", "replace").encode("utf-16"),
    "another encoding": lambda xml: b'<?xml version="1.0" encoding="utf-16"?>' + xml,
    "no such encoding": lambda xml: b'<?xml version="1.0" encoding="x-none"?>' + xml,
    "bytes that are not UTF-8": lambda xml: xml.replace(b"Licht", b"\xff\xed\xa0\x80t"),
    "no namespaces": lambda xml: re.sub(rb'xmlns:\w+="[^"]*"', b"", xml),
    "no description": lambda xml: xml.replace(b"rdf:Description", b"rdf:Desc"),
    "a quote missing": lambda xml: xml.replace(b'"', b"", 3),
    "orientation 9": lambda xml: re.sub(rb'Orientation="\d"', b'Orientation="99999999999"', xml),
    "an attribute twice": lambda xml: xml.replace(b"xmp:Rating", b'xmp:Rating="1" xmp:Rating', 1),
    "half of it": lambda xml: xml[: len(xml) // 2],
    "100 kB more": lambda xml: xml.replace(b"Licht", b"Licht " * 17_000, 1),
    "a remark": lambda xml: xml.replace(b"<rdf:RDF", b"<!-- -- --><rdf:RDF"),
    "nothing": lambda xml: b"",
    "twice": lambda xml: xml + xml,
}


def _packet(data: bytes, start: int, rng: Random, keep_length: bool) -> Damage:
    """Another XML in place of an XMP packet; with `keep_length` cut or filled up to fit."""
    close = data.find(b"<?xpacket end", start)
    end = data.find(b"?>", close) + 2 if close >= 0 else len(data)
    what = rng.choice(sorted(_XML))
    changed = _XML[what](data[start:end])
    if keep_length:
        changed = changed[: end - start].ljust(end - start)
    return data[:start] + changed + data[end:], f"XMP with {what}"


Item = TypeVar("Item")


def dealt(items: Sequence[Item], count: int, rng: Random) -> list[Item]:
    """`count` of the items in random order, each as often as the others."""
    stack: list[Item] = []
    while len(stack) < count:
        stack += rng.sample(items, len(items))
    return stack[:count]


def opens_whole(data: bytes) -> Image.Image:
    """A finished picture, loaded; raises whatever Pillow does if it is not whole.

    Grey with alpha in a TIFF of 16 bits, which Pillow has no mode for, comes as grey of 8.
    """
    if data[4:8] == b"ftyp" and data[8:12] != b"avif" and find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    try:
        image: Image.Image = Image.open(BytesIO(data))
    except UnidentifiedImageError:
        if data[:2] not in (b"II", b"MM") or not find_spec("tifffile"):
            raise
        from tifffile import imread

        levels = imread(BytesIO(data))
        return Image.fromarray((levels[:, :, 0] >> 8).astype(np.uint8))
    image.load()
    return image
