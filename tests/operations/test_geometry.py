"""Sizes and fits against arithmetic in fractions, and resizing against a float64 computation."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from toolkit.resampling import convolved, planes, rmse

from imgbatch.errors import UsageError
from imgbatch.imaging.colour import is_srgb
from imgbatch.imaging.decode import decode
from imgbatch.imaging.picture import Box, Picture
from imgbatch.model import Colour, Fit, Gravity, Size
from imgbatch.operations.geometry import (
    FITS,
    GRAVITIES,
    KERNELS,
    MAX_SIDE,
    Placement,
    Resize,
    SizeSpec,
    place,
)

Floats = NDArray[np.float64]

PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)

SIDES: Final = st.one_of(st.integers(1, 12), st.integers(1, 9_000), st.integers(1, 65_500))
SIZES: Final = st.tuples(SIDES, SIDES)
WANTED: Final = st.tuples(*[st.one_of(st.integers(1, 12), st.integers(1, 6_000))] * 2)
ANY_FIT: Final = st.sampled_from(FITS)
ANY_GRAVITY: Final = st.sampled_from(GRAVITIES)


def needs(resize: Resize) -> Callable[[Size], Size]:
    """What a resize needs of pictures of a size, if nothing comes after it."""
    return lambda size: resize.needed_size(size, resize.output_size(size))


# Words


@pytest.mark.parametrize(
    ("word", "spec"),
    [
        ("1600", SizeSpec(1600, 1600)),
        ("1600x1200", SizeSpec(1600, 1200)),
        ("1600X1200", SizeSpec(1600, 1200)),
        ("1600×1200", SizeSpec(1600, 1200)),
        (" 1600x1200 ", SizeSpec(1600, 1200)),
        ("1600x", SizeSpec(width=1600)),
        ("x1200", SizeSpec(height=1200)),
        ("×1200", SizeSpec(height=1200)),
        ("1", SizeSpec(1, 1)),
        ("007", SizeSpec(7, 7)),
        (str(MAX_SIDE), SizeSpec(MAX_SIDE, MAX_SIDE)),
        ("50%", SizeSpec(percent=50)),
        ("12.5%", SizeSpec(percent=12.5)),
        ("400%", SizeSpec(percent=400)),
        ("2MP", SizeSpec(megapixels=2)),
        ("2mp", SizeSpec(megapixels=2)),
        ("0.25Mp", SizeSpec(megapixels=0.25)),
    ],
)
def test_every_form_of_a_size_is_read(word: str, spec: SizeSpec) -> None:
    assert SizeSpec.parse(word) == spec


@pytest.mark.parametrize(
    "word",
    [
        *("", " ", "x", "%", "MP", "big", "1600px", "1600 x 1200", "1600x1200x3", "1600*1200"),
        *("-1600", "+1600", "1600.5", "1600.5x1200", "1e3", "1_600", "50 %", ".5%", "5.%", "%50"),
        *("2M", "2 MP", "MP2", "50%x", "1600x50%", "1600,1200", "1600;1200", "inf", "nan%"),
    ],
)
def test_what_is_no_size_is_refused_with_the_forms_there_are(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        SizeSpec.parse(word)
    for part in (repr(word), "1600x1200", "1600x,", "x1200", "50%", "2MP"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "word", ["0", "00", "0x100", "100x0", "0x", "x0", "0x0", "0%", "0.0%", "0MP", "0.00mp"]
)
def test_a_size_of_nothing_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="more than 0"):
        SizeSpec.parse(word)


@pytest.mark.parametrize(
    "word",
    [
        str(MAX_SIDE + 1),
        "100001x",
        "x100001",
        "10x100001",
        "9" * 400,
        f"{'9' * 400}%",
        "9" * 400 + "MP",
    ],
    ids=lambda word: word if len(word) < 20 else f"400 digits{word[400:]}",
)
def test_a_size_beyond_all_pictures_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="too large"):
        SizeSpec.parse(word)


@PROPERTY
@given(width=st.integers(1, MAX_SIDE), height=st.integers(1, MAX_SIDE))
def test_sizes_in_pixels_mean_what_they_say_and_are_shown_as_they_are_typed(
    width: int, height: int
) -> None:
    for word, spec in {
        f"{width}": SizeSpec(width, width),
        f"{width}x{height}": SizeSpec(width, height),
        f"{width}x": SizeSpec(width, None),
        f"x{height}": SizeSpec(None, height),
    }.items():
        assert SizeSpec.parse(word) == spec
        assert SizeSpec.parse(str(spec)) == spec
    assert str(SizeSpec(width, height)) in (f"{width}x{height}", f"{height}")
    assert str(SizeSpec(width=width)) == f"{width}x"
    assert str(SizeSpec(height=height)) == f"x{height}"


@PROPERTY
@given(number=st.decimals(min_value="0.01", max_value=9999, places=2))
def test_shares_and_megapixels_mean_what_they_say(number: object) -> None:
    assert SizeSpec.parse(f"{number}%") == SizeSpec(percent=float(str(number)))
    assert SizeSpec.parse(f"{number}MP") == SizeSpec(megapixels=float(str(number)))


@pytest.mark.parametrize(
    ("spec", "word"), [("12.50%", "12.5%"), ("2MP", "2MP"), ("0.5mp", "0.5MP")]
)
def test_shares_and_megapixels_are_shown_short(spec: str, word: str) -> None:
    assert str(SizeSpec.parse(spec)) == word


@pytest.mark.slow
@PROPERTY
@given(word=st.text(max_size=12))
def test_any_word_is_read_or_refused_and_nothing_else_happens(word: str) -> None:
    try:
        spec = SizeSpec.parse(word)
    except UsageError:
        return
    numbers = [spec.width, spec.height, spec.percent, spec.megapixels]
    assert any(numbers)
    assert all(number is None or number > 0 for number in numbers)


# Placing: examples computed by hand


@pytest.mark.parametrize(
    ("size", "word", "fit", "enlarge", "result"),
    [
        # 4000 * 1600 / 6000 = 1066.67
        ((6000, 4000), "1600", "inside", False, (1600, 1067)),
        ((4000, 6000), "1600", "inside", False, (1067, 1600)),
        ((6000, 4000), "1600x1200", "inside", False, (1600, 1067)),
        ((6000, 4000), "1600x1000", "inside", False, (1500, 1000)),
        ((4000, 6000), "1600x1200", "inside", False, (800, 1200)),
        ((6000, 4000), "1600x", "inside", False, (1600, 1067)),
        ((6000, 4000), "x1200", "inside", False, (1800, 1200)),
        ((6000, 4000), "6000x4000", "inside", False, (6000, 4000)),
        ((6000, 4000), "1600x1200", "outside", False, (1800, 1200)),
        ((4000, 6000), "1600x1200", "outside", False, (1600, 2400)),
        ((6000, 4000), "1600x1200", "exact", False, (1600, 1200)),
        ((6000, 4000), "1600x1200", "cover", False, (1600, 1200)),
        ((6000, 4000), "1600x1200", "pad", False, (1600, 1200)),
        ((6000, 4000), "50%", "inside", False, (3000, 2000)),
        # 33 * 0.33 = 10.89, 25 * 0.33 = 8.25
        ((33, 25), "33%", "inside", False, (11, 8)),
        # sqrt(2 / 24) = 0.288675
        ((6000, 4000), "2MP", "inside", False, (1732, 1155)),
        # Without --enlarge nothing grows.
        ((300, 200), "1600", "inside", False, (300, 200)),
        ((300, 200), "1600x", "inside", False, (300, 200)),
        ((300, 200), "x1200", "inside", False, (300, 200)),
        ((300, 200), "100%", "inside", False, (300, 200)),
        ((300, 200), "2MP", "inside", False, (300, 200)),
        ((300, 200), "250x1200", "inside", False, (250, 167)),
        ((300, 200), "1600x1200", "outside", False, (300, 200)),
        ((300, 200), "250x1200", "outside", False, (300, 200)),
        ((300, 200), "1600x1200", "exact", False, (300, 200)),
        ((300, 200), "250x1200", "exact", False, (250, 200)),
        ((300, 200), "1600x150", "exact", False, (300, 150)),
        # The largest 4:3 box in it: 200 * 4 / 3 = 266.67
        ((300, 200), "1600x1200", "cover", False, (267, 200)),
        ((300, 200), "300x400", "cover", False, (150, 200)),
        ((300, 200), "1600x1200", "pad", False, (1600, 1200)),
        # With it everything does.
        ((300, 200), "1600", "inside", True, (1600, 1067)),
        ((300, 200), "1600x", "inside", True, (1600, 1067)),
        ((300, 200), "x1200", "inside", True, (1800, 1200)),
        ((300, 200), "1600x1200", "outside", True, (1800, 1200)),
        ((300, 200), "1600x1200", "exact", True, (1600, 1200)),
        ((300, 200), "1600x1200", "cover", True, (1600, 1200)),
        ((300, 200), "1600x1200", "pad", True, (1600, 1200)),
        ((300, 200), "200%", "inside", True, (600, 400)),
        # sqrt(1 / 0.06) = 4.0825
        ((300, 200), "1MP", "inside", True, (1225, 816)),
        # Lines, dots and odd sizes. A side is never 0.
        ((1, 10_000), "100", "inside", False, (1, 100)),
        ((10_000, 1), "100", "inside", False, (100, 1)),
        ((1, 10_000), "100", "inside", True, (1, 100)),
        ((1, 10_000), "50%", "inside", False, (1, 5000)),
        ((1, 10_000), "x10", "inside", False, (1, 10)),
        ((1, 10_000), "100", "outside", False, (1, 10_000)),
        ((1, 10_000), "100", "outside", True, (100, 1_000_000)),
        ((1, 10_000), "100", "exact", False, (1, 100)),
        ((1, 10_000), "100", "cover", False, (1, 1)),
        ((1, 10_000), "100", "cover", True, (100, 100)),
        ((1, 10_000), "100", "pad", False, (100, 100)),
        ((1, 1), "100", "inside", False, (1, 1)),
        ((1, 1), "100x50", "inside", True, (50, 50)),
        ((1, 1), "1%", "inside", False, (1, 1)),
        ((1, 1), "100x50", "cover", False, (1, 1)),
        ((1, 1), "1", "exact", False, (1, 1)),
        ((3, 2), "2", "inside", False, (2, 1)),
        ((7, 5), "3x", "inside", False, (3, 2)),
        ((7, 5), "3x3", "outside", False, (4, 3)),
        ((65_535, 3), "1000", "inside", False, (1000, 1)),
    ],
)
def test_a_picture_comes_to_the_size_computed_by_hand(
    size: Size, word: str, fit: Fit, enlarge: bool, result: Size
) -> None:
    spec = SizeSpec.parse(word)
    assert place(size, spec, fit, enlarge=enlarge).canvas == result
    assert Resize(spec, fit, enlarge).output_size(size) == result


@pytest.mark.parametrize(
    ("gravity", "offset"),
    [
        ("northwest", (0, 0)),
        ("north", (40, 0)),
        ("northeast", (80, 0)),
        ("west", (0, 100)),
        ("center", (40, 100)),
        ("east", (80, 100)),
        ("southwest", (0, 200)),
        ("south", (40, 200)),
        ("southeast", (80, 200)),
    ],
)
def test_gravity_says_where_a_padded_picture_lies(
    gravity: Gravity, offset: tuple[int, int]
) -> None:
    placement = place((120, 100), SizeSpec(200, 300), "pad", gravity=gravity)
    assert placement == Placement((0, 0, 120, 100), (120, 100), (200, 300), offset)


@pytest.mark.parametrize(
    ("size", "gravity", "box"),
    [
        ((600, 300), "west", (0, 0, 300, 300)),
        ((600, 300), "southwest", (0, 0, 300, 300)),
        ((600, 300), "center", (150, 0, 450, 300)),
        ((600, 300), "north", (150, 0, 450, 300)),
        ((600, 300), "south", (150, 0, 450, 300)),
        ((600, 300), "east", (300, 0, 600, 300)),
        ((600, 300), "northeast", (300, 0, 600, 300)),
        ((300, 600), "north", (0, 0, 300, 300)),
        ((300, 600), "northeast", (0, 0, 300, 300)),
        ((300, 600), "center", (0, 150, 300, 450)),
        ((300, 600), "west", (0, 150, 300, 450)),
        ((300, 600), "south", (0, 300, 300, 600)),
        ((300, 600), "southwest", (0, 300, 300, 600)),
    ],
)
def test_gravity_says_what_cover_keeps(size: Size, gravity: Gravity, box: Box) -> None:
    placement = place(size, SizeSpec(100, 100), "cover", gravity=gravity)
    assert placement.box == pytest.approx(box)
    assert (placement.scaled, placement.canvas, placement.offset) == (
        (100, 100),
        (100, 100),
        (0, 0),
    )


def test_cover_cuts_between_pixels_only_if_it_has_to_resample_anyway() -> None:
    assert place((301, 100), SizeSpec(100, 100), "cover").box == (100, 0, 200, 100)
    assert place((301, 100), SizeSpec(50, 50), "cover").box == (100.5, 0, 200.5, 100)


@pytest.mark.parametrize(
    ("size", "word", "fit", "need"),
    [
        ((6000, 4000), "1600", "inside", (1600, 1067)),
        ((6000, 4000), "50%", "inside", (3000, 2000)),
        ((6000, 4000), "600x600", "exact", (600, 600)),
        ((6000, 4000), "600x600", "pad", (600, 400)),
        # What is cut away has to be decoded, too.
        ((6000, 4000), "400x400", "cover", (600, 400)),
        ((4000, 6000), "400x400", "cover", (400, 600)),
        ((300, 200), "1600", "inside", (300, 200)),
        ((1, 10_000), "100", "inside", (1, 100)),
    ],
)
def test_the_decoder_is_asked_for_no_more_than_is_needed(
    size: Size, word: str, fit: Fit, need: Size
) -> None:
    assert needs(Resize(SizeSpec.parse(word), fit))(size) == need


# Placing: what holds for all


def _others(size: Size, wanted: Size) -> tuple[Size, Size]:
    """The two sizes of the same proportions that have one side of `wanted`."""
    width, height = size
    return (
        (wanted[0], max(1, round(Fraction(height * wanted[0], width)))),
        (max(1, round(Fraction(width * wanted[1], height))), wanted[1]),
    )


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, wanted=WANTED, fit=ANY_FIT, gravity=ANY_GRAVITY, enlarge=st.booleans())
def test_whatever_is_asked_a_placement_makes_sense(
    size: Size, wanted: Size, fit: Fit, gravity: Gravity, enlarge: bool
) -> None:
    placement = place(size, SizeSpec(*wanted), fit, enlarge=enlarge, gravity=gravity)
    left, top, right, bottom = placement.box
    # No side is ever 0, and the part that is kept lies inside the picture.
    assert min(*placement.scaled, *placement.canvas) >= 1
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    # The scaled picture lies on the canvas, and only pad leaves anything of it free.
    assert min(placement.offset) >= 0
    assert placement.offset[0] + placement.scaled[0] <= placement.canvas[0]
    assert placement.offset[1] + placement.scaled[1] <= placement.canvas[1]
    if fit != "pad":
        assert (placement.canvas, placement.offset) == (placement.scaled, (0, 0))
    if fit != "cover":
        assert placement.box == (0, 0, *size)
    # Without --enlarge no pixel becomes larger than it was.
    if not enlarge:
        assert placement.scaled[0] <= math.ceil(right - left - 1e-6)
        assert placement.scaled[1] <= math.ceil(bottom - top - 1e-6)
        assert placement.scaled[0] <= size[0]
        assert placement.scaled[1] <= size[1]


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, wanted=WANTED, enlarge=st.booleans())
def test_inside_meets_one_side_exactly_and_keeps_the_proportions(
    size: Size, wanted: Size, enlarge: bool
) -> None:
    by_width, by_height = _others(size, wanted)
    scaled = place(size, SizeSpec(*wanted), "inside", enlarge=enlarge).scaled
    fits = size[0] <= wanted[0] and size[1] <= wanted[1]
    if fits and not enlarge:
        assert scaled == size
        return
    limited_by_width = Fraction(wanted[0], size[0]) <= Fraction(wanted[1], size[1])
    assert scaled == (by_width if limited_by_width else by_height)
    assert scaled[0] <= wanted[0]
    assert scaled[1] <= wanted[1]


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, wanted=WANTED, enlarge=st.booleans())
def test_outside_meets_one_side_exactly_and_the_other_is_no_smaller(
    size: Size, wanted: Size, enlarge: bool
) -> None:
    by_width, by_height = _others(size, wanted)
    scaled = place(size, SizeSpec(*wanted), "outside", enlarge=enlarge).scaled
    covers = size[0] >= wanted[0] and size[1] >= wanted[1]
    if not covers and not enlarge:
        assert scaled == size
        return
    limited_by_width = Fraction(wanted[0], size[0]) >= Fraction(wanted[1], size[1])
    assert scaled == (by_width if limited_by_width else by_height)
    assert scaled[0] >= wanted[0]
    assert scaled[1] >= wanted[1]


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, side=st.integers(1, 6_000), fit=ANY_FIT, enlarge=st.booleans())
def test_one_wanted_side_is_met_exactly_whatever_the_fit(
    size: Size, side: int, fit: Fit, enlarge: bool
) -> None:
    by_width, by_height = _others(size, (side, side))
    wide = place(size, SizeSpec(width=side), fit, enlarge=enlarge)
    high = place(size, SizeSpec(height=side), fit, enlarge=enlarge)
    assert wide.canvas == wide.scaled == (by_width if enlarge or side < size[0] else size)
    assert high.canvas == high.scaled == (by_height if enlarge or side < size[1] else size)
    assert wide.box == high.box == (0, 0, *size)


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, wanted=WANTED, enlarge=st.booleans())
def test_exact_meets_both_sides(size: Size, wanted: Size, enlarge: bool) -> None:
    scaled = place(size, SizeSpec(*wanted), "exact", enlarge=enlarge).scaled
    assert scaled == (wanted if enlarge else (min(size[0], wanted[0]), min(size[1], wanted[1])))


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, wanted=WANTED, gravity=ANY_GRAVITY, enlarge=st.booleans())
def test_pad_is_inside_on_a_canvas_of_just_the_wanted_size(
    size: Size, wanted: Size, gravity: Gravity, enlarge: bool
) -> None:
    spec = SizeSpec(*wanted)
    placement = place(size, spec, "pad", enlarge=enlarge, gravity=gravity)
    assert placement.canvas == wanted
    assert placement.scaled == place(size, spec, "inside", enlarge=enlarge).scaled
    before = placement.offset
    behind = (
        wanted[0] - placement.scaled[0] - before[0],
        wanted[1] - placement.scaled[1] - before[1],
    )
    _lies_at(gravity, before, behind, slack=1)


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, wanted=WANTED, gravity=ANY_GRAVITY, enlarge=st.booleans())
def test_cover_keeps_the_largest_part_of_the_right_shape_at_the_right_place(
    size: Size, wanted: Size, gravity: Gravity, enlarge: bool
) -> None:
    placement = place(size, SizeSpec(*wanted), "cover", enlarge=enlarge, gravity=gravity)
    left, top, right, bottom = placement.box
    grows = wanted[0] > size[0] or wanted[1] > size[1]
    if enlarge or not grows:
        assert placement.canvas == wanted
    else:
        # The largest box of the asked shape that fits in, and so at least one side whole.
        scale = max(Fraction(wanted[0], size[0]), Fraction(wanted[1], size[1]))
        for side, whole, found in zip(wanted, size, placement.canvas, strict=True):
            assert found == 1 or abs(found - side / scale) <= 0.5 + 1e-6
            assert found <= whole
        assert placement.canvas[0] == size[0] or placement.canvas[1] == size[1]
    # The part that is kept has the canvas's shape and spans the picture one way.
    assert (right - left) * placement.canvas[1] == pytest.approx(
        (bottom - top) * placement.canvas[0], rel=1e-9
    )
    assert right - left == pytest.approx(size[0]) or bottom - top == pytest.approx(size[1])
    # At scale 1 it is cut at whole pixels, so the middle may be half a pixel off.
    _lies_at(gravity, (left, top), (size[0] - right, size[1] - bottom), slack=1)


def _lies_at(
    gravity: Gravity, before: tuple[float, float], behind: tuple[float, float], slack: float
) -> None:
    """What is free at the left and top, at the right and bottom, is as `gravity` says."""
    near = 1e-6
    ends = (("west", "east"), ("north", "south"))
    for (first, last), ahead, after in zip(ends, before, behind, strict=True):
        if first in gravity:
            assert ahead == pytest.approx(0, abs=near)
        elif last in gravity:
            assert after == pytest.approx(0, abs=near)
        else:
            assert abs(ahead - after) <= slack + near


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, percent=st.floats(0.01, 400), enlarge=st.booleans())
def test_a_share_scales_both_sides(size: Size, percent: float, enlarge: bool) -> None:
    scaled = place(size, SizeSpec(percent=percent), enlarge=enlarge).scaled
    scale = Fraction(percent) / 100
    if not enlarge:
        scale = min(scale, Fraction(1))
    for side, found in zip(size, scaled, strict=True):
        assert found == 1 or abs(found - side * scale) <= 0.5 + 1e-6
        assert found >= 1
    if scale == 1:
        assert scaled == size


@PROPERTY
@given(
    size=st.tuples(st.integers(200, 9_000), st.integers(200, 9_000)),
    megapixels=st.floats(0.05, 60),
    enlarge=st.booleans(),
)
def test_megapixels_are_an_area_of_the_same_shape(
    size: Size, megapixels: float, enlarge: bool
) -> None:
    scaled = place(size, SizeSpec(megapixels=megapixels), enlarge=enlarge).scaled
    area = megapixels * 1e6
    if not enlarge and area >= size[0] * size[1]:
        assert scaled == size
        return
    # Each side is rounded by half a pixel at most.
    assert abs(scaled[0] * scaled[1] - area) <= (scaled[0] + scaled[1]) / 2 + 1
    assert abs(scaled[0] * size[1] - scaled[1] * size[0]) <= (size[0] + size[1]) / 2 + 1


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, wanted=WANTED, fit=ANY_FIT, gravity=ANY_GRAVITY, enlarge=st.booleans())
def test_what_the_decoder_is_asked_for_is_enough_and_no_more_than_there_is(
    size: Size, wanted: Size, fit: Fit, gravity: Gravity, enlarge: bool
) -> None:
    resize = Resize(SizeSpec(*wanted), fit, enlarge, gravity)
    placement = place(size, SizeSpec(*wanted), fit, enlarge=enlarge, gravity=gravity)
    kept = (placement.box[2] - placement.box[0], placement.box[3] - placement.box[1])
    for whole, part, after, need in zip(
        size, kept, placement.scaled, needs(resize)(size), strict=True
    ):
        assert 1 <= need <= whole
        assert need == whole or need * part / whole >= after - 1e-6
        assert (need - 1) * part / whole <= after


@pytest.mark.parametrize("word", ["101%", "100.5%", "400%"])
def test_a_share_of_more_than_all_needs_enlarge(word: str) -> None:
    with pytest.raises(UsageError, match="--enlarge"):
        Resize(SizeSpec.parse(word))
    assert Resize(SizeSpec.parse(word), enlarge=True).output_size((1000, 200))[0] > 1000


# Resizing


def _solid(mode: str, size: Size, colour: tuple[int, ...]) -> Image.Image:
    dtype = np.uint16 if mode == "I;16" else np.uint8
    pixels = np.broadcast_to(np.array(colour, dtype), (size[1], size[0], len(colour)))
    return Image.frombytes(mode, size, pixels.tobytes())


RED: Final = (255, 0, 0)
GREEN: Final = (0, 255, 0)
BLUE: Final = (0, 0, 255)
YELLOW: Final = (255, 255, 0)
WHITE: Final = (255, 255, 255)


def _quarters(width: int, height: int) -> Picture:
    """Red and green above, blue and yellow below."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = YELLOW
    return Picture.of(Image.fromarray(pixels))


def _smooth(width: int, height: int, wave: float) -> Floats:
    """Waves of `wave` pixels across and down, each channel shifted against the others."""
    x, y, band = np.arange(width)[:, None], np.arange(height)[:, None], np.arange(3)[None, :]
    across = 55 * np.sin(x * 2 * np.pi / wave + band)
    down = 50 * np.sin(y * 2.2 * np.pi / wave + 2 * band)
    waves: Floats = 128.0 + across[None, :, :] + down[:, None, :]
    return waves


@pytest.mark.parametrize(
    ("size", "gravity", "corners"),
    [
        ((120, 60), "west", [RED, RED, BLUE, BLUE]),
        ((120, 60), "northwest", [RED, RED, BLUE, BLUE]),
        ((120, 60), "center", [RED, GREEN, BLUE, YELLOW]),
        ((120, 60), "north", [RED, GREEN, BLUE, YELLOW]),
        ((120, 60), "east", [GREEN, GREEN, YELLOW, YELLOW]),
        ((120, 60), "southeast", [GREEN, GREEN, YELLOW, YELLOW]),
        ((60, 120), "north", [RED, GREEN, RED, GREEN]),
        ((60, 120), "northeast", [RED, GREEN, RED, GREEN]),
        ((60, 120), "center", [RED, GREEN, BLUE, YELLOW]),
        ((60, 120), "east", [RED, GREEN, BLUE, YELLOW]),
        ((60, 120), "south", [BLUE, YELLOW, BLUE, YELLOW]),
        ((60, 120), "southwest", [BLUE, YELLOW, BLUE, YELLOW]),
    ],
)
@pytest.mark.parametrize("side", [60, 30])
def test_cover_keeps_the_part_that_gravity_points_to(
    side: int, size: Size, gravity: Gravity, corners: list[tuple[int, int, int]]
) -> None:
    resize = Resize(SizeSpec(side, side), "cover", gravity=gravity, kernel="box")
    after = resize.apply(_quarters(*size))
    assert after.image.size == (side, side)
    near, far = side // 4, side - side // 4
    places = [(near, near), (far, near), (near, far), (far, far)]
    assert [after.image.getpixel(place) for place in places] == corners


@pytest.mark.parametrize(
    ("size", "word", "result"),
    [((301, 200), "100", (100, 66)), ((200, 301), "100", (66, 100)), ((211, 157), "40%", (84, 63))],
)
def test_a_picture_is_resampled_whole(size: Size, word: str, result: Size) -> None:
    pixels = np.rint(_smooth(*size, wave=40))
    after = Resize(SizeSpec.parse(word)).apply(Picture.of(Image.fromarray(pixels.astype(np.uint8))))
    assert after.image.size == after.full_size == result
    assert (after.area, after.orientation) == ((0, 0, *result), 1)
    exact = convolved(pixels, result, "lanczos", (0, 0, *size))
    assert rmse(planes(after.image), exact) <= 0.5


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel != "nearest"])
def test_the_asked_kernel_is_used(kernel: str) -> None:
    pixels = np.random.RandomState(2).randint(40, 200, (61, 91, 3)).astype(np.uint8)
    resize = Resize(SizeSpec(31, 21), "exact", kernel=kernel)  # type: ignore[arg-type]
    found = planes(resize.apply(Picture.of(Image.fromarray(pixels))).image)
    errors: dict[str, float] = {
        name: rmse(found, convolved(pixels.astype(np.float64), (31, 21), name, (0, 0, 91, 61)))
        for name in KERNELS
        if name != "nearest"
    }
    assert errors.pop(kernel) <= 0.5
    assert min(errors.values()) > 0.5


def test_a_picture_that_is_small_enough_keeps_its_very_pixels() -> None:
    picture = _quarters(50, 40)
    assert Resize(SizeSpec(50, 40)).apply(picture).image is picture.image
    assert Resize(SizeSpec(1600, 1600)).apply(picture).image is picture.image


def test_the_given_picture_is_not_changed() -> None:
    picture = _quarters(120, 60)
    before = picture.image.tobytes()
    for fit in FITS:
        Resize(SizeSpec(50, 40), fit, background=(1, 2, 3, 0)).apply(picture)
    assert (picture.image.tobytes(), picture.image.size) == (before, (120, 60))


@pytest.mark.parametrize(
    ("gravity", "left", "top"),
    [
        ("northwest", 0, 0),
        ("north", 0, 0),
        ("west", 0, 20),
        ("center", 0, 20),
        ("southeast", 0, 40),
    ],
)
def test_pad_fills_up_with_background_above_and_below(
    gravity: Gravity, left: int, top: int
) -> None:
    picture = Picture.of(_solid("RGB", (160, 80), RED))
    resize = Resize(SizeSpec(80, 80), "pad", gravity=gravity, background=(0, 0, 255, 255))
    expected = np.empty((80, 80, 3))
    expected[:] = BLUE
    expected[top : top + 40, left : left + 80] = RED
    assert np.array_equal(planes(resize.apply(picture).image), expected)


@pytest.mark.parametrize(("gravity", "left"), [("west", 0), ("center", 20), ("northeast", 40)])
def test_pad_fills_up_with_background_at_the_sides(gravity: Gravity, left: int) -> None:
    picture = Picture.of(_solid("RGB", (80, 160), RED))
    resize = Resize(SizeSpec(80, 80), "pad", gravity=gravity)
    expected = np.full((80, 80, 3), 255.0)
    expected[:, left : left + 40] = RED
    assert np.array_equal(planes(resize.apply(picture).image), expected)


@pytest.mark.parametrize(
    ("mode", "colour", "background", "after_mode", "inside", "outside"),
    [
        ("L", (90,), (255, 255, 255, 255), "L", (90,), (255,)),
        ("L", (90,), (255, 0, 0, 255), "RGB", (90, 90, 90), (255, 0, 0)),
        ("L", (90,), (0, 0, 0, 0), "LA", (90, 255), (0, 0)),
        ("L", (90,), (255, 0, 0, 128), "RGBA", (90, 90, 90, 255), (255, 0, 0, 128)),
        ("LA", (90, 50), (7, 7, 7, 255), "LA", (90, 50), (7, 255)),
        ("LA", (90, 50), (7, 8, 9, 255), "RGBA", (90, 90, 90, 50), (7, 8, 9, 255)),
        ("RGB", (1, 2, 3), (7, 8, 9, 255), "RGB", (1, 2, 3), (7, 8, 9)),
        ("RGB", (1, 2, 3), (7, 8, 9, 10), "RGBA", (1, 2, 3, 255), (7, 8, 9, 10)),
        ("RGBA", (1, 2, 3, 0), (7, 8, 9, 255), "RGBA", (1, 2, 3, 0), (7, 8, 9, 255)),
        ("RGBA", (1, 2, 3, 50), (0, 0, 0, 0), "RGBA", (1, 2, 3, 50), (0, 0, 0, 0)),
        # As much black as there can be: 9 of 255 is its light, and 7/9 of that the red.
        ("CMYK", (51, 0, 255, 102), (7, 8, 9, 255), "CMYK", (51, 0, 255, 102), (57, 28, 0, 246)),
        # (1 - 0.2) * (1 - 0.4) of 255
        ("CMYK", (51, 0, 255, 102), (7, 8, 9, 0), "RGBA", (122, 153, 0, 255), (7, 8, 9, 0)),
    ],
)
def test_pad_changes_the_mode_only_as_far_as_the_background_needs_it(
    mode: str,
    colour: tuple[int, ...],
    background: Colour,
    after_mode: str,
    inside: tuple[int, ...],
    outside: tuple[int, ...],
) -> None:
    picture = Picture.of(_solid(mode, (40, 20), colour))
    after = Resize(SizeSpec(40, 40), "pad", background=background).apply(picture)
    assert (after.image.mode, after.notices) == (after_mode, ())
    expected = np.empty((40, 40, len(inside)))
    expected[:] = outside
    expected[10:30] = inside
    assert np.array_equal(planes(after.image), expected)


def test_pad_keeps_sixteen_bit_grey() -> None:
    picture = Picture.of(_solid("I;16", (40, 20), (12_345,)))
    after = Resize(SizeSpec(40, 40), "pad", background=(7, 7, 7, 255)).apply(picture)
    assert (after.image.mode, after.notices) == ("I;16", ())
    found = [after.image.getpixel((20, y)) for y in (9, 10, 29, 30)]
    assert found == [7 * 257, 12_345, 12_345, 7 * 257]


@pytest.mark.parametrize("mode", ["CMYK", "I;16"])
def test_pad_leaves_the_mode_alone_where_nothing_is_to_fill_up(mode: str) -> None:
    colour = (9, 8, 7, 6) if mode == "CMYK" else (12_345,)
    picture = Picture.of(_solid(mode, (80, 40), colour))
    after = Resize(SizeSpec(40, 20), "pad").apply(picture)
    assert (after.image.mode, after.image.size, after.notices) == (mode, (40, 20), ())
    assert np.array_equal(planes(after.image)[5, 5], colour)


def _grey_profile(gamma_in_256ths: int) -> bytes:
    """A grey display profile (ICC.1:2001-04) of one plain gamma curve."""
    white = bytes.fromhex("58595A20 00000000 0000F6D6 00010000 0000D32D")
    curve = b"curv" + bytes(7) + b"\1" + gamma_in_256ths.to_bytes(2, "big") + bytes(2)
    start = 128 + 4 + 2 * 12
    table = (2).to_bytes(4, "big")
    for tag, offset, length in ((b"wtpt", start, 20), (b"kTRC", start + 20, 14)):
        table += tag + offset.to_bytes(4, "big") + length.to_bytes(4, "big")
    total = start + 20 + 16
    header = total.to_bytes(4, "big") + bytes(4) + bytes.fromhex("02400000") + b"mntrGRAYXYZ "
    header += bytes(12) + b"acsp" + bytes(28) + white[8:]
    return header.ljust(128, b"\0") + table + white + curve


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_picture_on_a_coloured_background_is_converted_from_its_own_profile(
    mode: str,
) -> None:
    """Level 100 at gamma 1.8 is 0.1854 of the light, and that is level 119.4 of sRGB."""
    grey = _solid(mode, (40, 20), (100, 255)[: len(mode)])
    picture = Picture.of(grey, icc=_grey_profile(461))
    after = Resize(SizeSpec(40, 40), "pad", background=(255, 0, 0, 255)).apply(picture)
    assert after.icc is not None
    assert is_srgb(after.icc)
    found = planes(after.image)
    assert found[0, 0, :3].tolist() == [255, 0, 0]
    assert np.abs(found[20, 20, :3] - 119.4).max() <= 1


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    wanted=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    fit=ANY_FIT,
    gravity=ANY_GRAVITY,
    enlarge=st.booleans(),
    kernel=st.sampled_from(KERNELS),
    mode=st.sampled_from(["L", "LA", "RGB", "RGBA", "CMYK", "I;16"]),
)
def test_any_small_picture_comes_to_the_size_that_was_announced_and_keeps_its_one_colour(
    size: Size, wanted: Size, fit: Fit, gravity: Gravity, enlarge: bool, kernel: str, mode: str
) -> None:
    colour = {"LA": (90, 255), "RGBA": (90, 90, 90, 255), "CMYK": (0, 0, 0, 165)}.get(
        mode, (90 * 257,) if mode == "I;16" else (90,) * len(mode)
    )
    grey = (90, 90, 90, 255)
    resize = Resize(SizeSpec(*wanted), fit, enlarge, gravity, grey, kernel)  # type: ignore[arg-type]
    after = resize.apply(Picture.of(_solid(mode, size, colour)))
    assert after.image.size == resize.output_size(size)
    found = {tuple(pixel) for row in planes(after.image).tolist() for pixel in row}
    expected = {
        "L": (90,),
        "LA": (90, 255),
        "RGB": (90, 90, 90),
        "RGBA": grey,
        "CMYK": (0, 0, 0, 165),
        "I;16": (90 * 257,),
    }
    assert found == {expected[after.image.mode]}


# Pictures that were decoded small, or lie on their side

# From an upright picture to what a camera stores beside that orientation (CIPA DC-008).
STORED: Final[dict[int, Callable[[Floats], Floats]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
UPRIGHT: Final = {**STORED, 6: STORED[8], 8: STORED[6]}

ODD_WIDTH, ODD_HEIGHT = 501, 333


def _camera_file(path: Path, orientation: int, wave: float) -> Floats:
    """Write a JPEG with odd sides; return its upright pixels, decoded in full by Pillow."""
    pixels = STORED[orientation](np.rint(_smooth(ODD_WIDTH, ODD_HEIGHT, wave)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(pixels).astype(np.uint8))
    image.save(path, quality=97, subsampling=0, exif=exif)
    with Image.open(path) as full:
        return UPRIGHT[orientation](planes(full))


@pytest.mark.slow
@pytest.mark.parametrize("turned", ["afterwards", "before"])
@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("word", "fit", "gravity", "scale", "result", "box"),
    [
        # The sides of 501 x 333 at 1/2, 1/4 and 1/8 all end in a fraction of a pixel.
        pytest.param("225", "inside", "center", 2, (225, 150), None, id="half"),
        pytest.param("110", "inside", "center", 4, (110, 73), None, id="quarter"),
        pytest.param("55", "inside", "center", 8, (55, 37), None, id="eighth"),
        pytest.param("50x50", "cover", "east", 4, (50, 50), (168, 0, 501, 333), id="right square"),
        # 333 * 25 / 40 = 208.125
        pytest.param("25x40", "cover", "west", 8, (25, 40), (0, 0, 208.125, 333), id="left strip"),
        # 501 * 15 / 60 = 125.25
        pytest.param(
            "60x15", "cover", "south", 8, (60, 15), (0, 207.75, 501, 333), id="lower strip"
        ),
    ],
)
def test_a_jpeg_decoded_small_gives_the_same_picture_as_one_decoded_in_full(
    tmp_path: Path,
    word: str,
    fit: Fit,
    gravity: Gravity,
    scale: int,
    result: Size,
    box: Box | None,
    orientation: int,
    turned: str,
) -> None:
    """Waves of ten pixels after the resize: an eighth of a pixel off would make five levels."""
    path = tmp_path / "camera.jpg"
    kept = ODD_WIDTH if box is None else box[2] - box[0]
    full = _camera_file(path, orientation, wave=10 * kept / result[0])
    resize = Resize(SizeSpec.parse(word), fit, gravity=gravity)
    picture = decode(str(path), needs(resize))
    if turned == "before":
        picture = picture.upright()
    # It was indeed decoded small; without that this test would show nothing.
    sides = (math.ceil(ODD_WIDTH / scale), math.ceil(ODD_HEIGHT / scale))
    assert sorted(picture.image.size) == sorted(sides)
    assert picture.full_size == (ODD_WIDTH, ODD_HEIGHT)

    after = resize.apply(picture)
    assert (after.image.size, after.full_size, after.orientation) == (result, result, 1)
    exact = convolved(full, result, "lanczos", box or (0, 0, ODD_WIDTH, ODD_HEIGHT))
    found = planes(after.image)
    assert rmse(found, exact) <= 2
    # A shift would be seen best at the edges, where the last pixels are only half there.
    for edge in (np.s_[:4], np.s_[-4:], np.s_[:, :4], np.s_[:, -4:]):
        assert rmse(found[edge], exact[edge]) <= 3


@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_on_its_side_is_padded_upright(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "camera.jpg"
    full = _camera_file(path, orientation, wave=100)
    resize = Resize(SizeSpec(100, 100), "pad", gravity="south", background=(0, 0, 0, 255))
    after = planes(resize.apply(decode(str(path), needs(resize))).image)
    # 333 * 100 / 501 = 66.47
    assert after.shape == (100, 100, 3)
    assert after[:34].max() == 0
    exact = convolved(full, (100, 66), "lanczos", (0, 0, ODD_WIDTH, ODD_HEIGHT))
    assert rmse(after[34:], exact) <= 2


@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_on_its_side_is_turned_even_if_its_size_stays(orientation: int) -> None:
    upright = np.random.RandomState(4).randint(0, 256, (30, 50, 3)).astype(np.float64)
    stored = np.ascontiguousarray(STORED[orientation](upright)).astype(np.uint8)
    image = Image.fromarray(stored)
    picture = Picture(image, "jpeg", (50, 30), (0, 0, *image.size), orientation)
    # With nothing to resample it is left as it is, for whoever needs it upright.
    same = Resize(SizeSpec(50, 50)).apply(picture)
    assert same is picture
    for after in (same.upright(), Resize(SizeSpec(50, 30), "exact", True).apply(same.upright())):
        assert (after.full_size, after.area, after.orientation) == ((50, 30), (0, 0, 50, 30), 1)
        assert np.array_equal(planes(after.image), upright)


def test_pictures_decoded_small_for_a_larger_output_serve_a_smaller_one_as_well(
    tmp_path: Path,
) -> None:
    path = tmp_path / "camera.jpg"
    full = _camera_file(path, 6, wave=100)
    picture = decode(str(path), needs(Resize(SizeSpec(225, 225))))
    after = Resize(SizeSpec(100, 100)).apply(picture)
    exact = convolved(full, (100, 66), "lanczos", (0, 0, ODD_WIDTH, ODD_HEIGHT))
    assert rmse(planes(after.image), exact) <= 2


def test_every_kernel_and_fit_has_its_word() -> None:
    assert FITS == ("inside", "outside", "cover", "pad", "exact")
    assert set(KERNELS) == {
        *("lanczos", "bicubic", "mitchell", "bilinear", "hamming", "box", "nearest")
    }
    assert len(set(GRAVITIES)) == 9
    assert Resize(SizeSpec(1, 1)) == Resize(
        SizeSpec(1, 1), "inside", False, "center", (255, 255, 255, 255), "lanczos"
    )
