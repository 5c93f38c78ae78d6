"""Operations on each pixel's own value. Alpha is left alone by all of them.

The definitions are those of the W3C's Filter Effects Module Level 1 (section 9, the shorthand
functions) where it has one, so that a filter looks like its namesake in CSS.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from imgbatch.imaging.formats import PerPixel
from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import Curve, Operation, parameter, register

if TYPE_CHECKING:
    from PIL import Image

Matrix = tuple[tuple[float, float, float], ...]
"""Three rows: red, green and blue after, each a sum of red, green and blue before."""


@dataclass(frozen=True, slots=True)
class ToneOperation(Operation):
    """Base of those that change 8-bit L or RGB pixels."""

    memory: ClassVar[PerPixel] = PerPixel(4.5, 12.5)
    """The result; and the colours without alpha, or 16 bits as they are reduced to 8."""

    def apply(self, picture: Picture) -> Picture:
        """Change the colours, keep the alpha."""
        from imgbatch.imaging import colour

        picture = colour.to_tonal(picture)
        if not picture.has_alpha:
            return picture.with_pixels(self.change(picture.image))
        image = picture.image
        changed = self.change(image.convert("L" if image.mode == "LA" else "RGB"))
        changed.putalpha(image.getchannel("A"))
        return picture.with_pixels(changed)

    @abstractmethod
    def change(self, image: Image.Image) -> Image.Image:
        """The changed image, L or RGB as the given one."""


@dataclass(frozen=True, slots=True)
class PointOperation(ToneOperation):
    """Base of those that are one curve for every channel."""

    @abstractmethod
    def curve(self) -> Curve:
        """256 levels 0 to 255, by the level before."""

    def change(self, image: Image.Image) -> Image.Image:
        """One look-up per channel."""
        return image.point(list(self.curve()) * len(image.getbands()))


@dataclass(frozen=True, slots=True)
class MatrixOperation(ToneOperation):
    """Base of those that mix the channels."""

    memory: ClassVar[PerPixel] = PerPixel(12.5, 16.5)
    """What was converted to sRGB first, a copy in RGB, and the result."""

    @abstractmethod
    def matrix(self) -> Matrix:
        """What each channel after is made of."""

    def change(self, image: Image.Image) -> Image.Image:
        """Mix in floating point, round and clip."""
        flat = [cell for row in self.matrix() for cell in (*row, 0.0)]
        return image.convert("RGB").convert("RGB", tuple(flat))


def _curve(function: Callable[[float], float]) -> Curve:
    """256 rounded, clipped levels of a function from 0..1 to 0..1."""
    return [min(255, max(0, round(255 * function(level / 255)))) for level in range(256)]


@register
@dataclass(frozen=True, slots=True)
class Brightness(PointOperation):
    """Multiply every level (CSS brightness()): 1 changes nothing, 0 is black."""

    name: ClassVar[str] = "brightness"
    amount: float = parameter(1.1, low=0, high=10, help="factor; 1 changes nothing")

    def curve(self) -> Curve:
        """level * amount."""
        return _curve(lambda level: level * self.amount)


@register
@dataclass(frozen=True, slots=True)
class Contrast(PointOperation):
    """Spread levels away from middle grey (CSS contrast()): 1 changes nothing, 0 is grey."""

    name: ClassVar[str] = "contrast"
    amount: float = parameter(1.1, low=0, high=10, help="factor; 1 changes nothing")

    def curve(self) -> Curve:
        """(level - 1/2) * amount + 1/2."""
        return _curve(lambda level: (level - 0.5) * self.amount + 0.5)


@register
@dataclass(frozen=True, slots=True)
class Gamma(PointOperation):
    """Bend the middle tones, leave black and white: more than 1 brightens, less darkens."""

    name: ClassVar[str] = "gamma"
    amount: float = parameter(1.2, low=0.1, high=10, help="exponent; 1 changes nothing")

    def curve(self) -> Curve:
        """level ** (1 / amount)."""
        return _curve(lambda level: level ** (1 / self.amount))


@register
@dataclass(frozen=True, slots=True)
class Invert(PointOperation):
    """Turn light into dark: a negative (CSS invert())."""

    name: ClassVar[str] = "invert"
    amount: float = parameter(1.0, low=0, high=1, help="how much of it")

    def curve(self) -> Curve:
        """amount + level * (1 - 2 * amount)."""
        return _curve(lambda level: self.amount + level * (1 - 2 * self.amount))


@register
@dataclass(frozen=True, slots=True)
class AutoContrast(ToneOperation):
    """Stretch the levels so that the darkest becomes black and the brightest white.

    The ends are those of the luma, and all channels are stretched alike, so that colours keep
    their hue; `channels=yes` stretches each channel by itself, which also removes a cast.
    """

    name: ClassVar[str] = "autocontrast"
    cutoff: float = parameter(
        0.5, low=0, high=49, unit="%", help="share of pixels that may be clipped at each end"
    )
    channels: bool = parameter(False, help="stretch each channel by itself")

    def change(self, image: Image.Image) -> Image.Image:
        """One look-up per channel, made of the histogram."""
        return image.point(self._levels(image))

    def settled(self, picture: Picture) -> Operation:
        """The stretch of the first frame for all of them."""
        from imgbatch.imaging import colour

        image = colour.to_tonal(picture).image
        return _Stretch(tuple(self._levels(image.convert("L" if image.mode[0] == "L" else "RGB"))))

    def _levels(self, image: Image.Image) -> list[int]:
        """A curve for each channel, one behind the other."""
        bands = len(image.getbands())
        if self.channels and bands == 3:
            histogram = image.histogram()
            curves = [self._stretch(histogram[start : start + 256]) for start in (0, 256, 512)]
            return [level for curve in curves for level in curve]
        return list(self._stretch(image.convert("L").histogram())) * bands

    def _stretch(self, histogram: list[int]) -> Curve:
        allowed = sum(histogram) * self.cutoff / 100
        low = _first_beyond(histogram, allowed)
        high = 255 - _first_beyond(histogram[::-1], allowed)
        if high <= low:
            return range(256)
        return _curve(lambda level: (level * 255 - low) / (high - low))


@dataclass(frozen=True, slots=True)
class _Stretch(ToneOperation):
    """AutoContrast with its curves known: 256 levels, or as many for each of three channels."""

    name: ClassVar[str] = "autocontrast"
    levels: tuple[int, ...]

    def change(self, image: Image.Image) -> Image.Image:
        """One look-up per channel."""
        wanted = 256 * len(image.getbands())
        # Frames may be of another mode than the first.
        return image.point(list((self.levels * 3)[:wanted]))


def _first_beyond(histogram: list[int], allowed: float) -> int:
    """The first level at which more than `allowed` pixels are at or below."""
    total = 0
    for level, count in enumerate(histogram):
        total += count
        if total > allowed:
            return level
    return 255


@register
@dataclass(frozen=True, slots=True)
class Grayscale(Operation):
    """Black and white, by the luma of Rec. ITU-R BT.601: one grey channel is left."""

    name: ClassVar[str] = "grayscale"
    memory: ClassVar[PerPixel] = PerPixel(5.5, 13)
    """What was converted to sRGB first, and the result."""

    def apply(self, picture: Picture) -> Picture:
        """Mode L, LA, I;16 or LA;16; in sRGB grey, since an RGB profile does not fit that."""
        from imgbatch.imaging import colour

        if picture.mode in ("L", "LA", "I;16", "LA;16"):
            return picture
        picture = colour.to_srgb(picture)
        deep = picture.deep
        if deep is not None:
            return replace(picture.with_pixels(deep.grey()), icc=None)
        grey = picture.image.convert("LA" if picture.has_alpha else "L")
        return replace(picture.with_pixels(grey), icc=None)


@register
@dataclass(frozen=True, slots=True)
class Sepia(MatrixOperation):
    """The brown of old prints (CSS sepia())."""

    name: ClassVar[str] = "sepia"
    amount: float = parameter(1.0, low=0, high=1, help="how much of it")

    def matrix(self) -> Matrix:
        """Between the identity and the sepia matrix."""
        rest = 1 - self.amount
        return (
            (0.393 + 0.607 * rest, 0.769 - 0.769 * rest, 0.189 - 0.189 * rest),
            (0.349 - 0.349 * rest, 0.686 + 0.314 * rest, 0.168 - 0.168 * rest),
            (0.272 - 0.272 * rest, 0.534 - 0.534 * rest, 0.131 + 0.869 * rest),
        )

    def apply(self, picture: Picture) -> Picture:
        """In sRGB, which the matrix is made for; a grey picture becomes a colour one."""
        from imgbatch.imaging import colour

        return ToneOperation.apply(self, colour.to_srgb(picture))


@register
@dataclass(frozen=True, slots=True)
class Saturation(MatrixOperation):
    """More or less colour (CSS saturate()): 1 changes nothing, 0 is grey."""

    name: ClassVar[str] = "saturation"
    amount: float = parameter(1.2, low=0, high=10, help="factor; 1 changes nothing")

    def matrix(self) -> Matrix:
        """Between luma (Rec. 709 weights) and the identity."""
        less = 1 - self.amount
        red, green, blue = 0.213 * less, 0.715 * less, 0.072 * less
        return (
            (red + self.amount, green, blue),
            (red, green + self.amount, blue),
            (red, green, blue + self.amount),
        )

    def apply(self, picture: Picture) -> Picture:
        """Grey pictures have no colour to change."""
        if picture.mode in ("L", "LA", "I;16", "LA;16"):
            return picture
        return ToneOperation.apply(self, picture)
