"""Smart crop keeps what draws the eye."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.cropping import ALL_MODES, ORIENTATIONS, bands_of, kept_of, of_mode, picture_in
from toolkit.reference import Floats

from imgbatch.imaging.filters import attention
from imgbatch.imaging.picture import Picture
from imgbatch.model import Size
from imgbatch.operations import build, parse

PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)
Box = tuple[int, int, int, int]


def scene_with(patch: NDArray[np.uint8], left: int, top: int, size: Size = (240, 160)) -> Picture:
    """A patch on a soft grey gradient."""
    levels = np.empty((size[1], size[0], 3), np.uint8)
    levels[:] = np.linspace(110, 140, size[0]).astype(np.uint8)[:, None]
    height, width = patch.shape[:2]
    levels[top : top + height, left : left + width] = patch
    return Picture.of(Image.fromarray(levels))


def textured() -> NDArray[np.uint8]:
    """A checkerboard of greys, which has detail but no colour."""
    board = np.indices((40, 40)).sum(axis=0) // 5 % 2 * 120 + 60
    return np.repeat(board[..., None], 3, axis=2).astype(np.uint8)


PATCHES: Final = {
    "texture": textured(),
    "colour": np.full((40, 40, 3), (40, 90, 200), np.uint8),
    # As bright as its surroundings.
    "skin": np.full((40, 40, 3), (160, 115, 95), np.uint8),
}


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize(("left", "top"), [(5, 60), (190, 20), (100, 115), (0, 0), (200, 120)])
def test_salient_patch_is_found(patch: str, left: int, top: int) -> None:
    picture = scene_with(PATCHES[patch], left, top)
    box = kept_of("smart-crop:zoom=2", picture)
    assert box[0] - 2 <= left
    assert left + 40 <= box[2] + 2
    assert box[1] - 2 <= top
    assert top + 40 <= box[3] + 2


@pytest.mark.parametrize("mode", ALL_MODES)
def test_salient_patch_is_found_in_every_mode(mode: str) -> None:
    levels = np.asarray(scene_with(PATCHES["texture"], 180, 60).image)
    bands = {1: levels[..., :1], 2: levels[..., :2].copy(), 3: levels, 4: np.dstack([levels] * 2)}
    of_bands = bands[bands_of(mode)][..., : bands_of(mode)].copy()
    if mode.removesuffix(";16") in ("LA", "RGBA"):
        of_bands[..., -1] = 255
    if mode == "CMYK":
        of_bands[..., 3] = 0
    box = kept_of("smart-crop", of_mode(mode, of_bands))
    assert box == (80, 0, 240, 160)


def test_transparent_pixels_are_ignored() -> None:
    left, right = scene_with(textured(), 20, 60), scene_with(textured(), 180, 60)
    both = np.where(np.arange(240)[:, None] < 120, np.asarray(left.image), np.asarray(right.image))
    alpha = np.where(np.arange(240) < 120, 0, 255)[None].repeat(160, axis=0)
    picture = of_mode("RGBA", np.dstack([both, alpha]).astype(np.uint8))
    assert kept_of("smart-crop", picture)[2] == 240


def test_centre_is_kept_if_nothing_stands_out() -> None:
    plain_one = Picture.of(Image.new("RGB", (241, 160), (90, 130, 70)))
    left, top, right, bottom = kept_of("smart-crop", plain_one)
    assert abs(left - 40.5) <= 2
    assert (top, right - left, bottom) == (0, 160, 160)


def test_colours_are_judged_in_the_profile() -> None:
    """Levels that are grey in sRGB are colours where red is brighter than it seems."""
    levels = np.full((160, 240, 3), 128, np.uint8)
    levels[60:100, 180:220] = (128, 128, 40)
    picture = Picture.of(Image.fromarray(levels), icc=pictures.wide_gamut_profile())
    assert kept_of("smart-crop", picture) == (80, 0, 240, 160)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_rotated_and_shrunk_picture_is_cropped_like_the_whole_one(orientation: int) -> None:
    picture = Picture.of(Image.fromarray(pictures.scene(960, 640)))
    expected = kept_of("smart-crop:ratio=1:1,zoom=1.5", picture)
    upright = np.asarray(picture.image.reduce(4))
    stored = np.ascontiguousarray(pictures.stored(upright, orientation))
    shrunk = replace(
        Picture.of(Image.fromarray(stored)), full_size=(960, 640), orientation=orientation
    )
    found = kept_of("smart-crop:ratio=1:1,zoom=1.5", shrunk)
    assert np.abs(np.subtract(found, expected)).max() <= 6
    part = parse("smart-crop:ratio=1:1,zoom=1.5").apply(shrunk)
    assert part.full_size == (427, 427)
    across = part.area[2] - part.area[0]
    assert across == pytest.approx(427 / 4)


def attention_by_definition(levels: NDArray[np.uint8]) -> Floats:
    """The module's definition, pixel by pixel."""
    height, width = levels.shape[:2]
    ycc = np.asarray(Image.fromarray(levels).convert("YCbCr"), np.float64)
    mean = ycc[..., 1:].mean(axis=(0, 1))
    detail, colour, skin = np.zeros((3, height, width))
    for y in range(height):
        for x in range(width):
            luma, blue, red = ycc[y, x]
            down = ycc[min(y + 1, height - 1), x, 0] - ycc[max(y - 1, 0), x, 0]
            across = ycc[y, min(x + 1, width - 1), 0] - ycc[y, max(x - 1, 0), 0]
            detail[y, x] = min(1, math.hypot(down / 2, across / 2) / 64)
            from_grey = math.hypot(blue - 128, red - 128)
            from_mean = math.hypot(blue - mean[0], red - mean[1])
            colour[y, x] = min(1, from_grey / 64, from_mean / 64)
            skin[y, x] = 77 <= blue <= 127 and 133 <= red <= 173 and 40 <= luma <= 240

    def smooth(values: Floats) -> Floats:
        found = np.empty_like(values)
        for y in range(height):
            for x in range(width):
                rows = np.clip(np.arange(y - 3, y + 4), 0, height - 1)
                columns = np.clip(np.arange(x - 3, x + 4), 0, width - 1)
                found[y, x] = values[np.ix_(rows, columns)].mean()
        return found

    sharpness = np.minimum(1, 0.25 + 3 * smooth(detail))
    measures = smooth(detail), smooth(colour) * sharpness, smooth(skin) * sharpness
    return np.sum([np.maximum(0, one - one.mean()) for one in measures], axis=0)  # type: ignore[no-any-return]


def test_attention_matches_its_definition() -> None:
    levels = pictures.scene(40, 30)
    levels[10:20, 5:15] = (224, 172, 140)
    levels[3:9, 25:33] = (200, 20, 30)
    found = attention.attention(Image.fromarray(levels))
    assert np.abs(found - attention_by_definition(levels)).max() < 1e-9
    clear = Image.fromarray(levels)
    clear.putalpha(0)
    assert attention.attention(clear).max() == 0


def test_best_position_is_the_best_of_all() -> None:
    drawn = np.random.RandomState(5).random_sample((30, 40)) ** 8
    drawn[12:15, 28:31] += 1
    share = 0.5, 0.6
    across, down = 20, 18
    worths: dict[tuple[int, int], float] = {}
    for top in range(30 - down + 1):
        for left in range(40 - across + 1):
            window = drawn[top : top + down, left : left + across]
            # 1/8, 1/3 - 1/8 and so on of 20 and of 18, rounded.
            inner = window[2:16, 2:18]
            thirds = [
                window[rows, columns] for rows in around_thirds(18) for columns in around_thirds(20)
            ]
            off = (2 * left / 20 - 1) ** 2 + (2 * top / 12 - 1) ** 2
            worths[left, top] = float(
                window.sum()
                + inner.sum()
                + sum(part.sum() for part in thirds) / 4
                - 0.05 * drawn.sum() * off
            )
    best = max(worths, key=lambda place: worths[place])
    found = attention.best_place(drawn, share)
    assert (found[0] * 20, found[1] * 12) == pytest.approx(best)


def around_thirds(length: int) -> list[slice]:
    """Around both thirds, an eighth to each side."""
    return [
        slice(round((third - 1 / 8) * length), round((third + 1 / 8) * length))
        for third in (1 / 3, 2 / 3)
    ]


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    ratio=st.sampled_from(["1:1", "16:9", "4:5", "1:9", "30"]),
    zoom=st.floats(1, 8),
)
def test_any_smart_crop_has_the_announced_size(size: Size, ratio: str, zoom: float) -> None:
    operation = build("smart-crop", {"ratio": ratio, "zoom": zoom})
    after = operation.apply(picture_in("RGB", size))
    assert after.size == operation.output_size(size)
    # 1 of the largest of its ratio.
    largest = parse(f"crop:ratio={ratio}").output_size(size)
    for side, most in zip(after.size, largest, strict=True):
        assert side == 1 or abs(side - most / zoom) <= 0.5 + 0.5 / zoom
