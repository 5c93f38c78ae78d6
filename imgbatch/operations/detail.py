"""Operations on a pixel and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from imgbatch.imaging.formats import PerPixel
from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import Operation, register
from imgbatch.operations.parameters import parameter
from imgbatch.operations.point import ToneOperation

if TYPE_CHECKING:
    from PIL import Image

_STRIP_PIXELS: Final = 100_000
# The arrays of one strip stay in the processor's cache, and a 60 MP picture needs no more
# memory for them than a thumbnail.


@register
@dataclass(frozen=True, slots=True)
class Sharpen(ToneOperation):
    """Make fine detail crisper: an unsharp mask on the luma alone, so colours get no fringes.

    The detail is luma minus its 3 x 3 binomial blur; `amount` times that is added to every
    channel. Meant for the finished size, as the last filter.
    """

    name: ClassVar[str] = "sharpen"
    pixelwise: ClassVar[bool] = False
    memory: ClassVar[PerPixel] = PerPixel(9.5, 14)
    """Luma, the channels one by one, and the merged picture; arrays only live for a strip."""
    amount: float = parameter(0.8, low=0, high=8, help="how much; 0 changes nothing")

    def change(self, image: Image.Image) -> Image.Image:
        """In int16 strips: the blur is exact there, and only amount needs a rounding."""
        import numpy as np
        from PIL import Image

        width, height = image.size
        luma = np.pad(np.asarray(image.convert("L")), 1, mode="edge")
        bands = [np.array(band) for band in image.split()]
        # The blur is kept 16-fold (its weights 1 2 1 across and down), so it is a whole number.
        factor = np.float32(self.amount / 16)
        rows = max(1, _STRIP_PIXELS // width)
        for top in range(0, height, rows):
            strip = luma[top : top + rows + 2].astype(np.int16)
            across = strip[:, :-2] + strip[:, 2:]
            across += strip[:, 1:-1]
            across += strip[:, 1:-1]
            blurred = across[:-2] + across[2:]
            blurred += across[1:-1]
            blurred += across[1:-1]
            detail = ((strip[1:-1, 1:-1] << 4) - blurred).astype(np.float32)
            detail *= factor
            added = np.rint(detail).astype(np.int16)
            for band in bands:
                changed = band[top : top + rows] + added
                band[top : top + rows] = np.clip(changed, 0, 255, out=changed)
        merged = [Image.fromarray(band) for band in bands]
        return merged[0] if len(merged) == 1 else Image.merge(image.mode, merged)


@register
@dataclass(frozen=True, slots=True)
class Blur(Operation):
    """Soften: a Gaussian blur, with colours weighted by their alpha."""

    name: ClassVar[str] = "blur"
    memory: ClassVar[PerPixel] = PerPixel(8.5, 12.5)
    """A picture to blur into and a buffer; with alpha also what it is premultiplied to."""
    radius: float = parameter(
        2.0, low=0, high=1000, unit="pixels", help="standard deviation of the Gaussian"
    )

    def apply(self, picture: Picture) -> Picture:
        """Pillow's GaussianBlur: three box blurs of fractional width (Gwosdek et al., 2011)."""
        from PIL import ImageFilter

        from imgbatch.imaging import colour

        picture = colour.to_tonal(picture)
        if not self.radius:
            return picture
        image = picture.image
        premultiplied = {"LA": "La", "RGBA": "RGBa"}.get(image.mode, image.mode)
        if premultiplied != image.mode:
            image = image.convert(premultiplied)
        blurred = image.filter(ImageFilter.GaussianBlur(self.radius))
        if premultiplied != picture.mode:
            blurred = blurred.convert(picture.mode)
        return picture.with_pixels(blurred)
