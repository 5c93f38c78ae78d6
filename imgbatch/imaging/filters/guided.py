"""The base of a picture: its luma without fine detail, but with its edges, by a guided filter.

In each window the luma I is modelled as a line of itself, a * I + b, with a = v / (v + e²) and
b = (1 - a) * m for the mean m and the variance v of the window: if there is little contrast, a
is nearly 0, and the mean is left; if there is much, it is nearly 1, and so is the edge. A pixel
takes the mean a and b of all the windows that it is in (K. He, J. Sun and X. Tang, Guided image
filtering, IEEE TPAMI 35, 2013). The lines change so slowly that they are computed on the means of
square cells, and interpolated (K. He and J. Sun, Fast guided filter, arXiv 1505.00996, 2015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from imgbatch.imaging.filters.strips import STRIP_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Rows = NDArray[np.float32]

_CELLS: Final = 4
"""How many cells fit into a radius, or up to twice as many."""
_COLUMNS: Final = 64
_BLOCK: Final = 64
_MAX_PRODUCTS: Final = 2**18
# OpenBLAS spreads larger products over threads, which takes more time here than it saves.


class Base:
    """The base of an image's luma (Rec. ITU-R BT.601), computed for any of its rows.

    A window reaches `radius` pixels from its centre, and is cropped at the image's edges; `edge` is
    the e above in levels: half of a contrast with that standard deviation within a window is kept.
    Cells are of `step` = radius // 4 pixels, and a window has 2 * round(radius / step) + 1 cells
    across and down.
    """

    def __init__(self, image: Image.Image, radius: int, edge: float) -> None:
        self.step = max(1, radius // _CELLS)
        reach = round(radius / self.step)
        means = _cells(image, self.step)
        mean = _windows(means, reach)
        variance = _windows(means * means, reach)
        variance -= mean * mean
        slope = variance / (variance + np.float32(edge * edge))
        mean -= slope * mean
        # With one more, equal to the last ones: there is always a next cell.
        self._lines = [
            np.pad(_windows(line, reach), ((0, 1), (0, 1)), mode="edge") for line in (slope, mean)
        ]
        self._columns = _between(np.arange(image.width), self.step, means.shape[1])

    def rows(self, top: int, luma: NDArray[np.uint8] | Rows) -> Rows:
        """The base of some rows from `top` on, given their luma (rows, width): 0 to 255."""
        slope, base = (self._interpolated(line, top, len(luma)) for line in self._lines)
        slope *= luma
        base += slope
        return base

    def _interpolated(self, line: Rows, top: int, count: int) -> Rows:
        """Interpolated between the centres of cells, constant beyond the outermost."""
        made = np.empty((count, len(self._columns[0])), np.float32)
        for start in range(0, count, _BLOCK):
            part = made[start : start + _BLOCK]
            weights, cells = self._weights(top + start, len(part), len(line) - 1)
            columns = max(1, _MAX_PRODUCTS // weights.size)
            wide = self._widened(line[cells])
            for left in range(0, made.shape[1], columns):
                span = slice(left, left + columns)
                np.matmul(weights, wide[:, span], out=part[:, span])
        return made

    def _weights(self, top: int, count: int, cells: int) -> tuple[Rows, slice]:
        """The weights of rows of cells in `count` rows from `top` on, (count, cells), and which."""
        upper, share = _between(np.arange(top, top + count), self.step, cells)
        first, last = int(upper[0]), int(upper[-1]) + 2
        weights = np.zeros((count, last - first), np.float32)
        weights[np.arange(count), upper - first] = 1 - share
        weights[np.arange(count), upper - first + 1] = share
        return weights, slice(first, last)

    def _widened(self, cells: Rows) -> Rows:
        """Rows of cells in all columns."""
        left, share = self._columns
        wide: Rows = cells[:, left]
        wide += (cells[:, left + 1] - wide) * share
        return wide


def _between(pixels: NDArray[np.int64], step: int, cells: int) -> tuple[NDArray[np.int64], Rows]:
    """For each pixel the cell before it, and its way from there to the next one, 0 to 1."""
    places = np.clip((pixels + 0.5) / step - 0.5, 0, cells - 1)
    before = places.astype(np.int64)
    return before, (places - before).astype(np.float32)


def _cells(image: Image.Image, step: int) -> Rows:
    """The mean luma of each cell; the last ones of a row or a column may have fewer pixels."""
    width, height = image.size
    across, down = (np.arange(0, side, step) for side in image.size)
    counts = np.diff(down, append=height)[:, None] * np.diff(across, append=width)
    means = np.empty(counts.shape, np.float32)
    rows = max(1, STRIP_PIXELS // width // step)
    for first in range(0, len(down), rows):
        starts = down[first : first + rows] - down[first]
        top, bottom = int(down[first]), min(height, int(down[first]) + rows * step)
        luma = np.asarray(image.crop((0, top, width, bottom)).convert("L"))
        # Columns after rows: then only few are added one by one.
        added = np.add.reduceat(luma, starts, axis=0, dtype=np.uint32)
        sums = np.add.reduceat(added, across, axis=1)
        means[first : first + rows] = sums / counts[first : first + rows]
    return means


def _windows(cells: Rows, reach: int) -> Rows:
    """The mean of each cell and those up to `reach` around it, as far as they exist."""
    for _ in range(2):
        places = np.arange(len(cells))
        lower, upper = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(cells))
        counts = (upper - lower)[:, None]
        means: Rows = np.empty(cells.shape, np.float32)
        # Some columns at a time: sums have to be in float64, which takes memory.
        for left in range(0, means.shape[1], _COLUMNS):
            part = cells[:, left : left + _COLUMNS]
            sums = np.zeros((len(part) + 1, part.shape[1]))
            np.cumsum(part, axis=0, out=sums[1:])
            means[:, left : left + _COLUMNS] = (sums[upper] - sums[lower]) / counts
        cells = means.T
    return cells
