"""Resampling, by both libraries, against a float64 convolution written from the definitions."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit.cases import together
from toolkit.resampling import (
    BANDS,
    HEIGHT,
    PART,
    SMOOTH_KERNELS,
    WHOLE,
    WIDTH,
    convolved,
    picture_like,
    planes,
    rmse,
)

from imgbatch.imaging import resample
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Box
from imgbatch.imaging.resample import Resample
from imgbatch.model import Size
from imgbatch.operations import geometry

Floats = NDArray[np.float64]
MODES: Final = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")


def _premultiplied(pixels: Floats, mode: str) -> Floats:
    if mode not in ("LA", "RGBA"):
        return pixels
    return np.concatenate([pixels[..., :-1] * pixels[..., -1:] / 255, pixels[..., -1:]], axis=-1)


@functools.cache
def exact_picture(mode: str, size: Size, kernel: str, box: Box) -> Floats:
    """The pixels of `picture_like`, premultiplied."""
    pixels = convolved(_premultiplied(planes(picture_like(mode)), mode), size, kernel, box)
    return np.clip(pixels, 0, 65_535 if mode == "I;16" else 255)


@pytest.fixture(params=["simd", "pillow"])
def resize_path(request: pytest.FixtureRequest) -> Resample:
    if request.param == "pillow":
        return resample.resize_pillow
    if resample.resize_simd is None:
        pytest.skip("cykooz-resizer is not installed here")
    return resample.resize_simd


@pytest.mark.slow
@together(
    "size, box",
    [
        ((63, 47), WHOLE),
        ((157, 75), WHOLE),
        ((301, 211), WHOLE),
        ((41, 39), PART),
        ((201, 199), PART),
    ],
)
@pytest.mark.parametrize("kernel", SMOOTH_KERNELS)
@pytest.mark.parametrize("mode", MODES)
def test_resampling_is_within_half_a_level_of_an_exact_convolution(
    resize_path: Resample, mode: str, kernel: str, size: Size, box: Box
) -> None:
    image = picture_like(mode)
    resized = resize_path(image, size, kernel, box)
    assert resized.mode == mode
    assert resized.size == size
    found = _premultiplied(planes(resized), mode)
    assert rmse(found, exact_picture(mode, size, kernel, box)) <= 0.5


# Colours of 16 bits a channel
DEEP_CHANNELS: Final = {"LA;16": 2, "RGB;16": 3, "RGBA;16": 4}


def deep_like(mode: str) -> NDArray[np.uint16]:
    """`picture_like` with levels between those of 8 bits."""
    eight = planes(picture_like(mode.removesuffix(";16")))
    noise = np.random.default_rng(2).integers(0, 257, eight.shape)
    return np.clip(eight * 256 + noise, 0, 65_535).astype(np.uint16)


def _deeply_premultiplied(array: Floats) -> Floats:
    if array.shape[2] == 3:
        return array
    alpha = array[..., -1:]
    return np.concatenate([array[..., :-1] * alpha / 65_535, alpha], axis=-1)


@pytest.fixture(params=["simd", "pillow"])
def _array_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "pillow":
        monkeypatch.setattr(resample, "_found", None)
    elif resample.resize_simd is None:
        pytest.skip("cykooz-resizer is not installed here")


@pytest.mark.slow
@together(
    "size, box", [((63, 47), WHOLE), ((301, 211), WHOLE), ((41, 39), PART), ((201, 199), PART)]
)
@pytest.mark.parametrize("kernel", SMOOTH_KERNELS)
@pytest.mark.parametrize("mode", DEEP_CHANNELS)
@pytest.mark.usefixtures("_array_path")
def test_16_bit_colours_are_resampled_in_16_bits(
    mode: str, kernel: str, size: Size, box: Box
) -> None:
    """Within an RMSE of 1 of 65535: each of three roundings contributes 0.29.

    They occur when multiplying by alpha, between the two passes, and at the end.
    """
    deep = Deep(deep_like(mode))
    resized = resample.resize(deep, size, kernel, box)
    assert (resized.mode, resized.size) == (mode, size)
    assert resized.array.dtype == np.uint16
    floats = deep.array.astype(np.float64)
    exact = np.clip(convolved(_deeply_premultiplied(floats), size, kernel, box), 0, 65_535)
    found = _deeply_premultiplied(resized.array.astype(np.float64))
    # At nearly no alpha, a level is much for the colour and invisible.
    assert rmse(found, exact) <= 1


@pytest.mark.parametrize("mode", DEEP_CHANNELS)
def test_nearest_copies_16_bit_pixels(mode: str) -> None:
    deep = Deep(deep_like(mode))
    columns = np.floor((np.arange(53) + 0.5) * WIDTH / 53).astype(int)
    rows = np.floor((np.arange(39) + 0.5) * HEIGHT / 39).astype(int)
    found = resample.resize(deep, (53, 39), "nearest", WHOLE)
    assert np.array_equal(found.array, deep.array[rows][:, columns])


def test_crop_at_whole_16_bit_pixels_is_unchanged() -> None:
    deep = Deep(deep_like("RGBA;16"))
    cut = resample.resize(deep, (100, 61), "lanczos", (11.0, 7.0, 111.0, 68.0))
    assert np.array_equal(cut.array, deep.array[7:68, 11:111])


@pytest.mark.parametrize("box", [WHOLE, PART])
@pytest.mark.parametrize("size", [(63, 47), (301, 211), (1, 157), (211, 1)])
def test_strips_give_the_same_as_the_whole(
    monkeypatch: pytest.MonkeyPatch, size: Size, box: Box
) -> None:
    deep = Deep(deep_like("RGB;16"))
    assert len(resample.strips(deep.size, size, box)) == 1
    whole = resample.resize(deep, size, "lanczos", box).array.astype(int)
    monkeypatch.setattr(resample, "_STRIP_PIXELS", 500)
    monkeypatch.setattr(resample, "_MIN_ROWS", 3)
    strips = resample.strips(deep.size, size, box)
    assert [strip.first for strip in strips[1:]] == [strip.last for strip in strips[:-1]]
    assert (strips[0].first, strips[-1].last) == (0, size[1])
    assert len(strips) > 1 or size[1] == 1
    # The weights are rounded again for each strip.
    assert np.abs(resample.resize(deep, size, "lanczos", box).array - whole).max() <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "box"), [((53, 39), WHOLE), ((423, 315), WHOLE), ((31, 29), PART), ((201, 199), PART)]
)
@together("mode", MODES)
def test_nearest_takes_the_pixel_under_each_centre(
    resize_path: Resample, mode: str, size: Size, box: Box
) -> None:
    image = picture_like(mode)
    across = (box[2] - box[0]) / size[0]
    down = (box[3] - box[1]) / size[1]
    columns = np.floor(box[0] + (np.arange(size[0]) + 0.5) * across).astype(int)
    rows = np.floor(box[1] + (np.arange(size[1]) + 0.5) * down).astype(int)
    expected = planes(image)[rows][:, columns]
    assert np.array_equal(planes(resize_path(image, size, "nearest", box)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(37, 29), (167, 131)], ids=["down", "up"])
@pytest.mark.parametrize("kernel", SMOOTH_KERNELS)
@pytest.mark.parametrize(
    ("mode", "hidden", "visible", "never"),
    [
        ("RGBA", (255, 0, 0, 0), (0, 0, 255, 255), [0, 1]),
        ("LA", (255, 0), (0, 255), [0]),
    ],
)
def test_hidden_colour_of_transparent_pixels_never_shows(
    resize_path: Resample,
    mode: str,
    hidden: tuple[int, ...],
    visible: tuple[int, ...],
    never: list[int],
    kernel: str,
    size: Size,
) -> None:
    """The hidden pixels are red, the visible ones blue: no red may come out."""
    pixels = np.empty((71, 91, len(hidden)), np.uint8)
    pixels[:] = hidden
    pixels[20:50, 25:70] = visible
    pixels[5:8, ::3] = visible
    image = Image.frombytes(mode, (91, 71), pixels.tobytes())
    resized = planes(resize_path(image, size, kernel, (0, 0, 91, 71)))
    seen = resized[resized[..., -1] > 0]
    assert 0 < len(seen) < size[0] * size[1]
    assert seen[:, never].max() == 0


@together("mode", MODES)
@pytest.mark.parametrize("kernel", resample.KERNELS)
def test_flat_colour_is_unchanged(resize_path: Resample, mode: str, kernel: str) -> None:
    colour = [200, 90, 31, 255][: BANDS[mode]] if mode != "LA" else [200, 255]
    dtype = np.uint16 if mode == "I;16" else np.uint8
    pixels = np.broadcast_to(np.array(colour, dtype), (45, 61, len(colour)))
    image = Image.frombytes(mode, (61, 45), pixels.tobytes())
    for size in ((17, 13), (101, 77), (1, 1)):
        resized = planes(resize_path(image, size, kernel, (0.0, 0.0, 61.0, 45.0)))
        assert np.array_equal(resized, np.broadcast_to(colour, resized.shape))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", SMOOTH_KERNELS)
@together("size", [(1, 1), (1, 81), (91, 1), (3, 3)])
def test_single_pixels_and_single_lines_are_resampled(
    resize_path: Resample, kernel: str, size: Size
) -> None:
    for before in ((1, 1), (1, 99), (99, 1)):
        image = picture_like("RGB", *before)
        box = (0.0, 0.0, float(before[0]), float(before[1]))
        resized = planes(resize_path(image, size, kernel, box))
        exact = np.clip(convolved(planes(image), size, kernel, box), 0, 255)
        assert np.abs(resized - exact).max() <= 1.5


@pytest.mark.parametrize("mode", MODES)
def test_resampling_does_not_modify_its_input(resize_path: Resample, mode: str) -> None:
    image = picture_like(mode)
    before = image.tobytes()
    for kernel in resample.KERNELS:
        resize_path(image, (50, 40), kernel, PART)
    assert (image.tobytes(), image.size, image.mode) == (before, (WIDTH, HEIGHT), mode)


@pytest.mark.parametrize("kernel", resample.KERNELS)
@pytest.mark.parametrize("box", [None, WHOLE, (0, 0, WIDTH, HEIGHT)])
def test_same_image_is_returned_when_there_is_nothing_to_do(kernel: str, box: Box | None) -> None:
    image = picture_like("RGB")
    assert resample.resize(image, image.size, kernel, box) is image


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", resample.KERNELS)
def test_crop_at_whole_pixels_and_own_size_is_unchanged(mode: str, kernel: str) -> None:
    image = picture_like(mode)
    cut = resample.resize(image, (100, 61), kernel, (11.0, 7.0, 111.0, 68.0))
    assert cut.mode == mode
    assert np.array_equal(planes(cut), planes(image)[7:68, 11:111])


def test_crop_between_pixels_is_resampled_even_at_its_own_size() -> None:
    image = picture_like("RGB")
    box = (10.5, 7.25, 110.5, 68.25)
    shifted = resample.resize(image, (100, 61), "lanczos", box)
    exact = convolved(planes(image), (100, 61), "lanczos", box)
    assert rmse(planes(shifted), np.clip(exact, 0, 255)) <= 0.5


def test_part_is_enlarged_to_the_size_of_the_whole() -> None:
    image = picture_like("RGB")
    exact = convolved(planes(image), image.size, "bicubic", PART)
    enlarged = resample.resize(image, image.size, "bicubic", PART)
    assert rmse(planes(enlarged), np.clip(exact, 0, 255)) <= 0.5


def test_box_defaults_to_the_whole_image() -> None:
    image = picture_like("RGB")
    exact = convolved(planes(image), (63, 47), "lanczos", WHOLE)
    resized = resample.resize(image, (63, 47), "lanczos")
    assert rmse(planes(resized), np.clip(exact, 0, 255)) <= 0.5


def test_all_kernels_are_tested_here() -> None:
    assert {*SMOOTH_KERNELS, "nearest"} == set(resample.KERNELS) == set(geometry.KERNELS)


def test_simd_is_used_where_it_is_installed() -> None:
    if resample.resize_simd is None:
        pytest.skip("cykooz-resizer is not installed here")
    image = picture_like("RGB", 301, 203)
    box = (0.0, 0.0, 301.0, 203.0)
    chosen = planes(resample.resize(image, (97, 61), "lanczos"))
    assert np.array_equal(chosen, planes(resample.resize_simd(image, (97, 61), "lanczos", box)))
    # The two occasionally round differently, so this tells them apart.
    other = planes(resample.resize_pillow(image, (97, 61), "lanczos", box))
    assert not np.array_equal(chosen, other)


@pytest.mark.slow
def test_without_cykooz_resizer_pillow_resamples_instead() -> None:
    program = """
import sys
sys.modules["cykooz_resizer"] = None
from PIL import Image
from imgbatch.imaging import resample
from imgbatch.imaging.deep import Deep
assert resample.resize_simd is None
assert resample.resize(Image.new("RGB", (40, 30), (9, 8, 7)), (4, 3), "lanczos").getpixel((1, 1)) \
    == (9, 8, 7)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
