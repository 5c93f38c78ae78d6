"""Gaussian blur in float32, some rows at a time; the caller rounds it, once.

The Gaussian is sampled at whole pixels, cut off at four standard deviations, and normalised. It
is separable, so rows and columns are multiplied one after the other by matrices whose columns
are Gaussians. They consist of blocks along their diagonal (the rest is zeros), each a product
for NumPy's BLAS.

A wide Gaussian is the convolution of two with half its variance each. The result of the first is
so smooth that it is only needed at every few pixels, and the second then fills the gaps: the
error is below 255 * exp(-pi**2 * spread**2) levels, `spread` being the standard deviation of
each in steps, which is 0.9 or more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from imgbatch.imaging.filters.strips import STRIP_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIN_ROWS: Final = 32
# Rows of a strip: with fewer, products are too small for the BLAS.
_CUT: Final = 4.0
_MIN_SPREAD: Final = 0.9
_MIN_STEP: Final = 3
_MAX_PRODUCTS: Final = 2**18
# OpenBLAS spreads larger products over threads, which at these sizes takes more time than it
# saves, and other workers' processors.
_ROWS: Final = 8
_COLUMNS: Final = 32
_POINTS: Final = 16
_MAX: Final = 64
# How many rows, columns or points of the coarse grid a block makes: more waste multiplications
# by zero, fewer make products too small for the BLAS.


def blurred(
    image: Image.Image, sigma: float, mode: str
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Strips of a blurred image from top to bottom: the number of the first row, and its rows.

    `sigma` is the standard deviation in pixels, 0.1 or more; beyond the image's edges its outermost
    pixels are repeated. The image is first converted to `mode`, of 8 bits a channel.
    Rows are (channels, rows, width), from 0 to 255, neither rounded nor clipped.
    """
    half = sigma / math.sqrt(2)
    step = int(half / _MIN_SPREAD)
    if step < _MIN_STEP:
        return _blurred_directly(image, sigma, mode)
    return _blurred_in_two(image, half, step, mode)


class _Block(NamedTuple):
    """Weights of the sources `lower` to `upper` in the results `first` to `last`.

    (last - first, upper - lower), float32.
    """

    first: int
    last: int
    lower: int
    upper: int
    weights: NDArray[np.float32]


class _Axis(NamedTuple):
    """Where the results are among `length` sources: at `start`, and from there every `step`."""

    results: int
    start: float
    step: float
    length: int


def _blocks(axis: _Axis, sigma: float, size: int) -> list[_Block]:
    """Gaussians around all results, `size` of them per block."""
    reach = math.ceil(_CUT * sigma)
    found = []
    for first in range(0, axis.results, size):
        last = min(axis.results, first + size)
        centre = axis.start + first * axis.step
        lower = math.floor(centre + 1e-9)
        weights = _gaussians(last - first, round(centre - lower, 9), axis.step, sigma, reach)
        found.append(_folded(first, last, lower - reach, weights, axis.length))
    return found


@lru_cache(maxsize=16)
def _gaussians(
    count: int, start: float, step: float, sigma: float, reach: int
) -> NDArray[np.float32]:
    """For results at `start` and every `step`, from sources at -`reach`, 1 - `reach` and so on."""
    centres = start + np.arange(count) * step
    sources = np.arange(-reach, math.ceil(centres[-1]) + reach + 1)
    distance = np.abs(sources - centres[:, None])
    weights = np.exp(-0.5 * np.square(distance / sigma))
    # Not only for speed: numbers too small for float32 would make multiplication very slow.
    weights[distance > reach] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    rounded: NDArray[np.float32] = weights.astype(np.float32)
    return rounded


def _folded(first: int, last: int, lower: int, weights: NDArray[np.float32], length: int) -> _Block:
    """The outermost of `length` sources also get the weights of all that would be beyond them."""
    upper = lower + weights.shape[1]
    if lower < 0 or upper > length:
        sources = np.clip(np.arange(lower, upper), 0, length - 1)
        starts = np.flatnonzero(np.diff(sources, prepend=-1))
        weights = np.add.reduceat(weights, starts, axis=1)
        lower, upper = int(sources[0]), int(sources[-1]) + 1
    return _Block(first, last, lower, upper, weights)


def _down(blocks: list[_Block], planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows that some blocks make of (channels, rows, width), of which they only need a part."""
    channels, _, width = planes.shape
    top, lowest = blocks[0].first, blocks[0].lower
    made = np.empty((channels, blocks[-1].last - top, width), np.float32)
    for first, last, lower, upper, weights in blocks:
        columns = max(1, _MAX_PRODUCTS // weights.size)
        for left in range(0, width, columns):
            part = planes[:, lower - lowest : upper - lowest, left : left + columns]
            np.matmul(weights, part, out=made[:, first - top : last - top, left : left + columns])
    return made


def _across(blocks: list[_Block], planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """All columns that `_turned` blocks make of (channels, rows, width)."""
    channels, height, width = planes.shape
    flat = planes.reshape(channels * height, width)
    made = np.empty((channels * height, blocks[-1].last), np.float32)
    for first, last, lower, upper, weights in blocks:
        rows = max(1, _MAX_PRODUCTS // weights.size)
        for top in range(0, len(flat), rows):
            part = flat[top : top + rows, lower:upper]
            np.matmul(part, weights, out=made[top : top + rows, first:last])
    return made.reshape(channels, height, -1)


def _turned(blocks: list[_Block]) -> list[_Block]:
    """With their weights as (sources, results), in that order in memory, too: it is faster."""
    return [block._replace(weights=np.ascontiguousarray(block.weights.T)) for block in blocks]


def _read(image: Image.Image, mode: str, top: int, planes: NDArray[np.float32]) -> None:
    """Fill (channels, rows, width) with the rows of an image from `top` on."""
    part = image.crop((0, top, image.width, top + planes.shape[1]))
    if mode != part.mode:
        part = part.convert(mode)
    # Pillow packs a channel of RGB in less time than it splits one off.
    if mode == "RGB":
        bands = [part.tobytes("raw", band) for band in mode]
    else:
        bands = [band.tobytes() for band in part.split()]
    for plane, band in zip(planes, bands, strict=True):
        plane[:] = np.frombuffer(band, np.uint8).reshape(plane.shape)


def _blurred_directly(
    image: Image.Image, sigma: float, mode: str
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    width, height = image.size
    across = _turned(_blocks(_Axis(width, 0, 1, width), sigma, _COLUMNS))
    parts = list(_strips(_blocks(_Axis(height, 0, 1, height), sigma, _ROWS), width))
    most = max(part[-1].upper - part[0].lower for part in parts)
    planes = np.empty((Image.getmodebands(mode), most, width), np.float32)
    top = bottom = 0
    for part in parts:
        lower, upper = part[0].lower, part[-1].upper
        # Rows around the last strip are those around this one, too.
        kept = bottom - lower
        planes[:, :kept] = planes[:, lower - top : bottom - top]
        _read(image, mode, bottom, planes[:, kept : upper - lower])
        top, bottom = lower, upper
        yield part[0].first, _across(across, _down(part, planes))


def _blurred_in_two(
    image: Image.Image, half: float, step: int, mode: str
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Twice with a standard deviation of `half`, in between only every `step` pixels."""
    width, height = image.size
    beyond = math.ceil(_CUT * half / step)
    columns, rows = (
        _Axis(math.ceil(side / step) + 2 * beyond, -beyond * step, step, side)
        for side in image.size
    )
    coarse = _coarse(image, mode, columns, rows, half)
    spread = half / step
    across = _Axis(width, beyond, 1 / step, columns.results)
    down = _Axis(height, beyond, 1 / step, rows.results)
    return _filled(
        coarse,
        _turned(_blocks(across, spread, _many(_COLUMNS, step))),
        _blocks(down, spread, _many(_ROWS, step)),
    )


def _many(size: int, step: int) -> int:
    """At least `size`: a multiple of the step, unless that is large, so that all weights agree."""
    return min(step * math.ceil(size / step), _MAX)


def _filled(
    coarse: NDArray[np.float32], across: list[_Block], down: list[_Block]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for part in _strips(down, across[-1].last):
        planes = coarse[:, part[0].lower : part[-1].upper]
        yield part[0].first, _across(across, _down(part, planes))


def _coarse(
    image: Image.Image, mode: str, columns: _Axis, rows: _Axis, sigma: float
) -> NDArray[np.float32]:
    """The blurred planes where `columns` and `rows` meet, within the image or beyond."""
    across = _turned(_blocks(columns, sigma, _POINTS))
    channels = Image.getmodebands(mode)
    narrow = np.empty((channels, image.height, columns.results), np.float32)
    height = min(image.height, max(_MIN_ROWS, STRIP_PIXELS // image.width))
    planes = np.empty((channels, height, image.width), np.float32)
    for top in range(0, image.height, height):
        part = planes[:, : image.height - top]
        _read(image, mode, top, part)
        narrow[:, top : top + height] = _across(across, part)
    return _down(_blocks(rows, sigma, _POINTS), narrow)


def _strips(blocks: list[_Block], width: int) -> Iterator[list[_Block]]:
    """The blocks that make a strip, from top to bottom."""
    count = math.ceil(max(_MIN_ROWS, STRIP_PIXELS // width) / blocks[0].last)
    for start in range(0, len(blocks), count):
        yield blocks[start : start + count]
