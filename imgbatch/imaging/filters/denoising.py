"""Noise reduction in even areas that keeps the edges, tile by tile.

A window of 5 x 5 with mean m and variance v shows only noise if v is no more than the noise's own
variance n. The best linear estimate of what each pixel x was without noise is x + u * (m - x),
with u = n / max(v, n) (J.-S. Lee, Digital image enhancement and noise filtering by use of local
statistics, IEEE TPAMI 2, 1980). A pixel is in 25 windows, and takes the mean of their estimates,
as in a guided filter (K. He, J. Sun and X. Tang, Guided image filtering, IEEE TPAMI 35, 2013);
but weighted by u, so that even windows count more than those with an edge.

Planes of a tile are flat arrays, row after row, and a pixel's neighbours are found by adding to
its index: NumPy is twice as fast on them. Across the ends of rows this makes meaningless numbers;
they are in the tile's margin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from imgbatch.imaging.filters.strips import STRIP_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]
    Levels = NDArray[np.uint8]

_WIDEST: Final = 1024
"""Wider tiles with as many pixels would be low, and mostly margin."""
_MARGIN: Final = 10
"""Pixels around a tile: two windows reach 4 cells of 2 pixels, and one more is interpolated."""
_LUMA_MARGIN: Final = 4

_MIN: Final = 0.01
"""The least deviation in levels: with much less, u would not be a number."""
_RED: Final = 0.299 / 0.587
_BLUE: Final = 0.114 / 0.587
"""How much green changes relative to red and blue, so that the luma stays (Rec. ITU-R BT.601)."""


def denoised(image: Image.Image, luma: float, colours: float) -> Image.Image:
    """A new image, L or RGB as the given one, without noise of two standard deviations in levels.

    `luma` is for Y (Rec. ITU-R BT.601, in whole levels), `colours` for B - Y and R - Y; 0
    leaves them unchanged, and so does less than 0.01, which would not change a level. Windows
    for the colours are of 5 x 5 cells of 2 x 2 pixels, and v is the mean of both variances. A
    pixel x changes by the weighted mean of u * m minus that of u times x, both of which are
    interpolated between the centres of cells. Beyond the image's edges its outermost pixels are
    repeated.
    """
    made = Image.new(image.mode, image.size, None)
    for tile in _tiles(image):
        grey, *bands = _planes(image, tile)
        changes = _changes(tile, grey, bands, luma, colours)
        merged = [_changed(tile, *pair) for pair in zip(bands, changes, strict=True)]
        # Parts of a tile beyond the image are cropped.
        made.paste(Image.merge(image.mode, merged), (tile.left, tile.top))
    return made


class _Tile(NamedTuple):
    """The position of a tile, without its margin; width and height are even."""

    left: int
    top: int
    width: int
    height: int

    @property
    def stride(self) -> int:
        """The width of its planes."""
        return self.width + 2 * _MARGIN

    def inner(self, margin: int = 0) -> slice:
        """Its pixels in a plane, from the first to the last, optionally with some margin."""
        outer = _MARGIN - margin
        bottom = self.height + 2 * _MARGIN - outer
        return slice(outer * self.stride + outer, bottom * self.stride - outer)


def _tiles(image: Image.Image) -> Iterator[_Tile]:
    width, height = (side + side % 2 for side in image.size)
    across = min(width, _WIDEST)
    down = max(2, STRIP_PIXELS // across // 2 * 2)
    for top in range(0, height, down):
        for left in range(0, width, across):
            yield _Tile(left, top, min(across, width - left), min(down, height - top))


def _planes(image: Image.Image, tile: _Tile) -> list[Levels]:
    """The luma and each band of a tile and its margin."""
    left, top = tile.left - _MARGIN, tile.top - _MARGIN
    right, bottom = left + tile.stride, tile.top + tile.height + _MARGIN
    inside = max(0, left), max(0, top), min(image.width, right), min(image.height, bottom)
    part = image.crop(inside)
    rows = slice(inside[1] - top, inside[3] - top)
    columns = slice(inside[0] - left, inside[2] - left)
    planes = []
    for band in (part.convert("L"), *part.split()):
        plane = np.empty((bottom - top, tile.stride), np.uint8)
        plane[rows, columns] = np.asarray(band)
        plane[rows, : columns.start] = plane[rows, columns.start, None]
        plane[rows, columns.stop :] = plane[rows, columns.stop - 1, None]
        plane[: rows.start] = plane[rows.start]
        plane[rows.stop :] = plane[rows.stop - 1]
        planes.append(plane.ravel())
    return planes


def _changes(
    tile: _Tile, grey: Levels, bands: list[Levels], luma: float, colours: float
) -> list[Plane]:
    """What to add to the inner pixels of each band."""
    levels = grey.astype(np.float32)
    changes = [np.zeros(1, np.float32)] * len(bands)
    if colours >= _MIN and len(bands) == 3:
        red, blue = (bands[band] - levels for band in (0, 2))
        reds, blues = _colour_changes(tile, [red, blue], colours)
        changes = [reds, reds * np.float32(-_RED) - blues * np.float32(_BLUE), blues]
    if luma >= _MIN:
        lighter = _luma_change(tile, levels, luma)
        changes = [change + lighter for change in changes]
    return changes


def _luma_change(tile: _Tile, levels: Plane, deviation: float) -> Plane:
    levels = levels[tile.inner(_LUMA_MARGIN)]
    share, (mean,) = _estimates([levels], levels * levels, tile.stride, deviation)
    inner = _LUMA_MARGIN * (tile.stride + 1)
    mean -= share * levels[inner : inner + len(share)]
    return mean


def _colour_changes(tile: _Tile, planes: list[Plane], deviation: float) -> list[Plane]:
    squares = planes[0] * planes[0]
    for plane in planes[1:]:
        squares += plane * plane
    width = tile.stride // 2
    squares, *cells = (_cells(plane, width) for plane in (squares, *planes))
    share, means = _estimates(cells, squares, width, deviation)
    shares = _interpolated(share, width)
    changes = []
    for plane, mean in zip(planes, means, strict=True):
        change = _interpolated(mean, width)
        change -= shares * plane[tile.inner()]
        changes.append(change)
    return changes


def _changed(tile: _Tile, band: Levels, change: Plane) -> Image.Image:
    levels = band[tile.inner()] + change
    levels += np.float32(0.5)
    np.clip(levels, 0, 255, out=levels)
    rows = np.zeros(tile.height * tile.stride, np.uint8)
    rows[: len(levels)] = levels
    return Image.fromarray(rows.reshape(tile.height, -1)[:, : tile.width])


def _estimates(
    planes: list[Plane], squares: Plane, width: int, deviation: float
) -> tuple[Plane, list[Plane]]:
    """For all windows that a pixel is in, the weighted means of u, and of u * m for each plane.

    `squares` are those of all planes together. The first results are those of the pixel four rows
    and four columns further on.
    """
    sums = [_sums(plane, width) for plane in planes]
    # The variance, 625-fold for each plane, and then u.
    share = _sums(squares, width)
    share *= np.float32(25)
    for total in sums:
        share -= total * total
    least = np.float32(625 * len(planes) * deviation * deviation)
    np.maximum(share, least, out=share)
    np.divide(least, share, out=share)
    weight = _sums(share, width)
    np.divide(np.float32(1), weight, out=weight)
    share *= share
    shares = _sums(share, width)
    shares *= weight
    share *= np.float32(1 / 25)
    means = []
    for total in sums:
        total *= share
        mean = _sums(total, width)
        mean *= weight
        means.append(mean)
    return shares, means


def _sums(plane: Plane, width: int) -> Plane:
    """The sums of 5 x 5 pixels, for each pixel that is the first of them."""
    down = plane[:-width] + plane[width:]
    down = down[: -2 * width] + down[2 * width :]
    down = down[:-width] + plane[4 * width :]
    across = down[:-1] + down[1:]
    across = across[:-2] + across[2:]
    across = across[:-1]
    across += down[4:]
    return across


def _cells(plane: Plane, width: int) -> Plane:
    """The means of 2 x 2 pixels: rows of `width` cells."""
    rows = plane.reshape(-1, 2, 2 * width)
    pairs = rows[:, 0] + rows[:, 1]
    cells = pairs[:, 0::2] + pairs[:, 1::2]
    cells *= np.float32(0.25)
    return cells.ravel()


def _interpolated(cells: Plane, width: int) -> Plane:
    """Pixels between the centres of cells, from the second row and column of cells on.

    As many as a tile has from its first to its last one.
    """
    rows = np.zeros((-(-len(cells) // width), width), np.float32)
    rows.ravel()[: len(cells)] = cells
    down = np.empty((len(rows) - 2, 2, width), np.float32)
    quarter = rows * np.float32(0.25)
    near = rows[1:-1] * np.float32(0.75)
    np.add(near, quarter[:-2], out=down[:, 0])
    np.add(near, quarter[2:], out=down[:, 1])
    flat = down.ravel()
    quarter = flat * np.float32(0.25)
    near = flat[1:-1] * np.float32(0.75)
    across = np.empty((len(near), 2), np.float32)
    np.add(near, quarter[:-2], out=across[:, 0])
    np.add(near, quarter[2:], out=across[:, 1])
    return across.ravel()[: 4 - 2 * _MARGIN]
