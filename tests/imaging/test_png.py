"""PNG through libraries other than Pillow: the same pixels, and no metadata lost.

Expected values are those of Pillow, zlib, and the specification's text on filters.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from toolkit.pictures import exif_block, saved, scene

import imgbatch
from imgbatch.imaging.codecs import png_pixels as png
from imgbatch.imaging.decode import decode
from imgbatch.model import Result

WIDE, HIGH = 640, 400
MODES = ("L", "LA", "RGB", "RGBA")


def picture(mode: str = "RGB") -> Image.Image:
    """Larger than what is left to Pillow alone, with every kind of row in it."""
    array = scene(WIDE, HIGH)
    array[:40] = (10, 200, 90)
    array[40:60, ::2] = 255
    image = Image.fromarray(array).convert(mode)
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def run(tmp_path: Path, data: bytes, **words: Any) -> Result:
    (tmp_path / "a.png").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [tmp_path / "a.png"], output=tmp_path / "out", jobs=1)
    return result


def written(tmp_path: Path, data: bytes, **words: Any) -> bytes:
    result = run(tmp_path, data, **words)
    assert result.failure is None, result.failure
    assert not result.written[0].copied
    return Path(result.written[0].path).read_bytes()


def scanlines(data: bytes) -> tuple[bytes, bytes]:
    """The header of a PNG, and its filtered rows."""
    found: dict[bytes, bytes] = {}
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + chunk),)
        found[kind] = found.get(kind, b"") + chunk
        at += 12 + length
    return found[b"IHDR"], zlib.decompress(found[b"IDAT"])


def unfiltered(rows: bytes, width: int, bands: int) -> NDArray[np.uint8]:
    """Undo filters byte by byte, as in PNG 9.2."""
    stride = 1 + width * bands
    before = [0] * (width * bands)
    out = []
    for start in range(0, len(rows), stride):
        kind, row = rows[start], list(rows[start + 1 : start + stride])
        for at, byte in enumerate(row):
            left = row[at - bands] if at >= bands else 0
            add = {0: 0, 1: left, 2: before[at]}[kind]
            row[at] = (byte + add) & 0xFF
        before = row
        out.append(row)
    return np.array(out, np.uint8)


# Encoding


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_pixels_survive(tmp_path: Path, mode: str) -> None:
    image = picture(mode)

    made = written(tmp_path, saved(image, "PNG"), filters=["flip"])

    expected = np.asarray(image)[:, ::-1]
    bands = len(mode)
    header, rows = scanlines(made)
    assert struct.unpack(">IIBBBBB", header) == (
        WIDE,
        HIGH,
        8,
        {1: 0, 2: 4, 3: 2, 4: 6}[bands],
        0,
        0,
        0,
    )
    assert np.array_equal(unfiltered(rows, WIDE, bands), expected.reshape(HIGH, -1))
    assert np.array_equal(np.asarray(Image.open(BytesIO(made))), expected)


def rows_for(kind: int) -> NDArray[np.uint8]:
    """Rows that one filter reduces to a few bits, and no other does."""
    random = np.random.default_rng(kind)
    bits = random.integers(0, 2, (HIGH, WIDE, 3), np.uint8)
    if kind == 0:
        return bits * 255
    axis = 1 if kind == 1 else 0
    start = random.integers(0, 256, (HIGH, 1, 3) if kind == 1 else (1, WIDE, 3), np.uint8)
    levels: NDArray[np.uint8] = np.cumsum(bits, axis, np.uint8) + start
    return levels


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_each_part_of_a_picture_gets_its_best_filter(kind: int) -> None:
    array = rows_for(kind)

    _, rows = scanlines(png.encoded(Image.fromarray(array), {}))

    assert set(rows[:: 1 + WIDE * 3]) == {kind}
    both = np.concatenate([array, rows_for((kind + 1) % 3)])
    _, rows = scanlines(png.encoded(Image.fromarray(both), {}))
    assert set(rows[:: 1 + WIDE * 3]) == {kind, (kind + 1) % 3}


def test_metadata_are_written_too(tmp_path: Path) -> None:
    told = PngInfo()
    told.add_text("Author", "Ada Licht")
    data = saved(picture(), "PNG", pnginfo=told, exif=exif_block().block, dpi=(300, 300))

    made: Any = Image.open(BytesIO(written(tmp_path, data, filters=["flip"])))
    made.load()

    assert made.text["Author"] == "Ada Licht"
    assert made.getexif()[0x010F] == Image.open(BytesIO(data)).getexif()[0x010F]
    assert made.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("effort", "level"), [(None, 1), (3, 1), (4, 4), (9, 9)])
def test_more_effort_is_left_to_zlib(tmp_path: Path, effort: int | None, level: int) -> None:
    image = picture()
    ours = png.encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), {})

    made = written(tmp_path, saved(image, "PNG"), filters=["flip"], effort=effort)

    assert (scanlines(made) == scanlines(ours)) == (level == 1)
    if level > 1:
        flipped = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert made == saved(flipped, "PNG", compress_level=level)


# Decoding


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pixels_match_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    data = saved(picture(mode), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    asked = []
    monkeypatch.setattr(Image.Image, "load", lambda self: asked.append(self.size))

    found = decode(str(tmp_path / "a.png"), lambda size: size)

    monkeypatch.undo()
    assert (WIDE, HIGH) not in asked
    assert found.mode == mode
    assert np.array_equal(np.asarray(found.image), np.asarray(Image.open(BytesIO(data))))


def test_chunks_after_the_pixels_are_read(tmp_path: Path) -> None:
    data = saved(picture(), "PNG")
    text = b"tEXtAuthor\0Ada Licht"
    behind = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))

    made: Any = Image.open(
        BytesIO(written(tmp_path, data[:-12] + behind + data[-12:], sizes=["90%"]))
    )
    made.load()

    assert made.text["Author"] == "Ada Licht"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["palette", "bilevel", "16-bit", "keyed", "two bits"])
def test_other_kinds_are_left_to_pillow(kind: str) -> None:
    image = picture()
    data = {
        "palette": lambda: saved(image.quantize(16), "PNG"),
        "bilevel": lambda: saved(image.convert("1"), "PNG"),
        "16-bit": lambda: saved(
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG"
        ),
        "keyed": lambda: saved(image, "PNG", transparency=(10, 200, 90)),
        "two bits": lambda: saved(image.quantize(4), "PNG", bits=2),
    }[kind]()

    assert not png.is_plain(Image.open(BytesIO(data)))
    assert png.is_plain(Image.open(BytesIO(saved(image, "PNG"))))


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_broken_files_are_left_to_pillow(tmp_path: Path, harm: str) -> None:
    data = bytearray(saved(picture(), "PNG"))
    if harm == "cut":
        del data[len(data) // 2 :]
    else:
        middle = len(data) // 2
        data[middle : middle + 40] = bytes(40)

    result = run(tmp_path, bytes(data), sizes=["50%"])

    assert result.failure is not None
    assert result.failure.stage == "decode"
    assert result.failure.kind == ("truncated" if harm == "cut" else "broken")


def test_salvage_keeps_the_decoded_part(tmp_path: Path) -> None:
    data = saved(picture(), "PNG")
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])

    found = decode(str(tmp_path / "a.png"), lambda size: size, salvage=True)

    assert [notice.kind for notice in found.notices] == ["truncated"]
    upper = np.asarray(found.image)[: HIGH // 4]
    assert np.array_equal(upper, np.asarray(picture())[: HIGH // 4])
