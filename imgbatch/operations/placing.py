"""Where marks and texts go: at a place or a position, turned, once or all over the picture."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from msgspec import Struct

from imgbatch.model import Gravity, Size
from imgbatch.operations.geometry import SizeSpec, place
from imgbatch.operations.parameters import Kind, Value, shortest

Point = tuple[int, int]

DIAGONAL: Final = "diagonal"

MOST_TILES: Final = 20_000
"""About how many marks or texts there are in a picture that is full of them."""

TURN_HELP: Final = (
    "clockwise, or diagonal: along the picture's diagonal, from lower left to upper right"
)


class Turn(Kind, frozen=True):
    """An angle in degrees, or the picture's diagonal."""

    @property
    def expected(self) -> str:
        return "a number from -360 to 360 degrees, or diagonal"

    def read(self, word: str) -> Any:
        return word

    def check(self, value: Any) -> Value:
        if isinstance(value, str):
            if value.strip().lower() == DIAGONAL:
                return DIAGONAL
            value = float(value.strip().removesuffix("°"))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not (math.isfinite(value) and -360 <= value <= 360):
            raise ValueError
        return float(value)


class Position(Kind, frozen=True):
    """A distance from the left or upper edge, in pixels or in per cent of that side."""

    @property
    def expected(self) -> str:
        return "pixels or per cent, such as 120 or 50%"

    def read(self, word: str) -> Any:
        return word

    def check(self, value: Any) -> Value:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        found = _POSITION.fullmatch(f"{value}")
        if found is None or len(found["number"]) > 9:
            raise ValueError
        number, unit = float(found["number"]), "%" if found["unit"] == "%" else ""
        if unit and number > 100:
            raise ValueError
        return shortest(number) + unit


_POSITION: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>px|%)?\s*")


def degrees(turn: float | str, size: Size) -> float:
    """An angle clockwise, from 0 up to 360."""
    if isinstance(turn, str):
        turn = -math.degrees(math.atan2(size[1], size[0]))
    return turn % 360


class Placing(Struct, frozen=True):
    """How things are placed in a picture of `within` pixels.

    They lie at `gravity`, `margin` pixels from the edges, unless `x` or `y` say where their upper
    left corner is; nothing is moved beyond the edges.
    """

    within: Size
    gravity: Gravity
    margin: int
    x: str | None = None
    y: str | None = None

    @property
    def room(self) -> Size:
        """The size that things may have."""
        return self.within[0] - 2 * self.margin, self.within[1] - 2 * self.margin

    def fitting(self, size: Size, angle: float) -> Size:
        """A size, or the largest of the same shape that fits into the room when it is turned."""
        if angle == 0:
            return place(size, SizeSpec(*self.room), "pad").scaled
        from imgbatch.imaging import affine

        wide, high = affine.extent(size, angle)
        share = min(1.0, self.room[0] / wide, self.room[1] / high)
        return max(1, int(size[0] * share)), max(1, int(size[1] * share))

    def once(self, size: Size) -> Point:
        """The offset of one thing of this size; if it is too large, it begins at the margin."""
        kept = min(size[0], self.room[0]), min(size[1], self.room[1])
        across, down = place(kept, SizeSpec(*self.room), "pad", gravity=self.gravity).offset
        usual = across + self.margin, down + self.margin
        return self._moved(size, usual)

    def repeated(self, size: Size, cell: Size, angle: float) -> list[Point]:
        """The offsets of things all over the picture, in rows of cells, alternate ones offset by
        half a cell.

        Things have `size` when they are turned, `cell` is from one to the next before that. One is
        in the centre, or at `x` and `y`. Where there would be far more than `MOST_TILES`, cells are
        larger.
        """
        cell = self._large_enough(cell)
        middle = (self.within[0] - size[0]) // 2, (self.within[1] - size[1]) // 2
        left, top = self._moved(size, middle)
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        reach = math.hypot(*self.within) + math.hypot(*size)
        rows = math.ceil(reach / cell[1])
        found = []
        for row in range(-rows, rows + 1):
            down, indent = row * cell[1], cell[0] // 2 if row % 2 else 0
            first, last = _within(
                (cosine, left - down * sine, -size[0], self.within[0]),
                (sine, top + down * cosine, -size[1], self.within[1]),
                reach,
            )
            for column in range(
                math.floor((first - indent) / cell[0]), math.ceil((last - indent) / cell[0]) + 1
            ):
                across = column * cell[0] + indent
                x = left + round(across * cosine - down * sine)
                y = top + round(across * sine + down * cosine)
                if -size[0] < x < self.within[0] and -size[1] < y < self.within[1]:
                    found.append((x, y))
        return found

    def _large_enough(self, cell: Size) -> Size:
        share = math.sqrt(self.within[0] * self.within[1] / (MOST_TILES * cell[0] * cell[1]))
        return cell if share <= 1 else (math.ceil(cell[0] * share), math.ceil(cell[1] * share))

    def _moved(self, size: Size, usual: Point) -> Point:
        sides = zip((self.x, self.y), usual, size, self.within, strict=True)
        x, y = (
            start if word is None else max(0, min(_pixels(word, whole), whole - length))
            for word, start, length, whole in sides
        )
        return x, y


Line = tuple[float, float, float, float]
"""Slope and offset of a coordinate along a row, and the limits of the picture."""


def _within(x: Line, y: Line, reach: float) -> tuple[float, float]:
    """From where to where a row is in the picture, within a pixel; empty if it is not."""
    first, last = -reach, reach
    for slope, offset, low, high in (x, y):
        ends = (low - 1 - offset, high + 1 - offset)
        if abs(slope) < 1e-9:
            if not ends[0] <= 0 <= ends[1]:
                return 0, -reach
            continue
        near, far = sorted(end / slope for end in ends)
        first, last = max(first, near), min(last, far)
    return first, last


def _pixels(word: str, whole: int) -> int:
    share = word.removesuffix("%")
    return round(float(share) * whole / 100 if share != word else float(word))
