"""Files with too many pixels are refused before they are decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from toolkit import pictures
from toolkit.decoding import SIZE, SUFFIX, decoded, failure, png_chunk, sample, two_frames
from toolkit.pictures import saved

from imgbatch.errors import PictureError
from imgbatch.imaging.decode import read_header


@pytest.mark.parametrize("source", SUFFIX)
def test_more_pixels_than_the_limit_are_refused(tmp_path: Path, source: str) -> None:
    name = f"photo{SUFFIX[source]}"
    error = failure(tmp_path, sample(source), name, max_pixels=SIZE[0] * SIZE[1] - 1)
    assert (error.failure.stage, error.failure.kind) == ("open", "too-large")
    assert "64 x 48" in error.failure.message
    assert decoded(tmp_path, sample(source), name, max_pixels=SIZE[0] * SIZE[1]).image.size == SIZE


def lying_png() -> bytes:
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", b"")


def lying_jpeg() -> bytes:
    data = sample("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 65_500, 65_500) + data[at + 4 :]


def lying_gif() -> bytes:
    data = sample("GIF")
    return data[:6] + struct.pack("<HH", 65_535, 65_535) + data[10:]


def lying_bmp() -> bytes:
    data = sample("BMP")
    return data[:18] + struct.pack("<ii", 100_000, 100_000) + data[26:]


def lying_ppm() -> bytes:
    return b"P6\n100000 100000\n255\n" + bytes(100)


def lying_qoi() -> bytes:
    data = sample("QOI")
    return data[:4] + struct.pack(">II", 100_000, 100_000) + data[12:]


def lying_webp() -> bytes:
    """An extended header with the largest canvas there is, 16,384 x 16,384."""
    body = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + b"\xff\x3f\0" * 2
    body += sample("WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def lying_tiff() -> bytes:
    data = bytearray(sample("TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    for at in range(first + 2, first + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at)[0] in (0x0100, 0x0101):
            struct.pack_into("<HII", data, at + 2, 4, 1, 100_000)
    return bytes(data)


@pytest.mark.parametrize(
    ("lie", "name"),
    [
        (lying_png, "photo.png"),
        (lying_jpeg, "photo.jpg"),
        (lying_gif, "photo.gif"),
        (lying_bmp, "photo.bmp"),
        (lying_ppm, "photo.ppm"),
        (lying_qoi, "photo.qoi"),
        (lying_tiff, "photo.tif"),
    ],
)
def test_header_that_claims_too_much_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: Callable[[], bytes], name: str
) -> None:
    """At 10,000 megapixels a decoder would ask for 30 GB."""
    loaded: list[object] = []
    for name in ("load", "load_prepare"):
        monkeypatch.setattr(f"PIL.ImageFile.ImageFile.{name}", lambda *words: loaded.append(words))
    error = failure(tmp_path, lie(), name)
    assert (error.failure.stage, error.failure.kind) == ("open", "too-large")
    assert "250,000,000" in error.failure.message
    assert loaded == []


def test_webp_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    assert failure(tmp_path, lying_webp(), "photo.webp").failure.kind in ("too-large", "broken")


@pytest.mark.parametrize("source", SUFFIX)
def test_pillows_own_limit_does_not_interfere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """It warns at 89 megapixels and fails at 179; ours is 250. Here it is made tiny."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    picture = decoded(tmp_path, sample(source), f"photo{SUFFIX[source]}")
    assert pictures.corners(picture.image) == pictures.UPRIGHT
    assert read_header(str(tmp_path / f"photo{SUFFIX[source]}")).size == SIZE
    assert Image.MAX_IMAGE_PIXELS == 10


def test_icon_with_a_huge_picture_inside_is_refused(tmp_path: Path) -> None:
    """Its own header says 16 x 16."""
    inside = lying_png()
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    data = struct.pack("<HHH", 0, 1, 1) + entry + inside
    assert failure(tmp_path, data, "photo.ico").failure.kind == "too-large"


def icon(inside: bytes, side: int = 16) -> bytes:
    """An icon of one picture, PNG or bitmap, that claims this size."""
    entry = struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(inside), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + inside


def bitmap_of_icon(width: int, height: int) -> bytes:
    """As icons hold bitmaps: upside down, followed by a mask that counts as twice the height."""
    pixels = Image.fromarray(pictures.quarters(width, height)).convert("RGBA")
    data = bytearray(saved(pixels, "DIB"))
    struct.pack_into("<i", data, 8, height * 2)
    return bytes(data) + bytes(width * height // 8)


@pytest.mark.parametrize("limit", [64 * 48, 64 * 48 - 1])
@pytest.mark.parametrize(
    "inside", [saved(pictures.quarters(64, 48), "PNG"), bitmap_of_icon(64, 48)], ids=["png", "bmp"]
)
def test_icon_counts_as_the_picture_inside(tmp_path: Path, inside: bytes, limit: int) -> None:
    """Its own header says 16 x 16; Pillow decodes the picture when it opens the icon."""
    (tmp_path / "photo.ico").write_bytes(icon(inside))
    if limit == 64 * 48:
        picture = decoded(tmp_path, icon(inside), "photo.ico", max_pixels=limit)
        assert pictures.corners(picture.image) == pictures.UPRIGHT
        assert read_header(str(tmp_path / "photo.ico"), limit).size == (64, 48)
    else:
        error = failure(tmp_path, icon(inside), "photo.ico", max_pixels=limit)
        assert (error.failure.stage, error.failure.kind) == ("open", "too-large")
        assert "64 x 48" in error.failure.message
        with pytest.raises(PictureError, match="64 x 48"):
            read_header(str(tmp_path / "photo.ico"), limit)


def test_huge_bitmap_in_an_icon_is_refused(tmp_path: Path) -> None:
    inside = bytearray(bitmap_of_icon(16, 16))
    struct.pack_into("<ii", inside, 4, 100_000, 200_000)
    error = failure(tmp_path, icon(bytes(inside)), "photo.ico")
    assert error.failure.kind == "too-large"
    assert "100000 x 100000" in error.failure.message


def test_webp_allocates_nothing_for_a_canvas_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr("PIL.WebPImagePlugin._webp.WebPAnimDecoder", made.append)
    error = failure(tmp_path, lying_webp(), "photo.webp")
    assert (error.failure.kind, made) == ("too-large", [])


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_frames_together_may_exceed_the_limit(tmp_path: Path, source: str) -> None:
    name = f"photo{SUFFIX[source]}"
    picture = decoded(tmp_path, two_frames(source), name, max_pixels=SIZE[0] * SIZE[1])
    assert picture.image.size == SIZE
    error = failure(tmp_path, two_frames(source), name, max_pixels=SIZE[0] * SIZE[1] - 1)
    assert error.failure.kind == "too-large"


@pytest.mark.parametrize("source", SUFFIX)
def test_header_is_held_to_the_same_limit(tmp_path: Path, source: str) -> None:
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(sample(source))
    assert read_header(str(path), SIZE[0] * SIZE[1]).size == SIZE
    with pytest.raises(PictureError) as caught:
        read_header(str(path), SIZE[0] * SIZE[1] - 1)
    assert caught.value.failure.kind == "too-large"
