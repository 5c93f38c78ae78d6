"""Operations that turn or mirror the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec.structs import replace

from imgbatch.imaging.picture import Picture, stored_bytes, turned, with_room_for
from imgbatch.model import WHITE, Colour, Size
from imgbatch.operations.base import Operation, register
from imgbatch.operations.parameters import ColourKind, parameter

if TYPE_CHECKING:
    from imgbatch.imaging.affine import Move

_QUARTERS: Final = ((1, 6, 3, 8), (2, 7, 4, 5))
"""EXIF orientations, each a quarter turn clockwise from the last; the second row is mirrored."""

_MIRRORED: Final = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 7: 8, 8: 7}
"""The orientation that mirrors an upright picture left to right."""

_TILE_PIXELS: Final = 1024**2
"""The most pixels of a tile of a rotation (see imaging/filters/rotation.py)."""

_TILE_BYTES: Final = 75
"""Bytes of memory for a pixel of a tile with everything made from it, at 45 degrees."""

_ROUNDING: Final = 1e-6
"""In pixels; floating-point errors are smaller."""


def rotation_bytes(pixels: int) -> int:
    """The memory that a rotation takes besides its result of so many pixels."""
    return _TILE_BYTES * min(_TILE_PIXELS, pixels)


def _after_quarters(orientation: int, quarters: int) -> int:
    """The orientation of a picture that is turned clockwise after it was brought upright."""
    row = next(row for row in _QUARTERS if orientation in row)
    return row[(row.index(orientation) + quarters) % 4]


def _oriented(picture: Picture, orientation: int) -> Picture:
    """The same pixels, to be turned upright from another orientation than before."""
    if orientation == picture.orientation:
        return picture
    stored = turned(picture.full_size, picture.orientation)
    size = turned(stored, orientation)
    return replace(picture, orientation=orientation, full_size=size).upright()


@register
@dataclass(frozen=True, slots=True)
class Rotate(Operation):
    """Turn the picture, by quarters without loss, or by any angle.

    Multiples of 90 degrees only move pixels, in any mode. For other angles 8-bit pixels are
    resampled in three shears (Unser, Thévenaz and Yaroslavsky, Convolution-based interpolation
    for fast, high-quality rotation of images, 1995) with Lanczos, alpha premultiplied.
    `fit=expand` keeps the whole picture: W by H pixels become W cos a + H sin a by W sin a + H
    cos a, rounded up, with the background in the corners. `fit=crop` keeps the largest upright
    rectangle without corners, which straightens a horizon.
    """

    name: ClassVar[str] = "rotate"
    example: ClassVar[str] = "rotate:angle=4,fit=crop"
    turns: ClassVar[bool] = True
    memory: ClassVar[float] = 4.5
    angle: float = parameter(90.0, low=-360, high=360, unit="degrees", help="clockwise")
    fit: str = parameter(
        "expand",
        choices=("expand", "crop"),
        help="keep everything, or only the largest part without corners",
    )
    background: Colour = parameter(WHITE, kind=ColourKind(), help="colour of the corners")

    def output_size(self, size: Size) -> Size:
        """The upright size of all of it, or of the largest rectangle in it."""
        quarters, rest = self._parts()
        before = (size[1], size[0]) if quarters % 2 else size
        if not rest:
            return before
        if self.fit == "crop":
            return _inscribed(before, rest)
        from imgbatch.imaging import affine

        return affine.extent(before, rest)

    def needed_size(self, size: Size, wanted: Size) -> Size:
        """For quarter turns the wanted size, turned; otherwise all pixels."""
        quarters, rest = self._parts()
        if rest:
            return size
        return (wanted[1], wanted[0]) if quarters % 2 else wanted

    def output_mode(self, mode: str) -> str:
        """Holds the background, except for quarter turns."""
        fills = self.fit == "expand" and bool(self._parts()[1])
        return with_room_for(mode, self.background) if fills else mode

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """For other angles including what is converted for the background, and a tile."""
        pixels = after[0] * after[1]
        if not self._parts()[1]:
            return int(pixels * self.memory * stored_bytes(mode) / 4)
        taken = Operation.working_bytes(self, before, after, mode=mode)
        return 2 * taken + rotation_bytes(pixels)

    def apply(self, picture: Picture) -> Picture:
        """Directly from the pixels as they are stored."""
        quarters, rest = self._parts()
        if not rest:
            return _oriented(picture, _after_quarters(picture.orientation, quarters))
        from imgbatch.imaging import colour
        from imgbatch.imaging.filters import rotation

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

    def move(self, picture: Picture) -> Move:
        """Around the centre, which becomes that of the result."""
        from imgbatch.imaging import affine

        before = picture.full_size
        after = self.output_size(before)
        return affine.Move(
            affine.moved(-before[0] / 2, -before[1] / 2)
            .then(affine.rotated(self.angle))
            .then(affine.moved(after[0] / 2, after[1] / 2)),
            after,
        )

    def _parts(self) -> tuple[int, float]:
        """Quarter turns, and the remaining degrees from -45 to 45."""
        quarters = round(self.angle / 90)
        return quarters, self.angle - 90 * quarters


def _with_background(picture: Picture, background: Colour) -> tuple[Picture, tuple[int, ...]]:
    """A picture that can hold a colour, and the colour's levels in it."""
    from imgbatch.imaging import colour

    picture = colour.with_room_for(picture, background)
    levels = colour.levels_of(background, picture)
    return picture, (*levels, background[3]) if picture.has_alpha else levels


def _inscribed(size: Size, angle: float) -> Size:
    """The largest upright rectangle in a picture turned by degrees from -45 to 45.

    In a narrow picture two of its corners lie on the longer sides, half the shorter side from the
    middle line; otherwise each corner lies on a different side.
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
        help="horizontal swaps left and right, vertical top and bottom",
    )

    def needed_size(self, size: Size, wanted: Size) -> Size:
        return wanted

    def move(self, picture: Picture) -> Move:
        from imgbatch.imaging import affine

        orientation = 4 if self.direction == "vertical" else 2
        return affine.Move(affine.upright(picture.full_size, orientation), picture.full_size)

    def apply(self, picture: Picture) -> Picture:
        """Together with turning it upright."""
        quarters = 2 if self.direction == "vertical" else 0
        return _oriented(picture, _after_quarters(_MIRRORED[picture.orientation], quarters))
