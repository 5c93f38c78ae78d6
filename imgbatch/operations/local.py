"""Operations that depend on a pixel's surroundings: local contrast, and opening up shadows.

Both split the luma into a base, in which a guided filter keeps the edges
(`imaging.filters.guided`), and detail. Their radius is relative to the picture's size, so that they
look the same on a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import Operation, register
from imgbatch.operations.detail import SharpeningOperation
from imgbatch.operations.parameters import parameter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from imgbatch.imaging.filters.guided import Base, Rows
    from imgbatch.operations.detail import Excesses

_EDGE: Final = 20.4
"""The contrast in levels of which a base keeps half: 0.08 of the way from black to white."""
_MAX: Final = 3.0
"""How many times the local contrast a clarity of 1 gives."""


@register
@dataclass(frozen=True, slots=True)
class Clarity(SharpeningOperation):
    """More local contrast in the middle tones, or less, with hardly a halo at edges.

    The luma Y (Rec. ITU-R BT.601, levels from 0 to 1) is split into a base B and the detail
    Y - B. Added to every channel is (3 ** amount - 1) * 4 * Y * (1 - Y) * (Y - B): in the middle
    tones an amount of 1 triples the detail, and -1 leaves a third of it; towards black and white
    this fades out.

    B is the guided filter of Y by itself, with a window that reaches `radius` per cent of the long
    edge from its middle, and epsilon 0.08 ** 2: edges of much more contrast than 0.08 are in the
    base, so hardly anything happens there (He et al., Guided image filtering, IEEE TPAMI 35,
    2013). It is computed on the means of cells of a quarter of that reach (He and Sun, Fast guided
    filter, arXiv 1505.00996, 2015).
    """

    name: ClassVar[str] = "clarity"
    example: ClassVar[str] = "clarity:amount=0.6"
    pixelwise: ClassVar[bool] = True
    amount: float = parameter(0.3, low=-1, high=1, help="below 0 softens; 0 changes nothing")
    radius: float = parameter(
        2.0, low=1, high=10, unit="% of the long edge", help="how large details may be"
    )

    def change(self, image: Image.Image) -> Image.Image:
        return SharpeningOperation.change(self, image) if self.amount else image

    def excesses(self, image: Image.Image) -> Excesses:
        """Negative where detail is brighter than its base."""
        import numpy as np

        from imgbatch.imaging.filters.strips import strips

        base = _base(image, self.radius)
        factor = np.float32((_MAX**self.amount - 1) * 4 / 255**2)
        for top, bottom in strips(image.size):
            strip = image.crop((0, top, image.width, bottom))
            luma = np.asarray(strip.convert("L")).astype(np.float32)
            excess = base.rows(top, luma)
            excess -= luma
            excess *= luma
            luma *= -factor
            luma += 255 * factor
            excess *= luma
            yield top, excess


@register
@dataclass(frozen=True, slots=True)
class ShadowsHighlights(Operation):
    """Brighten shadows and darken highlights, and keep the contrast within them.

    All channels of a pixel are multiplied by g = 1 + 2 * shadows * (1 - B) ** 3
    - 2 * highlights * (1 - B) * B ** 2, where B is the base of the luma (levels from 0 to 1): so
    colours keep their hue and saturation, and areas with the same base keep their contrast. g * B
    never falls where B rises, black stays black, and a white base white. If the brightest channel
    would leave 0..255, g is limited to what takes it to 255.

    B is as in clarity: the guided filter of the luma (Rec. ITU-R BT.601), with a window that
    reaches `radius` per cent of the long edge, and epsilon 0.08 ** 2.
    """

    name: ClassVar[str] = "shadows-highlights"
    example: ClassVar[str] = "shadows-highlights:shadows=0.6,highlights=0.4"
    pixelwise: ClassVar[bool] = True
    memory: ClassVar[float] = 6
    keeps_grey: ClassVar[bool] = True
    shadows: float = parameter(0.3, low=0, high=1, help="how much to brighten; 0 changes nothing")
    highlights: float = parameter(0.2, low=0, high=1, help="how much to darken; 0 changes nothing")
    radius: float = parameter(
        3.0, low=1, high=10, unit="% of the long edge", help="smaller details keep their contrast"
    )

    def apply(self, picture: Picture) -> Picture:
        """Strip by strip; alpha is neither used nor changed."""
        import numpy as np

        from imgbatch.imaging import colour
        from imgbatch.imaging.filters import channels

        picture = colour.to_tonal(picture)
        if not self.shadows and not self.highlights:
            return picture
        base = _base(picture.image, self.radius)
        limits = (255 / np.maximum(np.arange(256), 1)).astype(np.float32)

        def change(
            strip: Image.Image, bands: list[NDArray[np.uint8]], top: int
        ) -> Sequence[NDArray[np.uint8]]:
            gain = self._gain(base.rows(top, np.asarray(strip.convert("L"))))
            brightest = bands[0]
            for band in bands[1:]:
                brightest = np.maximum(brightest, band)
            np.minimum(gain, limits[brightest], out=gain)
            half = np.float32(0.5)
            return [(band * gain + half).astype(np.uint8) for band in bands]

        return picture.with_pixels(channels.mapped(picture.image, change))

    def _gain(self, base: Rows) -> Rows:
        """The factors for a base in levels, which is overwritten."""
        import numpy as np

        base *= np.float32(1 / 255)
        dark = 1 - base
        base *= base
        base *= np.float32(-2 * self.highlights)
        gain = dark * dark
        gain *= np.float32(2 * self.shadows)
        gain += base
        gain *= dark
        gain += 1
        return gain


def _base(image: Image.Image, percent: float) -> Base:
    from imgbatch.imaging.filters.guided import Base

    return Base(image, max(1, round(max(image.size) * percent / 100)), _EDGE)
