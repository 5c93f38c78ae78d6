"""Ways to damage files.

Used by tests/imaging/test_fuzz.py for a few seconds and by `scripts/tool fuzz` for as long as
desired. The same random numbers always give the same damage.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from io import BytesIO
from random import Random
from typing import Final, NamedTuple, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from toolkit.containers import (
    BOXES,
    NESTS,
    PNG,
    ZIPPED,
    Container,
    Part,
    container_of,
    join_boxes,
    split_boxes,
)
from toolkit.specimens import Specimen

Damage = tuple[bytes, str]
"""The damaged bytes, and words for what was done to them."""

EXTREMES: Final[tuple[int, ...]] = (
    *(0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000),
    *(0xFFFFFF, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF),
)


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
    """Damage without knowledge of formats."""
    return rng.choice(
        (_bits_flipped, _run_replaced, _cut_short, _run_removed, _run_doubled, _number, _number)
    )(data, rng)


def _place(data: bytes, rng: Random) -> int:
    """An offset, half of the time in the first 64 bytes, where headers are."""
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
    """An integer, most likely of a header, set to an extreme value."""
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
    skipped = NESTS.get(part.kind) if container is BOXES else None
    if (
        skipped is not None
        and rng.random() < 0.8
        and (below := split_boxes(part.payload[skipped:]))
    ):
        below, words = _rearranged(below, container, others, rng)
        payload = part.payload[:skipped] + join_boxes(below)
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
    """Damage below the compression, which would otherwise merely break."""
    head = ZIPPED.get(part.kind, part.payload.find(b"\0") + 2 if part.kind in _NAMED else None)
    if head is None:
        return _inside(part.payload, rng, keep_length=False)
    try:
        plain = zlib.decompress(part.payload[head:])
        # An old way of storing EXIF: a name, a length, and hexadecimal digits.
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
    """Damage to what a payload contains: EXIF or TIFF, a profile, XMP, or anything."""
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
    """The integers of a TIFF (6.0, section 2) or a BigTIFF, as struct formats."""

    order: str
    many: str
    offset: str

    def number(self, data: bytes, at: int, form: str) -> int:
        if at > len(data):
            # Offsets of a BigTIFF may exceed what an index can be.
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
    """A TIFF file in which one tag of the first directory has another type and count."""
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
    """Collect the offsets of one directory's numbers, and the directories it refers to."""
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
    """Another XML in place of an XMP packet; with `keep_length` truncated or padded to fit."""
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

    16-bit grey with alpha in a TIFF, for which Pillow has no mode, is returned as 8-bit grey.
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
