"""Pixels, and what travels with them from the decoder to the encoder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from imgbatch.model import Notice, Size

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; fractions are meant."""


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
    """One upright picture inside a worker. It never crosses a process.

    `image` is in mode L, LA, RGB, RGBA, CMYK or I;16. A decoder that shrinks on load gives fewer
    pixels than the file has: `full_size` is what the file has, upright, and `area` the part of
    `image` that stands for all of it (a decoder rounds up, so the last row may be half empty).
    `icc` is the profile its numbers are meant in; without one they are sRGB.

    Nothing is changed in place: an operation returns another picture.
    """

    image: Image.Image
    format: str
    full_size: Size
    area: Box
    icc: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notices: tuple[Notice, ...] = ()

    @classmethod
    def of(cls, image: Image.Image, format: str = "png", icc: bytes | None = None) -> Picture:  # noqa: A002
        """A picture of plain pixels, whole and upright."""
        return cls(image, format, image.size, (0, 0, *image.size), icc)

    def with_image(self, image: Image.Image) -> Picture:
        """The same picture with other pixels, which now are all there is of it."""
        return replace(self, image=image, full_size=image.size, area=(0, 0, *image.size))

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
