"""Making a file small enough: the highest quality at which it fits, in few encodes.

How many bytes a picture takes at a quality is only known once it is encoded; how they grow with
the quality is much the same for all photographs, on a logarithmic scale. So the search has a curve
for each format (`Codec.curve`), the mean of photographs:

1. The first quality is the one at which an average photograph would fit.
2. Each encode shifts the curve so that it goes through the result, and from the second on tilts it
   so that it goes through the two nearest to the limit (regula falsi in the logarithm). The next
   quality is the highest that fits on this curve, always between the best that fitted and the
   worst that did not.
3. After seven encodes the interval is halved, so that the search ends with any encoder.

It ends where a quality fits and the next one does not; with AVIF and HEIC, whose encodes are slow,
also where 96 % of the limit are used. For photographs that takes 3.5 encodes on average, and one
or two if the limit is generous.

Below quality 40 fewer pixels show more than worse ones (docs/architecture.md). So if even that
does not fit, the picture is made smaller, according to the excess, until it does; the rest of the
limit goes into quality again.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import Final, NamedTuple

from imgbatch.model import Size

Coded = Callable[[Size, int], bytes]
"""The file of a picture at a size in pixels and a quality."""

HIGHEST: Final = 95
"""The highest quality that is tried unless one is given: above it only the file grows."""

LOWEST: Final = 40
"""The lowest quality before the picture is made smaller."""

SMALLEST: Final = 32
"""The shortest long edge in pixels to which a picture is reduced."""

_CURVED: Final = 7
_TILTS: Final = (0.5, 2.0)
# The share of the limit that is enough if the size was chosen to suit it, and the one aimed at.
_CLOSE: Final = 0.95
_AIM: Final = 0.98
# Fewer pixels have more detail each: bytes grow with about the 0.85th power of their number.
_SIDE_BY_BYTES: Final = 0.6


class Curve(NamedTuple):
    """How the bytes of an average photograph grow with the quality.

    `points` are pairs of a quality and the natural logarithm of the bytes, relative to those at
    quality 70, where each pixel takes `bits`. A file with the share `close` of the limit is good
    enough.
    """

    points: tuple[tuple[int, float], ...]
    bits: float
    close: float = 1.0

    def height(self, quality: int) -> float:
        """The logarithm for a quality, interpolated between the points."""
        place = bisect_left(self.points, quality, 1, len(self.points) - 1, key=lambda one: one[0])
        (left, low), (right, high) = self.points[place - 1 : place + 1]
        return low + (high - low) * (quality - left) / (right - left)

    def quality(self, height: float) -> int:
        """The highest quality that is not above `height`; 0 if there is none."""
        return max((one for one in range(1, 101) if self.height(one) <= height), default=0)


class Fitted(NamedTuple):
    """A file within its limit."""

    data: bytes
    size: Size
    quality: int


class TooLargeError(Exception):
    """Not even the smallest picture at the lowest quality fits: it has `size` and `bytes`."""

    def __init__(self, size: Size, bytes: int) -> None:  # noqa: A002
        super().__init__(size, bytes)
        self.size = size
        self.bytes = bytes


def fitted(
    coded: Coded,
    size: Size,
    limit: int,
    curve: Curve,
    *,
    highest: int = HIGHEST,
    fixed: int = 0,
    frames: int = 1,
) -> Fitted:
    """The file of the highest quality, up to `highest`, that is no larger than `limit` bytes.

    About `fixed` of them are not for pixels, and there are `frames` of those. If even quality 40
    (or `highest`) does not fit, the picture has fewer pixels. Raises TooLargeError.
    """
    lowest = min(LOWEST, highest)
    search = _Search(coded, limit, curve, lowest, highest, fixed)
    found = search.run(size, search.likely(frames * size[0] * size[1]))
    while isinstance(found, int):
        smaller = _smaller(size, found - fixed, limit - fixed)
        if smaller == size:
            raise TooLargeError(size, found)
        size = smaller
        # What counts now is whether it fits at all.
        close = min(_CLOSE, curve.close)
        found = search._replace(curve=curve._replace(close=close)).run(size, lowest)
    return found


class _Search(NamedTuple):
    """A search for the highest quality, from `lowest` to `highest`."""

    coded: Coded
    limit: int
    curve: Curve
    lowest: int
    highest: int
    fixed: int

    def run(self, size: Size, quality: int) -> Fitted | int:
        """What fits at a size, starting with `quality`, or the bytes of the smallest that does not.

        `known` are the qualities that were tried, with the logarithms of their bytes.
        """
        low, high = self.lowest - 1, self.highest + 1
        fits: Fitted | None = None
        known: list[tuple[int, float]] = []
        least = 0
        while high - low > 1:
            quality = min(max(quality, low + 1), high - 1)
            data = self.coded(size, quality)
            if len(data) <= self.limit:
                low, fits = quality, Fitted(data, size, quality)
                if len(data) > self.curve.close * self.limit:
                    break
            else:
                high, least = quality, len(data)
            known.append((quality, self._logarithm(len(data))))
            quality = self._next(known) if len(known) < _CURVED else (low + high) // 2
        return fits or least

    def likely(self, pixels: int) -> int:
        """The quality at which an average photograph would fit."""
        average = self.curve.bits / 8 * pixels
        return self.curve.quality(self._logarithm(self.limit) - math.log(average))

    def _next(self, known: list[tuple[int, float]]) -> int:
        target = self._logarithm(self.limit)
        nearest = sorted(known, key=lambda one: abs(one[1] - target))
        quality, found = nearest[0]
        height = self.curve.height(quality)
        tilt = 1.0
        if len(nearest) > 1:
            run = height - self.curve.height(nearest[1][0])
            if run:
                tilt = min(max((found - nearest[1][1]) / run, _TILTS[0]), _TILTS[1])
        return self.curve.quality(height + (target - found) / tilt)

    def _logarithm(self, size: int) -> float:
        return math.log(max(1, size - self.fixed))


def _smaller(size: Size, found: int, wanted: int) -> Size:
    """Fewer pixels, which may take `wanted` bytes instead of `found`; the same if there are none.

    The long edge is at least one pixel shorter, and not shorter than `SMALLEST`.
    """
    edge = max(size)
    scale = _AIM * max(0, wanted) / found if found > 0 else 0.0
    shorter = max(SMALLEST, min(edge - 1, int(edge * scale**_SIDE_BY_BYTES)))
    if shorter >= edge:
        return size
    width, height = (max(1, round(side * shorter / edge)) for side in size)
    return width, height
