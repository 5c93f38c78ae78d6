"""Sizes, fits, and resizing.

All arithmetic is on the upright picture as its file has it, not on what a decoder shrank it to,
so an output's size never depends on how it was decoded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, get_args

from msgspec import Struct

from imgbatch.errors import UsageError
from imgbatch.imaging.picture import (
    Box,
    Picture,
    has_alpha,
    stored_bytes,
    turn,
    turned,
    with_room_for,
)
from imgbatch.model import WHITE, Colour, Fit, Gravity, Kernel, Size
from imgbatch.operations.base import Operation

FITS: Final[tuple[Fit, ...]] = get_args(Fit)
GRAVITIES: Final[tuple[Gravity, ...]] = get_args(Gravity)
KERNELS: Final[tuple[Kernel, ...]] = get_args(Kernel)

MAX_SIDE: Final = 100_000

_LINEAR_RESERVE: Final = 1.5
"""Leaves 24 MP the decoder's 1/2 on their way to 1600 pixels, and never all of the work."""

_RESERVES: Final[dict[Kernel, float]] = {"lanczos": 2.5, "bicubic": 2.5, "mitchell": 3}
"""How many times larger a picture that was resampled before must be to be resampled again: the
softer the kernel, the more it removed. Measured on noise, zone plates and photographs."""

_STRIP_TIMES: Final = 5
_STRIP_FLOATS: Final = 120
"""Memory for a strip: as a multiple of its pixels, unchanged and resampled; and in bytes for each
pixel as floats (four channels take 16) with copies."""

_SIZE: Final = re.compile(
    r"(?P<box>\d+)|(?P<width>\d+)x(?P<height>\d+)|(?P<only_width>\d+)x|x(?P<only_height>\d+)"
    r"|(?P<percent>\d+(?:\.\d+)?)%|(?P<megapixels>\d+(?:\.\d+)?)mp",
    re.IGNORECASE,
)


class SizeSpec(Struct, frozen=True):
    """A requested size: a box, one side of it, a percentage, or megapixels."""

    width: int | None = None
    height: int | None = None
    percent: float | None = None
    megapixels: float | None = None

    @classmethod
    def parse(cls, word: str) -> SizeSpec:
        """From `1600`, `1600x1200`, `1600x`, `x1200`, `50%` or `2MP`; else raises UsageError."""
        found = _SIZE.fullmatch(word.strip().replace("×", "x"))
        if not found:
            raise UsageError(
                f"cannot read the size {word!r}: give 1600 (long edge), 1600x1200, 1600x, x1200, "
                f"50% or 2MP"
            )
        numbers = {key: float(number) for key, number in found.groupdict().items() if number}
        if any(number <= 0 for number in numbers.values()):
            raise UsageError(f"the size {word!r} is empty: it must be more than 0")
        side = numbers.get("box")
        width = numbers.get("width") or numbers.get("only_width") or side
        height = numbers.get("height") or numbers.get("only_height") or side
        if max(width or 0, height or 0) > MAX_SIDE or math.inf in numbers.values():
            raise UsageError(f"the size {word!r} is too large: at most {MAX_SIDE} pixels per side")
        return cls(
            int(width) if width else None,
            int(height) if height else None,
            numbers.get("percent"),
            numbers.get("megapixels"),
        )

    def __str__(self) -> str:
        if self.percent is not None:
            return f"{_plain(self.percent)}%"
        if self.megapixels is not None:
            return f"{_plain(self.megapixels)}MP"
        if self.width == self.height:
            return f"{self.width}"
        return f"{self.width or ''}x{self.height or ''}"

    @property
    def is_box(self) -> bool:
        """Whether both sides are given, so that the fit matters."""
        return self.width is not None and self.height is not None


def _plain(number: float) -> str:
    """All its digits, without an exponent."""
    return f"{Decimal(repr(number)):f}".removesuffix(".0")


class Placement(Struct, frozen=True):
    """How a picture gets its new size: its part `box` is resampled to `scaled`, which is placed at
    `offset` on a canvas of `canvas` pixels.
    """

    box: Box
    scaled: Size
    canvas: Size
    offset: tuple[int, int] = (0, 0)

    @property
    def changes_nothing(self) -> bool:
        """Whether the whole picture comes out at the size that it has."""
        return self.box == (0, 0, *self.scaled) and self.canvas == self.scaled

    @property
    def enlarges(self) -> bool:
        """Whether more pixels of the picture come out than went in."""
        left, top, right, bottom = self.box
        return self.scaled[0] > right - left or self.scaled[1] > bottom - top


def place(
    size: Size,
    spec: SizeSpec,
    fit: Fit = "inside",
    *,
    enlarge: bool = False,
    gravity: Gravity = "center",
) -> Placement:
    """Compute where a picture of `size` goes. A side is never 0.

    A side that the spec constrains is met exactly; the other is round(side * scale). Without
    `enlarge`, no pixel is enlarged: `inside` and `outside` stop at the picture's own size, `cover`
    at the largest box of the requested shape that fits into it, `pad` pads with the background.
    """
    width, height = size
    whole = (0.0, 0.0, float(width), float(height))
    if not (spec.is_box and spec.width and spec.height):
        scaled = _proportional(size, spec, enlarge=enlarge)
        return Placement(whole, scaled, scaled)
    wanted = (spec.width, spec.height)
    if fit == "exact":
        scaled = wanted if enlarge else (min(width, wanted[0]), min(height, wanted[1]))
        return Placement(whole, scaled, scaled)
    if fit == "cover":
        return _cover(size, wanted, gravity, enlarge=enlarge)
    wider = width * wanted[1] >= height * wanted[0]
    by_width = wider if fit != "outside" else not wider
    scaled = _constrained(size, wanted, by_width=by_width, enlarge=enlarge)
    if fit != "pad":
        return Placement(whole, scaled, scaled)
    across, down = _fractions(gravity)
    offset = (round((wanted[0] - scaled[0]) * across), round((wanted[1] - scaled[1]) * down))
    return Placement(whole, scaled, wanted, offset)


def _proportional(size: Size, spec: SizeSpec, *, enlarge: bool) -> Size:
    width, height = size
    if spec.width or spec.height:
        wanted = (spec.width or 0, spec.height or 0)
        return _constrained(size, wanted, by_width=bool(spec.width), enlarge=enlarge)
    if spec.percent is not None:
        scale = spec.percent / 100
    else:
        scale = math.sqrt((spec.megapixels or 0) * 1e6 / (width * height))
    if not enlarge:
        scale = min(1.0, scale)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _constrained(size: Size, wanted: Size, *, by_width: bool, enlarge: bool) -> Size:
    """One side exactly as wanted, the other in proportion.

    Multiplied before dividing: int/int is exact to the last bit, width*scale is not.
    """
    width, height = size
    if not enlarge and (wanted[0] >= width if by_width else wanted[1] >= height):
        return size
    if by_width:
        return wanted[0], max(1, round(height * wanted[0] / width))
    return max(1, round(width * wanted[1] / height)), wanted[1]


def _cover(size: Size, wanted: Size, gravity: Gravity, *, enlarge: bool) -> Placement:
    width, height = size
    scale = max(wanted[0] / width, wanted[1] / height)
    if scale > 1 and not enlarge:
        wanted = (
            min(width, max(1, round(wanted[0] / scale))),
            min(height, max(1, round(wanted[1] / scale))),
        )
        scale = max(wanted[0] / width, wanted[1] / height)
    crop = (min(width, wanted[0] / scale), min(height, wanted[1] / scale))
    across, down = _fractions(gravity)
    left, top = (width - crop[0]) * across, (height - crop[1]) * down
    if scale == 1:
        # Nothing to resample: a shift by half a pixel would only blur.
        left, top = math.floor(left), math.floor(top)
    return Placement((left, top, left + crop[0], top + crop[1]), wanted, wanted)


def _fractions(gravity: Gravity) -> tuple[float, float]:
    across = 0.0 if gravity.endswith("west") else 1.0 if gravity.endswith("east") else 0.5
    down = 0.0 if gravity.startswith("north") else 1.0 if gravity.startswith("south") else 0.5
    return across, down


@dataclass(frozen=True, slots=True)
class Resize(Operation):
    """Resize the picture. Its settings are options of their own (`--size`, `--fit`, …).

    `linear` resamples in linear light.
    """

    name: ClassVar[str] = "resize"
    turns: ClassVar[bool] = True

    spec: SizeSpec
    fit: Fit = "inside"
    enlarge: bool = False
    gravity: Gravity = "center"
    background: Colour = WHITE
    kernel: Kernel = "lanczos"
    linear: bool = False

    def __post_init__(self) -> None:
        if not self.enlarge and (self.spec.percent or 0) > 100:
            raise UsageError(f"the size {self.spec} enlarges: allow that with --enlarge")

    def output_size(self, size: Size) -> Size:
        return self._place(size).canvas

    def moves_pixels(self, size: Size) -> bool:
        """Only if it crops or pads."""
        placement = self._place(size)
        return placement.box != (0, 0, *size) or placement.canvas != placement.scaled

    def needed_size(self, size: Size, wanted: Size) -> Size:
        """The whole picture at the scale at which its part has the pixels of this size.

        In linear light it is more: a decoder that shrinks averages levels, not light.
        """
        placement = self._place(size)
        left, top, right, bottom = placement.box
        reserve = _LINEAR_RESERVE if self.linear else 1
        across = reserve * placement.scaled[0] / (right - left)
        down = reserve * placement.scaled[1] / (bottom - top)
        return (
            min(size[0], math.ceil(size[0] * across)),
            min(size[1], math.ceil(size[1] * down)),
        )

    def may_follow(self, larger: Resize, size: Size) -> bool:
        """Whether this may as well start from what another resize made of a picture of `size`.

        It may if the other keeps the whole picture, and enough pixels of it that the result
        is within one level of the direct way (root mean square), even for noise;
        photographs come within half a level. That does not hold for values that were
        clipped on the way, such as black lines on white (see `resample.is_clipped`).
        """
        reserve = _RESERVES.get(self.kernel)
        base = larger._place(size)
        # In linear light, earlier rounding and clipping shows twice as much.
        if reserve is None or larger.kernel != self.kernel or self.linear or larger.linear:
            return False
        if base.box != (0, 0, *size) or base.canvas != base.scaled or base.enlarges:
            return False
        need = self.needed_size(size, size)
        return base.scaled[0] >= reserve * need[0] and base.scaled[1] >= reserve * need[1]

    def output_mode(self, mode: str) -> str:
        """Holds the background if it is padded."""
        return with_room_for(mode, self.background) if self.fit == "pad" else mode

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """The result, twice if it is turned or padded, and what is resampled in strips."""
        from imgbatch.imaging import resample

        pixels, made = before[0] * before[1], after[0] * after[1]
        if self.kernel == "mitchell" and resample.resize_simd is None:
            # NumPy's weights are made in float64, some of them at a time.
            weights = max(before[0] * after[0], before[1] * after[1])
            return max(48 * weights, 16 * pixels + 40 * made) + 8 * made
        if _is_wide(mode):
            # Grey with alpha is resampled as RGBA. 16-bit colours take 8 bytes per pixel.
            plainly = 16 * made + 4 * pixels
        else:
            plainly = 2 * made * stored_bytes(self.output_mode(mode))
        if not self.linear and not _is_wide(mode):
            return plainly
        placement = self._place(before)
        strip = resample.strip_pixels(before, placement.scaled, placement.box)
        simd = resample.resize_simd is not None and self.kernel in resample.SIMD_KERNELS
        floats = self.linear or not simd
        each = _STRIP_FLOATS if floats else _STRIP_TIMES * stored_bytes(mode)
        # Nothing is kept in that case.
        kept = self.kept_bytes(before, after, mode=mode)
        return max(plainly, 16 * made + each * strip - kept)

    def kept_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """Rows of the new height or columns of the new width, and colours times alpha."""
        half_way = max(before[0] * after[1], after[0] * before[1])
        if _is_wide(mode):
            return 4 * (half_way + before[0] * before[1])
        return stored_bytes(mode) * half_way

    def apply(self, picture: Picture) -> Picture:
        """Resample the needed part once, as it is stored; turn the result."""
        from imgbatch.imaging import resample

        placement = self._place(picture.full_size)
        orientation = picture.orientation
        same = turned(picture.size, orientation) == picture.full_size == placement.scaled
        if placement.changes_nothing and same:
            return picture
        if placement.enlarges:
            width, height = picture.full_size
            picture = picture.with_notice("enlarged", f"it only has {width} x {height} pixels")
        box = picture.stored_area(placement.box)
        scaled = turned(placement.scaled, orientation)
        pixels = None
        # The nearest pixel is the same in any light.
        if self.linear and self.kernel != "nearest" and not resample.is_cut(scaled, box):
            from imgbatch.imaging import light

            pixels = light.resize(picture, scaled, self.kernel, box)
            if pixels is None:
                picture = picture.with_notice(
                    "not-linear",
                    "it was resampled as is, not in linear light: its colours have no simple "
                    "curves",
                )
        if pixels is None:
            pixels = resample.resize(picture.pixels, scaled, self.kernel, box)
        picture = picture.with_image(turn(pixels, orientation))
        if placement.canvas == placement.scaled:
            return picture
        from imgbatch.imaging import colour

        return colour.on_canvas(picture, placement.canvas, placement.offset, self.background)

    def _place(self, size: Size) -> Placement:
        return place(size, self.spec, self.fit, enlarge=self.enlarge, gravity=self.gravity)


def _is_wide(mode: str) -> bool:
    """Whether it has alpha, or colours with 16 bits per channel."""
    return (mode.endswith(";16") and mode != "I;16") or has_alpha(mode)
