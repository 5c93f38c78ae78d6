"""Noise like film grain: the same on every machine, with grains of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from imgbatch.imaging.filters.strips import strips
from imgbatch.model import Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIDDLE: Final = 128
"""The level of noise that means 0."""

DEVIATION: Final = 28
"""The standard deviation of noise in levels; values further off than 127 are clipped."""

_BITS: Final = 32
"""A value is how many of this many random bits are set: nearly normal, in steps of 0.35 σ."""


def field(size: Size, grain: float, seeds: tuple[int, ...]) -> Image.Image:
    """Noise (L) around MIDDLE, with DEVIATION, of `size`, with grains of `grain` pixels.

    `seeds` are whole numbers from 0. The random bits are PCG64's, whose stream NumPy guarantees
    (NEP 19), in order, the lower half of each number first; each row begins with a new number.
    Up to one pixel there is a value for each pixel; larger grains are made by weighting each with
    its neighbours across and down by (a, 1 - 2 a, a), where a grows to 1/4 at two pixels. Beyond
    that, a field with such grains is enlarged; Lanczos keeps its deviation uniform.
    """
    width, height = size
    scale = max(1.0, grain / 2)
    cells = max(1, round(width / scale)), max(1, round(height / scale))
    aside = min(max(grain - 1, 0.0), 1.0) / 4
    made = Image.fromarray(_smoothed(_counts(cells, seeds), aside))
    return made if cells == size else made.resize(size, Image.Resampling.LANCZOS)


def _counts(size: Size, seeds: tuple[int, ...]) -> NDArray[np.uint8]:
    """Values from 0 to _BITS, with one more at each side: (height + 2, width + 2)."""
    width, height = size[0] + 2, size[1] + 2
    stream = np.random.PCG64(np.random.SeedSequence(seeds))
    counts = np.empty((height, width), np.uint8)
    words = (width + 1) // 2
    for top, bottom in strips((width, height)):
        strip = counts[top:bottom]
        drawn = stream.random_raw(len(strip) * words).astype("<u8", copy=False)
        halves = drawn.view("<u4").reshape(len(strip), 2 * words)
        np.bitwise_count(halves[:, :width], out=strip)
    return counts


def _smoothed(counts: NDArray[np.uint8], aside: float) -> NDArray[np.uint8]:
    """Weighted with its neighbours, with DEVIATION around MIDDLE; without the sides."""
    height, width = counts.shape[0] - 2, counts.shape[1] - 2
    kept = (1 - 2 * aside) ** 2 + 2 * aside**2
    middle = np.float32((1 - 2 * aside) / aside) if aside else np.float32(1)
    # Weights of 1, middle, 1 need one product less per pixel.
    factor = DEVIATION / (_BITS / 4) ** 0.5 / kept * (aside**2 if aside else 1)
    made = np.empty((height, width), np.uint8)
    for top, bottom in strips((width, height)):
        strip = counts[top : bottom + 2].astype(np.float32)
        strip -= _BITS / 2
        inner = strip[1:-1, 1:-1]
        if aside:
            across = strip[:, 1:-1] * middle
            across += strip[:, :-2]
            across += strip[:, 2:]
            inner = across[1:-1] * middle
            inner += across[:-2]
            inner += across[2:]
        levels = inner * np.float32(factor)
        levels += MIDDLE + 0.5
        np.clip(levels, 1, 255, out=levels)
        made[top:bottom] = levels
    return made
