"""From pictures to files: every format and mode, exact where the format is and close elsewhere."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.cases import together
from toolkit.pictures import opened

import imgbatch
from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.encode import Encoded, encode
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata, Picture
from imgbatch.model import Encoding

Floats = NDArray[np.float64]

SIZE: Final = (96, 64)
MODES: Final = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")

HOLDS: Final[dict[str, dict[str, str]]] = {
    # The mode that each format returns for one that it cannot hold; all others are kept.
    "jpeg": {"LA": "L", "RGBA": "RGB", "I;16": "L"},
    "png": {"CMYK": "RGB"},
    "webp": {"L": "RGB", "LA": "RGBA", "CMYK": "RGB", "I;16": "RGB"},
    "avif": {"L": "RGB", "LA": "RGBA", "CMYK": "RGB", "I;16": "RGB"},
    "tiff": {},
    "gif": {"LA": "RGBA", "CMYK": "RGB", "I;16": "L"},
    "bmp": {"LA": "L", "RGBA": "RGB", "CMYK": "RGB", "I;16": "L"},
    "heif": {"LA": "RGBA", "CMYK": "RGB", "I;16": "L"},
    "jxl": {"CMYK": "RGB"},
    "jpeg2000": {"CMYK": "RGB"},
    "ppm": {"LA": "L", "RGBA": "RGB", "CMYK": "RGB"},
    "qoi": {"L": "RGB", "LA": "RGBA", "CMYK": "RGB", "I;16": "RGB"},
    "ico": {"LA": "RGBA", "CMYK": "RGB", "I;16": "L"},
    "tga": {"CMYK": "RGB", "I;16": "L"},
}
LOSSY: Final = {
    "jpeg": 5.0,
    "webp": 5.0,
    "avif": 5.0,
    "heif": 5.0,
    "jxl": 5.0,
    "jpeg2000": 2.0,
    "gif": 6.0,
}
"""The allowed mean error of a channel, in 8-bit levels; other formats are exact."""

each_format: Final = pytest.mark.parametrize("target", HOLDS)


def test_every_format_is_tested_here() -> None:
    assert set(HOLDS) == set(formats.WRITABLE)


def alpha_channel() -> NDArray[np.uint8]:
    """Transparent, then a ramp, then opaque; for GIF only the two ends."""
    return np.tile(np.clip(np.linspace(-128, 383, SIZE[0]), 0, 255).astype(np.uint8), (SIZE[1], 1))


def picture(mode: str, **more: Any) -> Picture:
    """A photograph-like picture in a mode."""
    colours = pictures.scene(*SIZE)
    grey = colours[..., 1]
    arrays: dict[str, NDArray[Any]] = {
        "L": grey,
        "LA": np.dstack([grey, alpha_channel()]),
        "RGB": colours,
        "RGBA": np.dstack([colours, alpha_channel()]),
        "CMYK": np.dstack([255 - colours, grey // 4]),
        "I;16": grey.astype(np.uint16) * 250 + 77,
    }
    image = Image.frombytes(mode, SIZE, np.ascontiguousarray(arrays[mode]).tobytes())
    return Picture.of(image, **more)


def planes(image: Image.Image) -> Floats:
    """The channels of an image as numbers, along the last axis."""
    return np.asarray(image).astype(np.float64).reshape(*image.size[::-1], -1)


def converted(values: Floats, mode: str, wanted: str) -> Floats:
    """Pixels converted to another mode, computed by hand; transparent ones on white."""
    if mode == "I;16" and wanted != mode:
        return converted(values * 255 / 65_535, "L", wanted)
    if mode == "CMYK" and wanted != mode:
        return converted((255 - values[..., :3]) * (255 - values[..., 3:]) / 255, "RGB", wanted)
    if mode in ("LA", "RGBA") and not wanted.endswith("A"):
        share = values[..., -1:] / 255
        return converted(values[..., :-1] * share + 255 * (1 - share), mode[:-1], wanted)
    if mode in ("L", "LA") and wanted.startswith("RGB"):
        return np.concatenate([values[..., :1]] * 3 + [values[..., 1:]], axis=-1)
    return values


def shown(values: Floats, mode: str) -> Floats:
    """Colours as seen on black, and alpha: invisible colours may be anything."""
    if not mode.endswith("A"):
        return values
    return np.concatenate([values[..., :-1] * values[..., -1:] / 255, values[..., -1:]], axis=-1)


def available(target: str) -> None:
    if not formats.available(formats.BY_NAME[target]):
        pytest.skip(f"Pillow was built without {target}")


def encoded(target: str, mode: str = "RGB", **more: Any) -> Encoded:
    available(target)
    return encode(picture(mode), Encoding(format=target, **more))


# Every format, every mode


@pytest.mark.slow
@each_format
@together("mode", MODES)
def test_encoded_picture_is_read_back(target: str, mode: str) -> None:
    given = picture(mode)
    result = encoded(target, mode)
    wanted = HOLDS[target].get(mode, mode)
    image = opened(result.data)
    if target == "gif":
        # GIF keeps a palette, of colours if there are any.
        image = image.convert(wanted)
    if image.mode == "I":
        # What Pillow makes of 16-bit PPM.
        image = image.convert("I;16")
    assert (image.size, image.mode) == (SIZE, wanted)
    assert (result.size, result.format.name) == (SIZE, target)
    expected = shown(converted(planes(given.image), mode, wanted), wanted)
    off = np.abs(shown(planes(image), wanted) - expected)
    if target == "gif" and wanted == "RGBA":
        off = off[np.isin(alpha_channel(), (0, 255))]
    if target in LOSSY:
        assert off.mean() <= LOSSY[target] * (257 if wanted == "I;16" else 1)
    else:
        # One level for the rounding of a conversion; none without one.
        assert off.max() <= (0 if wanted == mode else 1)


@pytest.mark.slow
@each_format
@together("mode", MODES)
def test_every_loss_is_reported_and_nothing_else(target: str, mode: str) -> None:
    wanted = HOLDS[target].get(mode, mode)
    told = []
    if mode == "I;16" and wanted != mode:
        told.append("depth-reduced")
    # GIF has transparency, but only on or off, and these have partial alpha, too.
    if mode in ("LA", "RGBA") and (target == "gif" or not wanted.endswith("A")):
        told.append("alpha-flattened")
    assert [notice.kind for notice in encoded(target, mode).notices] == told


@pytest.mark.slow
@each_format
@together("mode", MODES)
@together("size", [(1, 1), (1, 9), (250, 2)])
def test_smallest_pictures_can_be_written(target: str, mode: str, size: tuple[int, int]) -> None:
    available(target)
    result = encode(Picture.of(Image.new(mode, size)), Encoding(format=target))
    assert opened(result.data).size == size


@pytest.mark.slow
@each_format
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_encoding_is_deterministic(target: str, mode: str) -> None:
    def once() -> bytes:
        given = picture(mode, icc=pictures.wide_gamut_profile())
        exif = Exif(pictures.exif_block().block)
        metadata = Metadata(exif, pictures.xmp_packet(), dpi=(300.0, 300.0))
        given = Picture(given.image, "png", SIZE, (0, 0, *SIZE), icc=given.icc, metadata=metadata)
        return encode(given, Encoding(format=target)).data

    available(target)
    assert once() == once()


@pytest.mark.slow
@each_format
@together("mode", MODES)
def test_encoding_does_not_change_the_picture(target: str, mode: str) -> None:
    available(target)
    given, same = picture(mode), picture(mode)
    encode(given, Encoding(format=target))
    assert (given.image.mode, given.image.tobytes()) == (same.image.mode, same.image.tobytes())


@pytest.mark.parametrize("source", HOLDS)
def test_format_defaults_to_that_of_the_picture(source: str) -> None:
    available(source)
    result = encode(picture("RGB", format=source), Encoding())
    assert result.format.name == source
    row = formats.BY_NAME[source]
    assert row.matches(result.data[: formats.HEAD_BYTES]) == bool(row.signatures)


@each_format
def test_leftover_image_info_is_not_saved(target: str) -> None:
    available(target)
    given = picture("RGB")
    given.image.info.update(
        icc_profile=pictures.wide_gamut_profile(),
        exif=b"Exif\0\0" + pictures.exif_block().block,
        xmp=pictures.xmp_packet(),
        comment=b"Testa was here",
        dpi=(17, 17),
        transparency=(0, 0, 0),
        duration=40,
        compression="raw",
        id_section=b"Testa was here",
        orientation=1,
    )
    assert encode(given, Encoding(format=target)).data == encoded(target).data


def test_image_of_an_opened_file_leaks_no_metadata(tmp_path: Path) -> None:
    """A TIFF image object has tags of its own, and Pillow would write them again."""
    tags = Image.Exif()
    tags[0x02BC], tags[0x83BB] = b"<x>Testa</x>", b"Testa"
    image = opened(pictures.saved(pictures.scene(*SIZE), "TIFF", exif=tags))
    result = encode(Picture.of(image), Encoding(format="tiff"))
    assert b"Testa" not in result.data


# Backgrounds


@pytest.mark.parametrize("target", ["bmp", "ppm"])
def test_transparency_is_flattened_onto_the_background(target: str) -> None:
    given = picture("RGBA")
    result = encode(given, Encoding(format=target, background=(30, 144, 255, 255)))
    values = planes(given.image)
    share = values[..., 3:] / 255
    expected = values[..., :3] * share + np.array([30, 144, 255]) * (1 - share)
    assert np.abs(planes(opened(result.data)) - expected).max() <= 1


# Limits


@pytest.mark.parametrize(
    ("target", "longest", "label"),
    [
        ("webp", 16_383, "WebP"),
        ("ico", 256, "Windows icon"),
        ("jpeg", 65_500, "JPEG"),
        ("gif", 65_535, "GIF"),
        ("tga", 65_535, "Targa"),
    ],
)
@pytest.mark.parametrize("across", [True, False])
def test_side_too_long_for_the_format_fails_with_a_remedy(
    target: str, longest: int, label: str, across: bool
) -> None:
    available(target)
    for side in (longest, longest + 1):
        size = (side, 2) if across else (2, side)
        given = Picture.of(Image.new("L", size))
        if side == longest:
            assert opened(encode(given, Encoding(format=target)).data).size == size
            continue
        with pytest.raises(PictureError) as caught:
            encode(given, Encoding(format=target))
        failure = caught.value.failure
        assert (failure.stage, failure.kind) == ("encode", "too-large")
        for word in (label, str(longest), str(side), "--size", "--format"):
            assert word in failure.message


def test_oversized_picture_is_a_failure_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "wide.png").write_bytes(pictures.saved(Image.new("L", (300, 2)), "PNG"))
    recipe = imgbatch.Recipe.from_options(format="ico")
    (result,) = imgbatch.run(recipe, [tmp_path / "wide.png"], output=tmp_path / "out", jobs=1)
    assert result.failure is not None
    assert (result.status, result.failure.kind) == ("failed", "too-large")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".imgbatch"]


# Quality


# ITU-T T.81, table K.1: quality 50 divides the luma's 8 x 8 frequencies by these.
LUMA_50: Final = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


def scaled(quality: int) -> list[int]:
    """That table at another quality, as the Independent JPEG Group defines it."""
    percent = 5_000 // quality if quality < 50 else 200 - 2 * quality
    return [min(255, max(1, (one * percent + 50) // 100)) for one in LUMA_50]


def segment(jpeg: bytes, marker: bytes) -> bytes:
    """The payload of the first segment of a kind in a JPEG."""
    at = jpeg.index(b"\xff" + marker)
    return jpeg[at + 4 : at + 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]]


def luma_table(jpeg: bytes) -> list[int]:
    """The first quantisation table of a file, sorted (files keep it in zigzag order)."""
    return sorted(segment(jpeg, b"\xdb")[1:65])


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 84, 85, 90, 100])
def test_jpeg_quality_follows_the_ijg_scale(quality: int) -> None:
    assert luma_table(encoded("jpeg", quality=quality).data) == sorted(scaled(quality))


def test_jpeg_quality_defaults_to_85() -> None:
    assert luma_table(encoded("jpeg").data) == sorted(scaled(85))


@pytest.mark.parametrize(
    ("quality", "factors"),
    [
        (None, [0x22, 0x11, 0x11]),
        (60, [0x22, 0x11, 0x11]),
        (89, [0x22, 0x11, 0x11]),
        (90, [0x11, 0x11, 0x11]),
        (100, [0x11, 0x11, 0x11]),
    ],
)
def test_jpeg_keeps_full_chroma_from_quality_90(quality: int | None, factors: list[int]) -> None:
    """Below, 4:2:0: twice as many luma samples as chroma samples in both directions."""
    frame = segment(encoded("jpeg", quality=quality).data, b"\xc0")
    assert frame[5] == 3
    assert [frame[6 + 3 * component + 1] for component in range(3)] == factors


def test_grey_jpeg_has_one_component() -> None:
    assert segment(encoded("jpeg", "L").data, b"\xc0")[5] == 1


@pytest.mark.parametrize("target", ["jpeg", "webp", "avif", "jpeg2000"])
def test_lower_quality_is_smaller_and_worse(target: str) -> None:
    original = planes(picture("RGB").image)
    sizes, errors = [], []
    for quality in (20, 60, 95):
        data = encoded(target, quality=quality).data
        sizes.append(len(data))
        errors.append(float(np.abs(planes(opened(data)) - original).mean()))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert sizes[0] < sizes[2] / 1.5
    assert errors[0] > errors[2] * 1.5


def test_jpeg_2000_is_exact_at_quality_100() -> None:
    result = encoded("jpeg2000", quality=100)
    assert np.array_equal(planes(opened(result.data)), planes(picture("RGB").image))


@pytest.mark.parametrize(
    ("target", "word"), [("png", "PNG"), ("gif", "GIF"), ("tiff", "TIFF"), ("bmp", "BMP")]
)
def test_quality_for_a_format_without_it_is_refused_at_once(target: str, word: str) -> None:
    with pytest.raises(imgbatch.UsageError, match=word):
        imgbatch.Recipe.from_options(format=target, quality=80)


@pytest.mark.parametrize("target", ["png", "gif", "bmp", "tiff"])
def test_quality_is_ignored_by_kept_formats_without_it(target: str) -> None:
    """`--quality 60` with `--format keep` applies to those files that have a quality."""
    given = picture("RGB", format=target)
    assert encode(given, Encoding(quality=5)).data == encode(given, Encoding()).data


# Failures


def failing(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, target: str = "png"
) -> PictureError:
    def broken(*words: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(PictureError) as caught:
        encode(picture("RGB"), Encoding(format=target))
    return caught.value


@pytest.mark.parametrize("raised", [OSError("no"), ValueError("no"), SystemError("no"), KeyError()])
def test_any_exception_from_an_encoder_is_a_failure_of_this_file(
    monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    failure = failing(monkeypatch, raised).failure
    assert (failure.stage, failure.kind) == ("encode", "encoder")
    assert "PNG" in failure.message
    assert not re.search(r"\b\w*(Error|Exception)\b", failure.message)


def test_out_of_memory_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = failing(monkeypatch, MemoryError()).failure
    assert (failure.stage, failure.kind) == ("encode", "memory")
    assert "memory" in failure.message


@pytest.mark.parametrize("target", ["webp", "avif", "jpeg2000"])
def test_missing_codec_is_named(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setattr(formats, "available", lambda row: False)
    with pytest.raises(PictureError, match=formats.BY_NAME[target].label) as caught:
        encode(picture("RGB"), Encoding(format=target))
    assert caught.value.failure.kind == "no-codec"
