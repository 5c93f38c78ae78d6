"""Colours under full transparency do not bleed into visible ones, judged by compositing in float64.

Over black, white and a colour each lossy file has to look like the original: source over (Porter
and Duff, Compositing digital images, SIGGRAPH 1984) of its colours, with the original's alpha.
What AVIF, HEIC and JPEG 2000 lose of alpha itself is another matter.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from toolkit import decoding

from imgbatch.imaging import formats
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.encode import encode
from imgbatch.imaging.filters import hidden
from imgbatch.imaging.picture import Picture, Series
from imgbatch.model import Encoding

Pixels = NDArray[Any]

LOSSY: Final = ("webp", "avif", "heif", "jxl", "jpeg2000")
BACKDROPS: Final = ((0, 0, 0), (255, 255, 255), (40, 110, 230))
RED: Final = (220, 30, 30)
GREEN: Final = (0, 255, 0)
SIDE: Final = 97
"""Not a multiple of any block."""


def disc(hidden_colour: tuple[int, int, int] | None, *, soft: bool = False) -> Pixels:
    """A red disc in RGBA; None hides noise."""
    down, across = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    distance = np.hypot(down, across)
    alpha = np.clip((36 - distance) * (32 if soft else 1000), 0, 255).astype(np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    pixels = np.dstack([noise, alpha])
    if hidden_colour is not None:
        pixels[..., :3] = hidden_colour
    pixels[alpha > 0, :3] = RED
    return pixels


def photograph() -> Pixels:
    """Colours that change everywhere, cut out by thin and thick shapes, over green."""
    down, across = np.mgrid[:120, :181].astype(np.float64)
    red, green = 128 + 100 * np.sin(across / 19), 128 + 100 * np.cos(down / 13)
    blue = (across + down) / 301 * 255
    pixels = np.dstack([red, green, blue, np.full_like(red, 255)]).astype(np.uint8)
    bars = (across.astype(int) // 7 % 3 == 0) | (np.hypot(across - 120, down - 60) < 40)
    pixels[~bars] = (*GREEN, 0)
    return pixels


def over(colours: Pixels, alpha: Pixels, backdrop: tuple[int, int, int]) -> NDArray[np.float64]:
    """In levels of 255."""
    highest = np.iinfo(alpha.dtype).max
    cover = alpha[..., None] / highest
    return np.asarray(colours[..., :3] / highest * 255 * cover + np.array(backdrop) * (1 - cover))


def errors(made: Pixels, meant: Pixels) -> NDArray[np.float64]:
    """How far colours are from what is meant, over each backdrop."""
    alpha = meant[..., 3]
    return np.stack([over(made, alpha, on) - over(meant, alpha, on) for on in BACKDROPS])


def worst(made: Pixels, meant: Pixels) -> float:
    return float(np.abs(errors(made, meant)).max())


def file_of(pixels: Pixels | Deep, target: str, **settings: Any) -> bytes:
    image = pixels if isinstance(pixels, Deep) else Image.fromarray(pixels)
    picture = Picture(image, "png", image.size, (0, 0, *image.size))
    return encode(picture, Encoding(format=target, **settings)).data


def shown(data: bytes, target: str) -> Pixels:
    """The frames of a file, from Pillow or libjxl; the last of them."""
    if target == "jxl":
        frames = np.asarray(imagecodecs.jpegxl_decode(data))
        return frames[-1] if frames.ndim == 4 else frames
    with Image.open(BytesIO(data)) as image:
        return np.asarray(list(ImageSequence.Iterator(image))[-1].convert("RGBA"))


@pytest.mark.parametrize("target", LOSSY)
@pytest.mark.parametrize("soft", [False, True], ids=["sharp", "soft"])
@pytest.mark.parametrize("colour", [GREEN, RED, None], ids=["green", "same", "noise"])
def test_hidden_colours_do_not_bleed(
    target: str, soft: bool, colour: tuple[int, int, int] | None
) -> None:
    pixels = disc(colour, soft=soft)
    made = shown(file_of(pixels, target), target)
    # It was 10 to 213 levels off, except where the colour is the same.
    assert worst(made, pixels) <= 2


@pytest.mark.parametrize("target", LOSSY)
def test_what_hides_costs_nothing(target: str) -> None:
    sizes = {len(file_of(disc(colour), target)) for colour in (GREEN, RED, None)}
    assert len(sizes) == 1


@pytest.mark.parametrize("target", LOSSY)
def test_changing_colours_go_on_under_transparency(target: str) -> None:
    pixels = photograph()
    made = shown(file_of(pixels, target), target)
    seen = pixels[..., 3] > 0
    assert np.sqrt(np.mean(errors(made, pixels)[:, seen] ** 2)) <= 3.5
    assert worst(made, pixels) <= 36


@pytest.mark.parametrize("target", ["heif", "jxl"])
def test_16_bits_do_not_bleed_either(tmp_path: Path, target: str) -> None:
    pixels = disc(GREEN).astype(np.uint16) * 257
    data = file_of(Deep(pixels), target)
    suffix = formats.BY_NAME[target].suffixes[0]
    made = decoding.decoded(tmp_path, data, name=f"a{suffix}")
    assert made.deep is not None
    assert worst(made.deep.array, pixels) <= 3


@pytest.mark.parametrize("target", ["webp", "avif", "jxl"])
def test_every_frame_is_spared(target: str) -> None:
    arrays = [disc(None), np.roll(disc(GREEN), 5, axis=1)]
    frames = [
        Picture(
            Image.fromarray(array),
            "gif",
            (SIDE, SIDE),
            (0, 0, SIDE, SIDE),
            series=Series("animation", 2),
            duration=100,
        )
        for array in arrays
    ]
    data = encode(frames[0], Encoding(format=target), following=frames[1:]).data
    assert worst(shown(data, target), arrays[-1]) <= 4


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("webp", {"lossless": True}),
        ("heif", {"lossless": True}),
        ("jxl", {"lossless": True}),
        ("jpeg2000", {"lossless": True}),
        ("jpeg2000", {"quality": 100}),
        ("png", {}),
        ("tiff", {}),
        ("tga", {}),
    ],
)
def test_lossless_files_keep_hidden_colours(target: str, settings: dict[str, Any]) -> None:
    pixels = disc(None)
    np.testing.assert_array_equal(shown(file_of(pixels, target, **settings), target), pixels)


def test_a_picture_made_smaller_for_a_limit_does_not_bleed() -> None:
    # Noise above the disc, which does not compress.
    pixels = np.kron(disc(None), np.ones((4, 4, 1), np.uint8))
    pixels[:40] = np.random.default_rng(3).integers(0, 256, (40, pixels.shape[1], 4), np.uint8)
    pixels[:40, :, 3] = 255
    data = file_of(pixels, "avif", max_bytes=2500)
    made = shown(data, "avif")
    assert len(data) <= 2500
    assert made.shape[0] < pixels.shape[0]
    low = made[made.shape[0] // 4 :]
    inside = low[low[..., 3] == 255][:, :3].astype(int)
    assert np.abs(inside - RED).max() <= 16


@pytest.mark.parametrize("size", [(1, 2), (3, 2), (9, 7), (64, 64), (97, 131), (513, 1)])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_only_hidden_pixels_change(size: tuple[int, int], channels: int, dtype: Any) -> None:
    rng = np.random.default_rng(2)
    levels = rng.integers(0, 256, (*size, channels)).astype(dtype)
    levels[..., -1] *= rng.integers(0, 2, size).astype(dtype)
    levels[0, 0, -1], levels[-1, -1, -1] = 0, 3
    made = filled(levels)
    seen = levels[..., -1] > 0
    np.testing.assert_array_equal(made[seen], levels[seen])
    np.testing.assert_array_equal(made[..., -1], levels[..., -1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_visible_colour_spreads_everywhere(dtype: Any) -> None:
    levels = np.zeros((300, 401, 4), dtype)
    scale = np.iinfo(dtype).max // 255
    colour = np.array([200, 100, 50]) * scale
    for place in ((150, 77), (151, 79)):
        levels[place] = (*colour, 255 * scale)
    made = filled(levels)[..., :3].astype(int)
    assert np.abs(made - colour).max() <= 2 * scale


def test_nothing_hidden_costs_no_copy() -> None:
    opaque = Image.fromarray(np.full((40, 40, 4), 255, np.uint8))
    clear = Image.fromarray(np.zeros((40, 40, 4), np.uint8))
    assert hidden.filled(opaque) is opaque
    assert hidden.filled(clear) is clear
    for level in (0, 255):
        deep = Deep(np.full((40, 40, 4), level, np.uint16))
        assert hidden.filled(deep) is deep


def filled(levels: Pixels) -> Pixels:
    if levels.dtype == np.uint16:
        made = hidden.filled(Deep(levels))
        assert isinstance(made, Deep)
        return made.array
    mode = "LA" if levels.shape[2] == 2 else "RGBA"
    image = hidden.filled(Image.frombytes(mode, levels.shape[1::-1], levels.tobytes()))
    assert isinstance(image, Image.Image)
    return np.asarray(image)
