"""Exposure, levels and curves: how light or dark each tone becomes.

All but the threshold are a single look-up, and are joined with their neighbours.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from imgbatch.errors import UsageError
from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import Operation, register
from imgbatch.operations.parameters import Number, Point, Points, Text, parameter
from imgbatch.operations.point import LightOperation, PointOperation

if TYPE_CHECKING:
    from PIL import Image

    from imgbatch.imaging.colour.transfer import Level

_KNEE: Final = 0.5
"""The light (sRGB level 188) above which an exposure that protects highlights bends."""

_COLOURS: Final = ("red", "green", "blue")
_CHANNELS: Final = ("all", *_COLOURS)
_CHANNEL_HELP: Final = "the channel to change; grey pictures only have all"


@register
@dataclass(frozen=True, slots=True)
class Exposure(LightOperation):
    """Expose longer or shorter: stops (EV), in linear light.

    Light is multiplied by 2 ** stops. Light brighter than white is clipped, unless highlights are
    protected: then light y above the knee k = 1/2 is bent, so that what was white stays white
    and nothing is clipped. With s = (y - k) / (1 - k), and S the same for y = 2 ** stops, it is
    k + (1 - k) * s * (1 + s / S²) / (1 + s) (Reinhard et al., Photographic tone reproduction for
    digital images, 2002, equation 4). Each channel is treated by itself; a lower exposure clips
    nothing, and is not bent.
    """

    name: ClassVar[str] = "exposure"
    example: ClassVar[str] = "exposure:stops=0.7"
    stops: float = parameter(
        0.5, low=-5, high=5, unit="EV", help="each doubles the light; 0 changes nothing"
    )
    protect: bool = parameter(True, help="let highlights roll off instead of clipping them")

    def light(self, light: float, channel: int) -> float:
        factor = math.exp2(self.stops)
        exposed = light * factor
        if not self.protect or factor <= 1 or exposed <= _KNEE:
            return exposed
        over, most = (exposed - _KNEE) / (1 - _KNEE), (factor - _KNEE) / (1 - _KNEE)
        return _KNEE + (1 - _KNEE) * over * (1 + over / most**2) / (1 + over)


@register
@dataclass(frozen=True, slots=True)
class Levels(PointOperation):
    """Set the black and the white point, and the middle tones between them.

    With v = (level - black) / (white - black), clipped to 0..1, a level becomes
    out_black + (out_white - out_black) * v ** (1 / gamma). Reversed outputs make a
    negative.
    """

    name: ClassVar[str] = "levels"
    example: ClassVar[str] = "levels:black=20,white=225,gamma=1.15"
    black: float = parameter(0.0, low=0, high=255, help="level that becomes black")
    white: float = parameter(255.0, low=0, high=255, help="level that becomes white")
    gamma: float = parameter(
        1.0, low=0.1, high=10, help="more than 1 brightens the middle tones, less darkens them"
    )
    out_black: float = parameter(0.0, low=0, high=255, help="level that black becomes")
    out_white: float = parameter(255.0, low=0, high=255, help="level that white becomes")
    channel: str = parameter("all", choices=_CHANNELS, help=_CHANNEL_HELP)

    def __post_init__(self) -> None:
        self.check_fields()
        if self.black >= self.white:
            raise UsageError(
                f"{self.name}: found black={self.black:g} and white={self.white:g}, "
                "expected black to be less than white"
            )

    def curves(self, icc: bytes | None, channels: int) -> Sequence[Level]:
        return _in_channel(self.level, self.channel, channels)

    def level(self, value: float) -> float:
        inside = (value * 255 - self.black) / (self.white - self.black)
        bent = math.pow(min(1.0, max(0.0, inside)), 1 / self.gamma)
        return (self.out_black + (self.out_white - self.out_black) * bent) / 255


_PRESETS: Final[dict[str, tuple[Point, ...]]] = {
    "soft-contrast": ((0, 0), (64, 54), (128, 130), (192, 202), (255, 255)),
    "strong-contrast": ((0, 0), (64, 42), (128, 130), (192, 214), (255, 255)),
    "matte": ((0, 30), (40, 48), (128, 130), (200, 205), (255, 240)),
    "negative": ((0, 255), (255, 0)),
}


@register
@dataclass(frozen=True, slots=True)
class Curves(PointOperation):
    """Bend the tones along a smooth curve through points, or one of the presets.

    The curve is a piecewise cubic that goes through the points and is monotone between them, so
    it never overshoots (Fritsch and Carlson, Monotone piecewise cubic interpolation, SIAM J.
    Numer. Anal. 17, 1980). Before the first and after the last point it is flat. For several
    channels use several of these operations in a row, which are still one look-up.
    """

    name: ClassVar[str] = "curves"
    points: tuple[Point, ...] | None = parameter(
        None, kind=Points(), help="levels as before/after, from left to right"
    )
    preset: str | None = parameter(
        None,
        kind=Text(tuple(_PRESETS)),
        help="instead of points; soft-contrast if neither is given",
    )
    channel: str = parameter("all", choices=_CHANNELS, help=_CHANNEL_HELP)

    def __post_init__(self) -> None:
        self.check_fields()
        if self.points is not None and self.preset is not None:
            raise UsageError(
                f"{self.name}: found points and preset={self.preset}, expected one of them"
            )

    def curves(self, icc: bytes | None, channels: int) -> Sequence[Level]:
        points = self.points or _PRESETS[self.preset or "soft-contrast"]
        return _in_channel(_monotone(points), self.channel, channels)


def _in_channel(curve: Level, channel: str, channels: int) -> Sequence[Level]:
    """A curve in one channel or in all; grey has no colour channels."""
    if channel == "all":
        return (curve,)
    if channels == 1:
        return (_same,)
    return tuple(curve if colour == channel else _same for colour in _COLOURS)


def _same(value: float) -> float:
    return value


def _monotone(points: Sequence[Point]) -> Level:
    """A curve through points of levels 0..255, as a function from 0..1 to 0..1."""
    across = [point[0] / 255 for point in points]
    up = [point[1] / 255 for point in points]
    slopes = _slopes(across, up)

    def curve(value: float) -> float:
        if value <= across[0]:
            return up[0]
        if value >= across[-1]:
            return up[-1]
        start = bisect_right(across, value) - 1
        width = across[start + 1] - across[start]
        t = (value - across[start]) / width
        # Hermite's basis: the weights of each end and its slope at t.
        rising = t * t * (3 - 2 * t)
        return (
            up[start] * (1 - rising)
            + up[start + 1] * rising
            + width * t * (1 - t) * ((1 - t) * slopes[start] - t * slopes[start + 1])
        )

    return curve


def _slopes(across: Sequence[float], up: Sequence[float]) -> list[float]:
    """The slope at each point: the mean of the adjacent secants, limited to stay monotone."""
    secants = [
        (after[1] - before[1]) / (after[0] - before[0])
        for before, after in itertools.pairwise(zip(across, up, strict=True))
    ]
    slopes = [
        (before + after) / 2 if before * after > 0 else 0.0
        for before, after in itertools.pairwise(secants)
    ]
    slopes = [secants[0], *slopes, secants[-1]]
    for start, secant in enumerate(secants):
        steepness = math.hypot(slopes[start], slopes[start + 1])
        # Inside this circle a cubic is monotone.
        if steepness > 3 * abs(secant):
            slopes[start] *= 3 * abs(secant) / steepness
            slopes[start + 1] *= 3 * abs(secant) / steepness
    return slopes


@register
@dataclass(frozen=True, slots=True)
class Posterize(PointOperation):
    """Leave only a few levels in each channel, like a screen print.

    A level v from 0..1 becomes floor(v * levels) / (levels - 1), 1 at most: steps of equal width,
    like type="discrete" of feComponentTransfer (W3C Filter Effects Module Level 1, 9.7).
    """

    name: ClassVar[str] = "posterize"
    levels: int = parameter(6, low=2, high=64, unit="levels", help="how many are left")

    def level(self, value: float) -> float:
        # Where a step begins exactly at a level, a floating-point sum may be slightly too low.
        return min(math.floor(value * self.levels + 1e-9) / (self.levels - 1), 1.0)


@register
@dataclass(frozen=True, slots=True)
class Equalize(PointOperation):
    """Spread the levels so that all are equally frequent: histogram equalisation.

    With c(v) pixels at or below the level v, n of them in total, and c0 at the darkest level that
    occurs, v becomes (c(v) - c0) / (n - c0), of which `amount` is mixed with v itself. The luma is
    counted, and all channels take the same curve, so that colours keep their character;
    `channels=yes` does each channel by itself. Invisible pixels, whose alpha is 0, do not count.
    """

    name: ClassVar[str] = "equalize"
    measures: ClassVar[bool] = True
    amount: float = parameter(0.5, low=0, high=1, help="strength; 0 changes nothing")
    channels: bool = parameter(False, help="each channel by itself, which also removes a cast")

    def settled(self, picture: Picture) -> PointOperation:
        from imgbatch.imaging import colour

        image = colour.to_tonal(picture).image
        counts = _seen(image, image if self.channels else image.convert("L"))
        colours = 3 if self.channels and image.mode in ("RGB", "RGBA") else 1
        starts = range(0, 256 * colours, 256)
        each = tuple(self._spread(counts[start : start + 256]) for start in starts)
        return _Tabulated(each)

    def _spread(self, counts: list[int]) -> tuple[float, ...]:
        """The new value of each level, from 0..1."""
        reached = list(itertools.accumulate(counts))
        darkest = next((count for count in counts if count), 0)
        rest = reached[-1] - darkest
        levels = [level / 255 for level in range(256)]
        if not rest:
            return tuple(levels)
        return tuple(
            value + self.amount * (max(0, count - darkest) / rest - value)
            for value, count in zip(levels, reached, strict=True)
        )


@dataclass(frozen=True, slots=True)
class _Tabulated(PointOperation):
    """Tables of 256 levels, for each channel or for all; it must be the first of those joined."""

    name: ClassVar[str] = "equalize"
    tables: tuple[tuple[float, ...], ...]

    def curves(self, icc: bytes | None, channels: int) -> Sequence[Level]:
        def looked_up(table: tuple[float, ...]) -> Level:
            return lambda value: table[round(255 * value)]

        # Frames may be of another mode than the first.
        return tuple(looked_up(table) for table in self.tables[:channels])


def _seen(image: Image.Image, levels: Image.Image) -> list[int]:
    """The histogram of `levels` where `image` is not fully transparent."""
    mask = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    return levels.histogram(mask)


@register
@dataclass(frozen=True, slots=True)
class Threshold(Operation):
    """Only black and white: white is everything as light as `level`, or lighter.

    Works on the luma in sRGB (Rec. ITU-R BT.601), and leaves one grey channel. If no level is
    given, Otsu's method finds it: where the means of the dark and the light part are farthest
    apart, w0 * w1 * (m1 - m0)² for shares w and means m (A threshold selection method from
    gray-level histograms, IEEE Trans. SMC 9, 1979); of several such levels the middle one, and
    128 if there is nothing to separate. Pixels whose alpha is 0 do not count.
    """

    name: ClassVar[str] = "threshold"
    pixelwise: ClassVar[bool] = True
    memory: ClassVar[float] = 7.5
    keeps_grey: ClassVar[bool] = True
    level: int | None = parameter(
        None,
        kind=Number(0, 255, whole=True),
        help="the darkest level that becomes white; found by Otsu's method by default",
    )

    def apply(self, picture: Picture) -> Picture:
        """In mode L or LA, without a profile."""
        picture, luma = _srgb_luma(picture)
        level = _otsu(_seen(picture.image, luma)) if self.level is None else self.level
        made = luma.point([0] * level + [255] * (256 - level))
        if picture.has_alpha:
            made.putalpha(picture.image.getchannel("A"))
        return picture.with_pixels(made)

    def settled(self, picture: Picture) -> Operation:
        if self.level is not None:
            return self
        picture, luma = _srgb_luma(picture)
        return replace(self, level=_otsu(_seen(picture.image, luma)))


def _srgb_luma(picture: Picture) -> tuple[Picture, Image.Image]:
    """The picture in 8-bit sRGB, and its luma."""
    from imgbatch.imaging import colour

    picture = colour.to_srgb(colour.to_tonal(picture))
    return picture, picture.image.convert("L")


def _otsu(counts: Sequence[int]) -> int:
    """The first level of the light part. In whole numbers, so that equal results are equal."""
    pixels, total = sum(counts), sum(level * count for level, count in enumerate(counts))
    best: tuple[int, int] = (0, 1)
    found = [128]
    dark = dark_total = 0
    for level, count in enumerate(counts[:-1]):
        dark += count
        dark_total += level * count
        if not 0 < dark < pixels:
            continue
        # w0 w1 (m1 - m0)², times what is the same for each level, as a fraction.
        apart = (dark_total * pixels - total * dark) ** 2, dark * (pixels - dark)
        order = apart[0] * best[1] - best[0] * apart[1]
        if order > 0:
            best, found = apart, []
        if order >= 0:
            found.append(level + 1)
    return found[len(found) // 2]
