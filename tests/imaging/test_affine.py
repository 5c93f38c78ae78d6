"""Affine maps and what they do to shapes, against matrices of NumPy, pixels and random points."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgbatch.imaging import affine
from imgbatch.imaging.affine import Affine, Geometry, Move
from imgbatch.imaging.metadata.shapes import Circle, Polygon, Rectangle
from imgbatch.imaging.picture import turn

_NUMBERS: Final = st.floats(-4, 4).filter(lambda number: abs(number) > 0.1)
_SHIFTS: Final = st.floats(-500, 500)
AFFINES: Final = st.builds(Affine, _NUMBERS, _NUMBERS, _SHIFTS, _NUMBERS, _NUMBERS, _SHIFTS).filter(
    lambda one: abs(one.xx * one.yy - one.xy * one.yx) > 0.05
)


def _matrix(one: Affine) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([one[:3], one[3:], (0, 0, 1)], np.float64)


@given(AFFINES, AFFINES)
def test_maps_compose_and_are_undone_as_matrices_are(one: Affine, other: Affine) -> None:
    first, second = _matrix(one), _matrix(other)

    np.testing.assert_allclose(_matrix(one.then(other)), second @ first, atol=1e-9)
    np.testing.assert_allclose(_matrix(one.undone()), np.linalg.inv(first), rtol=1e-6, atol=1e-6)
    singular = np.linalg.svd(first[:2, :2], compute_uv=False)
    assert one.stretch == pytest.approx(singular[0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_goes_where_the_pixels_go(orientation: int) -> None:
    stored = np.zeros((4, 6), np.uint8)
    stored[1, 4] = 255

    upright = np.asarray(turn(Image.fromarray(stored), orientation))

    x, y = affine.upright((6, 4), orientation).at(4.5, 1.5)
    assert upright[int(y), int(x)] == 255
    assert Geometry.of(upright.shape[::-1], orientation).stored == (6, 4)


@pytest.mark.parametrize("quarters", range(-4, 5))
def test_quarter_turns_are_exact(quarters: int) -> None:
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters % 4]

    assert affine.rotated(90 * quarters) == (cosine, -sine, 0, sine, cosine, 0)


def test_a_border_does_not_show_what_was_cropped_away_before() -> None:
    geometry = Geometry.of((100, 80), 1)
    cut = geometry.then(Move(affine.moved(-30, -20), (40, 40)))
    bordered = cut.then(Move(affine.moved(10, 10), (60, 60)))

    assert bordered.box == (10, 10, 50, 50)
    assert geometry.is_still
    assert geometry.is_whole
    assert not cut.is_whole
    assert geometry.resized((50, 40)).is_whole
    assert not geometry.resized((50, 40)).is_still


_BOX: Final = (0.0, 0.0, 100.0, 80.0)
# Of a quarter of a pixel, so that no edge is all but level.
_POINTS: Final = st.tuples(
    *(st.integers(-240, 640).map(lambda number: number / 4) for _ in range(2))
)


def _inside(
    points: np.ndarray[tuple[int, int], np.dtype[np.float64]], polygon: Polygon
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which points lie in a polygon, by the number of edges to their right."""
    x, y = points.T
    odd = np.zeros(len(points), bool)
    corners = np.array(polygon.points)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        odd ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return odd


@given(st.lists(_POINTS, min_size=3, max_size=7, unique=True), st.integers(0, 2**32 - 1))
def test_polygons_are_clipped_to_what_both_have_in_common(
    corners: list[tuple[float, float]], seed: int
) -> None:
    whole = Polygon(tuple(corners))
    points = np.random.default_rng(seed).uniform((-50, -50), (150, 130), (400, 2))

    shown = whole.shown(Affine(), _BOX)

    within = np.all((points > _BOX[:2]) & (points < _BOX[2:]), axis=1)
    expected = _inside(points, whole) & within
    found = _inside(points, shown) if shown else np.zeros(len(points), bool)
    # A sliver that rounding leaves is nothing.
    assert (found != expected).sum() <= (0 if shown else 1)


@given(_POINTS, st.floats(1, 60), AFFINES)
def test_circles_cover_what_becomes_of_them(
    centre: tuple[float, float], radius: float, one: Affine
) -> None:
    angles = np.linspace(0, 2 * np.pi, 60)
    rim = np.column_stack([np.cos(angles), np.sin(angles)]) * radius + centre
    moved = rim @ _matrix(one)[:2, :2].T + one[2::3]
    box = (*moved.min(axis=0) - 300, *moved.max(axis=0) + 300)

    shown = Circle(*centre, radius).shown(one, box)

    assert isinstance(shown, Circle)
    distances = np.hypot(*(moved - shown[:2]).T)
    assert distances.max() <= shown.radius + 1e-6
    assert distances.max() >= shown.radius * 0.99


def test_what_lies_outside_is_nothing() -> None:
    assert Rectangle(-20, 0, 0, 10).shown(Affine(), _BOX) is None
    assert Rectangle(-20, 0, 1, 10).shown(Affine(), _BOX) == (0, 0, 1, 10)
    # Its box reaches into the corner, but the circle does not.
    assert Circle(-8, -8, 10).shown(Affine(), _BOX) is None
    assert Circle(-6, -6, 10).shown(Affine(), _BOX) == (0, 0, 4, 4)
    assert Polygon(((-9, 0), (-1, 0), (-1, 9))).shown(Affine(), _BOX) is None
