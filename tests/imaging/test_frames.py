"""Animations and pages: every frame is seen as it was, for as long, in every format that has them.

The files are put together byte by byte here, and composed by NumPy with the words of the
specifications (GIF89a, 23; PNG third edition, 13.3), once more by ImageMagick, and by Pillow where
that is right.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures, programs
from toolkit.pictures import saved

import imgbatch
from imgbatch import Recipe
from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.decode import Demand
from imgbatch.imaging.decode import pictures as decoded_pictures
from imgbatch.imaging.opening import Rules
from imgbatch.imaging.picture import Picture
from imgbatch.imaging.series import animated, apng
from imgbatch.model import Encoding, Result
from imgbatch.naming import Template
from imgbatch.recipes.recipe import Output

Pixels = NDArray[np.uint8]
FORMATS: Final = ("gif", "webp", "png", "avif")
CANVAS: Final = (24, 16)

# Files, byte by byte


@dataclass(frozen=True)
class Part:
    """A frame of a GIF: numbers of colours, where, and what becomes of it."""

    numbers: NDArray[np.uint8]
    at: tuple[int, int] = (0, 0)
    disposal: int = 0
    transparent: int | None = None
    delay: int = 10
    colours: Pixels | None = None
    interlaced: bool = False


def lzw(numbers: Sequence[int]) -> bytes:
    """Numbers below 256 as GIF's LZW, each by itself, with a clear code before codes grow."""
    bits, count = 0, 0
    out = bytearray()
    for index, number in enumerate([*numbers, 257]):
        for code in ([256] if index % 200 == 0 else []) + [number]:
            bits |= code << count
            count += 9
            while count >= 8:
                out.append(bits & 255)
                bits >>= 8
                count -= 8
    out.append(bits)
    blocks = [bytes(out[at : at + 255]) for at in range(0, len(out), 255)]
    return b"\x08" + b"".join(bytes((len(one),)) + one for one in blocks) + b"\0"


def gif_file(
    parts: Sequence[Part],
    colours: Pixels,
    *,
    loops: int | None = None,
    size: tuple[int, int] = CANVAS,
    background: int = 0,
) -> bytes:
    """A GIF89a with a table of 256 colours."""
    data = b"GIF89a" + struct.pack("<HHBBB", *size, 0xF7, background, 0) + colours.tobytes()
    if loops is not None:
        data += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loops, 0)
    for part in parts:
        height, width = part.numbers.shape
        flags = part.disposal << 2 | (part.transparent is not None)
        data += struct.pack("<4BHBB", 33, 0xF9, 4, flags, part.delay, part.transparent or 0, 0)
        rows = part.numbers
        if part.interlaced:
            order = [
                row
                for first, step in ((0, 8), (4, 8), (2, 4), (1, 2))
                for row in range(first, height, step)
            ]
            rows = rows[order]
        flags = (0x40 if part.interlaced else 0) | (0x87 if part.colours is not None else 0)
        data += struct.pack("<B4HB", 44, *part.at, width, height, flags)
        data += part.colours.tobytes() if part.colours is not None else b""
        data += lzw(rows.ravel().tolist())
    return data + b";"


def gif_seen(parts: Sequence[Part], colours: Pixels) -> list[Pixels]:
    """What is to be seen of it, as browsers show it: RGBA, transparent at first."""
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


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@dataclass(frozen=True)
class Layer:
    """A frame of an APNG: RGBA pixels, where, and how it is laid there."""

    pixels: Pixels
    at: tuple[int, int] = (0, 0)
    disposal: int = 0
    over: bool = False
    delay: tuple[int, int] = (1, 10)


def apng_file(
    layers: Sequence[Layer], *, plays: int = 0, still: Pixels | None = None, behind: bytes = b""
) -> bytes:
    """An APNG of 8-bit RGBA; `still` is a default image that is no frame."""
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", *CANVAS, 8, 6, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">2I", len(layers), plays))
    number = 0
    if still is not None:
        data += chunk(b"IDAT", compressed(still))
    for index, layer in enumerate(layers):
        height, width = layer.pixels.shape[:2]
        control = (number, width, height, *layer.at, *layer.delay, layer.disposal, layer.over)
        data += chunk(b"fcTL", struct.pack(">5I2H2B", *control))
        number += 1
        if index == 0 and still is None:
            data += chunk(b"IDAT", compressed(layer.pixels))
            continue
        # In two pieces, as it may be.
        whole = compressed(layer.pixels)
        for piece in (whole[:9], whole[9:]):
            data += chunk(b"fdAT", struct.pack(">I", number) + piece)
            number += 1
    return data + behind + chunk(b"IEND", b"")


def compressed(pixels: Pixels) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def apng_seen(layers: Sequence[Layer]) -> list[NDArray[np.float64]]:
    """What is to be seen of it: RGBA in floats, by Porter and Duff's over."""
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
        # The first frame has nothing before it that could come back.
        if layer.disposal == 1 or (layer.disposal == 2 and index == 0):
            place[:] = 0
        elif layer.disposal == 2:
            canvas = before
    return seen


# Reading


def decoded(folder: Path, data: bytes, name: str = "moving", **options: Any) -> list[Picture]:
    (folder / name).write_bytes(data)
    options.setdefault("every", lambda *asked: True)
    admit = options.pop("admit", None)
    path, rules = str(folder / name), Rules(**options)
    return list(decoded_pictures(path, lambda size: size, rules, admit=admit))


def rgba(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("RGBA")).astype(np.float64)


def off(image: Image.Image, expected: NDArray[Any]) -> float:
    """The largest difference, of colours as they are seen on black, and of alpha."""
    one, other = rgba(image), expected.astype(np.float64)
    colours = one[..., :3] * one[..., 3:] / 255 - other[..., :3] * other[..., 3:] / 255
    return float(max(np.abs(colours).max(), np.abs(one[..., 3] - other[..., 3]).max()))


def table(seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (256, 3)).astype(np.uint8)


def numbers(seed: int, width: int = CANVAS[0], height: int = CANVAS[1]) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 250, (height, width)).astype(np.uint8)


def with_hole(pixels: NDArray[np.uint8], number: int = 255) -> NDArray[np.uint8]:
    pixels = pixels.copy()
    pixels[2:6, 3:8] = number
    return pixels


GIFS: Final[dict[str, list[Part]]] = {
    "all kinds of disposal": [
        Part(numbers(1)),
        *(
            Part(with_hole(numbers(seed, 12, 9)), (3 + seed % 4, 2), seed % 4, 255, 10 + seed)
            for seed in range(2, 12)
        ),
    ],
    "tables of their own": [
        Part(numbers(1), colours=table(5)),
        Part(with_hole(numbers(2, 10, 10)), (12, 5), 1, 255, colours=table(6)),
        Part(numbers(3, 8, 8), (0, 0), 2),
        Part(with_hole(numbers(4, 10, 10)), (12, 5), 3, 255, colours=table(7)),
        Part(numbers(5, 3, 3), (20, 12)),
    ],
    "interlaced": [
        Part(numbers(1), interlaced=True),
        Part(with_hole(numbers(2, 15, 11)), (4, 3), 1, 255, interlaced=True),
    ],
    "the first one smaller than the canvas": [
        Part(numbers(1, 10, 6), (7, 5)),
        Part(numbers(2, 5, 5), (1, 1), 2),
        Part(numbers(3, 5, 5), (15, 9)),
    ],
    "the first one to come back": [
        Part(with_hole(numbers(1)), (0, 0), 3, 255),
        Part(numbers(2, 5, 5), (1, 1), 1),
    ],
    "beyond the canvas": [Part(numbers(1)), Part(numbers(2), (9, 5), 2), Part(numbers(3, 2, 2))],
    "one frame that is not the whole": [Part(numbers(1, 9, 9), (5, 4), transparent=255)],
}


@pytest.mark.parametrize("kind", GIFS)
def test_frames_of_a_gif_are_composed_as_they_are_to_be_seen(tmp_path: Path, kind: str) -> None:
    found = decoded(tmp_path, gif_file(GIFS[kind], table(), background=7))
    expected = gif_seen(GIFS[kind], table())
    assert len(found) == len(expected)
    for frame, seen, part in zip(found, expected, GIFS[kind], strict=True):
        assert off(frame.image, seen) == 0
        assert (frame.duration, frame.size) == (part.delay * 10, CANVAS)


@pytest.mark.slow
@pytest.mark.external("imagemagick")
@pytest.mark.parametrize("kind", ["all kinds of disposal", "tables of their own", "interlaced"])
def test_imagemagick_composes_the_same(tmp_path: Path, kind: str) -> None:
    found = decoded(tmp_path, gif_file(GIFS[kind], table()), "moving.gif")
    command = [programs.path_of("imagemagick"), "moving.gif", "-coalesce", "seen-%02d.png"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    for number, frame in enumerate(found):
        with Image.open(tmp_path / f"seen-{number:02}.png") as seen:
            assert off(frame.image, rgba(seen)) == 0


def half(seed: int, width: int = CANVAS[0], height: int = CANVAS[1]) -> Pixels:
    """Noise with every alpha there is."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4)).astype(np.uint8)


LAYERS: Final = [
    Layer(half(1)),
    Layer(half(2, 12, 9), (3, 2), 0, over=True, delay=(3, 100)),
    Layer(half(3, 9, 12), (10, 4), 1, over=True, delay=(7, 0)),
    Layer(half(4, 9, 12), (5, 1), 2, over=False, delay=(1, 30)),
    Layer(half(5, 12, 9), (8, 7), 2, over=True, delay=(0, 5)),
    Layer(half(6, 7, 7), (0, 0), 1),
    Layer(half(7, 24, 3), (0, 9), 0, over=True),
]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_frames_of_an_apng_are_composed_as_they_are_to_be_seen(tmp_path: Path, first: int) -> None:
    layers = [Layer(half(1), (0, 0), first), *LAYERS[1:]]
    found = decoded(tmp_path, apng_file(layers, plays=4))
    expected = apng_seen(layers)
    assert len(found) == len(expected)
    for frame, seen in zip(found, expected, strict=True):
        # Colours are rounded once a layer, and three lie upon another at most.
        assert off(frame.image, seen) <= 2
    # A denominator of 0 stands for 100.
    times = [100, 30, 70, 1000 / 30, 0, 100, 100]
    assert [frame.duration for frame in found] == pytest.approx(times)
    assert found[0].series is not None
    assert (found[0].series.count, found[0].series.plays) == (7, 4)


def test_an_apng_that_is_taken_apart_can_be_joined_again(tmp_path: Path) -> None:
    found = apng.read(apng_file(LAYERS, plays=4))
    assert found is not None
    again = decoded(tmp_path, apng.join(found, plays=4))
    for frame, seen in zip(again, apng_seen(LAYERS), strict=True):
        assert off(frame.image, seen) <= 2


def test_a_default_image_is_no_frame_and_dropping_it_is_told(tmp_path: Path) -> None:
    data = apng_file(LAYERS, still=half(99))
    found = decoded(tmp_path, data)
    assert len(found) == len(LAYERS)
    assert off(found[0].image, LAYERS[0].pixels) == 0
    assert [notice.kind for notice in found[0].notices] == ["gain-map-dropped"]


def test_metadata_behind_the_frames_of_an_apng_are_found(tmp_path: Path) -> None:
    block = pictures.exif_block(orientation=None).block
    found = decoded(tmp_path, apng_file(LAYERS, behind=chunk(b"eXIf", block)))
    assert found[0].metadata.exif is not None
    assert all(frame.metadata == found[0].metadata for frame in found)


@pytest.mark.parametrize(("loops", "plays"), [(None, 1), (0, 0), (1, 2), (6, 7)])
def test_how_often_a_gif_is_played(tmp_path: Path, loops: int | None, plays: int) -> None:
    found = decoded(tmp_path, gif_file(GIFS["interlaced"], table(), loops=loops))
    assert found[0].series is not None
    assert found[0].series.plays == plays


def test_opaque_animations_have_no_alpha_and_grey_ones_no_colours(tmp_path: Path) -> None:
    opaque = [Part(numbers(1)), Part(with_hole(numbers(2)), transparent=255)]
    grey = np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1)
    assert {one.mode for one in decoded(tmp_path, gif_file(opaque, table()))} == {"RGB"}
    assert {one.mode for one in decoded(tmp_path, gif_file(opaque, grey))} == {"L"}
    cleared = [Part(numbers(1), disposal=2), *opaque]
    assert {one.mode for one in decoded(tmp_path, gif_file(cleared, grey))} == {"LA"}


def test_the_first_frame_alone_is_the_same(tmp_path: Path) -> None:
    kind = "the first one smaller than the canvas"
    (alone,) = decoded(tmp_path, gif_file(GIFS[kind], table()), every=lambda *asked: False)
    assert off(alone.image, gif_seen(GIFS[kind], table())[0]) == 0


# From format to format


def moving(seed: int = 0, *, alpha: bool = True) -> list[Image.Image]:
    """Six frames of a square that moves over a picture with a hole, or without."""
    scene = pictures.scene(120, 80)
    frames = []
    for step in range(6):
        pixels = np.dstack([scene, np.full(scene.shape[:2], 255, np.uint8)])
        if alpha:
            pixels[20:60, 50 + 4 * step : 100 + 4 * step] = 0
        pixels[10 + 6 * step : 40 + 6 * step, 8 + 12 * step : 40 + 12 * step] = (
            *(240 - 30 * step, 30 * step, 60),
            255,
        )
        frames.append(Image.fromarray(pixels if alpha else pixels[..., :3].copy()))
    return frames


TIMES: Final = [100, 50, 40, 120, 250, 30]
QUALITY: Final[dict[str, dict[str, Any]]] = {
    "gif": {},
    "png": {},
    "webp": {"lossless": True},
    "avif": {"quality": 95, "speed": 9},
}


def source(kind: str, *, alpha: bool = True) -> bytes:
    """Those frames in a file, by Pillow."""
    frames = moving(alpha=alpha)
    more: dict[str, Any] = {"loop": {"gif": 2}.get(kind, 3)} | QUALITY[kind]
    if kind == "gif":
        more["disposal"] = 2 if alpha else 1
    return saved(
        frames[0], kind.upper(), save_all=True, append_images=frames[1:], duration=TIMES, **more
    )


def composed(data: bytes) -> Iterator[tuple[Image.Image, float]]:
    """Each frame as Pillow composes it, with its time."""
    with Image.open(BytesIO(data)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            yield image.convert("RGBA"), image.info.get("duration", 0)


def on_black(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours as they are seen there."""
    return pixels[..., :3] * pixels[..., 3:] / 255


def reduced(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float64]:
    """Resized by Pillow, premultiplied."""
    return rgba(image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA"))


def run(folder: Path, data: bytes, name: str, jobs: int = 1, **options: Any) -> Result:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / name).write_bytes(data)
    memory = options.pop("memory", None)
    salvage = options.pop("salvage", False)
    recipe = Recipe.from_options(**options)
    (result,) = imgbatch.run(
        recipe,
        [folder / "in" / name],
        output=folder / "out",
        jobs=jobs,
        memory=memory,
        salvage=salvage,
    )
    return result


def made(folder: Path, data: bytes, name: str, **options: Any) -> bytes:
    result = run(folder, data, name, **options)
    assert result.status == "done", result.failure
    return Path(result.written[0].path).read_bytes()


# The mean error of a channel, in levels: of two ways to resize; of 256 colours; of AVIF's coarser
# colours at the edges of the square. Frames differ by 5 and more from those beside them.
ALLOWED: Final = {"png": 0.6, "webp": 0.6, "avif": 4.5, "gif": 3.0}


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [True, False], ids=["with a hole", "opaque"])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_frame_comes_through(tmp_path: Path, kind: str, target: str, alpha: bool) -> None:
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
def test_it_is_played_as_often(tmp_path: Path, kind: str, target: str) -> None:
    """Three times; Pillow's AVIF is played for ever."""
    data = made(tmp_path, source(kind), f"a.{kind}", sizes=["30"], format=target)
    with Image.open(BytesIO(data)) as image:
        loop = image.info["loop"]
    assert loop == (0 if kind == "avif" else 2 if target == "gif" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("loops", [None, 0, 2])
def test_an_avif_is_played_as_often(tmp_path: Path, loops: int | None, alpha: bool) -> None:
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
        exiftool = programs.path_of("exiftool")
        command = [exiftool, "-s3", "-n", "-TrackDuration", "-Duration", "seen.avif"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300
        )
        assert {float(line) for line in done.stdout.split()} == {3 * sum(TIMES) / 1000}


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
def test_an_avif_does_not_tell_when_it_was_written(tmp_path: Path) -> None:
    """Or one picture would come out in other bytes each second."""
    data = made(tmp_path, source("gif"), "a.gif", sizes=["30"], format="avif")
    (tmp_path / "seen.avif").write_bytes(data)
    times = [f"-{of}{kind}Date" for of in ("", "Track", "Media") for kind in ("Create", "Modify")]

    told = subprocess.run(
        [programs.path_of("exiftool"), "-s3", *times, "seen.avif"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    assert told.stdout.splitlines() == ["0000:00:00 00:00:00"] * len(times)


@pytest.mark.parametrize("target", ["png", "webp", "avif"])
def test_what_travels_with_an_animation_goes_along(tmp_path: Path, target: str) -> None:
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
def test_a_profile_that_a_gif_cannot_hold_is_converted_in_every_frame(tmp_path: Path) -> None:
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
        # Its numbers taken as they were would be seen as other colours.
        assert np.abs(rgba(image) - rgba(plain)).mean() > 4


def test_an_operation_is_done_to_every_frame(tmp_path: Path) -> None:
    data = source("png")
    result = made(tmp_path, data, "a.png", filters=["invert"])
    for (image, _), (meant, _) in zip(composed(result), composed(data), strict=True):
        expected = rgba(meant)
        expected[..., :3] = 255 - expected[..., :3]
        assert off(image, expected) == 0


@pytest.mark.parametrize("channels", ["no", "yes"])
def test_a_stretch_of_the_levels_does_not_flicker(tmp_path: Path, channels: str) -> None:
    """A light goes on in the second frame: what stands still keeps its levels."""
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


def test_an_animation_that_needs_nothing_is_copied(tmp_path: Path) -> None:
    for kind in FORMATS:
        data = source(kind)
        result = run(tmp_path, data, f"a.{kind}", sizes=["2000"])
        assert result.written[0].copied
        assert Path(result.written[0].path).read_bytes() == data


@pytest.mark.slow
@pytest.mark.parametrize("target", ["jpeg", "tiff", "bmp"])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_still_format_gets_the_first_and_says_so(tmp_path: Path, kind: str, target: str) -> None:
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


def test_an_apngs_times_are_the_nearest_there_are(tmp_path: Path) -> None:
    frames = moving(alpha=False)[:5]
    times = [1000 / 30, 0, 70_001, 700_003, 9_000_000]
    data = animated.encode(frames, times, 1, formats.BY_NAME["png"], {})
    found = [time for _, time in composed(data)]
    assert found == pytest.approx(times, rel=1e-4)


# Files that are cut short, broken, or too much


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_of_what_is_cut_short_whole_frames_are_kept_if_asked_for(tmp_path: Path, kind: str) -> None:
    data = source(kind)
    whole = list(composed(data))
    cut = data[: len(data) * 14 // 15]
    failed = run(tmp_path, cut, f"a.{kind}", sizes=["60"])
    assert failed.failure is not None
    assert failed.failure.kind == "truncated"
    assert not (tmp_path / "out" / f"a.{kind}").exists()
    found = decoded(tmp_path, cut, salvage=True)
    assert 2 <= len(found) < 6
    for frame, (image, _) in zip(found, whole, strict=False):
        assert off(frame.image, rgba(image)) == 0
    result = run(tmp_path, cut, f"a.{kind}", sizes=["60"], salvage=True)
    assert [one.kind for one in result.notices] == ["truncated"]
    assert len(list(composed(Path(result.written[0].path).read_bytes()))) == len(found)


def broken_frame(kind: str) -> bytes:
    """A whole file in which the pixels of a later frame are none."""
    if kind == "gif":
        parts = GIFS["all kinds of disposal"]
        data = gif_file(parts, table())
        at = data.rindex(b"\x2c") + 11
        return data[:at] + b"\x02\x44\x01\0" + b";"
    data = apng_file(LAYERS)
    at = data.rindex(b"fdAT") + 8
    return data[: at - 12] + chunk(b"fdAT", data[at - 4 : at] + b"nonsense") + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["gif", "png"])
@pytest.mark.parametrize("salvage", [False, True])
def test_a_file_with_a_broken_frame_fails_as_a_whole(
    tmp_path: Path, kind: str, salvage: bool
) -> None:
    result = run(tmp_path, broken_frame(kind), f"a.{kind}", sizes=["10"], salvage=salvage)
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure.stage == "decode"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".imgbatch"]


def test_pixels_that_are_too_many_together_are_not_begun(tmp_path: Path) -> None:
    tiny = Part(np.zeros((1, 1), np.uint8))
    data = gif_file([tiny] * 3000, table(), size=(1000, 1000))
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, data, max_pixels=180_000_000, admit=pytest.fail)
    assert caught.value.failure.kind == "too-large"
    for word in ("3000 frames", "3,000,000,000", "180,000,000"):
        assert word in caught.value.failure.message

    class EnoughError(Exception):
        pass

    def admit(demand: Demand) -> None:
        assert (demand.frames, demand.full_size) == (3000, (1000, 1000))
        raise EnoughError

    with pytest.raises(EnoughError):
        decoded(tmp_path, data, max_pixels=190_000_000, admit=admit)


def test_frames_that_do_not_fit_into_memory_together_are_refused(tmp_path: Path) -> None:
    tiny = Part(np.zeros((1, 1), np.uint8))
    data = gif_file([tiny] * 500, table(), size=(1000, 1000))
    memory = 1_000_000_000
    result = run(tmp_path, data, "a.gif", sizes=["900"], memory=memory)
    assert result.failure is not None
    assert (result.failure.stage, result.failure.kind) == ("open", "memory")
    still = run(tmp_path, data, "a.gif", sizes=["900"], format="jpeg", memory=memory)
    assert still.status == "done"


_MEASURED: Final = """
import sys
from pathlib import Path
import imgbatch
from imgbatch.imaging import decode
from imgbatch.imaging.series import gif_frames
from imgbatch.model import Limits
path, out, target, size = sys.argv[1:]
recipe = imgbatch.Recipe.from_options(format=target, sizes=[size])
def resident(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])
asked = []
for _ in range(2):
    # Once for what is loaded only once.
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    (result,) = imgbatch.run(recipe, [path], output=out + str(_), jobs=1)
    assert result.status == "done", result
every = lambda *asked: True
rules = decode.Rules(every=every)
with_all = decode.pictures(path, recipe.needed_size, rules, admit=asked.append)
next(with_all)
(demand,) = asked
working = recipe.working_bytes(
    demand.full_size, demand.decoded_size, demand.format, plain=demand.plain, frames=demand.frames
)
print(resident("VmHWM") - before, demand.bytes + working)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured on Linux alone")
@pytest.mark.parametrize("target", ["gif", "png"])
def test_no_peak_is_higher_than_its_estimate(tmp_path: Path, target: str) -> None:
    rng = np.random.default_rng(0)
    frames = [
        Image.fromarray(rng.integers(0, 256, (400, 600, 3)).astype(np.uint8)) for _ in range(6)
    ]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], compress_level=0)
    (tmp_path / "a.png").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "a.png", "out", target, "580"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    peak, estimate = map(int, done.stdout.split())
    assert 0 < peak <= estimate


# Pages


@dataclass(frozen=True)
class Sheet:
    """A page: what it shows, and what travels with it."""

    image: Image.Image
    dpi: tuple[int, int]
    icc: bytes | None = None
    orientation: int = 1
    words: str = "a page"


def sheets() -> list[Sheet]:
    colours = pictures.scene(80, 60)
    grey = Image.fromarray(colours[..., 0].copy())
    deep = Image.fromarray(colours[..., 1].astype(np.uint16) * 257)
    wide = pictures.wide_gamut_profile()
    stored = Image.fromarray(pictures.stored(pictures.quarters(64, 48), 6))
    return [
        Sheet(Image.fromarray(colours), (300, 300), wide, words="colours"),
        Sheet(grey.resize((50, 70)), (72, 72), pictures.grey_profile(), words="grey"),
        Sheet(stored, (150, 150), None, 6, words="turned"),
        Sheet(Image.fromarray(np.dstack([colours, colours])[..., :4].copy(), "CMYK"), (96, 96)),
        Sheet(deep, (600, 600), words="deep"),
    ]


def tiff_file(pages: Sequence[Sheet], **options: Any) -> bytes:
    from PIL.TiffImagePlugin import AppendingTiffWriter

    buffer = BytesIO()
    with AppendingTiffWriter(buffer) as writer:
        for page in pages:
            tags = Image.Exif()
            tags[0x010E], tags[0x0112] = page.words, page.orientation
            page.image.save(
                writer, "TIFF", dpi=page.dpi, icc_profile=page.icc, exif=tags, **options
            )
            writer.newFrame()
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate"])
def test_every_page_keeps_all_that_is_its_own(tmp_path: Path, compression: str) -> None:
    given = sheets()
    data = made(tmp_path, tiff_file(given), "a.tif", sizes=["40"], compression=compression)
    with Image.open(BytesIO(data)) as image:
        assert image.n_frames == len(given)  # type: ignore[attr-defined]
        for number, page in enumerate(given):
            image.seek(number)
            upright = page.image
            if page.orientation == 6:
                upright = upright.transpose(Image.Transpose.ROTATE_270)
            scale = 40 / max(upright.size)
            size = (round(upright.width * scale), round(upright.height * scale))
            assert (image.mode, image.size) == (page.image.mode, size)
            assert image.info["dpi"] == pytest.approx(page.dpi)
            tags: Any = image.tag_v2  # type: ignore[attr-defined]
            assert tags.get(0x8773) == page.icc
            assert tags[0x010E] == page.words
            assert tags.get(0x0112, 1) == 1
            if page.image.mode == "I;16":
                expected = np.asarray(
                    Image.fromarray(np.asarray(upright).astype(np.float32)).resize(
                        size, Image.Resampling.LANCZOS
                    )
                )
                assert np.abs(np.asarray(image) - expected).max() <= 2 * 257
            else:
                expected = np.asarray(upright.resize(size, Image.Resampling.LANCZOS))
                # Pillow rounds and clips between across and down, which shows at sharp edges.
                difference = np.abs(np.asarray(image).astype(int) - expected)
                assert difference.mean() < 0.5
                assert difference.max() <= 12


@pytest.mark.slow
@pytest.mark.external("exiftool")
def test_exiftool_finds_nothing_wrong_with_pages(tmp_path: Path) -> None:
    """Each has a directory of EXIF of its own, and all places in the file are right."""
    pages = []
    for number in range(3):
        block = pictures.exif_block(orientation=None, gps=True).block
        tags = Image.Exif()
        tags.load(block)
        for tag in (0x0100, 0x0101):
            del tags[tag]
        pages.append(saved(pictures.scene(40 + number, 30), "TIFF", exif=tags))
    from imgbatch.imaging.series.pages import joined

    (tmp_path / "b.tif").write_bytes(
        made(tmp_path, joined(pages), "a.tif", sizes=["20"], compression="lzw")
    )
    done = subprocess.run(
        [
            programs.path_of("exiftool"),
            "-validate",
            "-warning",
            "-a",
            "-G1",
            "-s",
            "-ImageWidth",
            "-DateTimeOriginal",
            "-GPSLatitude",
            "-error",
            "-ExposureTime",
            "b.tif",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    lines = done.stdout.splitlines()
    assert sum("ImageWidth" in line and ": 20" in line for line in lines) == 3
    assert sum("DateTimeOriginal" in line and pictures.TAKEN in line for line in lines) == 3
    assert sum("ExposureTime" in line and "1/250" in line for line in lines) == 3
    assert "Error" not in done.stdout


@pytest.mark.parametrize("target", ["gif", "png", "jpeg", "webp"])
def test_pages_are_no_frames(tmp_path: Path, target: str) -> None:
    data = tiff_file([sheets()[0], *sheets()[1:3]])
    result = run(tmp_path, data, "a.tif", format=target)
    assert ("frames-dropped", "only the first of 3 pages was kept") in [
        (one.kind, one.message) for one in result.notices
    ]
    with Image.open(result.written[0].path) as image:
        assert (getattr(image, "n_frames", 1), image.size) == (1, (80, 60))


def test_a_later_page_that_is_too_large_or_broken_fails_the_file(tmp_path: Path) -> None:
    small = Sheet(Image.new("L", (8, 8)), (72, 72))
    large = Sheet(Image.new("L", (300, 200)), (72, 72))
    data = tiff_file([small, large])
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, data, max_pixels=50_000)
    assert caught.value.failure.kind == "too-large"
    assert "page 2 of 300 x 200" in caught.value.failure.message
    for compression in (None, "tiff_lzw"):
        whole = tiff_file([small, large], compression=compression)
        if compression:
            # The first code of a strip is the one to clear (TIFF 6.0, section 13).
            at = whole.rindex(b"\x80\x00")
            cut = whole[:at] + b"\xff" * 8 + whole[at + 8 :]
        else:
            cut = whole[:-40_000]
        result = run(tmp_path, cut, "a.tif", sizes=["4"])
        assert result.status == "failed"
        assert not (tmp_path / "out" / "a.tif").exists()


def test_pages_that_are_too_many_pixels_together_are_not_begun(tmp_path: Path) -> None:
    """Sixteen times the limit: the first is the smallest."""
    small, large = (Sheet(Image.new("L", size), (72, 72)) for size in ((8, 8), (100, 100)))
    data = tiff_file([small, *[large] * 20])
    assert len(decoded(tmp_path, data, max_pixels=12_600)) == 21
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, data, max_pixels=12_400, admit=pytest.fail)
    assert caught.value.failure.kind == "too-large"
    assert "pages of" in caught.value.failure.message


def test_the_demand_is_of_the_largest_page(tmp_path: Path) -> None:
    small = Sheet(Image.new("L", (8, 8)), (72, 72))
    large = Sheet(Image.new("RGB", (300, 200)), (72, 72))
    asked: list[Demand] = []
    found = decoded(tmp_path, tiff_file([small, large, small]), admit=asked.append)
    assert [one.size for one in found] == [(8, 8), (300, 200), (8, 8)]
    (demand,) = asked
    assert (demand.frames, demand.decoded_size) == (3, (300, 200))
    assert demand.bytes > 300 * 200 * 3
