"""The median of square windows, by networks of exchanges: the lower of two values, and the higher.

A network does the same to every pixel, so each step is one minimum or maximum of whole arrays.
Each column of a window is sorted once, for all windows that it is in. Then each row of the result
is sorted, which leaves the columns sorted: the value in row i and column j, from 0, has at least
(i + 1) * (j + 1) values at or below it, including itself, so the values with too many cannot be
the median; as many are too low as too high. The rest is sorted. Of all that, only those steps are
done which the median needs, and which ever exchange anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from imgbatch.imaging.filters import strips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Levels = NDArray[np.uint8]

Exchange = tuple[int, int]
"""Two places: the first gets the lower value, the second the higher."""

_STRIP_BYTES: Final = 60_000
"""Pixels of a strip for one value of the windows: some twenty of them are in use at a time."""


def median(image: Image.Image, radius: int) -> Image.Image:
    """A new image, L or RGB like the given one: each channel's median in squares of 2 * radius + 1.

    `radius` is 1 to 3; beyond the image's edges its outermost pixels are repeated.
    """
    side = 2 * radius + 1
    bands = len(image.getbands())
    sorting, choosing = _networks(side)

    def change(rows: Levels, top: int) -> Levels:
        values = rows.reshape(len(rows), -1)
        made = np.empty((len(rows) - 2 * radius, (rows.shape[1] - 2 * radius) * bands), np.uint8)
        count = max(1, _STRIP_BYTES // values.shape[1])
        for first in range(0, len(made), count):
            last = min(len(made), first + count)
            columns = sorting.run([values[first + y : last + y] for y in range(side)])
            window = [
                column[:, x * bands : x * bands + made.shape[1]]
                for column in columns
                for x in range(side)
            ]
            (made[first:last],) = choosing.run(window)
        return made.reshape(len(made), -1, bands)

    return strips.mapped(image, change, reach=radius)


class _Step(NamedTuple):
    """A minimum or a maximum (`high`) of two values, by their numbers; and which end there."""

    high: bool
    first: int
    second: int
    ends: tuple[int, ...]


class _Network(NamedTuple):
    """Steps that each make another value, numbered after the given ones; `results` are wanted."""

    steps: tuple[_Step, ...]
    results: tuple[int, ...]

    def run(self, given: Sequence[Levels]) -> list[Levels]:
        """Compute the results from values of the same shape; memory is freed after its last use."""
        values = dict(enumerate(given))
        number = len(given)
        for high, first, second, ends in self.steps:
            chosen = np.maximum if high else np.minimum
            values[number] = chosen(values[first], values[second])
            number += 1
            for end in ends:
                del values[end]
        return [values[result] for result in self.results]


@lru_cache(maxsize=3)
def _networks(side: int) -> tuple[_Network, _Network]:
    """One that sorts a column, and one from sorted columns, row by row, to the median."""
    rows = [
        (row * side + lower, row * side + upper)
        for row in range(side)
        for lower, upper in _sorting(side)
    ]
    places = [y * side + x for y in range(side) for x in range(side) if _may_be_median(y, x, side)]
    # Along diagonals values are unordered so far, and between them nearly ordered.
    places.sort(key=lambda place: (sum(divmod(place, side)), place))
    rest = [(places[lower], places[upper]) for lower, upper in _sorting(len(places))]
    middle = places[len(places) // 2]
    return (
        _network(_sorting(side), side, range(side)),
        _network([*rows, *_exchanging(rest, side)], side * side, [middle]),
    )


def _may_be_median(y: int, x: int, side: int) -> bool:
    most = side * side // 2 + 1
    return (y + 1) * (x + 1) <= most and (side - y) * (side - x) <= most


def _sorting(count: int) -> list[Exchange]:
    """Batcher's odd-even merge sort (Sorting networks and their applications, AFIPS 1968)."""
    found: list[Exchange] = []
    merged = 1
    while merged < count:
        apart = merged
        while apart:
            for start in range(apart % merged, count - apart, 2 * apart):
                found += [
                    (lower, lower + apart)
                    for lower in range(start, min(start + apart, count - apart))
                    if lower // (2 * merged) == (lower + apart) // (2 * merged)
                ]
            apart //= 2
        merged *= 2
    return found


def _exchanging(exchanges: Iterable[Exchange], side: int) -> Iterator[Exchange]:
    """Those that ever exchange anything, if rows and columns of the window are sorted.

    It is enough to try zeros and ones (D. Knuth, The art of computer programming 3, 5.3.4): a
    window is described by how many ones each row ends with, never fewer than the one before. Each
    place has a number with one bit for each window.
    """
    windows = list(itertools.combinations_with_replacement(range(side + 1), side))
    bits = [
        sum((ones[y] >= side - x) << number for number, ones in enumerate(windows))
        for y in range(side)
        for x in range(side)
    ]
    for lower, upper in exchanges:
        if bits[lower] & ~bits[upper]:
            bits[lower], bits[upper] = bits[lower] & bits[upper], bits[lower] | bits[upper]
            yield lower, upper


def _network(exchanges: Sequence[Exchange], places: int, wanted: Sequence[int]) -> _Network:
    """The steps of exchanges that the final values at the `wanted` places need."""
    # The value at each place; every value is numbered first, needed or not.
    at = list(range(places))
    made: list[tuple[bool, int, int]] = []
    for places_of_pair in exchanges:
        first, second = (at[place] for place in places_of_pair)
        for place, high in zip(places_of_pair, (False, True), strict=True):
            at[place] = places + len(made)
            made.append((high, first, second))
    results = [at[place] for place in wanted]
    ends: dict[int, list[int]] = {}
    # Backwards: values nobody needs are skipped, and a value ends at the first use seen here, which
    # is its last.
    seen = set(results)
    for number in reversed(range(len(made))):
        if places + number in seen:
            ends[number] = [value for value in made[number][1:] if value not in seen]
            seen.update(made[number][1:])
    numbers = list(range(places + len(made)))
    steps: list[_Step] = []
    for number in sorted(ends):
        high, lower, upper = made[number]
        last = tuple(numbers[value] for value in ends[number])
        numbers[places + number] = places + len(steps)
        steps.append(_Step(high, numbers[lower], numbers[upper], last))
    return _Network(tuple(steps), tuple(numbers[value] for value in results))
