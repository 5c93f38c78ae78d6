"""Areas in a picture: what of them is left where its pixels moved, and where that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from imgbatch.imaging.affine import Affine, Point, around, common
from imgbatch.imaging.picture import Box

_NOTHING: Final = 0.01
"""In pixels: what is narrower is left by rounding."""


class Rectangle(NamedTuple):
    """Left, top, right and bottom, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def centred(cls, x: float, y: float, width: float, height: float) -> Rectangle:
        """One around a centre."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    @property
    def centre(self) -> Point:
        """Its middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def shown(self, affine: Affine, box: Box) -> Rectangle | None:
        """What of it is in a box after a move: the rectangle around that."""
        found = common(affine.box(self), box)
        narrow = min(found[2] - found[0], found[3] - found[1]) < _NOTHING
        return None if narrow else Rectangle(*found)


class Circle(NamedTuple):
    """Centre and radius, in pixels."""

    x: float
    y: float
    radius: float

    def shown(self, affine: Affine, box: Box) -> Circle | Rectangle | None:
        """What of it is in a box after a move: the rectangle around that if some is not.

        Where it would become an ellipse, the circle around that.
        """
        x, y = affine.at(self.x, self.y)
        radius = self.radius * affine.stretch
        left, top, right, bottom = box
        near = min(max(x, left), right), min(max(y, top), bottom)
        if math.dist(near, (x, y)) > radius - _NOTHING:
            return None
        around_it = Rectangle.centred(x, y, 2 * radius, 2 * radius)
        inside = around_it.shown(Affine(), box)
        whole = inside is not None and math.dist(inside, around_it) < _NOTHING
        return Circle(x, y, radius) if whole else inside


class Polygon(NamedTuple):
    """Corners, in pixels."""

    points: tuple[Point, ...]

    def shown(self, affine: Affine, box: Box) -> Polygon | None:
        """What of it is in a box after a move (Sutherland and Hodgman, 1974)."""
        points = [affine.at(*point) for point in self.points]
        left, top, right, bottom = box
        points = _clipped(points, lambda point: point[0] - left)
        points = _clipped(points, lambda point: point[1] - top)
        points = _clipped(points, lambda point: right - point[0])
        points = _clipped(points, lambda point: bottom - point[1])
        if len(points) < 3:
            return None
        outer = around(points)
        narrow = min(outer[2] - outer[0], outer[3] - outer[1]) < _NOTHING
        return None if narrow else Polygon(tuple(points))


class Spot(NamedTuple):
    """A single point, in pixels."""

    x: float
    y: float

    def shown(self, affine: Affine, box: Box) -> Spot | None:
        """Where it is after a move, if that is in a box."""
        x, y = affine.at(self.x, self.y)
        left, top, right, bottom = box
        return Spot(x, y) if left <= x <= right and top <= y <= bottom else None


Shape = Rectangle | Circle | Polygon | Spot


def _clipped(points: Sequence[Point], inside: Callable[[Point], float]) -> list[Point]:
    """The part of a polygon where a linear function is not negative."""
    kept: list[Point] = []
    for before, point in zip([*points[-1:], *points[:-1]], points, strict=True):
        was, now = inside(before), inside(point)
        if (was < 0) != (now < 0):
            part = was / (was - now)
            kept.append(
                (
                    before[0] + part * (point[0] - before[0]),
                    before[1] + part * (point[1] - before[1]),
                )
            )
        if now >= 0:
            kept.append(point)
    return kept
