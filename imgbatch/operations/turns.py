"""Operations that turn the picture: by any angle, or over."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from imgbatch.imaging.picture import Picture, stored_bytes, turned, with_room_for
from imgbatch.model import WHITE, Colour, Size
from imgbatch.operations.base import Operation, register
from imgbatch.operations.parameters import ColourKind, parameter

_QUARTERS: Final = ((1, 6, 3, 8), (2, 7, 4, 5))
"""EXIF orientations, each a quarter turn clockwise from the one before; the second row mirrored."""

_MIRRORED: Final = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 7: 8, 8: 7}
"""The orientation of what is mirrored left to right after it was brought upright."""

_TILE_PIXELS: Final = 1024**2
"""Of a tile of a rotation (see imaging/rotation.py), at most."""

_TILE_BYTES: Final = 75
"""Of memory for a pixel of a tile with all it is made of, at 45 degrees."""

_ROUNDING: Final = 1e-6
"""Of a pixel; errors of floating point are smaller."""


def _after_quarters(orientation: int, quarters: int) -> int:
    """The orientation of what is turned clockwise after it was brought upright."""
    row = next(row for row in _QUARTERS if orientation in row)
    return row[(row.index(orientation) + quarters) % 4]


def _oriented(picture: Picture, orientation: int) -> Picture:
    """The same pixels, turned upright from another orientation than before."""
    if orientation == picture.orientation:
        return picture
    stored = turned(picture.full_size, picture.orientation)
    size = turned(stored, orientation)
    return replace(picture, orientation=orientation, full_size=size).upright()


@register
@dataclass(frozen=True, slots=True)
class Rotate(Operation):
    """Turn the picture, by quarters without loss, or by any angle.

    Multiples of 90 degrees only move pixels, in any mode. By other angles pixels of 8 bits a
    channel are resampled in three shears (Unser, Thévenaz and Yaroslavsky, Convolution-based
    interpolation for fast, high-quality rotation of images, 1995) with Lanczos, alpha
    premultiplied. With `fit=expand` all of a picture of W by H pixels is kept, on W cos a + H sin a
    by W sin a + H cos a pixels, rounded up, with the background in the corners; with `fit=crop`
    the largest upright rectangle that has no corners, which is how a horizon is straightened.
    """

    name: ClassVar[str] = "rotate"
    example: ClassVar[str] = "rotate:angle=4,fit=crop"
    turns: ClassVar[bool] = True
    memory: ClassVar[float] = 4.5
    angle: float = parameter(90.0, low=-360, high=360, unit="degrees", help="clockwise")
    fit: str = parameter(
        "expand", choices=("expand", "crop"), help="keep all, or only what has no corners"
    )
    background: Colour = parameter(WHITE, kind=ColourKind(), help="colour of the corners")

    def output_size(self, size: Size) -> Size:
        """Upright, of all of it or of the largest rectangle in it."""
        quarters, rest = self._parts()
        before = (size[1], size[0]) if quarters % 2 else size
        if not rest:
            return before
        return _inscribed(before, rest) if self.fit == "crop" else _expanded(before, rest)

    def needed_size(self, size: Size, wanted: Size) -> Size:
        """By quarters, what is wanted, turned; else all pixels."""
        quarters, rest = self._parts()
        if rest:
            return size
        return (wanted[1], wanted[0]) if quarters % 2 else wanted

    def output_mode(self, mode: str) -> str:
        """By other angles than quarters, with room for the background."""
        fills = self.fit == "expand" and bool(self._parts()[1])
        return with_room_for(mode, self.background) if fills else mode

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """By other angles with what is converted for the background, and a tile."""
        pixels = after[0] * after[1]
        if not self._parts()[1]:
            return int(pixels * self.memory * stored_bytes(mode) / 4)
        taken = Operation.working_bytes(self, before, after, mode=mode)
        return 2 * taken + _TILE_BYTES * min(_TILE_PIXELS, pixels)

    def apply(self, picture: Picture) -> Picture:
        """Straight from the pixels as they are stored."""
        quarters, rest = self._parts()
        if not rest:
            return _oriented(picture, _after_quarters(picture.orientation, quarters))
        from imgbatch.imaging import colour, rotation

        picture = colour.to_8_bits(picture, "for an operation")
        background = None
        if self.fit == "expand":
            picture, background = _with_background(picture, self.background)
        after = self.output_size(picture.full_size)
        before = turned(picture.full_size, 6) if quarters % 2 else picture.full_size
        made = rotation.rotated(
            picture.image,
            _after_quarters(picture.orientation, quarters),
            rotation.Rotation(before, after, math.radians(rest)),
            background,
        )
        return picture.with_image(made)

    def _parts(self) -> tuple[int, float]:
        """Quarter turns, and degrees from -45 to 45 besides."""
        quarters = round(self.angle / 90)
        return quarters, self.angle - 90 * quarters


def _with_background(picture: Picture, background: Colour) -> tuple[Picture, tuple[int, ...]]:
    """A picture that can hold a colour, and the colour's levels in it."""
    from imgbatch.imaging import colour

    picture = colour.with_room_for(picture, background)
    levels = colour.levels_of(background, picture)
    return picture, (*levels, background[3]) if picture.has_alpha else levels


def _expanded(size: Size, angle: float) -> Size:
    """What a picture takes that is turned by degrees from -45 to 45."""
    cosine, sine = math.cos(math.radians(angle)), abs(math.sin(math.radians(angle)))
    width, height = size
    return (
        math.ceil(width * cosine + height * sine - _ROUNDING),
        math.ceil(width * sine + height * cosine - _ROUNDING),
    )


def _inscribed(size: Size, angle: float) -> Size:
    """The largest upright rectangle in a picture that is turned by degrees from -45 to 45.

    Two of its corners lie on the longer sides of the picture if it is narrow, half the shorter
    side apart from the middle line; all four lie on a side each if it is not.
    """
    cosine, sine = math.cos(math.radians(angle)), abs(math.sin(math.radians(angle)))
    width, height = size
    shorter = min(size)
    if shorter <= 2 * sine * cosine * max(size):
        half = shorter / 2
        exact = (half / sine, half / cosine) if width >= height else (half / cosine, half / sine)
    else:
        squares = cosine**2 - sine**2
        exact = (
            (width * cosine - height * sine) / squares,
            (height * cosine - width * sine) / squares,
        )
    return max(1, math.floor(exact[0] + _ROUNDING)), max(1, math.floor(exact[1] + _ROUNDING))


@register
@dataclass(frozen=True, slots=True)
class Flip(Operation):
    """Mirror the picture, left to right or top to bottom. No pixel is changed, in any mode."""

    name: ClassVar[str] = "flip"
    turns: ClassVar[bool] = True
    memory: ClassVar[float] = 4.1
    keeps_grey: ClassVar[bool] = True
    any_mode: ClassVar[bool] = True
    direction: str = parameter(
        "horizontal",
        choices=("horizontal", "vertical"),
        help="horizontal changes left and right, vertical top and bottom",
    )

    def needed_size(self, size: Size, wanted: Size) -> Size:
        """What is wanted."""
        return wanted

    def apply(self, picture: Picture) -> Picture:
        """Together with being brought upright."""
        quarters = 2 if self.direction == "vertical" else 0
        return _oriented(picture, _after_quarters(_MIRRORED[picture.orientation], quarters))
