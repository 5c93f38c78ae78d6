"""What a resized picture should look like, computed in float64 without any library's resampling.

And how far a picture is from it: PSNR and SSIM of the luma.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Floats = npt.NDArray[np.float64]

LOBES = 3
LUMA = (0.299, 0.587, 0.114)
"""The weights of R, G and B (ITU-R BT.601), as JPEG has them."""

_COLUMNS = 64
_STRIP = 192
_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def luma(path: Path, size: tuple[int, int]) -> Floats:
    """The luma, 0 to 255, of the upright picture in `path` resampled to `size`, on white.

    Decoded in full, then Lanczos-3 on each channel, widened by the scale where it shrinks. Raises
    what Pillow does for files that it cannot read.
    """
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
    opaque = "A" not in upright.getbands() and "transparency" not in upright.info
    pixels = np.asarray(upright.convert("RGB" if opaque else "RGBA"))
    alpha = None
    if not opaque:
        alpha = resampled(pixels[:, :, 3], size).clip(0, 255) / 255
    total = np.zeros((size[1], size[0]))
    for channel, weight in enumerate(LUMA):
        values = pixels[:, :, channel].astype(np.float64)
        if alpha is not None:
            # Hidden colours must not show, so each is weighted by its visibility.
            values *= pixels[:, :, 3] / 255
        made = resampled(values, size)
        if alpha is not None:
            made += 255 * (1 - alpha)
        total += weight * made.clip(0, 255)
    return total


def shown_luma(image: Image.Image) -> Floats:
    """The luma, 0 to 255, of a picture as displayed: upright, and on white."""
    upright = ImageOps.exif_transpose(image)
    if "A" in upright.getbands() or "transparency" in upright.info:
        pixels = np.asarray(upright.convert("RGBA")).astype(np.float64)
        alpha = pixels[:, :, 3:] / 255
        colours = pixels[:, :, :3] * alpha + 255 * (1 - alpha)
    else:
        colours = np.asarray(upright.convert("RGB")).astype(np.float64)
    shown: Floats = colours @ np.array(LUMA)
    return shown


def resampled(values: npt.NDArray[np.uint8] | Floats, size: tuple[int, int]) -> Floats:
    """Resample rows and columns of numbers to `size` (width, height) by Lanczos-3."""
    across = _along_rows(values.astype(np.float64), size[0])
    # Vertical is horizontal on the transposed picture.
    return np.ascontiguousarray(_along_rows(np.ascontiguousarray(across.T), size[1]).T)


def _along_rows(values: Floats, width: int) -> Floats:
    if values.shape[1] == width:
        return values
    made = np.empty((values.shape[0], width))
    for begin in range(0, width, _COLUMNS):
        first, weights = lanczos(values.shape[1], width, begin, min(begin + _COLUMNS, width))
        made[:, begin : begin + weights.shape[1]] = (
            values[:, first : first + weights.shape[0]] @ weights
        )
    return made


def lanczos(source: int, target: int, begin: int, end: int) -> tuple[int, Floats]:
    """The weights that make columns `begin` to `end` of `target` from those of `source`.

    Returns the first source column, and a matrix of (source columns, target columns).
    """
    scale = source / target
    stretch = max(1.0, scale)
    reach = LOBES * stretch
    centres = (np.arange(begin, end) + 0.5) * scale
    first = max(0, math.floor(centres[0] - reach))
    last = min(source, math.ceil(centres[-1] + reach))
    places = (np.arange(first, last)[:, None] + 0.5 - centres[None, :]) / stretch
    weights = np.where(np.abs(places) < LOBES, np.sinc(places) * np.sinc(places / LOBES), 0.0)
    weights /= weights.sum(axis=0)
    return first, weights


def psnr(one: Floats, other: Floats) -> float:
    """Peak signal-to-noise ratio in dB, of levels 0 to 255."""
    mean_square = float(np.mean((one - other) ** 2))
    return 10 * math.log10(255**2 / mean_square) if mean_square else math.inf


def ssim(one: Floats, other: Floats) -> float:
    """The mean structural similarity of levels 0 to 255; 1 if they are the same.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE Transactions on Image Processing 13 (2004): a Gaussian window of 11
    x 11, sigma 1.5, K1 0.01, K2 0.03, where it lies within the picture. Not downsampled first.
    """
    total, count = 0.0, 0
    for top in range(0, one.shape[0] - 2 * _RADIUS, _STRIP):
        rows = slice(top, top + _STRIP + 2 * _RADIUS)
        similar = _similarity(one[rows], other[rows])
        total += float(similar.sum())
        count += similar.size
    if not count:
        raise ValueError(f"{one.shape[1]} x {one.shape[0]} pixels are fewer than the window has")
    return total / count


def _similarity(one: Floats, other: Floats) -> Floats:
    mean_one, mean_other = _blurred(one), _blurred(other)
    both = mean_one * mean_other
    squares = mean_one**2 + mean_other**2
    covariance = _blurred(one * other) - both
    variances = _blurred(one**2 + other**2) - squares
    similar: Floats = ((2 * both + _C1) * (2 * covariance + _C2)) / (
        (squares + _C1) * (variances + _C2)
    )
    return similar


def _blurred(values: Floats) -> Floats:
    """The weighted mean of each window that lies within."""
    places = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-(places**2) / (2 * _SIGMA**2))
    window /= window.sum()
    height, width = (side - 2 * _RADIUS for side in values.shape)
    down = sum(weight * values[at : at + height] for at, weight in enumerate(window))
    across: Floats = sum(weight * down[:, at : at + width] for at, weight in enumerate(window))
    return across
