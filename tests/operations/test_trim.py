"""Trim cuts off borders of a single colour."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from toolkit.cropping import ALL_MODES, bands_of, kept_of, levels_in, of_mode
from toolkit.reference import levels_of_all_kinds

from imgbatch.errors import UsageError
from imgbatch.operations import parse
from imgbatch.recipes.recipe import Recipe

Box = tuple[int, int, int, int]


def framed(
    inside: NDArray[np.uint8], colour: int | tuple[int, ...], frame: Box
) -> NDArray[np.uint8]:
    """With a border of so many pixels on the left, top, right and bottom."""
    left, top, right, bottom = frame
    height, width, bands = inside.shape
    levels = np.empty((height + top + bottom, width + left + right, bands), np.uint8)
    levels[:] = colour
    levels[top : top + height, left : left + width] = inside
    return levels


def inside_of(mode: str) -> NDArray[np.uint8]:
    """Nothing in it is near black or white, and its alpha is not near transparent."""
    return (60 + levels_of_all_kinds(bands_of(mode), 30, 20) % 120).astype(np.uint8)


FRAMES: Final[tuple[Box, ...]] = ((3, 4, 5, 6), (0, 4, 0, 0), (7, 0, 0, 1), (1, 1, 1, 1))


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("mode", ALL_MODES)
def test_borders_of_one_colour_are_cut_off(mode: str, colour: int, frame: Box) -> None:
    inside = inside_of(mode)
    picture = of_mode(mode, framed(inside, colour, frame))
    found = levels_in(parse("trim").apply(picture))
    assert np.array_equal(found, levels_in(of_mode(mode, inside)))


@pytest.mark.parametrize("tolerance", [0, 1, 10, 100])
@pytest.mark.parametrize("band", [0, 1, 2])
def test_tolerance_is_the_largest_difference_in_a_channel(tolerance: int, band: int) -> None:
    for off, seen in ((tolerance, False), (tolerance + 1, True)):
        levels = np.full((40, 50, 3), 120, np.uint8)
        levels[8, 33, band] += off
        box = kept_of(f"trim:tolerance={tolerance}", of_mode("RGB", levels))
        assert box == ((33, 8, 34, 9) if seen else (0, 0, 50, 40))
        levels[20, 11, band] = 120 - off
        box = kept_of(f"trim:tolerance={tolerance}", of_mode("RGB", levels))
        assert box == ((11, 8, 34, 21) if seen else (0, 0, 50, 40))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "LA;16", "RGBA;16"])
def test_transparent_pixels_are_equal_whatever_their_colour(mode: str) -> None:
    levels = framed(inside_of(mode), 0, (3, 4, 5, 6))
    levels[:4, :, :-1] = 250
    levels[10:, :3, :-1] = 130
    found = levels_in(parse("trim:tolerance=0").apply(of_mode(mode, levels)))
    assert np.array_equal(found, levels_in(of_mode(mode, inside_of(mode))))


def test_opaque_border_around_transparency_is_cut_off_too() -> None:
    levels = np.full((30, 40, 4), 255, np.uint8)
    levels[10:20, 5:15, 3] = 0
    assert kept_of("trim", of_mode("RGBA", levels)) == (5, 10, 15, 20)


def test_border_has_the_colour_of_most_corners() -> None:
    levels = framed(inside_of("RGB"), (250, 250, 250), (3, 4, 5, 6))
    levels[0, 0] = (255, 0, 0)
    # The red corner is not part of the border.
    assert kept_of("trim", of_mode("RGB", levels)) == (0, 0, 33, 24)
    levels[-1, -1] = (248, 252, 250)
    assert kept_of("trim", of_mode("RGB", levels)) == (0, 0, 33, 24)
    levels[-1, 0] = (0, 255, 0)
    assert kept_of("trim", of_mode("RGB", levels)) == (0, 0, 33, 30)


@pytest.mark.parametrize(
    ("margin", "box"),
    [
        # Of 20 pixels.
        (0, (23, 24, 53, 44)),
        (5, (22, 23, 54, 45)),
        (50, (13, 14, 63, 54)),
        # No further than the edges of the picture.
        (100, (3, 4, 73, 62)),
    ],
)
def test_margin_is_kept_around_the_rest(margin: float, box: Box) -> None:
    levels = framed(inside_of("L"), 0, (23, 24, 25, 18))
    assert kept_of(f"trim:margin={margin}", of_mode("L", levels)) == box


@pytest.mark.parametrize("mode", ALL_MODES)
def test_picture_of_one_colour_is_unchanged(mode: str) -> None:
    picture = of_mode(mode, np.full((7, 9, bands_of(mode)), 77, np.uint8))
    assert parse("trim").apply(picture) is picture


def test_strips_make_no_difference() -> None:
    """Wide enough that a strip is three rows."""
    levels = np.full((20, 40_000, 1), 30, np.uint8)
    levels[7, 39_000] = 90
    levels[13, 200] = 90
    operation = parse("trim").settled(of_mode("L", levels))
    assert operation == parse("crop:geometry=38801x7+200+7")


def test_name_cannot_use_a_size_known_only_from_the_pixels() -> None:
    assert parse("trim").output_size((90, 70)) == (90, 70)
    assert parse("trim").needed_size((90, 70), (9, 7)) == (90, 70)
    with pytest.raises(UsageError, match="the size after trim is only known"):
        Recipe.from_options(filters=["trim"], template="{stem}-{width}{ext}")
    Recipe.from_options(filters=["crop:ratio=1:1"], template="{stem}-{width}{ext}")
