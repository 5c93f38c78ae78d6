"""Look-up tables for colours in files (.cube).

Adobe, Cube LUT Specification 1.0 (2013), and the input ranges that DaVinci Resolve writes instead
of a domain.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST: Final = {1: 65_536, 3: 256}
"""How many entries a table may have, a side."""

_SIZES: Final = {"LUT_1D_SIZE": 1, "LUT_3D_SIZE": 3}
_RANGES: Final = frozenset({"LUT_1D_INPUT_RANGE", "LUT_3D_INPUT_RANGE"})
_DOMAINS: Final = {"DOMAIN_MIN": 0, "DOMAIN_MAX": 1}
_FAR: Final = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """A table of red, green and blue; `dimensions` is 1 (a curve for each) or 3.

    Of three dimensions red changes fastest. `domain` are the least and the greatest colour that
    it is for; `values` are the colours in order, three numbers each, 0 to 1 or a bit beyond.
    """

    dimensions: int
    size: int
    domain: tuple[tuple[float, float, float], tuple[float, float, float]]
    values: array[float]

    def array(self) -> NDArray[np.float32]:
        """float32, (size, 3) or (size, size, size, 3): blue, green, red, colour."""
        import numpy as np

        return np.array(self.values, np.float32).reshape(*[self.size] * self.dimensions, 3)


class CubeError(ValueError):
    """Says in which line a file is no table, and why."""


@lru_cache(maxsize=8)
def read(data: bytes) -> Cube:
    """The table of a file; raises CubeError."""
    if b"\0" in data:
        raise CubeError("this is no text")
    return _Reader().read(data.decode("utf-8-sig", errors="replace"))


class _Reader:
    """One reading of a file."""

    def __init__(self) -> None:
        self.dimensions = self.size = 0
        self.domain: list[tuple[float, ...]] = [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)]
        self.values = array("d")

    def read(self, text: str) -> Cube:
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            try:
                self.values.extend(map(float, line.split()))
            except ValueError:
                del self.values[len(self.values) // 3 * 3 :]
                self._told(number, line)
            if len(self.values) % 3:
                raise CubeError(f"line {number}: found {line.strip()!r}, expected three numbers")
            if self.values and not self.size:
                raise CubeError(f"line {number}: found numbers, expected LUT_3D_SIZE before them")
        if not self.size:
            raise CubeError("found no LUT_3D_SIZE or LUT_1D_SIZE")
        wanted = self.size**self.dimensions
        if len(self.values) != 3 * wanted:
            raise CubeError(f"found {len(self.values) // 3} colours, expected {wanted}")
        # Nothing is added to what is no number, or infinite, that would make it one.
        if not math.isfinite(sum(self.values)) or max(map(abs, self.values)) > _FAR:
            raise CubeError("found a colour that is no number")
        low, high = self.domain
        if any(least >= most for least, most in zip(low, high, strict=True)):
            raise CubeError("found a domain that ends before it begins")
        domain = ((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        return Cube(self.dimensions, self.size, domain, self.values)

    def _told(self, number: int, line: str) -> None:
        """A line that is no colour: a keyword with its values, or a comment."""
        word, *rest = line.split()
        if word.startswith("#") or word == "TITLE":
            return
        if word in _SIZES:
            if self.size:
                raise CubeError(f"line {number}: found a second size")
            self.dimensions, (size,) = _SIZES[word], self._numbers(number, line, rest, 1)
            most = _MOST[self.dimensions]
            if not (size.is_integer() and 2 <= size <= most):
                raise CubeError(f"line {number}: found a size of {rest[0]}, expected 2 to {most}")
            self.size = int(size)
        elif word in _RANGES:
            low, high = self._numbers(number, line, rest, 2)
            self.domain = [(low,) * 3, (high,) * 3]
        elif word in _DOMAINS:
            self.domain[_DOMAINS[word]] = self._numbers(number, line, rest, 3)
        elif not word[0].isalpha():
            raise CubeError(f"line {number}: found {line.strip()!r}, expected three numbers")
        # Words that nobody knows are other programs' own.

    def _numbers(self, number: int, line: str, words: list[str], count: int) -> tuple[float, ...]:
        try:
            numbers = tuple(map(float, words))
        except ValueError:
            numbers = ()
        if len(numbers) != count or not all(map(_is_near, numbers)):
            raise CubeError(f"line {number}: found {line.strip()!r}, expected {count} numbers")
        return numbers


def _is_near(value: float) -> bool:
    return math.isfinite(value) and abs(value) < _FAR
