"""NumPy on the colours of a picture, channel by channel and some rows at a time.

A separate channel is contiguous, which makes arithmetic on it fast; the rows of a strip stay in
the processor's cache, and need hardly any memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from imgbatch.imaging.filters.strips import strips

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Band = NDArray[np.uint8]
    Change = Callable[[Image.Image, list[Band], int], Sequence[Band]]


def mapped(image: Image.Image, change: Change) -> Image.Image:
    """A new image of what `change` makes of the colours of each strip; alpha stays unchanged.

    `image` is in mode L, LA, RGB or RGBA. `change` gets a strip, its one or three colour channels,
    uint8 of (height, width), and the number of its first row; it returns as many channels of the
    same shape.
    """
    import numpy as np

    made = Image.new(image.mode, image.size, None)
    colours = 1 if image.mode in ("L", "LA") else 3
    for top, bottom in strips(image.size):
        strip = image.crop((0, top, image.width, bottom))
        bands = strip.split()
        changed = change(strip, [np.asarray(band) for band in bands[:colours]], top)
        merged = [*(_as_image(band) for band in changed), *bands[colours:]]
        made.paste(Image.merge(image.mode, merged), (0, top))
    return made


def _as_image(band: Band) -> Image.Image:
    size = band.shape[1], band.shape[0]
    return Image.frombuffer("L", size, band.tobytes(), "raw", "L", 0, 1)
