"""Pixels, and what travels with them from the decoder to the encoder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from imgbatch.model import Notice, Size

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; fractions are meant."""


# The orientation that undoes each one: only the quarter turns are not their own.
_BACK: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def turned(size: Size, orientation: int) -> Size:
    """Width and height after turning a picture of `size` by an EXIF orientation."""
    return (size[1], size[0]) if orientation >= 5 else size


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """The pixels turned upright from an EXIF orientation (CIPA DC-008, tag 0x0112)."""
    from PIL.Image import Transpose

    upright = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(upright[orientation]) if orientation != 1 else image


def stored_box(box: Box, size: Size, orientation: int) -> Box:
    """Where a box of an upright picture of `size` lies in the picture as it is stored."""
    width, height = size
    left, top, right, bottom = box
    if orientation in (2, 3, 6, 7):
        left, right = width - right, width - left
    if orientation in (3, 4, 7, 8):
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if orientation >= 5 else (left, top, right, bottom)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says about its picture.

    `exif` is a TIFF block without the "Exif" prefix, `xmp` an XMP packet, `dpi` pixels per inch
    across and down.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        return bool(self.exif or self.xmp)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture inside a worker. It never crosses a process.

    `image` is in mode L, LA, RGB, RGBA, CMYK or I;16. It is upright unless `orientation` (EXIF's,
    1 to 8) says that it is still stored another way: turning the few pixels that a resize leaves
    is cheaper than turning all. A decoder that shrinks on load gives fewer pixels than the file
    has: `full_size` is what the file has, upright, and `area` the part of `image` that stands for
    all of it (a decoder rounds up, so the last row may be half empty). `icc` is the profile its
    numbers are meant in; without one they are sRGB.

    Nothing is changed in place: an operation returns another picture.
    """

    image: Image.Image
    format: str
    full_size: Size
    area: Box
    orientation: int = 1
    icc: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notices: tuple[Notice, ...] = ()

    @classmethod
    def of(cls, image: Image.Image, format: str = "png", icc: bytes | None = None) -> Picture:  # noqa: A002
        """A picture of plain pixels, whole and upright."""
        return cls(image, format, image.size, (0, 0, *image.size), icc=icc)

    def upright(self) -> Picture:
        """The same picture, turned as it is meant to be seen."""
        if self.orientation == 1:
            return self
        area = stored_box(self.area, self.image.size, _BACK[self.orientation])
        return replace(self, image=turn(self.image, self.orientation), area=area, orientation=1)

    def with_image(self, image: Image.Image) -> Picture:
        """The same picture with other pixels, upright, which now are all there is of it."""
        area = (0, 0, *image.size)
        return replace(self, image=image, full_size=image.size, area=area, orientation=1)

    def with_pixels(self, image: Image.Image) -> Picture:
        """The same picture with each pixel's value changed and its size kept."""
        return replace(self, image=image)

    def with_notice(self, kind: str, message: str) -> Picture:
        """The same picture with one warning more."""
        return replace(self, notices=(*self.notices, Notice(kind, message)))

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return self.image.mode in ("LA", "RGBA")
