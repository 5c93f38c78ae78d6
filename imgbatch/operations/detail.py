"""Operations on a pixel and its neighbours: blur, and sharpening by what a blur removes.

All sharpening works on the luma alone, and adds the same to every channel, so that colours get no
fringes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import Operation, register
from imgbatch.operations.parameters import parameter
from imgbatch.operations.point import ToneOperation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Rows = NDArray[np.float32]
    Excesses = Iterator[tuple[int, Rows]]
    """Strips from top to bottom: the number of the first row, and for each pixel of (rows, width)
    how many levels to subtract: the blurred luma minus the luma makes that sharper."""


@dataclass(frozen=True, slots=True)
class SharpeningOperation(ToneOperation):
    """Base of operations that add detail of the luma to every channel."""

    pixelwise: ClassVar[bool] = False
    memory: ClassVar[float] = 6

    def change(self, image: Image.Image) -> Image.Image:
        return _without(image, self.excesses(image))

    @abstractmethod
    def excesses(self, image: Image.Image) -> Excesses:
        """What to subtract."""


@register
@dataclass(frozen=True, slots=True)
class Sharpen(SharpeningOperation):
    """Make fine detail crisper: an unsharp mask on the luma alone, so colours get no fringes.

    The detail is luma minus its 3 x 3 binomial blur; `amount` times that is added to every
    channel. Meant for the finished size, as the last filter.
    """

    name: ClassVar[str] = "sharpen"
    amount: float = parameter(0.8, low=0, high=8, help="strength; 0 changes nothing")

    def excesses(self, image: Image.Image) -> Excesses:
        """In int16: the blur is exact there, and only the amount needs rounding."""
        import numpy as np

        from imgbatch.imaging.filters.strips import strips

        # The blur is kept 16-fold (with weights 1 2 1 across and down), so it is a whole number.
        factor = np.float32(self.amount / 16)
        luma = np.pad(np.asarray(image.convert("L")), 1, mode="edge")
        for top, bottom in strips(image.size):
            strip = luma[top : bottom + 2].astype(np.int16)
            # Twice the mean of two, in each direction.
            across = strip[:, :-1] + strip[:, 1:]
            across = across[:, :-1] + across[:, 1:]
            down = across[:-1] + across[1:]
            blurred = down[:-1] + down[1:]
            blurred -= strip[1:-1, 1:-1] * 16
            yield top, blurred * factor


@register
@dataclass(frozen=True, slots=True)
class Unsharp(SharpeningOperation):
    """Sharpen detail of a given size: an unsharp mask with radius, amount and threshold.

    The detail is luma minus its Gaussian blur of standard deviation `radius`. Detail of up to
    `threshold` levels changes nothing; from larger detail the threshold is subtracted, so that
    there is no jump. `amount` times that is added to every channel: 1.5 is what other programs
    call 150 %. Only the luma is measured, so colours get no fringes.
    """

    name: ClassVar[str] = "unsharp"
    example: ClassVar[str] = "unsharp:radius=2,amount=1.5"
    radius: float = parameter(
        1.0, low=0.1, high=250, unit="pixels", help="standard deviation of the Gaussian"
    )
    amount: float = parameter(0.8, low=0, high=10, help="strength; 0 changes nothing")
    threshold: float = parameter(
        0.0, low=0, high=255, unit="levels", help="detail up to this is left alone, such as noise"
    )

    def excesses(self, image: Image.Image) -> Excesses:
        import numpy as np

        luma = image.convert("L")
        for top, excess in _blurred(luma, self.radius):
            excess -= _rows(luma, top, len(excess))
            if self.threshold:
                excess -= np.clip(excess, -self.threshold, self.threshold)
            excess *= np.float32(self.amount)
            yield top, excess


class _Medium(NamedTuple):
    """A row of the table at OutputSharpen: least radius in pixels, minutes of arc, and amount."""

    least: float
    minutes: float
    amount: float


_MEDIA: Final = {
    "screen": _Medium(0.6, 0.0, 0.7),
    "glossy": _Medium(0.8, 1.0, 1.0),
    "matte": _Medium(1.0, 1.4, 1.3),
}
_STRENGTHS: Final = {"low": 0.6, "standard": 1.0, "high": 1.6}
_MINUTES: Final = 60 * 180 / math.pi
"""Minutes of arc in a radian: as many as a picture's long edge has when seen from that far away."""
_MAX_BEYOND: Final = 12
"""How many levels an edge may become brighter or darker than its surroundings."""


@register
@dataclass(frozen=True, slots=True)
class OutputSharpen(SharpeningOperation):
    """Sharpen at the finished size for a screen, or for glossy or matte paper, as the last filter.

    The detail is luma minus its Gaussian blur. Added to every channel is the detail times an
    amount, but no more than takes the luma 12 levels beyond the darkest or the brightest of the
    pixel and its eight neighbours: fine texture gets all of it, and no edge a wide halo.

        medium   radius                                 amount
        screen   0.6 pixels                             0.7
        glossy   1 minute of arc, or 0.8 pixels         1.0
        matte    1.4 minutes of arc, or 1 pixel         1.3

    The radius is the larger of the two. On a screen, pixels are about as small as an eye can
    resolve, so only the softness of resizing is undone. A print is viewed from about as far away
    as it is long, however large it is: so a minute of arc, which is what a good eye can resolve
    (ISO 8596), is 1 / 3438 of the long edge: 1.2 pixels of 4000. Ink spreads, more so on matte
    paper. Strength low is 0.6 of the amount, high is 1.6 of it.
    """

    name: ClassVar[str] = "output-sharpen"
    example: ClassVar[str] = "output-sharpen:strength=high"
    medium: str = parameter("screen", choices=tuple(_MEDIA), help="where the picture will be seen")
    strength: str = parameter("standard", choices=tuple(_STRENGTHS), help="how strong")

    def excesses(self, image: Image.Image) -> Excesses:
        """The blur minus the luma, limited by what surrounds each pixel."""
        import numpy as np

        medium = _MEDIA[self.medium]
        radius = max(medium.least, medium.minutes * max(image.size) / _MINUTES)
        amount = np.float32(medium.amount * _STRENGTHS[self.strength])
        luma = image.convert("L")
        for top, excess in _blurred(luma, radius):
            rows = _rows(luma, top, len(excess))
            excess -= rows
            excess *= amount
            darkest, brightest = _extremes(luma, top, len(excess))
            most = (rows - darkest).astype(np.float32)
            least = (brightest - rows).astype(np.float32)
            most += _MAX_BEYOND
            least += _MAX_BEYOND
            yield top, np.clip(excess, np.negative(least, out=least), most, out=excess)


def _blurred(luma: Image.Image, sigma: float) -> Iterator[tuple[int, Rows]]:
    from imgbatch.imaging.filters import blurring

    for top, planes in blurring.blurred(luma, sigma, "L"):
        yield top, planes[0]


def _rows(luma: Image.Image, top: int, count: int) -> NDArray[np.uint8]:
    import numpy as np

    return np.asarray(luma.crop((0, top, luma.width, top + count)))


def _extremes(
    luma: Image.Image, top: int, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The darkest and the brightest of each pixel in some rows and its eight neighbours."""
    import numpy as np

    upper = max(0, top - 1)
    levels = _rows(luma, upper, min(luma.height, top + count + 1) - upper)
    found = []
    for chosen in (np.minimum, np.maximum):
        across = levels.copy()
        chosen(across[:, 1:], levels[:, :-1], out=across[:, 1:])
        chosen(across[:, :-1], levels[:, 1:], out=across[:, :-1])
        around = across.copy()
        chosen(around[1:], across[:-1], out=around[1:])
        chosen(around[:-1], across[1:], out=around[:-1])
        found.append(around[top - upper : top - upper + count])
    return found[0], found[1]


def _without(image: Image.Image, excesses: Excesses) -> Image.Image:
    """A new image, L or RGB like the given one, with the same subtracted from all its channels."""
    import numpy as np
    from PIL import Image

    made = Image.new(image.mode, image.size, None)
    for top, excess in excesses:
        less = np.rint(excess, out=excess).astype(np.int16)
        changed = np.empty_like(less)
        part = image.crop((0, top, image.width, top + len(excess)))
        bands = []
        for band in image.mode:
            # Pillow packs a channel in less time than it splits one off.
            changed[:] = np.frombuffer(part.tobytes("raw", band), np.uint8).reshape(less.shape)
            changed -= less
            np.clip(changed, 0, 255, out=changed)
            bands.append(Image.fromarray(changed.astype(np.uint8)))
        made.paste(Image.merge(image.mode, bands), (0, top))
    return made


_MIN_RADIUS: Final = 0.2
"""Below it 4 * exp(-1 / (2 * 0.2**2)) * 255 is less than a hundredth of a level."""


@register
@dataclass(frozen=True, slots=True)
class Blur(Operation):
    """Soften: a Gaussian blur, with colours weighted by their alpha.

    The Gaussian is sampled at whole pixels and cut off at four standard deviations; the picture's
    outermost pixels are repeated beyond its edges. It is computed in floating point and rounded
    once. A radius below 0.2 changes nothing.
    """

    name: ClassVar[str] = "blur"
    memory: ClassVar[float] = 6
    keeps_grey: ClassVar[bool] = True
    radius: float = parameter(
        2.0, low=0, high=1000, unit="pixels", help="standard deviation of the Gaussian"
    )

    def apply(self, picture: Picture) -> Picture:
        import numpy as np
        from PIL import Image

        from imgbatch.imaging import colour
        from imgbatch.imaging.filters import blurring

        picture = colour.to_tonal(picture)
        if self.radius < _MIN_RADIUS:
            return picture
        image = picture.image
        premultiplied = {"LA": "La", "RGBA": "RGBa"}.get(image.mode, image.mode)
        strips = blurring.blurred(image, self.radius, premultiplied)
        made = Image.new(image.mode, image.size, None)
        for top, planes in strips:
            planes += 0.5
            bands = [Image.fromarray(plane) for plane in planes.astype(np.uint8)]
            strip = Image.merge(premultiplied, bands)
            if premultiplied != image.mode:
                strip = strip.convert(image.mode)
            made.paste(strip, (0, top))
        return picture.with_pixels(made)
