"""Colours with 16 bits per channel, for which Pillow has no mode.

What Pillow does for its own images is done here on NumPy arrays, under the same names.
`deep_files` reads and writes such files.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Transpose

from imgbatch.model import Size

_MODES: Final = {2: "LA;16", 3: "RGB;16", 4: "RGBA;16"}


class Deep(Struct, frozen=True, eq=False):
    """Pixels as an array of uint16, (height, width, channels): grey and alpha, RGB or RGBA.

    Alpha comes last and is not premultiplied.
    """

    array: NDArray[np.uint16]

    @property
    def mode(self) -> str:
        """LA;16, RGB;16 or RGBA;16."""
        return _MODES[self.array.shape[2]]

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.array.shape[1], self.array.shape[0]

    def transpose(self, method: Transpose) -> Deep:
        """Flipped or turned like Pillow's transpose method of that name."""
        turned = self.array
        if method in (
            Transpose.TRANSPOSE,
            Transpose.TRANSVERSE,
            Transpose.ROTATE_90,
            Transpose.ROTATE_270,
        ):
            turned = turned.swapaxes(0, 1)
        if method in (
            Transpose.FLIP_TOP_BOTTOM,
            Transpose.ROTATE_180,
            Transpose.ROTATE_90,
            Transpose.TRANSVERSE,
        ):
            turned = turned[::-1]
        if method in (
            Transpose.FLIP_LEFT_RIGHT,
            Transpose.ROTATE_180,
            Transpose.ROTATE_270,
            Transpose.TRANSVERSE,
        ):
            turned = turned[:, ::-1]
        return Deep(np.ascontiguousarray(turned))

    def crop(self, box: tuple[int, int, int, int]) -> Deep:
        """The part between left, top, right and bottom."""
        left, top, right, bottom = box
        return Deep(np.ascontiguousarray(self.array[top:bottom, left:right]))

    def grey(self) -> Image.Image | Deep:
        """The luma of Rec. ITU-R BT.601, as in Pillow's convert: I;16, or LA;16."""
        if self.array.shape[2] == 2:
            return self
        levels = np.empty(self.array.shape[:2], np.uint16)
        for row, level in zip(self.array, levels, strict=True):
            level[:] = np.rint(row[:, :3] @ np.array([0.299, 0.587, 0.114]))
        if self.array.shape[2] == 3:
            return Image.fromarray(levels)
        return Deep(np.dstack([levels, self.array[..., 3]]))

    def to_8_bit(self) -> Image.Image:
        """The same in LA, RGB or RGBA: 65535 becomes 255, rounded."""
        mode = self.mode.removesuffix(";16")
        return Image.frombytes(mode, self.size, rounded_to_8_bit(self.array).tobytes())


def rounded_to_8_bit(array: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """16-bit levels in 8 bits, of an array of rows: 65535 becomes 255, rounded."""
    rounded = np.empty(array.shape, np.uint8)
    # Row by row, because sums take four bytes. The quotient is level * 255 / 65535 = level / 257.
    for row, target in zip(array, rounded, strict=True):
        target[:] = (row.astype(np.uint32) + 128) // 257
    return rounded
