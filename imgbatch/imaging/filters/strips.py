"""NumPy on a picture some rows at a time: in the processor's cache, and with little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from imgbatch.model import Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STRIP_PIXELS: Final = 100_000
"""How many pixels a strip has, or a few more: its arrays stay in the cache."""

Change = Callable[["NDArray[np.uint8]", int], "NDArray[Any]"]
"""From rows of a picture, (height + 2 * reach, width + 2 * reach, channels), and the number of
the first one, to as many rows without the reach, (height, width) or (height, width, channels)."""


def strips(size: Size) -> Iterator[tuple[int, int]]:
    """The strips of a picture of `size`, from top to bottom: the first row of each, and the row
    after its last.
    """
    width, height = size
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def mapped(image: Image.Image, change: Change, *, reach: int = 0, mode: str = "") -> Image.Image:
    """A new image of what `change` makes of each strip of an 8-bit image.

    Each strip gets `reach` more pixels at every side; beyond the image's edges the outermost
    are repeated. The result is uint8, in `mode` if that differs from the image's own.
    """
    import numpy as np

    width, height = image.size
    made = Image.new(mode or image.mode, image.size, None)
    for top, bottom in strips(image.size):
        upper, lower = max(0, top - reach), min(height, bottom + reach)
        strip = np.asarray(image.crop((0, upper, width, lower)))
        strip = strip.reshape(lower - upper, width, -1)
        if reach:
            above, below = upper - (top - reach), bottom + reach - lower
            strip = np.pad(strip, ((above, below), (reach, reach), (0, 0)), mode="edge")
        changed = np.ascontiguousarray(change(strip, top)).tobytes()
        size = (width, bottom - top)
        made.paste(Image.frombuffer(made.mode, size, changed, "raw", made.mode, 0, 1), (0, top))
    return made
