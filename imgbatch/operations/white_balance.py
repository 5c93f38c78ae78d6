"""White balance: what colour the light had, and how to remove it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, ClassVar, Final

from imgbatch.errors import UsageError
from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import register
from imgbatch.operations.parameters import Number, parameter
from imgbatch.operations.point import LightOperation, PointOperation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from imgbatch.imaging.colour.transfer import Level

Light = tuple[float, float, float]
"""Red, green and blue, proportional to light, in the primaries of some profile."""

_AMOUNT: Final = 0.5
"""The default for grey world: no picture is grey all over, so not all of its mean is a cast."""
_NEUTRAL: Final = 6500.0
"""The temperature in K of the light that changes nothing: about that of sRGB's white."""
_MAX: Final = 4.0
"""The largest factor by which red and blue change relative to green: two stops."""
_MIN: Final = 1e-6
"""The least light: less, or negative light in narrow primaries, counts as this much."""
_CLIPPED: Final = 5
"""How far from 0 and 255 levels still count as clipped: JPEG blurs them a bit."""
_SAMPLE: Final = 60_000
"""About how many pixels of a large picture are sampled."""
_XYZ_TO_SRGB: Final = (
    (3.2406, -1.5372, -0.4986),
    (-0.9689, 1.8758, 0.0415),
    (0.0557, -0.2040, 1.0570),
)
"""IEC 61966-2-1, from XYZ with D65 as white."""
_SRGB: Final = (
    (0.43607, 0.38515, 0.14307),
    (0.22249, 0.71687, 0.06061),
    (0.01392, 0.09708, 0.71410),
)
"""XYZ of sRGB's primaries as its ICC profile has them, adapted to D50."""
_XYZ_BYTES: Final = 20
"""The length of a tag of the type 'XYZ ' (ICC.1:2010, 10.31)."""


@register
@dataclass(frozen=True, slots=True)
class WhiteBalance(PointOperation):
    """Remove the colour of the light: the picture's own mean (grey world), or a temperature.

    Without a temperature, the mean light of the picture becomes neutral, to the degree of `amount`
    (Buchsbaum, A spatial processor model for object colour perception, 1980). Pixels with a level
    within 5 of black or white do not count, nor do those whose alpha is 0; of a large picture about
    60000 pixels, evenly spread, are sampled. With a temperature, the light of a black body that hot
    becomes neutral, and 6500 K changes nothing: lower makes the picture bluer, higher more yellow
    (the Planckian locus of Kim et al., Design of advanced color temperature control system for
    HDTV applications, J. Korean Phys. Soc. 41, 2002, relative to its own 6500 K).

    In linear light, in the primaries of the picture's own profile, each channel is multiplied by a
    gain: green by g = 2 ** (-tint / 200), red and blue by (green / red) ** amount and
    (green / blue) ** amount of the light, 1/4 to 4 before the exponent, and all three divided by
    what a grey would gain in luminance. Grey pictures stay unchanged.
    """

    name: ClassVar[str] = "white-balance"
    measures: ClassVar[bool] = True
    temperature: float | None = parameter(
        None,
        kind=Number(2000, 12_000, "K"),
        help="the light that becomes neutral; the picture's mean by default",
    )
    tint: float = parameter(
        0.0, low=-100, high=100, help="from green to magenta; 0 changes nothing"
    )
    amount: float = parameter(
        _AMOUNT, low=0, high=1, help="how neutral the mean becomes; not with a temperature"
    )

    def __post_init__(self) -> None:
        self.check_fields()
        if self.temperature is not None and self.amount != _AMOUNT:
            raise UsageError(
                f"{self.name}: found amount={self.amount:g} and "
                f"temperature={self.temperature:g}, expected one of them"
            )

    @property
    def measuring(self) -> bool:
        """Only grey world depends on the picture."""
        return self.temperature is None

    def apply(self, picture: Picture) -> Picture:
        """One look-up; grey pictures stay unchanged, 16 bits included."""
        from imgbatch.imaging.colour import GREY_MODES

        return picture if picture.mode in GREY_MODES else PointOperation.apply(self, picture)

    def settled(self, picture: Picture) -> PointOperation:
        if self.temperature is not None:
            return self
        from imgbatch.imaging import colour

        picture = colour.to_tonal(picture)
        light = _mean_light(picture) if picture.mode in ("RGB", "RGBA") else (1.0, 1.0, 1.0)
        return _Gains(_gains(light, self.amount, self.tint, picture.icc))

    def curves(self, icc: bytes | None, channels: int) -> Sequence[Level]:
        """The curves of a known temperature; raises TypeError for grey world not yet settled."""
        if self.temperature is None:
            raise TypeError("a grey world has no curves before it is settled")
        lights = (_light_of(kelvin, icc) for kelvin in (self.temperature, _NEUTRAL))
        red, green, blue = (seen / neutral for seen, neutral in zip(*lights, strict=True))
        return _Gains(_gains((red, green, blue), 1.0, self.tint, icc)).curves(icc, channels)


def _gains(light: Light, amount: float, tint: float, icc: bytes | None) -> Light:
    """Factors of red, green and blue that make light neutral."""
    red, blue = (
        min(_MAX, max(1 / _MAX, light[1] / part)) ** amount for part in (light[0], light[2])
    )
    gains = red, math.exp2(-tint / 200), blue
    # A profile may have a primary with negative luminance.
    weights = [max(0.0, weight) for weight in _primaries(icc)[1].tolist()]
    luminance = sum(weight * gain for weight, gain in zip(weights, gains, strict=True))
    luminance /= sum(weights)
    return gains[0] / luminance, gains[1] / luminance, gains[2] / luminance


@dataclass(frozen=True, slots=True)
class _Gains(LightOperation):
    """Multiplies each channel's light by its gain."""

    name: ClassVar[str] = "white-balance"
    gains: Light

    def curves(self, icc: bytes | None, channels: int) -> Sequence[Level]:
        """Nothing for grey: frames may be of another mode than the first."""
        if channels == 1:
            return (lambda value: value,)
        return LightOperation.curves(self, icc, channels)

    def light(self, light: float, channel: int) -> float:
        return light * self.gains[channel]


def _mean_light(picture: Picture) -> Light:
    """The mean of pixels neither clipped nor fully transparent; neutral if there are none."""
    from PIL import ImageChops

    from imgbatch.imaging.colour.transfer import transfers

    image = _sampled(picture.image)
    clipped = [0] * (_CLIPPED + 1)
    table = (clipped + [255] * (256 - 2 * len(clipped)) + clipped) * 3
    if picture.has_alpha:
        table += [0] + [255] * 255
    counts = image.histogram(reduce(ImageChops.darker, image.point(table).split()))
    found = transfers(picture.icc)
    sums = [
        sum(
            count * transfer.to_light(level / 255)
            for level, count in enumerate(counts[256 * channel : 256 * channel + 256])
            if count
        )
        for channel, transfer in enumerate(found * 3 if len(found) == 1 else found)
    ]
    pixels = sum(counts[:256]) or 1
    red, green, blue = (max(_MIN, total / pixels) for total in sums)
    return red, green, blue


def _sampled(image: Image.Image) -> Image.Image:
    """Some of a large picture's pixels, evenly spread."""
    from PIL.Image import Resampling

    width, height = image.size
    step = math.isqrt(width * height // _SAMPLE)
    if step <= 1:
        return image
    return image.resize((max(1, width // step), max(1, height // step)), Resampling.NEAREST)


def _light_of(kelvin: float, icc: bytes | None) -> Light:
    """A black body's light, in the primaries of a profile (sRGB's without one)."""
    import numpy as np

    x, y = _planckian(kelvin)
    srgb = np.array(_XYZ_TO_SRGB) @ (x / y, 1.0, (1 - x - y) / y)
    own = np.linalg.solve(_primaries(icc), _primaries(None) @ srgb)
    red, green, blue = np.maximum(own, _MIN).tolist()
    return red, green, blue


def _planckian(kelvin: float) -> tuple[float, float]:
    """CIE 1931 x and y of a black body from 1667 to 25000 K (Kim et al., 2002)."""
    t = 1000 / kelvin
    if kelvin <= 4000:
        x = ((-0.2661239 * t - 0.2343589) * t + 0.8776956) * t + 0.179910
    else:
        x = ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390
    if kelvin <= 2222:
        y = ((-1.1063814 * x - 1.34811020) * x + 2.18555832) * x - 0.20219683
    elif kelvin <= 4000:
        y = ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    else:
        y = ((3.0817580 * x - 5.87338670) * x + 3.75112997) * x - 0.37001483
    return x, y


@lru_cache(maxsize=16)
def _primaries(icc: bytes | None) -> NDArray[np.float64]:
    """XYZ (D50, down) of full red, green and blue (across); sRGB's if a profile has none."""
    import numpy as np

    from imgbatch.imaging.colour.icc import tags, tone_curves

    srgb = np.array(_SRGB)
    if icc is None or tone_curves(icc) is None:
        return srgb
    found = tags(icc) or {}
    columns = [found.get(name, b"") for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    if min(len(column) for column in columns) < _XYZ_BYTES:
        return srgb
    own = np.stack([np.frombuffer(column, ">i4", 3, 8) for column in columns], axis=1) / 65_536
    return own if abs(np.linalg.det(own)) > _MIN and own[1].max() > 0 else srgb
