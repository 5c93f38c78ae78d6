"""Colours that nobody sees, under transparent pixels.

Lossy encoders do not know that these cannot be seen: they mix them with what is next to them, and
spend bytes on them. So what is hidden gets the colours around it, as smoothly as can be: the means
of what is visible in cells of 8 x 8 pixels, interpolated, or in ever larger cells where all of one
is hidden (push and pull: Gortler et al., The lumigraph, SIGGRAPH 1996, 3.4).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from imgbatch.imaging import resample
from imgbatch.imaging.deep import Deep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.model import Size

    Numbers = NDArray[np.unsignedinteger[Any]]
    """Each pixel as one number, (height, width)."""

_CELL: Final = 8
_LARGER: Final = 4
"""How many times larger the next cells are."""

_PATCH: Final = 4
"""Pixels across and down that get one interpolated colour: half a cell."""

_FEW: Final = 64
"""Alpha of a cell, 0 to 255, below which colours times alpha are too coarse in 8 bits."""

_TO_16_BITS: Final = 257


def filled(pixels: Image.Image | Deep) -> Image.Image | Deep:
    """Pixels with alpha (LA, RGBA, or 16 bits) whose hidden colours are like those next to them.

    Only where alpha is 0. The very same object if that is nowhere, or everywhere.
    """
    if isinstance(pixels, Deep):
        hidden = pixels.array[..., -1] == 0
        if not hidden.any() or hidden.all():
            return pixels
        made = pixels.array.copy()
        _cover(made, hidden, Deep(_whole(_means(pixels))))
        return Deep(made)
    alpha = pixels.getchannel("A")
    lowest, highest = alpha.getextrema()
    if lowest or not highest:
        return pixels
    if pixels.mode == "LA":
        return filled(pixels.convert("RGBA")).convert("LA")  # type: ignore[union-attr]
    levels, image = _copied(pixels)
    means = _means(pixels)
    _correct(means, levels)
    whole = (_whole(means) >> 8).astype(np.uint8)
    _cover(levels, np.asarray(alpha) == 0, Image.fromarray(whole))
    return image


def _copied(image: Image.Image) -> tuple[NDArray[np.uint8], Image.Image]:
    """A copy of an RGBA image, as an array and as an image of the same bytes."""
    levels = np.empty((image.height, image.width, 4), np.uint8)
    mapped = Image.frombuffer("RGBA", image.size, levels, "raw", "RGBA", 0, 1)
    # These bytes may be written to. It takes a quarter of the time of the usual two copies.
    mapped.readonly = 0
    mapped.paste(image, (0, 0))
    return levels, mapped


def _means(pixels: Image.Image | Deep) -> NDArray[np.uint16]:
    """The mean of each cell, weighted by alpha, (height, width, channels)."""
    small = resample.resize(pixels, _divided(pixels.size, _CELL), "box")
    return small.array if isinstance(small, Deep) else np.asarray(small, np.uint16) * _TO_16_BITS


def _correct(means: NDArray[np.uint16], levels: NDArray[np.uint8]) -> None:
    """Compute means again that were rounded, because little of their cells is visible."""
    alpha = means[..., -1]
    few = ((alpha > 0) & (alpha < _FEW * _TO_16_BITS)).nonzero()
    # Where the cells begin: they are a little smaller if they do not divide the picture evenly.
    down, across = (
        np.minimum((where * (length / cells)).astype(int)[:, None] + range(_CELL), length - 1)
        for where, length, cells in zip(few, levels.shape, means.shape, strict=False)
    )
    channels = levels.shape[2]
    parts = _numbers(levels)[down[:, :, None], across[:, None, :]]
    bands = parts.view(np.uint8).reshape(-1, _CELL**2, channels)
    seen = bands[..., -1] > 0
    total = np.einsum("cpb,cp->cb", bands, seen, dtype=np.uint32, casting="unsafe")
    # A cell whose visible pixels are all beyond these counts as empty.
    means[few] = total * _TO_16_BITS // np.maximum(1, seen.sum(axis=1, keepdims=True))


def _cover(levels: NDArray[Any], hidden: NDArray[np.bool_], cells: Image.Image | Deep) -> None:
    """Interpolate the pixels that are hidden from cells."""
    height, width = hidden.shape
    around = resample.resize(cells, _divided((width, height), _PATCH), "bilinear")
    patches = np.array(around) if isinstance(around, Image.Image) else around.array
    patches[..., -1] = 0
    wide = np.repeat(_numbers(patches), _PATCH, axis=1)[:, :width]
    for row in range(_PATCH):
        rows = _numbers(levels)[row::_PATCH]
        np.copyto(rows, wide[: len(rows)], where=hidden[row::_PATCH])


def _whole(means: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Opaque, with what is empty interpolated from larger cells."""
    made = means.copy()
    empty = means[..., -1] == 0
    made[..., -1][~empty] = 65_535
    if empty.any() and not empty.all():
        size = (means.shape[1], means.shape[0])
        larger = _whole(_resized(made, _divided(size, _LARGER), "box"))
        around = _numbers(_resized(larger, size, "bilinear"))
        np.copyto(_numbers(made), around, where=empty)
    return made


def _resized(array: NDArray[np.uint16], size: Size, kernel: str) -> NDArray[np.uint16]:
    return resample.resize_array(array, size, kernel, (0, 0, array.shape[1], array.shape[0]))


def _numbers(levels: NDArray[Any]) -> Numbers:
    return levels.view(f"u{levels.itemsize * levels.shape[2]}")[..., 0]


def _divided(size: Size, by: int) -> Size:
    return math.ceil(size[0] / by), math.ceil(size[1] / by)
