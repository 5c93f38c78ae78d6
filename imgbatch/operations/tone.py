"""Operations on each pixel's own value. None of them changes alpha.

They follow the W3C's Filter Effects Module Level 1 (section 9, the shorthand functions) where it
defines them, so that a filter looks like its namesake in CSS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import register
from imgbatch.operations.parameters import parameter
from imgbatch.operations.point import PointOperation

if TYPE_CHECKING:
    from imgbatch.imaging.colour.transfer import Level


@register
@dataclass(frozen=True, slots=True)
class Brightness(PointOperation):
    """Multiply every level (CSS brightness()): 1 changes nothing, 0 is black."""

    name: ClassVar[str] = "brightness"
    example: ClassVar[str] = "brightness:amount=1.3"
    amount: float = parameter(1.1, low=0, high=10, help="factor; 1 changes nothing")

    def level(self, value: float) -> float:
        return value * self.amount


@register
@dataclass(frozen=True, slots=True)
class Contrast(PointOperation):
    """Spread levels away from middle grey (CSS contrast()): 1 changes nothing, 0 is grey."""

    name: ClassVar[str] = "contrast"
    example: ClassVar[str] = "contrast:amount=1.4"
    amount: float = parameter(1.1, low=0, high=10, help="factor; 1 changes nothing")

    def level(self, value: float) -> float:
        return (value - 0.5) * self.amount + 0.5


@register
@dataclass(frozen=True, slots=True)
class Gamma(PointOperation):
    """Bend the middle tones, leave black and white: more than 1 brightens, less darkens."""

    name: ClassVar[str] = "gamma"
    example: ClassVar[str] = "gamma:amount=1.6"
    amount: float = parameter(1.2, low=0.1, high=10, help="exponent; 1 changes nothing")

    def level(self, value: float) -> float:
        return math.pow(value, 1 / self.amount)


@register
@dataclass(frozen=True, slots=True)
class Invert(PointOperation):
    """Turn light into dark: a negative (CSS invert())."""

    name: ClassVar[str] = "invert"
    amount: float = parameter(1.0, low=0, high=1, help="strength")

    def level(self, value: float) -> float:
        return self.amount + value * (1 - 2 * self.amount)


@register
@dataclass(frozen=True, slots=True)
class AutoContrast(PointOperation):
    """Stretch the levels so that the darkest becomes black and the brightest white.

    The ends are those of the luma, and all channels are stretched alike, so that colours keep
    their hue; `channels=yes` stretches each channel by itself, which also removes a cast.
    """

    name: ClassVar[str] = "autocontrast"
    measures: ClassVar[bool] = True
    cutoff: float = parameter(
        0.5, low=0, high=49, unit="%", help="share of pixels that may be clipped at each end"
    )
    channels: bool = parameter(False, help="stretch each channel by itself")

    def settled(self, picture: Picture) -> PointOperation:
        from imgbatch.imaging import colour

        image = colour.to_tonal(picture).image
        image = image.convert("L" if image.mode[0] == "L" else "RGB")
        if self.channels and image.mode == "RGB":
            histogram = image.histogram()
            each = [self._ends(histogram[start : start + 256]) for start in (0, 256, 512)]
            return _Stretch(tuple(each))
        return _Stretch((self._ends(image.convert("L").histogram()),))

    def _ends(self, histogram: list[int]) -> tuple[int, int]:
        allowed = sum(histogram) * self.cutoff / 100
        low = _first_beyond(histogram, allowed)
        high = 255 - _first_beyond(histogram[::-1], allowed)
        return (low, high) if high > low else (0, 255)


@dataclass(frozen=True, slots=True)
class _Stretch(PointOperation):
    """Maps the levels `ends` to black and white, for each channel or for all."""

    name: ClassVar[str] = "autocontrast"
    ends: tuple[tuple[int, int], ...]

    def curves(self, icc: bytes | None, channels: int) -> Sequence[Level]:
        def line(low: int, high: int) -> Level:
            return lambda value: (value * 255 - low) / (high - low)

        # Frames may be of another mode than the first.
        ends = self.ends if len(self.ends) == channels else self.ends[:1]
        return tuple(line(low, high) for low, high in ends)


def _first_beyond(histogram: list[int], allowed: float) -> int:
    """The first level at or below which there are more than `allowed` pixels."""
    total = 0
    for level, count in enumerate(histogram):
        total += count
        if total > allowed:
            return level
    return 255
