"""Look-up tables for colours in files (.cube).

Adobe, Cube LUT Specification 1.0 (2013), and the input ranges that DaVinci Resolve writes instead
of a domain.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO, TextIOWrapper
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from imgbatch.plurals import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX: Final = {1: 65_536, 3: 256}
"""How many entries a table may have, per side."""

_SIZES: Final = {"LUT_1D_SIZE": 1, "LUT_3D_SIZE": 3}
_RANGES: Final = frozenset({"LUT_1D_INPUT_RANGE", "LUT_3D_INPUT_RANGE"})
_DOMAINS: Final = {"DOMAIN_MIN": 0, "DOMAIN_MAX": 1}
_FAR: Final = 1e9
"""Far more than any colour of a table."""


class Cube(Struct, frozen=True, eq=False):
    """A table of red, green and blue; `dimensions` is 1 (a curve for each) or 3.

    In three dimensions red changes fastest. `domain` is the lowest and the highest input colour;
    `values` are the colours in order, three numbers each, 0 to 1 or slightly beyond.
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
    """Says in which line a file is not a valid table, and why."""


@lru_cache(maxsize=8)
def read(data: bytes) -> Cube:
    """The table of a file; raises CubeError."""
    if b"\0" in data:
        raise CubeError("found binary data or UTF-16, expected text in UTF-8")
    # Streamed, since a large file has millions of lines.
    with TextIOWrapper(BytesIO(data), "utf-8-sig", errors="replace") as lines:
        return _Reader().read(lines)


_BATCH: Final = 256
"""How many lines are tried at once: one by one takes three times as long."""


class _Reader:
    """One reading of a file."""

    def __init__(self) -> None:
        self.dimensions = self.size = 0
        self.domain: list[tuple[float, ...]] = [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)]
        self.values = array("d")

    def read(self, lines: Iterator[str]) -> Cube:
        first = 1
        while batch := list(islice(lines, _BATCH)):
            if not (self.size and self._are_colours(batch)):
                for number, line in enumerate(batch, first):
                    self._take(number, line)
            first += len(batch)
        if not self.size:
            raise CubeError("found no LUT_3D_SIZE or LUT_1D_SIZE")
        wanted, found = self.size**self.dimensions, len(self.values) // 3
        if found != wanted:
            raise CubeError(f"found {found} colour{'s' * (found != 1)}, expected {wanted}")
        low, high = self.domain
        if any(least >= most for least, most in zip(low, high, strict=True)):
            raise CubeError("found a domain that ends before it begins")
        domain = ((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        return Cube(self.dimensions, self.size, domain, self.values)

    def _are_colours(self, lines: list[str]) -> bool:
        """Take lines that are nothing but colours, or none of them."""
        words = [line.split() for line in lines]
        if any(len(parts) != 3 for parts in words):
            return False
        try:
            numbers = array("d", map(float, chain.from_iterable(words)))
        except ValueError:
            return False
        # False also for NaN.
        if not sum(map(abs, numbers)) < _FAR:
            return False
        self.values.extend(numbers)
        return True

    def _take(self, number: int, line: str) -> None:
        """Take a line: a colour, a keyword with its values, or a comment."""
        word, *rest = line.split() or ["#"]
        if word.startswith("#") or word == "TITLE":
            return
        if word in _SIZES:
            self._sized(number, line, _SIZES[word], rest)
        elif word in _RANGES:
            low, high = self._numbers(number, line, rest, 2)
            self.domain = [(low,) * 3, (high,) * 3]
        elif word in _DOMAINS:
            self.domain[_DOMAINS[word]] = self._numbers(number, line, rest, 3)
        elif not word[0].isalpha() or _is_number(word):
            colour = self._numbers(number, line, [word, *rest], 3)
            if not self.size:
                raise CubeError(f"line {number}: found numbers, expected LUT_3D_SIZE before them")
            self.values.extend(colour)
        # Unknown keywords belong to other programs.

    def _sized(self, number: int, line: str, dimensions: int, words: list[str]) -> None:
        if self.size:
            raise CubeError(f"line {number}: found a second size")
        (size,), most = self._numbers(number, line, words, 1), _MAX[dimensions]
        if not (size.is_integer() and 2 <= size <= most):
            raise CubeError(f"line {number}: found a size of {words[0]}, expected 2 to {most}")
        self.dimensions, self.size = dimensions, int(size)

    def _numbers(self, number: int, line: str, words: list[str], count: int) -> tuple[float, ...]:
        try:
            numbers = tuple(map(float, words))
        except ValueError:
            numbers = ()
        if len(numbers) != count or not all(abs(value) < _FAR for value in numbers):
            expected = counted(count, "number")
            raise CubeError(f"line {number}: found {line.strip()[:60]!r}, expected {expected}")
        return numbers


def _is_number(word: str) -> bool:
    """Includes what floating point calls a number: nan, inf."""
    try:
        float(word)
    except ValueError:
        return False
    return True
