"""`--max-bytes` finds the best quality that fits, `--keep-smaller` keeps the smaller file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image
from toolkit import ROOT
from toolkit.limited import by_pillow, grainy
from toolkit.pictures import (
    cmyk_profile,
    exif_block,
    opened,
    saved,
    scene,
    wide_gamut_profile,
)

from imgbatch.errors import PictureError
from imgbatch.imaging import encode, formats
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.encode import Encoded
from imgbatch.imaging.fitting import HIGHEST, LOWEST, SMALLEST, Curve, TooLargeError, fitted
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata, Picture, Series
from imgbatch.model import Encoding, Size

SAMPLES: Final = ROOT / "sample_images"

MOST_ENCODES: Final = 14
"""Seven along the curve, then bisection of the rest of 56 qualities, and one more."""


def curve_of(row: formats.Format) -> Curve | None:
    return formats.codec(row).curve


CURVES: Final = {
    row.name: curve
    for row in formats.FORMATS
    if "max_bytes" in row.settings and (curve := curve_of(row))
}


def detail(edge: int) -> Image.Image:
    image = opened((SAMPLES / "detail.jpg").read_bytes()).convert("RGB")
    image.thumbnail((edge, edge))
    return image


PICTURES: Final = {
    "grainy": grainy(),
    "smooth": Image.fromarray(scene(200, 90)),
    "photograph": detail(240),
    "grey": grainy(90, 130).convert("L"),
}


def limited(
    image: Image.Image, format_name: str, limit: int, *, icc: bytes | None = None, **words: Any
) -> Encoded:
    picture = Picture.of(image, format_name, icc)
    return encode.encode(picture, Encoding(format=format_name, max_bytes=limit, **words))


# What is found


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["jpeg", "webp"])
@pytest.mark.parametrize("name", PICTURES)
def test_highest_quality_that_fits_is_found(name: str, format_name: str) -> None:
    image = PICTURES[name]
    files = {quality: by_pillow(image, format_name, quality) for quality in range(40, 96)}
    least, most = len(files[40]), len(files[95])
    for share in (0.0, 0.03, 0.2, 0.45, 0.8, 0.97):
        limit = round(least + share * (most - least))
        found = limited(image, format_name, limit)
        best = max(quality for quality, data in files.items() if len(data) <= limit)
        quality = max(one for one, data in files.items() if data == found.data)
        assert len(files.get(quality + 1, bytes(most + 1))) > limit
        # Where size only grows with quality, there is no better one.
        sizes = [len(data) for data in files.values()]
        if sizes == sorted(sizes):
            assert len(files[best]) == len(found.data)
        assert found.notices == ()
        assert found.size == image.size


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["avif", "heif"])
def test_slow_encoders_come_close_to_the_limit(format_name: str) -> None:
    image = PICTURES["photograph"]
    bare = Encoding(format=format_name)
    files = {
        quality: len(
            encode.encode(Picture.of(image, format_name), replace(bare, quality=quality)).data
        )
        for quality in range(40, 96, 5)
    }
    for quality, limit in list(files.items())[1:-1:3]:
        data = limited(image, format_name, limit + 9).data
        assert files[quality - 5] < len(data) <= limit + 9
        assert len(data) >= 0.9 * limit


@pytest.mark.parametrize("quality", [40, 66, 89, 90, 95])
@pytest.mark.parametrize("format_name", ["jpeg", "webp"])
def test_file_of_exactly_the_limit_fits_and_one_byte_more_does_not(
    format_name: str, quality: int
) -> None:
    exact = by_pillow(PICTURES["grainy"], format_name, quality)
    assert limited(PICTURES["grainy"], format_name, len(exact)).data == exact
    short = limited(PICTURES["grainy"], format_name, len(exact) - 1)
    assert len(short.data) < len(exact)
    assert (short.size != PICTURES["grainy"].size) == (quality == LOWEST)


def test_generous_limit_uses_quality_95_or_the_given_one() -> None:
    image = PICTURES["grainy"]
    assert limited(image, "jpeg", 10**9).data == by_pillow(image, "jpeg", HIGHEST)
    for quality in (30, 60, 99):
        found = limited(image, "jpeg", 10**9, quality=quality)
        assert found.data == by_pillow(image, "jpeg", quality)


def test_given_quality_is_the_maximum_and_below_40_the_only_one() -> None:
    image = PICTURES["grainy"]
    limit = len(by_pillow(image, "jpeg", 70))
    assert limited(image, "jpeg", limit, quality=80).data == by_pillow(image, "jpeg", 70)
    at_30 = by_pillow(image, "jpeg", 30)
    assert limited(image, "jpeg", len(at_30), quality=30).data == at_30
    smaller = limited(image, "jpeg", len(at_30) - 1, quality=30)
    assert max(smaller.size) < 160
    tables = saved(image, "JPEG", quality=30)
    assert opened(smaller.data).quantization == opened(tables).quantization  # type: ignore[attr-defined]


def test_other_settings_are_kept() -> None:
    image = PICTURES["photograph"]
    found = limited(image, "jpeg", 9_000, subsampling="4:4:4", progressive=True)
    again = opened(found.data)
    assert again.info.get("progressive")
    expected = [
        saved(image, "JPEG", quality=quality, subsampling=0, progressive=True)
        for quality in range(40, 96)
    ]
    assert found.data == max((one for one in expected if len(one) <= 9_000), key=len)


def test_search_is_deterministic() -> None:
    assert limited(grainy(), "webp", 5_000).data == limited(grainy(), "webp", 5_000).data


# The search by itself


@pytest.fixture
def encodes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Size, int | None]]:
    """The size and the quality of every encode."""
    made: list[tuple[Size, int | None]] = []
    encoded = encode._File.encoded

    def counted(self: Any, quality: int | None = None) -> Encoded:
        made.append((self.size, quality))
        return encoded(self, quality)

    monkeypatch.setattr(encode._File, "encoded", counted)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["jpeg", "webp", "avif"])
def test_photographs_take_few_encodes(
    format_name: str, encodes: list[tuple[Size, int | None]]
) -> None:
    counts = []
    for name in ("mountains", "detail", "lake-with-gps"):
        image = opened((SAMPLES / f"{name}.jpg").read_bytes()).convert("RGB")
        image.thumbnail((320, 320))
        for bits in (1.2, 2.0, 3.0):
            encodes.clear()
            found = limited(image, format_name, round(image.width * image.height * bits / 8))
            assert len(set(encodes)) == len(encodes), "never the same twice"
            assert found.size == image.size
            counts.append(len(encodes))
    assert max(counts) <= 6
    assert sum(counts) / len(counts) <= 4.5


def test_generous_limit_takes_one_encode(encodes: list[tuple[Size, int | None]]) -> None:
    limited(PICTURES["photograph"], "jpeg", 10**6)
    assert encodes == [(PICTURES["photograph"].size, 95)]


def search(sizes: Callable[[int], int], limit: int, name: str, **words: Any) -> tuple[int, int]:
    """The quality found for a given size at each quality, and the number of encodes."""
    asked: list[int] = []

    def coded(size: Size, quality: int) -> bytes:
        asked.append(quality)
        return bytes(sizes(quality))

    found = fitted(coded, (32, 32), limit, CURVES[name]._replace(close=1.0), **words)
    assert len(found.data) == sizes(found.quality) <= limit
    assert len(set(asked)) == len(asked)
    return found.quality, len(asked)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(1, 3000), min_size=56, max_size=56),
    st.integers(1, 3000),
    st.sampled_from(sorted(CURVES)),
    st.booleans(),
)
def test_search_terminates_where_the_next_quality_does_not_fit(
    drawn: list[int], limit: int, name: str, grows: bool
) -> None:
    sizes = dict(enumerate(sorted(drawn) if grows else drawn, LOWEST))
    limit = max(limit, sizes[LOWEST])
    quality, encodes = search(sizes.__getitem__, limit, name)
    assert quality == HIGHEST or sizes[quality + 1] > limit
    assert encodes <= MOST_ENCODES
    if grows:
        assert quality == max(one for one, size in sizes.items() if size <= limit)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.floats(0.5, 2), st.floats(6, 9), st.sampled_from(sorted(CURVES)), st.floats(0.05, 1.2))
def test_sizes_that_grow_like_photographs_take_at_most_seven_encodes(
    steepness: float, height: float, name: str, share: float
) -> None:
    def size(quality: int) -> int:
        return round(math.exp(height + steepness * CURVES[name].height(quality)))

    limit = round(size(LOWEST) + share * (size(HIGHEST) - size(LOWEST)))
    quality, encodes = search(size, limit, name)
    assert encodes <= 7
    assert quality == max(one for one in range(LOWEST, HIGHEST + 1) if size(one) <= limit)


def test_overhead_does_not_mislead_the_search() -> None:
    def size(quality: int) -> int:
        return 50_000 + round(math.exp(5 + CURVES["jpeg"].height(quality)))

    limit = size(77)
    assert search(size, limit, "jpeg", fixed=50_000) == (77, 3)
    # Without knowing it, the search takes longer and gives the same.
    quality, encodes = search(size, limit, "jpeg")
    assert (quality, encodes > 3) == (77, True)


def test_several_frames_are_expected_to_take_more() -> None:
    asked: list[int] = []

    def coded(size: Size, quality: int) -> bytes:
        asked.append(quality)
        return bytes(100)

    # 4 bits a pixel of one frame, or 0.4 of each of ten, which is quality 70.
    for frames in (1, 10):
        fitted(coded, (100, 10), 500, CURVES["webp"], frames=frames)
        asked.append(0)
    assert asked[0] == HIGHEST
    assert asked[asked.index(0) + 1] in (69, 70)


def test_animation_is_expected_to_take_more(encodes: list[tuple[Size, int | None]]) -> None:
    pictures = [Picture.of(PICTURES["grainy"], "webp") for _ in range(4)]
    pictures = [replace(one, series=Series("animation", 4)) for one in pictures]
    tried = []
    for following in ([], pictures[1:]):
        encodes.clear()
        encode.encode(pictures[0], Encoding(max_bytes=4_000), following=following)
        tried.append(encodes[0][1])
    assert tried[0] == HIGHEST
    assert tried[1] is not None
    assert tried[1] < 85


def test_after_choosing_the_size_95_percent_of_the_limit_suffice() -> None:
    qualities: list[int] = []

    def coded(size: Size, quality: int) -> bytes:
        qualities.append(quality)
        return bytes(10_000 if size == (100, 50) else round(4_770 + quality))

    found = fitted(coded, (100, 50), 5_000, CURVES["jpeg"])
    assert (found.quality, len(found.data)) == (LOWEST, 4_810)
    assert qualities[-2:] == [LOWEST, LOWEST]


def test_lossless_output_has_no_quality_to_find() -> None:
    image = PICTURES["smooth"]
    found = limited(image, "webp", 10**6, lossless=True)
    assert np.array_equal(np.asarray(opened(found.data)), np.asarray(image))
    with pytest.raises(PictureError, match="has no quality to adjust"):
        limited(image, "webp", len(found.data) - 1, lossless=True)


def test_every_format_with_this_setting_has_an_increasing_curve() -> None:
    for row in formats.FORMATS:
        assert (curve_of(row) is not None) == ("max_bytes" in row.settings), row.name
    for curve in CURVES.values():
        heights = [curve.height(quality) for quality in range(1, 101)]
        assert heights == sorted(heights)
        assert curve.height(70) == pytest.approx(0, abs=0.05)
        for quality in range(1, 101):
            assert curve.quality(curve.height(quality)) >= quality
        assert curve.quality(heights[0] - 0.1) == 0
        assert curve.quality(heights[-1] + 9) == 100


# Smaller pictures


def coloured(mode: str) -> tuple[Image.Image, bytes | None]:
    image = grainy(160, 80)
    if mode == "CMYK":
        return image.convert("CMYK"), cmyk_profile()
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        return image, None
    return image.convert(mode), None


@pytest.mark.parametrize(
    ("format_name", "mode"),
    [
        *(("jpeg", mode) for mode in ("L", "RGB", "CMYK")),
        *(("webp", mode) for mode in ("RGB", "RGBA")),
        *(("avif", mode) for mode in ("RGB", "RGBA")),
        ("heif", "RGBA"),
    ],
)
def test_picture_is_shrunk_if_no_quality_fits(format_name: str, mode: str) -> None:
    image, icc = coloured(mode)
    before = image.tobytes()
    at_40 = encode.encode(
        Picture.of(image, format_name, icc), Encoding(format=format_name, quality=40)
    )
    limit = round(0.55 * len(at_40.data)) + len(icc or b"") // 2
    found = limited(image, format_name, limit, icc=icc)
    assert image.tobytes() == before
    assert 0.8 * limit <= len(found.data) <= limit
    width, height = found.size
    assert 60 < width < 150
    assert abs(height - width / 2) <= 0.5
    (notice,) = found.notices
    assert notice.kind == "scaled-down"
    assert notice.message.startswith(f"{width} x {height} pixels instead of 160 x 80: at quality")
    seen = opened(found.data)
    assert (seen.size, seen.mode) == (found.size, mode)
    # The whole picture, upright: what quality 40 does to grain is within these levels.
    expected = np.asarray(image.convert(mode).resize(found.size, Image.Resampling.LANCZOS))
    off = np.asarray(seen).astype(float) - expected
    assert np.abs(off).mean() < 12


def test_shrunk_picture_still_has_the_best_quality_that_fits() -> None:
    image = PICTURES["grainy"]
    for limit in range(900, len(by_pillow(image, "jpeg", 40)), 300):
        found = limited(image, "jpeg", limit)
        assert found.size != image.size
        assert len(found.data) >= 0.85 * limit


def test_16_bit_colours_are_shrunk_too() -> None:
    levels = np.asarray(grainy(160, 80)).astype(np.uint16) * 257
    picture = Picture(Deep(levels), "png", (160, 80), (0, 0, 160, 80))
    whole = encode.encode(picture, Encoding(format="heif", quality=40))
    encoding = Encoding(format="heif", max_bytes=len(whole.data) // 2)
    found = encode.encode(picture, encoding)
    assert found.size[0] < 160
    assert {notice.kind for notice in found.notices} == {"depth-reduced", "scaled-down"}
    assert opened(found.data).size == found.size


@pytest.mark.parametrize("size", [(1, 1), (1, 20), (20, 1), (32, 5)])
def test_tiny_pictures_fit_or_fail_but_do_not_shrink(size: Size) -> None:
    image = grainy(64, 64).crop((0, 0, *size))
    exact = by_pillow(image, "jpeg", 40)
    assert limited(image, "jpeg", len(exact)).size == size
    with pytest.raises(PictureError, match=rf"even {size[0]} x {size[1]} pixels at low quality"):
        limited(image, "jpeg", len(exact) - 1)


def test_no_picture_shrinks_below_a_small_icon() -> None:
    with pytest.raises(PictureError) as caught:
        limited(grainy(400, 100), "jpeg", 300)
    failure = caught.value.failure
    assert (failure.stage, failure.kind) == ("encode", "too-large")
    assert f"even {SMALLEST} x 8 pixels" in failure.message
    assert "expected at most 300 (--max-bytes)" in failure.message
    assert "metadata" not in failure.message


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.integers(1, 10**6),
    st.floats(0.01, 3),
    st.integers(0, 2000),
)
def test_any_size_terminates(width: int, height: int, limit: int, bits: float, fixed: int) -> None:
    tried: list[Size] = []

    def coded(size: Size, quality: int) -> bytes:
        tried.append(size)
        return bytes(fixed + round(size[0] * size[1] * bits * quality / 800))

    try:
        found = fitted(coded, (width, height), limit, CURVES["jpeg"], fixed=fixed)
        size, most = found.size, len(found.data)
    except TooLargeError as error:
        size, most = error.size, error.bytes
    assert size == tried[-1]
    assert most <= limit or max(size) <= SMALLEST
    edges = [max(size) for size in tried]
    assert edges == sorted(edges, reverse=True)
    assert len(tried) <= 40


# Metadata


def test_metadata_and_profile_count() -> None:
    image = PICTURES["grainy"]
    exif, icc = exif_block(orientation=1).block, wide_gamut_profile()
    picture = replace(Picture.of(image, "jpeg", icc), metadata=Metadata(exif=Exif(exif)))
    bare = len(by_pillow(image, "jpeg", 40))
    found = encode.encode(picture, Encoding(max_bytes=bare + len(exif) + len(icc) + 400))
    assert found.size == image.size
    assert len(found.data) <= bare + len(exif) + len(icc) + 400
    assert opened(found.data).info["icc_profile"] == icc
    assert opened(found.data).getexif()[0x0110]


def test_metadata_that_alone_exceed_the_limit_are_blamed(
    encodes: list[tuple[Size, int | None]],
) -> None:
    picture = replace(
        Picture.of(PICTURES["grainy"], "jpeg"), metadata=Metadata(exif=Exif(exif_block().block * 3))
    )
    limit = len(exif_block().block)
    with pytest.raises(PictureError, match=r"are metadata and profile: use --metadata none"):
        encode.encode(picture, Encoding(max_bytes=limit))
    assert len(encodes) == 2
    found = encode.encode(picture, Encoding(max_bytes=limit, metadata="none"))
    assert len(found.data) <= limit


def test_metadata_record_the_shrunk_size() -> None:
    exif = exif_block(orientation=1, size=(160, 120), thumbnail=b"").block
    picture = replace(Picture.of(grainy(), "jpeg"), metadata=Metadata(exif=Exif(exif)))
    found = encode.encode(picture, Encoding(max_bytes=len(exif) + 1_500))
    assert found.size[0] < 160
    told = opened(found.data).getexif()
    assert (told[0x0100], told[0x0101]) == found.size
