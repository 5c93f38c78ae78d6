"""Sizes and fits against arithmetic in fractions, and resizing against a float64 computation."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit.sizes import ANY_FIT, ANY_GRAVITY, needs

from imgbatch.errors import UsageError
from imgbatch.imaging.picture import Box
from imgbatch.model import Fit, Gravity, Size
from imgbatch.operations.geometry import (
    MAX_SIDE,
    Placement,
    Resize,
    SizeSpec,
    place,
)

PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)
SIDES: Final = st.one_of(st.integers(1, 12), st.integers(1, 9_000), st.integers(1, 65_500))
SIZES: Final = st.tuples(SIDES, SIDES)
WANTED: Final = st.tuples(*[st.one_of(st.integers(1, 12), st.integers(1, 6_000))] * 2)


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
        *("", " ", "x", "%", "MP", "big", "px", "1600 x 1200", "1600x1200x3", "1600*1200"),
        *("-1600", "+1600", "1600.5", "1600.5x1200", "1e3", "1_600", "50 %", ".5%", "5.%", "%50"),
        *("2M", "2 MP", "MP2", "50%x", "1600x50%", "1600,1200", "1600;1200", "inf", "nan%"),
    ],
)
def test_invalid_size_is_refused_with_the_valid_forms(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        SizeSpec.parse(word)
    for part in (repr(word), "1600x1200", "1600x,", "x1200", "50%", "2MP"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "word", ["0", "00", "0x100", "100x0", "0x", "x0", "0x0", "0%", "0.0%", "0MP", "0.00mp"]
)
def test_size_of_zero_is_refused(word: str) -> None:
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
def test_absurdly_large_size_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="too large"):
        SizeSpec.parse(word)


@PROPERTY
@given(width=st.integers(1, MAX_SIDE), height=st.integers(1, MAX_SIDE))
def test_pixel_sizes_are_parsed_and_shown_as_typed(width: int, height: int) -> None:
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
def test_percentages_and_megapixels_are_parsed(number: object) -> None:
    assert SizeSpec.parse(f"{number}%") == SizeSpec(percent=float(str(number)))
    assert SizeSpec.parse(f"{number}MP") == SizeSpec(megapixels=float(str(number)))


@pytest.mark.parametrize(
    ("spec", "word"), [("12.50%", "12.5%"), ("2MP", "2MP"), ("0.5mp", "0.5MP")]
)
def test_percentages_and_megapixels_are_shown_briefly(spec: str, word: str) -> None:
    assert str(SizeSpec.parse(spec)) == word


@pytest.mark.slow
@PROPERTY
@given(word=st.text(max_size=12))
def test_any_text_is_parsed_or_refused(word: str) -> None:
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
def test_size_matches_the_one_computed_by_hand(
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
def test_gravity_places_a_padded_picture(gravity: Gravity, offset: tuple[int, int]) -> None:
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
def test_gravity_selects_what_cover_keeps(size: Size, gravity: Gravity, box: Box) -> None:
    placement = place(size, SizeSpec(100, 100), "cover", gravity=gravity)
    assert placement.box == pytest.approx(box)
    assert (placement.scaled, placement.canvas, placement.offset) == (
        (100, 100),
        (100, 100),
        (0, 0),
    )


def test_cover_cuts_between_pixels_only_if_it_resamples_anyway() -> None:
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
def test_decoder_is_asked_for_no_more_than_necessary(
    size: Size, word: str, fit: Fit, need: Size
) -> None:
    assert needs(Resize(SizeSpec.parse(word), fit))(size) == need


# Placing: what holds for all


def _others(size: Size, wanted: Size) -> tuple[Size, Size]:
    """The two sizes of the same proportions that share one side with `wanted`."""
    width, height = size
    return (
        (wanted[0], max(1, round(Fraction(height * wanted[0], width)))),
        (max(1, round(Fraction(width * wanted[1], height))), wanted[1]),
    )


@pytest.mark.slow
@PROPERTY
@given(size=SIZES, wanted=WANTED, fit=ANY_FIT, gravity=ANY_GRAVITY, enlarge=st.booleans())
def test_any_placement_is_consistent(
    size: Size, wanted: Size, fit: Fit, gravity: Gravity, enlarge: bool
) -> None:
    placement = place(size, SizeSpec(*wanted), fit, enlarge=enlarge, gravity=gravity)
    left, top, right, bottom = placement.box
    # No side is ever 0, and the part that is kept lies inside the picture.
    assert min(*placement.scaled, *placement.canvas) >= 1
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    # The scaled picture lies on the canvas, and only pad leaves any of it free.
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
def test_single_wanted_side_is_met_exactly_whatever_the_fit(
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
def test_pad_is_inside_on_a_canvas_of_the_wanted_size(
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
def test_cover_keeps_the_largest_part_of_the_right_shape_and_place(
    size: Size, wanted: Size, gravity: Gravity, enlarge: bool
) -> None:
    placement = place(size, SizeSpec(*wanted), "cover", enlarge=enlarge, gravity=gravity)
    left, top, right, bottom = placement.box
    grows = wanted[0] > size[0] or wanted[1] > size[1]
    if enlarge or not grows:
        assert placement.canvas == wanted
    else:
        # The largest box of the requested shape that fits, so at least one side is whole.
        scale = max(Fraction(wanted[0], size[0]), Fraction(wanted[1], size[1]))
        for side, whole, found in zip(wanted, size, placement.canvas, strict=True):
            assert found == 1 or abs(found - side / scale) <= 0.5 + 1e-6
            assert found <= whole
        assert placement.canvas[0] == size[0] or placement.canvas[1] == size[1]
    # The part that is kept has the shape of the canvas and spans the picture in one direction.
    assert (right - left) * placement.canvas[1] == pytest.approx(
        (bottom - top) * placement.canvas[0], rel=1e-9
    )
    assert right - left == pytest.approx(size[0]) or bottom - top == pytest.approx(size[1])
    # At scale 1 it is cut at whole pixels, so the middle may be half a pixel off.
    _lies_at(gravity, (left, top), (size[0] - right, size[1] - bottom), slack=1)


def _lies_at(
    gravity: Gravity, before: tuple[float, float], behind: tuple[float, float], slack: float
) -> None:
    """Check that the free space on the left and top, right and bottom agrees with `gravity`."""
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
def test_percentage_scales_both_sides(size: Size, percent: float, enlarge: bool) -> None:
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
def test_decoder_is_asked_for_enough_and_no_more_than_exists(
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
def test_more_than_100_percent_needs_enlarge(word: str) -> None:
    with pytest.raises(UsageError, match="--enlarge"):
        Resize(SizeSpec.parse(word))
    assert Resize(SizeSpec.parse(word), enlarge=True).output_size((1000, 200))[0] > 1000
