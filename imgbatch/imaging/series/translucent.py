"""Pictures with half transparency in few colours: `quantise` has the others.

Distances are those of colours times alpha, and of alpha, so that what is hardly seen hardly counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgbatch.imaging.series.quantise import Pixels

Palette = NDArray[np.uint8]
"""RGBA, (colours, 4), not premultiplied."""

_Points = NDArray[np.float32]
"""Colours times alpha, and alpha, 0 to 255: (n, 4)."""

SAMPLE: Final = 20_000
_ROUNDS: Final = 5
_OPAQUE: Final = 255
_NEARLY: Final = 224
_FAR: Final = 1e9
_SINGLE: Final = 1 << 18
"""Multiplications that OpenBLAS does in one thread: the workers already share the processors."""

# What of a pixel's error the next ones get (Floyd and Steinberg, 1976): in its row, and below it.
_NEXT: Final = np.float32(7 / 16)
_BELOW: Final = tuple(np.float32(share / 16) for share in (3, 5, 1))


def palette_for(colours: Palette, count: int) -> Palette:
    """At most `count` colours for a sample: an octree's, moved to the middle of what is theirs.

    Those of opaque pixels are opaque (k-means: Lloyd, Least squares quantization in PCM, 1982).
    """
    if not len(colours):
        return np.zeros((1, 4), np.uint8)
    points = _apart(colours)
    row = Image.frombuffer("RGBA", (1, len(colours)), colours)
    octree = row.quantize(count, Image.Quantize.FASTOCTREE).getpalette("RGBA") or []
    start = np.array(octree, np.uint8).reshape(-1, 4)[:count]
    # An octree mixes what is opaque with what is nearly so.
    start[start[:, 3] >= _NEARLY, 3] = _OPAQUE
    centres = _apart(start)
    for _ in range(_ROUNDS):
        distances = _distances(points, centres)
        nearest = distances.argmin(axis=1)
        sizes = np.bincount(nearest, minlength=len(centres))
        sums = [np.bincount(nearest, points[:, one], len(centres)) for one in range(5)]
        used = sizes > 0
        centres = (np.stack(sums, axis=1)[used] / sizes[used, None]).astype(np.float32)
        # Places that are free go to what is farthest from its colour.
        errors = distances[np.arange(len(points)), nearest] + (points**2).sum(axis=1)
        farthest = points[np.argsort(-errors, kind="stable")[: 8 * count : 8]]
        centres = np.concatenate([centres, farthest[: count - len(centres)]])
    return np.unique(_straight(centres), axis=0)


def _apart(colours: NDArray[np.uint8]) -> _Points:
    """Points with a fifth coordinate, which keeps those that are opaque away from all others."""
    opaque = colours[:, 3:] == _OPAQUE
    return np.concatenate([_premultiplied(colours), np.float32(_OPAQUE) * opaque], axis=1)


def reduced(pixels: Pixels, palette: Palette, *, dither: bool) -> NDArray[np.uint8]:
    """The palette index of each pixel, (height, width).

    Opaque pixels get opaque colours if there are any, and what cannot be seen the first colour with
    alpha 0. With `dither` errors are diffused, except from and into what cannot be seen.
    """
    height, width = pixels.shape[:2]
    nearest = _Nearest(palette)
    flat = pixels.reshape(-1, 4)
    numbers = np.empty(height * width, np.uint8)
    if not dither or width < _REACH:
        for row in range(height):
            part = np.s_[row * width : (row + 1) * width]
            numbers[part], _ = nearest.of(flat[part], None)
        return numbers.reshape(height, width)
    # Pixels that are two to the left for each row below do not depend on each other.
    step = width - 2
    errors = np.zeros((_REACH + 1, height + 1, 4), np.float32)
    for time, top, bottom in _waves(width, height):
        start = time + top * step
        part = np.s_[start : start + (bottom - top - 1) * step + 1 : step]
        now, soon, later, last = (errors[(time + one) % (_REACH + 1)] for one in range(4))
        numbers[part], missed = nearest.of(flat[part], now[top:bottom])
        # What is above them is read no more.
        now[top : bottom + 1] = 0
        soon[top:bottom] += missed * _NEXT
        for share, target in zip(_BELOW, (soon, later, last), strict=True):
            target[top + 1 : bottom + 1] += missed * share
    return numbers.reshape(height, width)


_REACH: Final = 3
"""How many waves later the last of a pixel's errors arrives."""


def _waves(width: int, height: int) -> Iterator[tuple[int, int, int]]:
    """The number of each wave, its first row, and the row after its last."""
    for time in range(width + 2 * (height - 1)):
        yield time, max(0, (time - width + 2) // 2), min(height, time // 2 + 1)


class _Nearest:
    """Finds the nearest colours of a palette."""

    def __init__(self, palette: Palette) -> None:
        self._points = points = _premultiplied(palette)
        self._clear = int(np.argmin(palette[:, 3]))
        sees_through = palette[:, 3] < _OPAQUE
        penalty = np.where(sees_through & (not sees_through.all()), _FAR, 0)
        # Times a pixel, 1, and whether it is opaque: its squared distance, less its own square.
        rows = (-2 * points.T, (points**2).sum(axis=1), penalty)
        self._distances = np.vstack(rows).astype(np.float32)
        self._at_once = max(1, _SINGLE // self._distances.size)

    def of(
        self, pixels: NDArray[np.uint8], errors: _Points | None
    ) -> tuple[NDArray[np.uint8], _Points]:
        """The indices for RGBA pixels (n, 4), and what is left over.

        `errors` are to be made up for.
        """
        wanted = _premultiplied(pixels)
        if errors is not None:
            wanted += errors
            np.clip(wanted, 0, _OPAQUE, out=wanted)
        known = np.ones((len(pixels), 6), np.float32)
        known[:, :4] = wanted
        known[:, 5] = pixels[:, 3] == _OPAQUE
        found = np.empty(len(pixels), np.uint8)
        for first in range(0, len(pixels), self._at_once):
            part = np.s_[first : first + self._at_once]
            found[part] = (known[part] @ self._distances).argmin(axis=1)
        hidden = pixels[:, 3] == 0
        found[hidden] = self._clear
        left = wanted - self._points[found]
        left[hidden] = 0
        return found, left


def _distances(points: _Points, centres: _Points) -> NDArray[Any]:
    """The squared distance of each point from each centre, less the point's own square."""
    known: NDArray[Any] = (centres**2).sum(axis=1)
    distances: NDArray[Any] = known - 2 * (points @ centres.T)
    return distances


def _premultiplied(colours: NDArray[np.uint8]) -> _Points:
    points = colours.astype(np.float32)
    points[:, :3] *= points[:, 3:] / _OPAQUE
    return points


def _straight(points: _Points) -> Palette:
    alpha, opaque = points[:, 3:4], points[:, 4] > _OPAQUE / 2
    made = np.concatenate([points[:, :3] * (_OPAQUE / np.maximum(alpha, 1)), alpha], axis=1)
    colours: Palette = np.clip(np.rint(made), 0, _OPAQUE).astype(np.uint8)
    colours[opaque, 3] = _OPAQUE
    return colours
