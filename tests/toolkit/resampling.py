"""Resampling by definition, in float64, and pictures to try it on."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgbatch.imaging.picture import Box
from imgbatch.model import Size

Floats = NDArray[np.float64]
SMOOTH_KERNELS: Final = ("lanczos", "bicubic", "mitchell", "bilinear", "hamming", "box")
BANDS: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 1}


# Odd on purpose: then no pixel's centre lies exactly on the border of a box kernel.
WIDTH, HEIGHT = 211, 157
WHOLE: Final = (0.0, 0.0, float(WIDTH), float(HEIGHT))
PART: Final = (20.3, 31.7, 160.2, 149.1)


def _cubic(b: float, c: float) -> Callable[[Floats], Floats]:
    """The family of cubic filters of Mitchell and Netravali (SIGGRAPH 1988, equation 8)."""

    def weight(distance: Floats) -> Floats:
        x = np.abs(distance)
        near = (12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + (6 - 2 * b)
        far = (
            (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c
        )
        return np.where(x < 1, near, np.where(x < 2, far, 0.0)) / 6

    return weight


def _lanczos(x: Floats) -> Floats:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _hamming(x: Floats) -> Floats:
    window = 0.54 + 0.46 * np.cos(np.pi * x)
    return np.where(np.abs(x) < 1, np.sinc(x) * window, 0.0)


DEFINITIONS: Final[dict[str, Callable[[Floats], Floats]]] = {
    "lanczos": _lanczos,
    "bicubic": _cubic(0, 0.5),
    "mitchell": _cubic(1 / 3, 1 / 3),
    "bilinear": lambda x: np.maximum(0.0, 1 - np.abs(x)),
    "hamming": _hamming,
    "box": lambda x: np.where(np.abs(x) < 0.5, 1.0, 0.0),
}


def _convolved_along(pixels: Floats, length: int, kernel: str, start: float, stop: float) -> Floats:
    """Resample the first axis to another length, from its part between `start` and `stop`.

    Summed tap by tap: a product of matrices would start a thread for each processor.
    """
    scale = (stop - start) / length
    centres = start + (np.arange(length) + 0.5) * scale
    reach = math.ceil(3 * max(scale, 1.0)) + 1
    taps = np.floor(centres).astype(int)[:, None] + np.arange(-reach, reach + 1)[None, :]
    weights = DEFINITIONS[kernel]((taps + 0.5 - centres[:, None]) / max(scale, 1.0))
    weights[(taps < 0) | (taps >= len(pixels))] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    taps = taps.clip(0, len(pixels) - 1)
    result = np.zeros((length, *pixels.shape[1:]))
    for tap, weight in zip(taps.T, weights.T, strict=True):
        result += weight[:, None, None] * pixels[tap]
    return result


def convolved(pixels: Floats, size: Size, kernel: str, box: Box) -> Floats:
    """Resample the part `box` of (height, width, bands), neither rounded nor clipped.

    Pixels outside `box` count where the kernel reaches them; beyond the picture there are none.
    """
    down = _convolved_along(pixels, size[1], kernel, box[1], box[3])
    across = _convolved_along(down.swapaxes(0, 1), size[0], kernel, box[0], box[2])
    return across.swapaxes(0, 1)


def rmse(one: Floats, other: Floats) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def planes(image: Image.Image) -> Floats:
    """Its numbers as (height, width, bands)."""
    width, height = image.size
    return np.asarray(image).astype(np.float64).reshape(height, width, -1)


@functools.cache
def picture_like(mode: str, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Smooth gradients, hard edges, texture and noise; alpha goes from 0 to 255 and back."""
    noise = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    bands = []
    for band in range(BANDS[mode]):
        gradient = 60 + 50 * (x / width + y / height * (band + 1) / 3)
        disc = np.hypot(x - width * 0.4, y - height * (0.3 + 0.1 * band)) < height * 0.27
        bar = np.abs(x - y * 0.7 - 20 * band) < 6
        texture = 12 * np.sin(x * 0.9 + band) * np.sin(y * 0.7) + noise.normal(0, 4, x.shape)
        bands.append(gradient + 50 * disc - 40 * bar + texture)
    if mode in ("LA", "RGBA"):
        distance = np.hypot(x - width / 2, y - height / 2)
        bands[-1] = 255 * np.clip((distance - height / 6) / (height / 2.6), 0, 1)
    pixels = np.stack(bands, axis=-1)
    if mode == "I;16":
        return Image.fromarray(np.rint(pixels[:, :, 0] * 257).astype(np.uint16))
    levels = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    return Image.frombytes(mode, (width, height), levels.tobytes())
