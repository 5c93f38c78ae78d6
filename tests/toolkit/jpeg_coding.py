"""Sequential JPEGs, written and read by ITU-T T.81 in float64, slowly and plainly: the judge of
`imaging/codecs/jpeg_native.py`, and the source of files that Pillow does not write.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgbatch.model import Size

Floats = NDArray[np.float64]
Table = dict[int, tuple[int, int]]
"""From symbols to codes and their lengths in bits."""

ZIGZAG: Final = sorted(
    range(64),
    key=lambda at: (sum(divmod(at, 8)), at if sum(divmod(at, 8)) % 2 else -at),
)
"""The places in a block, row by row, in the order of the file (figure A.6)."""

SOI: Final = b"\xff\xd8"
EOI: Final = b"\xff\xd9"
JFIF: Final = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


@dataclass
class Component:
    """Blocks of quantised coefficients: (rows, columns, 64), each row by row."""

    across: int
    down: int
    steps: Floats
    """Quantisation steps, row by row."""

    blocks: NDArray[np.int64]


@dataclass
class Coded:
    """What is in a file."""

    size: Size
    components: list[Component]
    restart_interval: int = 0
    huffman: list[bytes] = field(default_factory=list)
    """Payloads of DHT segments, for luma 0 and 0x10, for chroma 1 and 0x11."""

    @property
    def sampling(self) -> tuple[int, int]:
        return (
            max(one.across for one in self.components),
            max(one.down for one in self.components),
        )

    def mcus(self) -> Iterator[list[tuple[int, NDArray[np.int64]]]]:
        """The blocks of each MCU, with the numbers of their components (A.2.3)."""
        across, down = self.sampling
        columns, rows = math.ceil(self.size[0] / 8 / across), math.ceil(self.size[1] / 8 / down)
        for y in range(rows):
            for x in range(columns):
                yield [
                    (number, one.blocks[y * one.down + v, x * one.across + u])
                    for number, one in enumerate(self.components)
                    for v in range(one.down)
                    for u in range(one.across)
                ]


# Tables


@functools.cache
def standard_huffman() -> tuple[bytes, ...]:
    """Those of annex K.3."""
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    return tuple(payload for marker, payload in segments(buffer.getvalue()) if marker == 0xC4)


@functools.cache
def huffman_tables(payloads: tuple[bytes, ...]) -> dict[int, Table]:
    """The tables in DHT segments, by class and destination (annex C)."""
    found: dict[int, Table] = {}
    for payload in payloads:
        while payload:
            counts, symbols = payload[1:17], payload[17:]
            table: Table = {}
            code, place = 0, 0
            for length, count in enumerate(counts, 1):
                for symbol in symbols[place : place + count]:
                    table[symbol] = (code, length)
                    code += 1
                place += count
                code <<= 1
            found[payload[0]] = table
            payload = symbols[place:]
    return found


def quantisation(quality: int, *, chroma: bool) -> list[int]:
    """Pillow's steps, in zigzag order."""
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
    payloads = [payload for marker, payload in segments(buffer.getvalue()) if marker == 0xDB]
    return list(payloads[chroma][1:65])


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Those up to the first scan, with the rest of the file behind the last of them."""
    at = 2
    while data[at + 1] != 0xDA:
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        yield data[at + 1], data[at + 4 : stop]
        at = stop
    yield 0xDA, data[at + 4 :]


# Writing


def cosines(size: int) -> Floats:
    """The orthonormal DCT: (frequency, place)."""
    u, x = np.mgrid[:size, :size]
    weights = np.cos((2 * x + 1) * u * np.pi / 2 / size) * math.sqrt(2 / size)
    weights[0] /= math.sqrt(2)
    return np.asarray(weights, np.float64)


def coded(
    pixels: NDArray[np.uint8],
    steps: Sequence[Sequence[int]],
    factors: Sequence[tuple[int, int]] = ((2, 2), (1, 1), (1, 1)),
    restart_interval: int = 0,
    huffman: Sequence[bytes] = (),
) -> Coded:
    """Code grey (height, width) or RGB (height, width, 3) levels; `steps` for each component."""
    height, width = pixels.shape[:2]
    planes = [pixels.astype(np.float64)]
    if pixels.ndim == 3:
        red, green, blue = np.moveaxis(pixels.astype(np.float64), 2, 0)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        planes = [luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128]
    most = [max(one[axis] for one in factors) for axis in (0, 1)]
    right, below = -width % (8 * most[0]), -height % (8 * most[1])
    components = []
    for plane, (across, down), table in zip(planes, factors, steps, strict=True):
        full = np.pad(plane, ((0, below), (0, right)), "edge")
        x, y = most[0] // across, most[1] // down
        few = full.reshape(full.shape[0] // y, y, full.shape[1] // x, x).mean((1, 3)) - 128
        blocks = few.reshape(few.shape[0] // 8, 8, few.shape[1] // 8, 8).swapaxes(1, 2)
        frequencies = cosines(8) @ blocks @ cosines(8).T
        natural = in_rows(table)
        quantised = np.round(frequencies.reshape(*blocks.shape[:2], 64) / natural)
        components.append(Component(across, down, natural, quantised.astype(np.int64)))
    found = Coded((width, height), components, restart_interval)
    found.huffman = list(huffman or standard_huffman())
    return found


def in_rows(table: Sequence[int]) -> Floats:
    natural = np.empty(64)
    natural[ZIGZAG] = list(table)
    return natural


def written(what: Coded, *, before: bytes = JFIF, padding: str = "1") -> bytes:
    """A file with `before` between its first marker and the tables."""
    head = SOI + before
    frame = struct.pack(">BHHB", 8, *reversed(what.size), len(what.components))
    scan = bytes((len(what.components),))
    for number, one in enumerate(what.components):
        head += segment(0xDB, bytes((number, *one.steps[ZIGZAG].astype(np.uint8))))
        frame += bytes((number + 1, one.across << 4 | one.down, number))
        scan += bytes((number + 1, 0x11 * bool(number)))
    head += segment(0xC0, frame)
    head += b"".join(segment(0xC4, payload) for payload in what.huffman)
    if what.restart_interval:
        head += segment(0xDD, struct.pack(">H", what.restart_interval))
    return head + segment(0xDA, scan + b"\0\x3f\0") + scan_data(what, padding) + EOI


def scan_data(what: Coded, padding: str) -> bytes:
    tables = huffman_tables(tuple(what.huffman))
    mcus = list(what.mcus())
    each = what.restart_interval or len(mcus)
    found = b""
    for number, start in enumerate(range(0, len(mcus), each)):
        before = [0] * len(what.components)
        bits = []
        for component, block in (one for mcu in mcus[start : start + each] for one in mcu):
            coefficients = block[ZIGZAG].tolist()
            dc, ac = (tables[kind + bool(component)] for kind in (0, 0x10))
            bits.append(_number(dc, 0, coefficients[0] - before[component]))
            before[component] = coefficients[0]
            bits += _run_lengths(coefficients, ac)
        text = "".join(bits)
        text += padding * (-len(text) % 8)
        found += bytes((0xFF, 0xD0 + (number - 1) % 8)) if number else b""
        found += int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\0")
    return found


def _run_lengths(coefficients: list[int], table: Table) -> Iterator[str]:
    run = 0
    for value in coefficients[1:]:
        if not value:
            run += 1
            continue
        while run > 15:
            yield _code(table, 0xF0)
            run -= 16
        yield _number(table, run << 4, value)
        run = 0
    if run:
        yield _code(table, 0)


def _code(table: Table, symbol: int) -> str:
    code, length = table[symbol]
    return f"{code:0{length}b}"


def _number(table: Table, run: int, value: int) -> str:
    size = abs(value).bit_length()
    bits = value if value > 0 else value + (1 << size) - 1
    return _code(table, run | size) + (f"{bits:0{size}b}" if size else "")


# Reading


def read(data: bytes) -> Coded:
    """What is in a sequential file of one scan, such as `written` and Pillow write."""
    quantised: dict[int, Floats] = {}
    huffman, interval = [], 0
    for marker, payload in segments(data):
        if marker == 0xDB:
            for at in range(0, len(payload), 65):
                quantised[payload[at]] = in_rows(payload[at + 1 : at + 65])
        elif marker == 0xC4:
            huffman.append(payload)
        elif marker == 0xDD:
            (interval,) = struct.unpack(">H", payload)
        elif marker in (0xC0, 0xC1):
            _, height, width, count = struct.unpack(">BHHB", payload[:6])
            rows = [payload[6 + 3 * one : 9 + 3 * one] for one in range(count)]
        elif marker == 0xDA:
            chosen = [payload[2 + 2 * one] for one in range(count)]
            coded = payload[4 + 2 * count :]
    factors = [divmod(row[1], 16) if count > 1 else (1, 1) for row in rows]
    across, down = (max(one[axis] for one in factors) for axis in (0, 1))
    columns, lines = math.ceil(width / 8 / across), math.ceil(height / 8 / down)
    components = [
        Component(h, v, quantised[row[2]], np.zeros((lines * v, columns * h, 64), np.int64))
        for (h, v), row in zip(factors, rows, strict=True)
    ]
    found = Coded((width, height), components, interval, huffman)
    _fill(found, coded, chosen)
    return found


def _fill(what: Coded, data: bytes, chosen: list[int]) -> None:
    tables = huffman_tables(tuple(what.huffman))
    lookups = [(_lookup(tables[one >> 4]), _lookup(tables[0x10 | (one & 15)])) for one in chosen]
    mcus = list(what.mcus())
    each = what.restart_interval or len(mcus)
    at = 0
    for start in range(0, len(mcus), each):
        stop = at
        while data[(stop := data.index(0xFF, stop)) + 1] == 0:
            stop += 2
        reader = _Bits(data[at:stop].replace(b"\xff\0", b"\xff"))
        before = [0] * len(chosen)
        for component, block in (one for mcu in mcus[start : start + each] for one in mcu):
            dc, ac = lookups[component]
            before[component] += reader.number(reader.symbol(dc))
            block[0] = before[component]
            place = 0
            while place < 63:
                symbol = reader.symbol(ac)
                if not symbol:
                    break
                place += (symbol >> 4) + 1
                block[ZIGZAG[place]] = reader.number(symbol & 15)
        at = stop + 2


def _lookup(table: Table) -> list[tuple[int, int]]:
    """For all numbers of 16 bits the symbol with which they begin, and its length."""
    found = [(0, 0)] * 65_536
    for symbol, (code, length) in table.items():
        spread = 16 - length
        found[code << spread : (code + 1) << spread] = [(symbol, length)] * (1 << spread)
    return found


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._data = data + b"\xff" * 8
        self._at = 0

    def _next(self, count: int) -> int:
        at = self._at
        word = int.from_bytes(self._data[at >> 3 : (at >> 3) + 4])
        return (word >> (32 - (at & 7) - count)) & ((1 << count) - 1)

    def symbol(self, lookup: list[tuple[int, int]]) -> int:
        symbol, length = lookup[self._next(16)]
        self._at += length
        return symbol

    def number(self, size: int) -> int:
        if not size:
            return 0
        bits = self._next(size)
        self._at += size
        return bits if bits >> (size - 1) else bits - (1 << size) + 1


# Pixels


def pixels(what: Coded, scale: int) -> Floats:
    """The levels (height, width, 1 or 3) at 1/`scale`, unrounded, 0 to 255.

    Of each block the frequencies that this size can show, and of chroma with fewer blocks so many
    that it gets the size of luma; from YCbCr as in JFIF (ITU-T T.871).
    """
    size = 8 // scale
    width, height = (math.ceil(one / scale) for one in what.size)
    across, down = what.sampling
    planes = []
    for one in what.components:
        x, y = size * across // one.across, size * down // one.down
        if x > 8 or y > 8:
            # At full size the samples are repeated.
            plane = _samples(one, 8, 8).repeat(y // 8, axis=0).repeat(x // 8, axis=1)
        else:
            plane = _samples(one, x, y)
        planes.append(plane[:height, :width])
    if len(planes) == 1:
        return planes[0][:, :, None]
    luma, blue, red = planes[0], planes[1] - 128, planes[2] - 128
    green = luma - 0.344136286 * blue - 0.714136286 * red
    return np.stack([luma + 1.402 * red, green, luma + 1.772 * blue], 2).clip(0, 255)


def _samples(one: Component, across: int, down: int) -> Floats:
    frequencies = (one.blocks * one.steps).reshape(*one.blocks.shape[:2], 8, 8)
    kept = frequencies[:, :, :down, :across] * math.sqrt(across * down) / 8
    found = cosines(down).T @ kept @ cosines(across) + 128
    rows, columns = one.blocks.shape[:2]
    return np.asarray(found.swapaxes(1, 2).reshape(rows * down, columns * across).clip(0, 255))
