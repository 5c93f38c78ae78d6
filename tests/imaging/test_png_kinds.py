"""Every bit depth, colour type and tRNS of the PNG specification (third edition, 11.2.1, 11.3.1.1).

The expected pixels are computed here from the samples, as the specification says.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from toolkit.decoding import decoded, failure, png_chunk

from imgbatch.imaging import formats

Samples = NDArray[np.uint16]

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS: Final = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS: Final = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGBA: (8, 16),
}
WIDTH, HEIGHT = 13, 8
PASSES: Final = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)),
    *((0, 1, 2, 2), (1, 0, 2, 1)),
)
CASES: Final = [
    (kind, depth, keyed, interlaced, deep)
    for kind, depths in DEPTHS.items()
    for depth in depths
    for keyed in ((False, True) if kind in (GREY, RGB, PALETTE) else (False,))
    for interlaced in (False, True)
    # The extra makes no difference to 8 bits.
    for deep in ((False, True) if depth == 16 else (True,))
]


def samples_of(kind: int, depth: int) -> Samples:
    """All levels that a few bits have, or many of more."""
    count = WIDTH * HEIGHT * CHANNELS[kind]
    levels = np.random.default_rng(depth).integers(0, 1 << depth, count)
    levels[: 1 << min(depth, 4)] = np.linspace(0, (1 << depth) - 1, 1 << min(depth, 4))
    return levels.astype(np.uint16).reshape(HEIGHT, WIDTH, CHANNELS[kind])


def packed(samples: Samples, depth: int) -> bytes:
    """Scanlines with filter 0; samples of less than 8 bits begin in the high bits (7.2)."""
    lines = b""
    for row in samples.reshape(len(samples), -1):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        elif depth == 8:
            data = row.astype(np.uint8).tobytes()
        else:
            bits = (row[:, None] >> np.arange(depth)[::-1]) & 1
            data = np.packbits(bits.astype(np.uint8).ravel()).tobytes()
        lines += b"\0" + data
    return lines


def table_of(depth: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (1 << depth, 3)).astype(np.uint8)


def key_of(kind: int, samples: Samples, depth: int) -> bytes:
    if kind == PALETTE:
        # The other entries are opaque.
        return bytes(range(0, 200, 100))[: 1 << depth]
    # Of few bits none means the same in 8, except 0.
    return bytes(samples[0, 1 if kind == GREY else 2].astype(">u2"))


def png(kind: int, depth: int, *, keyed: bool, interlaced: bool) -> bytes:
    samples = samples_of(kind, depth)
    lines = packed(samples, depth)
    if interlaced:
        parts = (samples[top::down, left::across] for top, left, down, across in PASSES)
        lines = b"".join(packed(part, depth) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, kind, 0, 0, int(interlaced))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            png_chunk(b"PLTE", table_of(depth).tobytes()) if kind == PALETTE else b"",
            png_chunk(b"tRNS", key_of(kind, samples, depth)) if keyed else b"",
            png_chunk(b"IDAT", zlib.compress(lines)),
            png_chunk(b"IEND", b""),
        )
    )


def expected(kind: int, depth: int, *, keyed: bool) -> NDArray[np.float64]:
    """Levels from 0 to 1, with alpha only if the file has some."""
    samples = samples_of(kind, depth)
    if kind == PALETTE:
        table = table_of(depth) / 255
        if keyed:
            alpha = np.full(len(table), 1.0)
            given = key_of(kind, samples, depth)
            alpha[: len(given)] = np.frombuffer(given, np.uint8) / 255
            table = np.column_stack([table, alpha])
        return table[samples[..., 0]]
    levels = samples / ((1 << depth) - 1)
    if not keyed:
        return levels
    key = np.frombuffer(key_of(kind, samples, depth), ">u2")
    return np.dstack([levels, (samples != key).any(axis=2).astype(float)])


def levels_in(pixels: Any) -> NDArray[np.float64]:
    array = np.asarray(getattr(pixels, "array", pixels))
    array = array if array.ndim == 3 else array[..., None]
    return array / np.iinfo(array.dtype).max


@pytest.mark.parametrize(
    ("kind", "depth", "keyed", "interlaced", "deep"),
    CASES,
    ids=lambda one: ("no", "yes")[one] if isinstance(one, bool) else str(one),
)
def test_every_kind_of_png_is_read_as_specified(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: int,
    depth: int,
    keyed: bool,
    interlaced: bool,
    deep: bool,
) -> None:
    if not deep:
        monkeypatch.setattr(formats, "installed", lambda extra: extra != "deep")
    data = png(kind, depth, keyed=keyed, interlaced=interlaced)
    picture = decoded(tmp_path, data, "photo.png")
    found, wanted = levels_in(picture.pixels), expected(kind, depth, keyed=keyed)
    if (kind, deep) == (GREY_ALPHA, False):
        # Pillow has no mode for it.
        wanted = wanted[..., [0, 0, 0, 1]]
    assert found.shape == wanted.shape
    kept = depth < 16 or "16" in picture.mode
    # Pillow itself takes the upper 8 of 16 bits.
    assert np.abs(found - wanted).max() <= (1e-9 if kept else 1 / 255)
    assert np.array_equal(found[..., -1] == 0, wanted[..., -1] == 0) or not keyed


# Apple's


def for_apple(pixels: NDArray[np.uint8], *, interlaced: bool = False) -> bytes:
    """As Xcode has it: blue first, premultiplied, without zlib's header and checksum."""
    channels = pixels.shape[2]
    colours = pixels[..., [2, 1, 0]].astype(float)
    if channels == 4:
        alpha = pixels[..., 3:]
        colours = np.rint(colours * alpha / 255)
        colours = np.dstack([colours, alpha])
    stored = colours.astype(np.uint16)
    lines = packed(stored, 8)
    if interlaced:
        parts = (stored[top::down, left::across] for top, left, down, across in PASSES)
        lines = b"".join(packed(part, 8) for part in parts if part.size)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(lines) + packer.flush()
    size = struct.pack(">II", pixels.shape[1], pixels.shape[0])
    header = size + bytes((8, RGBA if channels == 4 else RGB, 0, 0, int(interlaced)))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"CgBI", b"P\0 \2"),
            png_chunk(b"IHDR", header),
            png_chunk(b"tEXt", b"Title\0Lake"),
            png_chunk(b"IDAT", body[: len(body) // 2]),
            png_chunk(b"IDAT", body[len(body) // 2 :]),
            png_chunk(b"IEND", b""),
        )
    )


@pytest.mark.parametrize("size", [(31, 20), (640, 480)])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_png_for_apple_is_read(
    tmp_path: Path, channels: int, interlaced: bool, size: tuple[int, int]
) -> None:
    levels = np.random.default_rng(5).integers(0, 256, (size[1], size[0], channels))
    pixels = levels.astype(np.uint8)
    picture = decoded(tmp_path, for_apple(pixels, interlaced=interlaced), "photo.png")
    found = np.asarray(picture.image).astype(int)
    assert found.shape == pixels.shape
    assert picture.metadata.texts == (("Title", "Lake"),)
    if channels == 3:
        assert np.array_equal(found, pixels)
    else:
        alpha = pixels[..., 3]
        assert np.array_equal(found[..., 3], alpha)
        # Premultiplied by little, colours have few levels left.
        lost = np.abs(found[..., :3] - pixels[..., :3]) * alpha[..., None] / 255
        assert lost.max() <= 1


def test_png_for_apple_that_is_cut_short_is_told(tmp_path: Path) -> None:
    data = for_apple(np.full((40, 30, 4), 77, np.uint8))
    error = failure(tmp_path, data[: data.rindex(b"IDAT") + 6], "photo.png")
    assert error.failure.kind in ("truncated", "broken")
