"""How pixels moved: from a picture as it is stored to what became of it.

Coordinates are continuous, in pixels: (0, 0) is the upper left corner of the first pixel, and
(width, height) the lower right corner of the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from imgbatch.imaging.picture import Box, turned
from imgbatch.model import Size

Point = tuple[float, float]

_ROUNDING: Final = 1e-9
"""Relative; floating-point errors are smaller."""

_ERROR: Final = 1e-6
"""In pixels; floating-point errors are smaller."""


class Affine(NamedTuple):
    """x' = xx * x + xy * y + dx, and y' = yx * x + yy * y + dy."""

    xx: float = 1
    xy: float = 0
    dx: float = 0
    yx: float = 0
    yy: float = 1
    dy: float = 0

    def at(self, x: float, y: float) -> Point:
        """Where a point goes."""
        return self.xx * x + self.xy * y + self.dx, self.yx * x + self.yy * y + self.dy

    def then(self, other: Affine) -> Affine:
        """This one, followed by another."""
        dx, dy = other.at(self.dx, self.dy)
        return Affine(
            other.xx * self.xx + other.xy * self.yx,
            other.xx * self.xy + other.xy * self.yy,
            dx,
            other.yx * self.xx + other.yy * self.yx,
            other.yx * self.xy + other.yy * self.yy,
            dy,
        )

    def undone(self) -> Affine:
        """The one that leads back."""
        whole = self.xx * self.yy - self.xy * self.yx
        xx, xy, yx, yy = self.yy / whole, -self.xy / whole, -self.yx / whole, self.xx / whole
        dx, dy = -(xx * self.dx + xy * self.dy), -(yx * self.dx + yy * self.dy)
        return Affine(xx, xy, dx, yx, yy, dy)

    def box(self, box: Box) -> Box:
        """The smallest box around what becomes of a box."""
        left, top, right, bottom = box
        return around([self.at(x, y) for x in (left, right) for y in (top, bottom)])

    @property
    def stretch(self) -> float:
        """The most by which it lengthens anything: its larger singular value."""
        squares = self.xx**2 + self.xy**2 + self.yx**2 + self.yy**2
        whole = self.xx * self.yy - self.xy * self.yx
        return math.sqrt((squares + math.sqrt(max(0.0, squares**2 - 4 * whole**2))) / 2)

    @property
    def only_scales(self) -> bool:
        """Whether it neither turns nor mirrors: what is to the right stays there."""
        slack = _ROUNDING * self.stretch
        return self.xx > 0 < self.yy and abs(self.xy) <= slack and abs(self.yx) <= slack


def moved(dx: float, dy: float) -> Affine:
    """To the right and down."""
    return Affine(dx=dx, dy=dy)


def scaled(across: float, down: float) -> Affine:
    """By factors, from the upper left corner."""
    return Affine(xx=across, yy=down)


def rotated(degrees: float) -> Affine:
    """Clockwise, around the upper left corner; exact for quarter turns."""
    quarters = round(degrees / 90)
    rest = math.radians(degrees - 90 * quarters)
    cosine, sine = math.cos(rest), math.sin(rest)
    for _ in range(quarters % 4):
        cosine, sine = -sine, cosine
    return Affine(cosine, -sine, 0, sine, cosine, 0)


def extent(size: Size, degrees: float) -> Size:
    """The least size that holds a picture of `size` turned by an angle."""
    left, top, right, bottom = rotated(degrees).box((0, 0, *size))
    return math.ceil(right - left - _ERROR), math.ceil(bottom - top - _ERROR)


def upright(size: Size, orientation: int) -> Affine:
    """From a picture of `size` as it is stored to the upright one (EXIF 0x0112, 1 to 8)."""
    width, height = size
    return (
        Affine(),
        Affine(-1, 0, width, 0, 1, 0),
        Affine(-1, 0, width, 0, -1, height),
        Affine(1, 0, 0, 0, -1, height),
        Affine(0, 1, 0, 1, 0, 0),
        Affine(0, -1, height, 1, 0, 0),
        Affine(0, -1, height, -1, 0, width),
        Affine(0, 1, 0, -1, 0, width),
    )[orientation - 1]


def around(points: Sequence[Point]) -> Box:
    """The smallest box around points."""
    across, down = [x for x, _ in points], [y for _, y in points]
    return min(across), min(down), max(across), max(down)


def common(one: Box, other: Box) -> Box:
    """What two boxes have in common; right is not beyond left if that is nothing."""
    return (
        max(one[0], other[0]),
        max(one[1], other[1]),
        min(one[2], other[2]),
        min(one[3], other[3]),
    )


class Move(Struct, frozen=True):
    """How an operation moves the pixels of an upright picture, into one of `size`."""

    affine: Affine
    size: Size


class Geometry(Struct, frozen=True):
    """What became of a picture of `stored` pixels with an `orientation` (EXIF).

    `affine` leads from there to the picture of `size` that was made of it, None if an operation
    did not say how it moved the pixels. `box` is the part of it that shows the stored picture, and
    not a border.
    """

    stored: Size
    orientation: int
    affine: Affine | None
    size: Size
    box: Box

    @classmethod
    def of(cls, upright_size: Size, orientation: int) -> Geometry:
        """A picture that was only turned upright, as `upright_size`."""
        width, height = upright_size
        stored = turned(upright_size, orientation)
        affine = upright(stored, orientation)
        return cls(stored, orientation, affine, upright_size, (0, 0, width, height))

    def then(self, move: Move) -> Geometry:
        """After one more move."""
        width, height = move.size
        return replace(
            self,
            affine=self.affine.then(move.affine) if self.affine else None,
            size=move.size,
            box=common(move.affine.box(self.box), (0, 0, width, height)),
        )

    def resized(self, size: Size) -> Geometry:
        """After resizing all of it."""
        if size == self.size:
            return self
        return self.then(Move(scaled(size[0] / self.size[0], size[1] / self.size[1]), size))

    def lost(self, size: Size) -> Geometry:
        """After a change that is not known, to a picture of `size`."""
        return replace(self, affine=None, size=size)

    @property
    def is_whole(self) -> bool:
        """Whether the whole picture is there and nothing else, unturned: at most resized."""
        if self.affine is None or not self.affine.only_scales:
            return False
        whole = self.affine.box((0, 0, *self.stored))
        return all(
            abs(found - wanted) <= 1e-6 * max(self.size)
            for found, wanted in zip(whole, (0, 0, *self.size), strict=True)
        )

    @property
    def is_still(self) -> bool:
        """Whether nothing moved at all."""
        return self.size == self.stored and self.is_whole
