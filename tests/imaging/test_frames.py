"""Animations and pages: every frame looks the same, for as long, in every format that has them.

The files are put together byte by byte here, and composed in NumPy by the letter of the
specifications (GIF89a, 23; PNG third edition, 13.3), again by ImageMagick, and by Pillow where it
is right.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures, programs
from toolkit.animations import (
    CANVAS,
    GIFS,
    LAYERS,
    TIMES,
    Layer,
    Part,
    apng_file,
    chunk,
    composed,
    decoded_frames,
    gif_file,
    half,
    made,
    moving,
    numbers,
    off,
    rgba,
    run,
    source,
    table,
    with_hole,
)
from toolkit.exiftool import exiftool
from toolkit.pictures import saved

import imgbatch
from imgbatch import Recipe
from imgbatch.imaging import formats
from imgbatch.imaging.series import apng
from imgbatch.model import Encoding
from imgbatch.naming import Template
from imgbatch.recipes.recipe import Output

Pixels = NDArray[np.uint8]
FORMATS: Final = ("gif", "webp", "png", "avif")


# Files, byte by byte


def gif_seen(parts: Sequence[Part], colours: Pixels) -> list[Pixels]:
    """The frames as browsers show them: RGBA, initially transparent."""
    canvas = np.zeros((*CANVAS[::-1], 4), np.uint8)
    seen = []
    for part in parts:
        before = canvas.copy()
        (left, top), (height, width) = part.at, part.numbers.shape
        place = canvas[top : top + height, left : left + width]
        height, width = place.shape[:2]
        numbers = part.numbers[:height, :width]
        table = colours if part.colours is None else part.colours
        drawn = np.ones(numbers.shape, bool)
        if part.transparent is not None:
            drawn = numbers != part.transparent
        place[drawn, :3] = table[numbers][drawn]
        place[drawn, 3] = 255
        seen.append(canvas.copy())
        if part.disposal == 2:
            place[:] = 0
        elif part.disposal == 3:
            canvas = before
    return seen


def apng_seen(layers: Sequence[Layer]) -> list[NDArray[np.float64]]:
    """The frames composed by Porter and Duff's over: RGBA in floats."""
    canvas = np.zeros((*CANVAS[::-1], 4))
    seen = []
    for index, layer in enumerate(layers):
        before = canvas.copy()
        (left, top), (height, width) = layer.at, layer.pixels.shape[:2]
        place = canvas[top : top + height, left : left + width]
        new = layer.pixels.astype(np.float64)
        if layer.over:
            above, below = new[..., 3:] / 255, place[..., 3:] / 255
            alpha = above + below * (1 - above)
            mixed = new[..., :3] * above + place[..., :3] * below * (1 - above)
            colours = np.divide(mixed, alpha, out=np.zeros_like(mixed), where=alpha > 0)
            new = np.concatenate([colours, alpha * 255], axis=2)
        place[:] = new
        seen.append(canvas.copy())
        # The first frame has no previous one to be restored.
        if layer.disposal == 1 or (layer.disposal == 2 and index == 0):
            place[:] = 0
        elif layer.disposal == 2:
            canvas = before
    return seen


# Reading


@pytest.mark.parametrize("kind", GIFS)
def test_gif_frames_are_composed_as_displayed(tmp_path: Path, kind: str) -> None:
    found = decoded_frames(tmp_path, gif_file(GIFS[kind], table(), background=7))
    expected = gif_seen(GIFS[kind], table())
    assert len(found) == len(expected)
    for frame, seen, part in zip(found, expected, GIFS[kind], strict=True):
        assert off(frame.image, seen) == 0
        assert (frame.duration, frame.size) == (part.delay * 10, CANVAS)


@pytest.mark.slow
@pytest.mark.external("imagemagick")
@pytest.mark.parametrize("kind", ["all kinds of disposal", "tables of their own", "interlaced"])
def test_imagemagick_composes_the_same(tmp_path: Path, kind: str) -> None:
    found = decoded_frames(tmp_path, gif_file(GIFS[kind], table()), "moving.gif")
    command = [programs.path_of("imagemagick"), "moving.gif", "-coalesce", "seen-%02d.png"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    for number, frame in enumerate(found):
        with Image.open(tmp_path / f"seen-{number:02}.png") as seen:
            assert off(frame.image, rgba(seen)) == 0


@pytest.mark.parametrize("first", [0, 1, 2])
def test_apng_frames_are_composed_as_displayed(tmp_path: Path, first: int) -> None:
    layers = [Layer(half(1), (0, 0), first), *LAYERS[1:]]
    found = decoded_frames(tmp_path, apng_file(layers, plays=4))
    expected = apng_seen(layers)
    assert len(found) == len(expected)
    for frame, seen in zip(found, expected, strict=True):
        # Colours are rounded once per layer, and at most three layers overlap.
        assert off(frame.image, seen) <= 2
    # A denominator of 0 stands for 100.
    times = [100, 30, 70, 1000 / 30, 0, 100, 100]
    assert [frame.duration for frame in found] == pytest.approx(times)
    assert found[0].series is not None
    assert (found[0].series.count, found[0].series.plays) == (7, 4)


def test_apng_frames_can_be_taken_apart_and_joined_again(tmp_path: Path) -> None:
    found = apng.read(apng_file(LAYERS, plays=4))
    assert found is not None
    again = decoded_frames(tmp_path, apng.join(found, plays=4))
    for frame, seen in zip(again, apng_seen(LAYERS), strict=True):
        assert off(frame.image, seen) <= 2


def test_default_image_is_not_a_frame_and_dropping_it_is_reported(tmp_path: Path) -> None:
    data = apng_file(LAYERS, still=half(99))
    found = decoded_frames(tmp_path, data)
    assert len(found) == len(LAYERS)
    assert off(found[0].image, LAYERS[0].pixels) == 0
    assert [notice.kind for notice in found[0].notices] == ["gain-map-dropped"]


def test_metadata_after_apng_frames_are_found(tmp_path: Path) -> None:
    block = pictures.exif_block(orientation=None).block
    found = decoded_frames(tmp_path, apng_file(LAYERS, behind=chunk(b"eXIf", block)))
    assert found[0].metadata.exif is not None
    assert all(frame.metadata == found[0].metadata for frame in found)


@pytest.mark.parametrize(("loops", "plays"), [(None, 1), (0, 0), (1, 2), (6, 7)])
def test_gif_loop_count(tmp_path: Path, loops: int | None, plays: int) -> None:
    found = decoded_frames(tmp_path, gif_file(GIFS["interlaced"], table(), loops=loops))
    assert found[0].series is not None
    assert found[0].series.plays == plays


def test_opaque_animations_have_no_alpha_and_grey_ones_no_colours(tmp_path: Path) -> None:
    opaque = [Part(numbers(1)), Part(with_hole(numbers(2)), transparent=255)]
    grey = np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1)
    assert {one.mode for one in decoded_frames(tmp_path, gif_file(opaque, table()))} == {"RGB"}
    assert {one.mode for one in decoded_frames(tmp_path, gif_file(opaque, grey))} == {"L"}
    cleared = [Part(numbers(1), disposal=2), *opaque]
    assert {one.mode for one in decoded_frames(tmp_path, gif_file(cleared, grey))} == {"LA"}


def test_first_frame_alone_is_the_same(tmp_path: Path) -> None:
    kind = "the first one smaller than the canvas"
    (alone,) = decoded_frames(tmp_path, gif_file(GIFS[kind], table()), every=lambda *asked: False)
    assert off(alone.image, gif_seen(GIFS[kind], table())[0]) == 0


# From format to format


def on_black(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return pixels[..., :3] * pixels[..., 3:] / 255


def reduced(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float64]:
    """Resized by Pillow, premultiplied."""
    return rgba(image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA"))


# Mean error of a channel, in levels: of two ways to resize; of 256 colours; of AVIF's coarser
# chroma at the edges of the square. Neighbouring frames differ by 5 or more.
ALLOWED: Final = {"png": 0.6, "webp": 0.6, "avif": 4.5, "gif": 3.0}


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [True, False], ids=["with a hole", "opaque"])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_frame_survives_conversion(
    tmp_path: Path, kind: str, target: str, alpha: bool
) -> None:
    data = source(kind, alpha=alpha)
    jobs = 2 if kind == target else 1
    options: dict[str, Any] = {"sizes": ["60"], "format": target}
    options |= {"quality": 95} if target == "avif" else {"lossless": target == "webp"}
    result = made(tmp_path, data, f"a.{kind}", jobs=jobs, **options)
    before, after = list(composed(data)), list(composed(result))
    for (one, _), (other, _) in pairwise(before):
        assert np.abs(on_black(rgba(one)) - on_black(rgba(other))).mean() > 5
    assert len(after) == len(before) == 6
    assert [time for _, time in after] == pytest.approx([time for _, time in before])
    assert [time for _, time in before] == TIMES
    for (image, _), (meant, _) in zip(after, before, strict=True):
        assert image.size == (60, 40)
        expected = reduced(meant, (60, 40))
        seen = rgba(image)
        error = np.abs(on_black(seen) - on_black(expected))
        clear = np.isin(expected[..., 3], (0, 255))
        assert error[clear].mean() <= ALLOWED[target]
        if target == "gif":
            assert np.array_equal(seen[..., 3], np.where(expected[..., 3] >= 128, 255, 0))
        else:
            assert np.abs(seen[..., 3] - expected[..., 3]).mean() <= ALLOWED[target] / 2


@pytest.mark.slow
@pytest.mark.parametrize("target", ["gif", "png", "webp"])
@pytest.mark.parametrize("kind", FORMATS)
def test_loop_count_survives_conversion(tmp_path: Path, kind: str, target: str) -> None:
    """Three times; Pillow's AVIF loops forever."""
    data = made(tmp_path, source(kind), f"a.{kind}", sizes=["30"], format=target)
    with Image.open(BytesIO(data)) as image:
        loop = image.info["loop"]
    assert loop == (0 if kind == "avif" else 2 if target == "gif" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("loops", [None, 0, 2])
def test_avif_loop_count_survives_conversion(
    tmp_path: Path, loops: int | None, alpha: bool
) -> None:
    """From a GIF, and from there back again."""
    more: dict[str, Any] = {} if loops is None else {"loop": loops}
    frames = moving(alpha=alpha)
    given = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=TIMES, **more)
    data = made(tmp_path, given, "a.gif", sizes=["30"], format="avif")
    assert len(list(composed(data))) == 6
    back = made(tmp_path, data, "a.avif", sizes=["20"], format="gif")
    with Image.open(BytesIO(back)) as image:
        assert image.info.get("loop") == loops
    if loops and programs.why_lacking("exiftool") is None:
        (tmp_path / "seen.avif").write_bytes(data)
        told = exiftool("-s3", "-n", "-TrackDuration", "-Duration", tmp_path / "seen.avif")
        assert {float(line) for line in told.split()} == {3 * sum(TIMES) / 1000}


@pytest.mark.slow
@pytest.mark.external("webpmux")
def test_webpmux_sees_the_same(tmp_path: Path) -> None:
    (tmp_path / "b.webp").write_bytes(
        made(tmp_path, source("gif"), "a.gif", sizes=["60"], format="webp")
    )
    done = subprocess.run(
        [programs.path_of("webpmux"), "-info", "b.webp"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "Canvas size: 60 x 40" in done.stdout
    assert "Loop Count : 3" in done.stdout
    assert "Number of frames: 6" in done.stdout


@pytest.mark.external("exiftool")
def test_avif_does_not_record_when_it_was_written(tmp_path: Path) -> None:
    """Otherwise the same picture would have different bytes every second."""
    data = made(tmp_path, source("gif"), "a.gif", sizes=["30"], format="avif")
    (tmp_path / "seen.avif").write_bytes(data)
    times = [f"-{of}{kind}Date" for of in ("", "Track", "Media") for kind in ("Create", "Modify")]

    told = exiftool("-s3", *times, tmp_path / "seen.avif")

    assert told.decode().splitlines() == ["0000:00:00 00:00:00"] * len(times)


@pytest.mark.parametrize("target", ["png", "webp", "avif"])
def test_metadata_of_an_animation_are_kept(tmp_path: Path, target: str) -> None:
    frames = moving(alpha=False)
    profile = pictures.wide_gamut_profile()
    data = saved(
        frames[0],
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=TIMES,
        icc_profile=profile,
        exif=pictures.exif_block(orientation=None).block,
        xmp=pictures.xmp_packet(),
    )
    image = Image.open(BytesIO(made(tmp_path, data, "a.webp", sizes=["60"], format=target)))
    assert getattr(image, "n_frames", 1) == 6
    assert image.info["icc_profile"] == profile
    assert image.getexif()[0x0110] == pictures.MODEL
    assert pictures.XMP_RIGHTS.encode() in image.info["xmp"]


@pytest.mark.slow
def test_profile_that_a_gif_cannot_hold_is_converted_in_every_frame(tmp_path: Path) -> None:
    frames = moving(alpha=False)
    more: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 50}
    wide = saved(frames[0], "PNG", icc_profile=pictures.wide_gamut_profile(), **more)
    data = made(tmp_path, wide, "a.png", format="gif")
    for (image, _), plain in zip(composed(data), frames, strict=True):
        still = saved(plain, "PNG", icc_profile=pictures.wide_gamut_profile())
        expected = made(tmp_path, still, "still.png", format="png", profile="srgb")
        (tmp_path / "out" / "still.png").unlink()
        reference = rgba(Image.open(BytesIO(expected)))
        assert np.abs(rgba(image) - reference).mean() < 3
        # Taken as sRGB, its numbers would be other colours.
        assert np.abs(rgba(image) - rgba(plain)).mean() > 4


def test_operation_applies_to_every_frame(tmp_path: Path) -> None:
    data = source("png")
    result = made(tmp_path, data, "a.png", filters=["invert"])
    for (image, _), (meant, _) in zip(composed(result), composed(data), strict=True):
        expected = rgba(meant)
        expected[..., :3] = 255 - expected[..., :3]
        assert off(image, expected) == 0


@pytest.mark.parametrize("channels", ["no", "yes"])
def test_stretched_levels_do_not_flicker(tmp_path: Path, channels: str) -> None:
    """A light goes on in the second frame: static parts keep their levels."""
    dim = (pictures.scene(60, 40) // 3 + 30).astype(np.uint8)
    lit = dim.copy()
    lit[5:20, 5:30] = (255, 250, 0)
    frames = [Image.fromarray(one) for one in (dim, lit, dim)]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)
    words = [f"autocontrast:channels={channels}"]
    first, second, third = composed(made(tmp_path, data, "a.png", filters=words))
    still = np.any(lit == dim, axis=2)
    still[5:20, 5:30] = False
    assert np.array_equal(rgba(first[0])[still], rgba(second[0])[still])
    assert off(third[0], rgba(first[0])) == 0
    alone = made(tmp_path, saved(dim, "PNG"), "still.png", filters=words)
    assert off(first[0], rgba(Image.open(BytesIO(alone)))) == 0
    # It is stretched at all.
    assert rgba(first[0]).max() == 255
    assert dim.max() < 200


def test_unchanged_animation_is_copied(tmp_path: Path) -> None:
    for kind in FORMATS:
        data = source(kind)
        result = run(tmp_path, data, f"a.{kind}", sizes=["2000"])
        assert result.written[0].copied
        assert Path(result.written[0].path).read_bytes() == data


@pytest.mark.slow
@pytest.mark.parametrize("target", ["jpeg", "tiff", "bmp"])
@pytest.mark.parametrize("kind", FORMATS)
def test_still_format_gets_the_first_frame_with_a_warning(
    tmp_path: Path, kind: str, target: str
) -> None:
    data = source(kind, alpha=False)
    result = run(tmp_path, data, f"a.{kind}", format=target)
    assert [(one.kind, one.message) for one in result.notices] == [
        ("frames-dropped", "only the first of 6 frames was kept")
    ]
    with Image.open(result.written[0].path) as image:
        assert getattr(image, "n_frames", 1) == 1
        (first, _), *_ = composed(data)
        assert np.abs(rgba(image) - rgba(first)).mean() < 5


def test_one_output_may_have_all_frames_and_another_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(source("gif", alpha=False))
    outputs = tuple(
        Output(name, Template.parse("{stem}-{output}{ext}"), (), encoding)
        for name, encoding in (
            ("all", Encoding(format="webp")),
            ("first", Encoding(format="jpeg")),
        )
    )
    recipe = Recipe("both", outputs)
    (result,) = imgbatch.run(recipe, [tmp_path / "a.gif"], output=tmp_path / "out", jobs=1)
    counts = [len(list(composed(Path(one.path).read_bytes()))) for one in result.written]
    assert counts == [6, 1]
    assert [one.kind for one in result.notices] == ["frames-dropped"]


def test_single_frame_of_a_gif_keeps_its_delay(tmp_path: Path) -> None:
    # Smaller than the canvas, so that it is composed.
    part = Part(np.full((8, 8), 3, np.uint8), (2, 2), delay=50)
    result = run(tmp_path, gif_file([part], table()), "gif", sizes=["12"])
    data = Path(result.written[0].path).read_bytes()
    place = data.index(b"\x21\xf9\x04") + 4
    assert int.from_bytes(data[place : place + 2], "little") == 50


def test_apng_durations_are_rounded_to_the_nearest(tmp_path: Path) -> None:
    frames = moving(alpha=False)[:5]
    times = [1000 / 30, 0, 70_001, 700_003, 9_000_000]
    png = formats.codec(formats.BY_NAME["png"])
    data = png.animated(frames, times, 1, {}, Encoding())
    found = [time for _, time in composed(data)]
    assert found == pytest.approx(times, rel=1e-4)
