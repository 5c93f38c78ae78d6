"""`--max-bytes` finds the highest quality that fits, and `--keep-smaller` keeps what is smaller."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from toolkit import ROOT
from toolkit.commands import imgbatch_here, told
from toolkit.folders import planted
from toolkit.pictures import (
    cmyk_profile,
    exif_block,
    opened,
    saved,
    scene,
    stored,
    traces_of_position,
    wide_gamut_profile,
    with_metadata,
    xmp_packet,
)

import imgbatch
from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging import encode, formats
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.encode import Encoded
from imgbatch.imaging.fitting import CURVES, HIGHEST, LOWEST, SMALLEST, TooLargeError, fitted
from imgbatch.imaging.picture import Metadata, Picture, Series
from imgbatch.model import Encoding, Notice, Result, Size

SAMPLES: Final = ROOT / "sample_images"
MOST_ENCODES: Final = 14
"""Seven along the curve, and the halvings of what is then left of 56 qualities, and one more."""


def grainy(width: int = 160, height: int = 120) -> Image.Image:
    """A picture with so much detail that its quality is told by its bytes."""
    chance = np.random.RandomState(3)
    pixels = scene(width, height) + chance.normal(0, 12, (height, width, 1))
    return Image.fromarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))


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


def by_pillow(image: Image.Image, format_name: str, quality: int) -> bytes:
    """What a user of Pillow would save, with what is documented for each format."""
    if format_name == "jpeg":
        return saved(image, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2)
    rgb = image if image.mode == "RGBA" else image.convert("RGB")
    return saved(rgb, "WEBP", quality=quality, method=4)


def limited(
    image: Image.Image, format_name: str, limit: int, *, icc: bytes | None = None, **words: Any
) -> Encoded:
    picture = Picture.of(image, format_name, icc)
    return encode.encode(picture, Encoding(format=format_name, max_bytes=limit, **words))


# What is found


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["jpeg", "webp"])
@pytest.mark.parametrize("name", PICTURES)
def test_it_is_the_highest_quality_of_all_that_fit(name: str, format_name: str) -> None:
    image = PICTURES[name]
    files = {quality: by_pillow(image, format_name, quality) for quality in range(40, 96)}
    least, most = len(files[40]), len(files[95])
    for share in (0.0, 0.03, 0.2, 0.45, 0.8, 0.97):
        limit = round(least + share * (most - least))
        found = limited(image, format_name, limit)
        best = max(quality for quality, data in files.items() if len(data) <= limit)
        quality = max(one for one, data in files.items() if data == found.data)
        assert len(files.get(quality + 1, bytes(most + 1))) > limit
        # Where files only grow with the quality there is no better one.
        sizes = [len(data) for data in files.values()]
        if sizes == sorted(sizes):
            assert len(files[best]) == len(found.data)
        assert found.notices == ()
        assert found.size == image.size


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["avif", "heif"])
def test_slow_encoders_come_near_the_limit(format_name: str) -> None:
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
def test_a_file_of_exactly_the_limit_fits_and_one_byte_more_does_not(
    format_name: str, quality: int
) -> None:
    exact = by_pillow(PICTURES["grainy"], format_name, quality)
    assert limited(PICTURES["grainy"], format_name, len(exact)).data == exact
    short = limited(PICTURES["grainy"], format_name, len(exact) - 1)
    assert len(short.data) < len(exact)
    assert (short.size != PICTURES["grainy"].size) == (quality == LOWEST)


def test_a_generous_limit_takes_quality_95_or_the_one_that_is_given() -> None:
    image = PICTURES["grainy"]
    assert limited(image, "jpeg", 10**9).data == by_pillow(image, "jpeg", HIGHEST)
    for quality in (30, 60, 99):
        found = limited(image, "jpeg", 10**9, quality=quality)
        assert found.data == by_pillow(image, "jpeg", quality)


def test_the_given_quality_is_the_highest_and_one_below_40_the_only_one() -> None:
    image = PICTURES["grainy"]
    limit = len(by_pillow(image, "jpeg", 70))
    assert limited(image, "jpeg", limit, quality=80).data == by_pillow(image, "jpeg", 70)
    at_30 = by_pillow(image, "jpeg", 30)
    assert limited(image, "jpeg", len(at_30), quality=30).data == at_30
    smaller = limited(image, "jpeg", len(at_30) - 1, quality=30)
    assert max(smaller.size) < 160
    tables = saved(image, "JPEG", quality=30)
    assert opened(smaller.data).quantization == opened(tables).quantization  # type: ignore[attr-defined]


def test_other_settings_stay_as_they_are_asked_for() -> None:
    image = PICTURES["photograph"]
    found = limited(image, "jpeg", 9_000, subsampling="4:4:4", progressive=True)
    again = opened(found.data)
    assert again.info.get("progressive")
    expected = [
        saved(image, "JPEG", quality=quality, subsampling=0, progressive=True)
        for quality in range(40, 96)
    ]
    assert found.data == max((one for one in expected if len(one) <= 9_000), key=len)


def test_the_same_picture_always_gives_the_same_bytes() -> None:
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


def test_a_generous_limit_takes_one_encode(encodes: list[tuple[Size, int | None]]) -> None:
    limited(PICTURES["photograph"], "jpeg", 10**6)
    assert encodes == [(PICTURES["photograph"].size, 95)]


def search(sizes: Callable[[int], int], limit: int, name: str, **words: Any) -> tuple[int, int]:
    """The quality that is found where a quality gives so many bytes, and in how many encodes."""
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
def test_any_encoder_comes_to_an_end_where_the_next_quality_does_not_fit(
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
def test_files_that_grow_as_photographs_do_take_at_most_seven_encodes(
    steepness: float, height: float, name: str, share: float
) -> None:
    def size(quality: int) -> int:
        return round(math.exp(height + steepness * CURVES[name].height(quality)))

    limit = round(size(LOWEST) + share * (size(HIGHEST) - size(LOWEST)))
    quality, encodes = search(size, limit, name)
    assert encodes <= 7
    assert quality == max(one for one in range(LOWEST, HIGHEST + 1) if size(one) <= limit)


def test_what_is_no_pixels_does_not_lead_astray() -> None:
    def size(quality: int) -> int:
        return 50_000 + round(math.exp(5 + CURVES["jpeg"].height(quality)))

    limit = size(77)
    assert search(size, limit, "jpeg", fixed=50_000) == (77, 3)
    # Without the knowledge it takes longer, and comes to the same.
    quality, encodes = search(size, limit, "jpeg")
    assert (quality, encodes > 3) == (77, True)


def test_several_frames_are_expected_to_take_more() -> None:
    asked: list[int] = []

    def coded(size: Size, quality: int) -> bytes:
        asked.append(quality)
        return bytes(100)

    # 4 bits a pixel of one frame, or 0.4 of each of ten, which are those of quality 70.
    for frames in (1, 10):
        fitted(coded, (100, 10), 500, CURVES["webp"], frames=frames)
        asked.append(0)
    assert asked[0] == HIGHEST
    assert asked[asked.index(0) + 1] in (69, 70)


def test_an_animation_is_expected_to_take_more(encodes: list[tuple[Size, int | None]]) -> None:
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


def test_after_the_size_was_chosen_95_percent_of_the_limit_are_enough() -> None:
    qualities: list[int] = []

    def coded(size: Size, quality: int) -> bytes:
        qualities.append(quality)
        return bytes(10_000 if size == (100, 50) else round(4_770 + quality))

    found = fitted(coded, (100, 50), 5_000, CURVES["jpeg"])
    assert (found.quality, len(found.data)) == (LOWEST, 4_810)
    assert qualities[-2:] == [LOWEST, LOWEST]


def test_what_is_lossless_has_no_quality_to_find() -> None:
    image = PICTURES["smooth"]
    found = limited(image, "webp", 10**6, lossless=True)
    assert np.array_equal(np.asarray(opened(found.data)), np.asarray(image))
    with pytest.raises(PictureError, match="has no quality to find"):
        limited(image, "webp", len(found.data) - 1, lossless=True)


def test_every_format_with_this_setting_has_a_curve_that_grows() -> None:
    assert set(CURVES) == {row.name for row in formats.FORMATS if "max_bytes" in row.settings}
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
def test_where_no_quality_fits_the_picture_is_made_smaller(format_name: str, mode: str) -> None:
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


def test_a_smaller_picture_still_has_the_best_quality_that_fits_it() -> None:
    image = PICTURES["grainy"]
    for limit in range(900, len(by_pillow(image, "jpeg", 40)), 300):
        found = limited(image, "jpeg", limit)
        assert found.size != image.size
        assert len(found.data) >= 0.85 * limit


def test_colours_of_16_bits_are_made_smaller_as_well() -> None:
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
    with pytest.raises(PictureError, match=rf"even {size[0]} x {size[1]} pixels of low quality"):
        limited(image, "jpeg", len(exact) - 1)


def test_no_picture_becomes_smaller_than_a_small_icon() -> None:
    with pytest.raises(PictureError) as caught:
        limited(grainy(400, 100), "jpeg", 300)
    failure = caught.value.failure
    assert (failure.stage, failure.kind) == ("encode", "too-large")
    assert f"even {SMALLEST} x 8 pixels" in failure.message
    assert "not at most 300 (--max-bytes)" in failure.message
    assert "metadata" not in failure.message


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.integers(1, 10**6),
    st.floats(0.01, 3),
    st.integers(0, 2000),
)
def test_any_size_comes_to_an_end(
    width: int, height: int, limit: int, bits: float, fixed: int
) -> None:
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
    picture = replace(Picture.of(image, "jpeg", icc), metadata=Metadata(exif=exif))
    bare = len(by_pillow(image, "jpeg", 40))
    found = encode.encode(picture, Encoding(max_bytes=bare + len(exif) + len(icc) + 400))
    assert found.size == image.size
    assert len(found.data) <= bare + len(exif) + len(icc) + 400
    assert opened(found.data).info["icc_profile"] == icc
    assert opened(found.data).getexif()[0x0110]


def test_metadata_that_alone_are_too_large_are_said_to_be(
    encodes: list[tuple[Size, int | None]],
) -> None:
    picture = replace(
        Picture.of(PICTURES["grainy"], "jpeg"), metadata=Metadata(exif=exif_block().block * 3)
    )
    limit = len(exif_block().block)
    with pytest.raises(PictureError, match=r"are metadata and profile: give --metadata none"):
        encode.encode(picture, Encoding(max_bytes=limit))
    assert len(encodes) == 2
    found = encode.encode(picture, Encoding(max_bytes=limit, metadata="none"))
    assert len(found.data) <= limit


def test_what_metadata_say_of_the_size_is_that_of_the_smaller_picture() -> None:
    exif = exif_block(orientation=1, size=(160, 120), thumbnail=b"").block
    picture = replace(Picture.of(grainy(), "jpeg"), metadata=Metadata(exif=exif))
    found = encode.encode(picture, Encoding(max_bytes=len(exif) + 1_500))
    assert found.size[0] < 160
    told = opened(found.data).getexif()
    assert (told[0x0100], told[0x0101]) == found.size


# Whole files


def only(path: Path, out: Path, *, strict: bool = False, **words: Any) -> Result:
    """What becomes of one file."""
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [path], output=out, jobs=1, strict=strict)
    return result


def made(result: Result) -> bytes:
    assert result.failure is None, result.failure
    return Path(result.written[0].path).read_bytes()


JPEG: Final = saved(grainy(), "JPEG", quality=92)


def test_a_source_that_is_small_enough_and_needs_nothing_is_copied(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEG)
    exact = only(path, tmp_path / "a", max_bytes=len(JPEG))
    assert (exact.written[0].copied, made(exact)) == (True, JPEG)
    short = only(path, tmp_path / "b", max_bytes=len(JPEG) - 1)
    assert not short.written[0].copied
    assert len(made(short)) < len(JPEG)


def test_a_jpeg_that_fits_in_its_own_steps_keeps_them(tmp_path: Path) -> None:
    exif = b"Exif\0\0" + exif_block(orientation=1).block
    data = saved(grainy(), "JPEG", quality=75, exif=exif)
    path = planted(tmp_path, data)
    result = only(path, tmp_path / "a", metadata="none", max_bytes=len(data))
    own = opened(data).quantization  # type: ignore[attr-defined]
    assert opened(made(result)).quantization == own  # type: ignore[attr-defined]
    tight = only(path, tmp_path / "b", metadata="none", max_bytes=len(made(result)) - 1)
    assert opened(made(tight)).quantization != own  # type: ignore[attr-defined]
    asked = only(path, tmp_path / "c", metadata="none", max_bytes=len(data), quality=60)
    assert opened(made(asked)).quantization != own  # type: ignore[attr-defined]


def test_formats_without_a_quality_pass_or_fail(tmp_path: Path) -> None:
    png = saved(grainy(), "PNG")
    path = planted(tmp_path, png, "a.png")
    # Made anew because of the effort.
    small = saved(grainy(), "PNG", compress_level=9)
    asked: dict[str, dict[str, Any]] = {"same": {}, "effort": {"effort": 9}}
    for name, words in asked.items():
        assert len(made(only(path, tmp_path / name, max_bytes=len(png), **words))) <= len(png)
        result = only(path, tmp_path / f"{name}-less", max_bytes=len(small) - 1, **words)
        assert result.failure is not None
        assert (result.failure.stage, result.failure.kind) == ("encode", "too-large")
        assert "PNG has no quality to find: give --format jpeg, webp or avif" in (
            result.failure.message
        )
        assert not (tmp_path / f"{name}-less/a.png").exists()


def test_all_pages_together_count(tmp_path: Path) -> None:
    pages = saved(grainy(), "TIFF", save_all=True, append_images=[grainy()] * 2)
    path = planted(tmp_path, pages, "a.tif")
    words: dict[str, Any] = {"compression": "deflate"}
    whole = made(only(path, tmp_path / "a", **words))
    assert len(made(only(path, tmp_path / "b", max_bytes=len(whole), **words))) == len(whole)
    for name, limit in (("c", len(whole) - 1), ("d", 100)):
        result = only(path, tmp_path / name, max_bytes=limit, **words)
        assert result.failure is not None
        assert f"it has {len(whole):,} bytes" in result.failure.message


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["webp", "avif"])
def test_an_animation_fits_as_a_whole(tmp_path: Path, suffix: str) -> None:
    frames = [grainy(120, 80), grainy(120, 80).rotate(180), grainy(120, 80).rotate(180)]
    frames[2].paste("red", (0, 0, 60, 40))
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=[50, 90, 70])
    path = planted(tmp_path, data, "a.gif")
    whole = len(made(only(path, tmp_path / "0", format=suffix, quality=60)))
    for part, share in (("full", 1.0), ("smaller", 0.3)):
        result = only(path, tmp_path / part, format=suffix, max_bytes=round(whole * share))
        again = Image.open(BytesIO(made(result)))
        assert len(made(result)) <= round(whole * share)
        assert again.n_frames == 3  # type: ignore[attr-defined]
        assert (again.width < 120) == (part == "smaller")
        assert again.size == (result.written[0].width, result.written[0].height)
        assert ["scaled-down"] * (part == "smaller") == [one.kind for one in result.notices]


def test_several_outputs_have_the_same_limit(tmp_path: Path) -> None:
    path = planted(tmp_path, saved(grainy(300, 200), "PNG"), "a.png")
    result = only(
        path, tmp_path / "out", sizes=["big=300", "small=60"], format="jpeg", max_bytes=8_000
    )
    assert all(one.bytes <= 8_000 for one in result.written)
    assert result.written[0].bytes > 7_000
    small = opened(Path(result.written[1].path).read_bytes())
    tables = opened(saved(grainy(), "JPEG", quality=95))
    assert small.quantization == tables.quantization  # type: ignore[attr-defined]


def test_strict_fails_what_had_to_be_made_smaller(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEG)
    result = only(path, tmp_path / "a", max_bytes=2_000)
    assert len(made(result)) <= 2_000
    assert [notice.kind for notice in result.notices] == ["scaled-down"]
    assert isinstance(result.notices[0], Notice)
    strict = only(path, tmp_path / "b", strict=True, max_bytes=2_000)
    assert strict.failure is not None
    assert (strict.failure.kind, strict.written) == ("scaled-down", ())
    assert len(made(only(path, tmp_path / "c", strict=True, max_bytes=len(JPEG) // 2)))


WRONG: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "none": ({"max_bytes": 0}, r"found max-bytes 0, expected bytes, as in 500000 or '500KB'"),
    "less": ({"max_bytes": -5}, "found max-bytes -5, expected bytes"),
    "no number": ({"max_bytes": "much"}, "found max-bytes 'much', expected bytes"),
    "pixels": ({"max_bytes": "2MP"}, "found max-bytes '2MP', expected bytes"),
    "lossless": (
        {"format": "webp", "lossless": True, "max_bytes": 9},
        "--lossless and --max-bytes exclude each other",
    ),
    "PNG": ({"format": "png", "max_bytes": 9}, "PNG has no max-bytes setting: omit --max-bytes"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_makes_no_sense_is_refused(wrong: str) -> None:
    words, message = WRONG[wrong]
    with pytest.raises(UsageError, match=message):
        imgbatch.Recipe.from_options(**words)


def test_limits_are_words_or_numbers_and_make_other_recipes() -> None:
    said = {
        word: imgbatch.Recipe.from_options(max_bytes=word)
        for word in (500_000, "500KB", "0.5MB", "500000", "499KB", None)
    }
    limits = {word: recipe.outputs[0].encoding.max_bytes for word, recipe in said.items()}
    assert limits == {500_000: 500_000, "500KB": 500_000, "0.5MB": 500_000} | {
        "500000": 500_000,
        "499KB": 499_000,
        None: None,
    }
    assert len({recipe.digest for recipe in said.values()}) == 3
    kept = imgbatch.Recipe.from_options(keep_smaller=True)
    assert kept.outputs[0].encoding == Encoding(keep_smaller=True)
    assert kept.digest != said[None].digest


def test_a_limit_is_reckoned_with_in_memory() -> None:
    plain, bounded = (
        imgbatch.Recipe.from_options(format="jpeg", max_bytes=limit) for limit in (None, 9_000)
    )
    full = (3000, 2000)
    more = bounded.working_bytes(full, full, plain=True) - plain.working_bytes(
        full, full, plain=True
    )
    assert more == 8 * full[0] * full[1]


# The smaller one of two


LOW: Final = saved(grainy(), "JPEG", quality=40)
PNG: Final = saved(scene(300, 200), "PNG", compress_level=9)
FILES: Final[dict[str, tuple[str, bytes, dict[str, Any]]]] = {
    "quality": ("a.jpg", LOW, {"quality": 90}),
    "subsampling": ("a.jpg", LOW, {"subsampling": "4:4:4"}),
    "a size that it has": ("a.jpg", LOW, {"sizes": ["2048"], "quality": 90}),
    "a limit": ("a.jpg", LOW, {"quality": 90, "max_bytes": len(LOW) + 999}),
    "its own format": ("a.jpg", LOW, {"format": "jpeg", "quality": 90}),
    "a profile that it has": ("a.jpg", LOW, {"profile": "srgb", "quality": 90}),
    "effort": ("a.png", PNG, {"effort": 1}),
    "lossless": ("a.webp", saved(grainy(), "WEBP", quality=40), {"lossless": True}),
    "compression": (
        "a.tif",
        saved(scene(60, 40), "TIFF", compression="tiff_adobe_deflate"),
        {"compression": "none"},
    ),
    "animation": (
        "a.webp",
        saved(grainy(), "WEBP", quality=20, save_all=True, append_images=[grainy().rotate(180)]),
        {"quality": 95},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", FILES)
def test_the_source_is_kept_where_the_result_would_be_larger(tmp_path: Path, what: str) -> None:
    name, data, words = FILES[what]
    path = planted(tmp_path, data, name)
    plain = only(path, tmp_path / "a", **words)
    assert not plain.written[0].copied
    assert len(made(plain)) > len(data)
    kept = only(path, tmp_path / "b", strict=True, keep_smaller=True, **words)
    assert (kept.written[0].copied, made(kept)) == (True, data)
    assert kept.written[0].bytes == len(data)
    assert (kept.written[0].width, kept.written[0].height) == opened(data).size


def test_a_result_that_is_not_larger_is_taken(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEG)
    result = only(path, tmp_path / "a", keep_smaller=True, quality=50)
    assert not result.written[0].copied
    assert made(result) == by_pillow(opened(JPEG), "jpeg", 50)
    # What is as large is what was asked for.
    again = planted(tmp_path, made(result), "b.jpg")
    same = only(again, tmp_path / "b", keep_smaller=True, quality=50)
    if len(made(same)) == len(made(result)):
        assert not same.written[0].copied


POSITION: Final = with_metadata(
    scene(96, 64),
    "JPEG",
    exif=exif_block(orientation=1).block,
    xmp=xmp_packet(gps="attributes"),
)

ASKED: Final[dict[str, tuple[bytes, dict[str, Any]]]] = {
    "another format": (LOW, {"format": "webp", "quality": 100}),
    "smaller": (LOW, {"sizes": ["150"], "quality": 100}),
    "a filter": (LOW, {"filters": ["sharpen"], "quality": 100}),
    "a profile": (
        saved(grainy(), "JPEG", quality=40, icc_profile=wide_gamut_profile()),
        {"profile": "srgb", "quality": 100},
    ),
    "no position": (POSITION, {"metadata": "no-gps", "quality": 100}),
    "rights alone": (POSITION, {"metadata": "copyright", "quality": 100}),
    "no metadata": (POSITION, {"metadata": "none", "quality": 100}),
    "no metadata where there are none": (LOW, {"metadata": "none", "quality": 100}),
    "an artist": (LOW, {"artist": "Ada", "quality": 100}),
    "a copyright": (LOW, {"copyright": "(c) Ada", "quality": 100}),
    "turned": (
        with_metadata(stored(scene(96, 64), 6), "JPEG", exif=exif_block(orientation=6).block),
        {"quality": 100},
    ),
    "broken EXIF": (
        saved(scene(60, 40), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=40),
        {"quality": 100},
    ),
}


@pytest.mark.parametrize("asked", ASKED)
def test_the_source_is_not_kept_where_it_is_not_what_was_asked_for(
    tmp_path: Path, asked: str
) -> None:
    data, words = ASKED[asked]
    result = only(planted(tmp_path, data), tmp_path / "out", keep_smaller=True, **words)
    assert not result.written[0].copied
    assert made(result) != data
    # In all of these it was the result's own quality that counted.
    if words.get("metadata") in ("no-gps", "copyright", "none"):
        assert traces_of_position(made(result)) == []
        if data is POSITION:
            assert traces_of_position(data) != []


def test_a_broken_source_is_not_kept(tmp_path: Path) -> None:
    path = planted(tmp_path, LOW[:-200])
    recipe = imgbatch.Recipe.from_options(keep_smaller=True, quality=95)
    for salvage in (False, True):
        out = tmp_path / str(salvage)
        (result,) = imgbatch.run(recipe, [path], output=out, jobs=1, salvage=salvage)
        assert (result.status == "done") == salvage
        assert not any(one.copied for one in result.written)


def test_a_source_that_fits_is_kept_where_what_is_made_of_it_does_not(tmp_path: Path) -> None:
    path = planted(tmp_path, PNG, "a.png")
    words: dict[str, Any] = {"effort": 1, "max_bytes": len(PNG)}
    assert only(path, tmp_path / "a", **words).failure is not None
    result = only(path, tmp_path / "b", keep_smaller=True, **words)
    assert (result.written[0].copied, made(result)) == (True, PNG)
    # It is not where it is too large itself.
    words["max_bytes"] -= 1
    assert only(path, tmp_path / "c", keep_smaller=True, **words).failure is not None


def test_a_source_above_the_limit_is_not_kept(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEG)
    result = only(path, tmp_path / "a", keep_smaller=True, max_bytes=len(JPEG) // 2)
    assert not result.written[0].copied
    assert len(made(result)) <= len(JPEG) // 2


# The command


@pytest.mark.slow
def test_the_command_keeps_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    planted(tmp_path / "in", JPEG)
    planted(tmp_path / "in", saved(grainy(40, 30), "PNG"), "b.png")
    words = ("resize", "in", "-s", "100", "-o", "out", "--max-bytes", "3.2KB")
    run = told(*words, "--report", "r", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()[:-1]]
    sizes = {row["source"]: row["outputs"][0]["bytes"] for row in rows}
    assert 2_900 < sizes["in/a.jpg"] <= 3_200
    assert sizes["in/a.jpg"] == (tmp_path / "out/a.jpg").stat().st_size
    assert "2 skipped" in told(*words, cwd=tmp_path).stderr
    other = told(*words[:-1], "3.1KB", cwd=tmp_path)
    assert "2 done" in other.stderr
    assert (tmp_path / "out/a.jpg").stat().st_size <= 3_100


@pytest.mark.slow
def test_the_command_says_what_it_made_smaller_and_what_it_could_not(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    planted(tmp_path / "in", JPEG)
    planted(tmp_path / "in", saved(grainy(), "PNG"), "b.png")
    words = ("resize", "in", "-o", "out", "-v", "--max-bytes", "2000")
    run = told(*words, cwd=tmp_path)
    assert run.returncode == 1
    assert "pixels instead of 160 x 120: at quality 40" in run.stderr
    assert "in/b.png failed: it has" in run.stderr
    assert (tmp_path / "out/a.jpg").stat().st_size <= 2_000
    assert not (tmp_path / "out/b.png").exists()


def test_the_command_refuses_a_limit_that_is_none(tmp_path: Path) -> None:
    planted(tmp_path, JPEG)
    for word, message in (
        ("big", "'--max-bytes': found 'big', expected a number, as in 500MB"),
        ("0", "found max-bytes 0, expected bytes"),
    ):
        run = imgbatch_here("resize", "a.jpg", "-o", "out", "--max-bytes", word, cwd=tmp_path)
        assert run.returncode == 2
        assert message in run.stderr.decode()


@pytest.mark.slow
def test_in_place_what_is_smaller_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    low = planted(tmp_path / "in", LOW, "low.jpg")
    high = planted(tmp_path / "in", JPEG, "high.jpg")
    before = low.stat()
    words: tuple[str, ...] = (
        "filter",
        "in",
        "--filter",
        "gamma:amount=1",
        "--in-place",
        "--backup",
        "keep",
    )
    words += ("-q", "60", "--keep-smaller", "-v")
    run = told(*words, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (low.stat().st_ino, low.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert low.read_bytes() == LOW
    assert len(high.read_bytes()) < len(JPEG)
    assert (tmp_path / "keep/high.jpg").read_bytes() == JPEG
    assert not (tmp_path / "keep/low.jpg").exists()
    assert "low.jpg (160 x 120" in run.stderr
    assert "2 skipped" in told(*words, cwd=tmp_path).stderr


@pytest.mark.slow
def test_a_limit_holds_in_place(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = planted(tmp_path / "in", JPEG)
    words = ("resize", "in", "-s", "2048", "--in-place", "--no-backup", "--max-bytes", "6KB")
    assert told(*words, cwd=tmp_path).returncode == 0
    first = path.read_bytes()
    assert 5_000 < len(first) <= 6_000
    assert opened(first).size == (160, 120)
    assert "1 skipped" in told(*words, cwd=tmp_path).stderr
    assert path.read_bytes() == first
