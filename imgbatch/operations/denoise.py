"""Noise reduction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from imgbatch.errors import UsageError
from imgbatch.operations.base import register
from imgbatch.operations.parameters import Number, parameter
from imgbatch.operations.point import ToneOperation

if TYPE_CHECKING:
    from PIL import Image

_STRENGTH: Final = 0.25
_COLOUR: Final = 0.5
_MAX: Final = 20
"""The noise in levels at a strength of 1, and at a colour of 1."""


@register
@dataclass(frozen=True, slots=True)
class Denoise(ToneOperation):
    """Remove high-ISO noise and keep edges; or take the median, against specks.

    smooth is a guided filter: in each window of 5 x 5 with mean m and variance v a pixel x is
    estimated as x + u * (m - x), with u = n / max(v, n) for the noise's variance n (Lee, Digital
    image enhancement and noise filtering by use of local statistics, IEEE TPAMI 2, 1980), and it
    becomes the mean, weighted by u, of the estimates of its windows (He et al., Guided image
    filtering, IEEE TPAMI 35, 2013). Unlike a bilateral filter it distinguishes noise from detail by
    amount, and needs only sums. It is applied to the luma (Rec. ITU-R BT.601), and to the
    differences of blue and red from it, where windows are of 5 x 5 cells of 2 x 2 pixels, and v is
    the mean of both variances. The noise's standard deviation is 20 * strength levels in the luma,
    and 20 * colour in the colours.

    median is the median level in a square of 2 * radius + 1 pixels, in each channel.
    """

    name: ClassVar[str] = "denoise"
    example: ClassVar[str] = "denoise:strength=0.5,colour=0.8"
    pixelwise: ClassVar[bool] = False
    memory: ClassVar[float] = 8
    method: str = parameter(
        "smooth", choices=("smooth", "median"), help="smooth for noise, median for dust and specks"
    )
    strength: float | None = parameter(
        None,
        kind=Number(0, 1),
        help=f"for smooth: strength in the luma, {_STRENGTH:g} by default; 0 changes nothing",
    )
    colour: float | None = parameter(
        None,
        kind=Number(0, 1),
        help=f"for smooth: strength in the colours, {_COLOUR:g} by default; 0 changes nothing",
    )
    radius: int | None = parameter(
        None, kind=Number(1, 3, "pixels", whole=True), help="for median: 1 by default"
    )

    def __post_init__(self) -> None:
        self.check_fields()
        smooth, median = ("strength", "colour"), ("radius",)
        own, others = (median, smooth) if self.method == "median" else (smooth, median)
        for key in others:
            value = getattr(self, key)
            if value is not None:
                raise UsageError(
                    f"{self.name}: found {key}={value:g} with method={self.method}, "
                    f"expected {' or '.join(own)}"
                )

    def change(self, image: Image.Image) -> Image.Image:
        if self.method == "median":
            from imgbatch.imaging.filters.median import median

            return median(image, 1 if self.radius is None else self.radius)
        luma = _MAX * (_STRENGTH if self.strength is None else self.strength)
        colours = _MAX * (_COLOUR if self.colour is None else self.colour)
        if not luma and (not colours or image.mode == "L"):
            return image
        from imgbatch.imaging.filters.denoising import denoised

        return denoised(image, luma, colours)
