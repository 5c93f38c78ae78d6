"""Where a picture draws the eye, for cropping windows.

The attention that a pixel draws is the sum of three measures, much as in smartcrop.js and in the
"attention" of libvips's smartcrop, from 0 to 1 each, of sRGB levels as Y, Cb and Cr (JFIF):

- detail: g / 64, where g is the gradient of Y by central differences, in levels per pixel;
- saturation: d / 64, where d is the distance of Cb and Cr from grey, or from their means over the
  picture if that is less: among green leaves a red flower stands out, and another leaf does not;
- skin: 1 where Cb is from 77 to 127 and Cr from 133 to 173 (Chai and Ngan, Face segmentation
  using skin-color map in videophone applications, IEEE Trans. CSVT 9(4), 1999) and Y from 40 to
  240, otherwise 0.

Each of them, times alpha, is smoothed by a box of seven pixels. Saturation and skin are multiplied
by 1/4 + 3 D, 1 at most, where D is the smoothed detail: areas without detail are mostly out of
focus. Then the mean over the picture is subtracted from each, and negative values become 0: what
is everywhere, such as grass or sand, draws no eye.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Floats = NDArray[np.float64]

SIDE: Final = 160
"""The longer side in pixels of the small picture that is analysed."""

_BLURRED: Final = 0.25
"""The weight of colours without detail: they are mostly out of focus."""

_REACH: Final = 3
"""How far to each side attention is smoothed, in pixels."""

# Parts of a window, left, top, right and bottom, and the weight of attention in them: what is at
# its edges may be cut off, and subjects look good where its thirds meet.
_PARTS: Final = (
    ((0.0, 0.0, 1.0, 1.0), 1.0),
    ((0.125, 0.125, 0.875, 0.875), 1.0),
    *(
        ((x - 0.125, y - 0.125, x + 0.125, y + 0.125), 0.25)
        for x in (1 / 3, 2 / 3)
        for y in (1 / 3, 2 / 3)
    ),
)

_OFF_CENTRE: Final = 0.05
"""How much less a window at an edge of the picture is worth than one in the centre, in shares of
all attention: if nothing draws the eye, the centre is kept."""


def attention(image: Image.Image) -> Floats:
    """How much each pixel of a small picture in sRGB draws the eye: (height, width), 0 or more.

    `image` is in mode L, LA, RGB or RGBA.
    """
    levels = np.asarray(image.convert("RGB").convert("YCbCr"), np.float64)
    luma, chroma = levels[..., 0], levels[..., 1:]
    gradient = np.hypot(_slope(luma), _slope(luma.T).T)
    from_mean, from_grey = (
        np.hypot(*np.moveaxis(chroma - origin, 2, 0)) for origin in (chroma.mean((0, 1)), 128)
    )
    skin = ((chroma >= (77, 133)) & (chroma <= (127, 173))).all(axis=2)
    skin &= (luma >= 40) & (luma <= 240)
    has_alpha = image.mode in ("LA", "RGBA")
    seen = np.asarray(image.getchannel("A")) / 255 if has_alpha else 1.0
    detail = _smoothed(np.minimum(gradient / 64, 1) * seen)
    total = _outstanding(detail)
    sharp = np.minimum(_BLURRED + 3 * detail, 1)
    for measure in (np.minimum(from_mean, from_grey) / 64, skin):
        total += _outstanding(_smoothed(np.minimum(measure, 1) * seen) * sharp)
    return total


def _outstanding(measure: Floats) -> Floats:
    above: Floats = np.maximum(measure - measure.mean(), 0)
    return above


def _slope(levels: Floats) -> Floats:
    """Central differences down the rows; at the edges the outermost row is repeated."""
    padded = np.pad(levels, ((1, 1), (0, 0)), mode="edge")
    return (padded[2:] - padded[:-2]) / 2


def _smoothed(measure: Floats) -> Floats:
    """The mean of the pixels around each, repeated beyond the edges."""
    side = 2 * _REACH + 1
    sums = _summed(np.pad(measure, _REACH, mode="edge"))
    return _in_boxes(sums, (0, 0, side, side), measure.shape) / side**2


def best_place(drawn: Floats, share: tuple[float, float]) -> tuple[float, float]:
    """Where a window covering a share of the width and the height has the most attention in it.

    `drawn` is what `attention` gives. The place is from 0 (at the left, at the top) to 1.
    """
    height, width = drawn.shape
    across, down = max(1, round(width * share[0])), max(1, round(height * share[1]))
    places = height - down + 1, width - across + 1
    sums = _summed(drawn)
    worth = np.zeros(places)
    for (left, top, right, bottom), weight in _PARTS:
        box = round(left * across), round(top * down), round(right * across), round(bottom * down)
        worth += weight * _in_boxes(sums, box, places)
    off = [np.linspace(-1, 1, count) if count > 1 else np.zeros(1) for count in places]
    worth -= _OFF_CENTRE * (sums[-1, -1] or 1) * (off[0][:, None] ** 2 + off[1] ** 2)
    row, column = np.unravel_index(np.argmax(worth), places)
    return (float(off[1][column]) + 1) / 2, (float(off[0][row]) + 1) / 2


def _summed(values: Floats) -> Floats:
    """The sum of all values above and to the left of each pixel corner."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0), axis=1, out=sums[1:, 1:])
    return sums


def _in_boxes(sums: Floats, box: tuple[int, int, int, int], places: tuple[int, ...]) -> Floats:
    """The sums in a box, left, top, right and bottom, moved by each number of rows and columns."""
    left, top, right, bottom = box
    rows, columns = places
    above, below = sums[top : top + rows], sums[bottom : bottom + rows]
    difference = below - above
    found: Floats = difference[:, right : right + columns] - difference[:, left : left + columns]
    return found
