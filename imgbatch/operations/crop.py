"""Operations that keep a part of the picture: chosen, found, or what is within its borders."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec.structs import replace

from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging.picture import Picture, has_alpha, turn
from imgbatch.model import PLACES, Gravity, Size
from imgbatch.operations.base import Operation, register
from imgbatch.operations.geometry import GRAVITIES, SizeSpec, place
from imgbatch.operations.parameters import Kind, Value, parameter

if TYPE_CHECKING:
    from PIL import Image

    from imgbatch.imaging.affine import Move

Part = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels of the upright picture as its file has it."""

_NUMBER: Final = r"\d{1,6}(?:\.\d{1,6})?"
_RATIO: Final = re.compile(rf"({_NUMBER})(?:[:x×/]({_NUMBER}))?", re.ASCII)
_SIDE: Final = rf"\d{{1,6}}|{_NUMBER}%"
_GEOMETRY: Final = re.compile(
    rf"({_SIDE})[x×]({_SIDE})(?:([+-]\d{{1,6}})([+-]\d{{1,6}}))?", re.ASCII
)
_FOLLOW_HELP: Final = "turn the ratio with the picture: 3:2 becomes 2:3 for a portrait"


class WordKind(Kind, frozen=True):
    """A string in some form, which stays a string."""

    def read(self, word: str) -> Any:
        return word.strip()

    def check(self, value: Any) -> Value:
        word = f"{value:g}" if type(value) in (int, float) else value
        if not isinstance(word, str):
            raise ValueError
        self.parse(word)
        return word

    @abstractmethod
    def parse(self, word: str) -> object:
        """The meaning of the string; raises ValueError."""


class RatioKind(WordKind, frozen=True):
    """Width to height."""

    @property
    def expected(self) -> str:
        return "width to height, such as 16:9, 4x5 or 1.91"

    def parse(self, word: str) -> tuple[float, float]:
        """Both numbers; the height is 1 if it is not given."""
        found = _RATIO.fullmatch(word)
        if found is None:
            raise ValueError
        width, height = float(found[1]), float(found[2] or 1)
        if not width or not height:
            raise ValueError
        return width, height


class GeometryKind(WordKind, frozen=True):
    """Width and height, and optionally the place of the upper left corner."""

    @property
    def expected(self) -> str:
        return "width and height, such as 800x600, 80%x80% or 800x600+100+50 (from left and top)"

    def parse(self, word: str) -> tuple[str, str, tuple[int, int] | None]:
        """Both sides as strings, and left and top if they are given."""
        found = _GEOMETRY.fullmatch(word)
        if found is None:
            raise ValueError
        width, height, left, top = found.groups()
        if not float(width.rstrip("%")) or not float(height.rstrip("%")):
            raise ValueError
        return width, height, None if left is None else (int(left), int(top))


_RATIOS: Final = RatioKind()
_GEOMETRIES: Final = GeometryKind()


@dataclass(frozen=True, slots=True)
class CutOperation(Operation):
    """Base of operations that keep a part whose size follows from the picture's size."""

    turns: ClassVar[bool] = True
    memory: ClassVar[float] = 4.1
    keeps_grey: ClassVar[bool] = True
    any_mode: ClassVar[bool] = True

    @abstractmethod
    def output_size(self, size: Size) -> Size:
        """The size of the part."""

    def needed_size(self, size: Size, wanted: Size) -> Size:
        """The whole picture at the scale at which the part has the wanted pixels."""
        part = self.output_size(size)
        return (
            min(size[0], math.ceil(size[0] * wanted[0] / part[0])),
            min(size[1], math.ceil(size[1] * wanted[1] / part[1])),
        )


@register
@dataclass(frozen=True, slots=True)
class Crop(CutOperation):
    """Keep a part of the picture: of a size and at a place, or the largest of a ratio.

    A geometry is in pixels of the upright picture at this point, or in per cent of its sides;
    without a place, `gravity` says which part is kept. A part that is larger than the picture
    or reaches beyond it is cut off at the edges; if nothing would be left, the file fails.
    Fractions of a pixel are rounded. No pixel is changed, in any mode, and none is enlarged.
    """

    name: ClassVar[str] = "crop"
    example: ClassVar[str] = "crop:ratio=1:1"
    geometry: str | None = parameter(
        None, kind=_GEOMETRIES, help="size of the part, and optionally its place"
    )
    ratio: str | None = parameter(None, kind=_RATIOS, help="shape of the part, instead")
    gravity: Gravity = parameter(
        "center", choices=GRAVITIES, synonyms=PLACES, help="which part is kept"
    )
    follow: bool = parameter(False, help=_FOLLOW_HELP)

    def __post_init__(self) -> None:
        self.check_fields()
        if (self.geometry is None) == (self.ratio is None):
            found = "neither" if self.geometry is None else "both"
            raise UsageError(
                f"{self.name}: found {found} of geometry and ratio, expected one of them, "
                "as in ratio=3:2"
            )
        if self.geometry is None:
            return
        if self.follow:
            raise UsageError(f"{self.name}: found follow without ratio, expected ratio=… with it")
        if _GEOMETRIES.parse(self.geometry)[2] is not None and self.gravity != "center":
            raise UsageError(
                f"{self.name}: found gravity={self.gravity} and a geometry that has a place "
                f"({self.geometry}), expected one of them"
            )

    def output_size(self, size: Size) -> Size:
        """The size of the part that lies in the picture; a side is never 0."""
        left, top, right, bottom = self._part(size)
        return max(1, right - left), max(1, bottom - top)

    def apply(self, picture: Picture) -> Picture:
        """Raises PictureError if nothing is left."""
        part = self._part(picture.full_size)
        if part[0] >= part[2] or part[1] >= part[3]:
            width, height = picture.full_size
            raise PictureError(
                "operate",
                self.name,
                f"{self.name}: {self.geometry} leaves nothing of {width} x {height} pixels",
            )
        return cut(picture, part)

    def move(self, picture: Picture) -> Move:
        return _moved_to(self._part(picture.full_size))

    def _part(self, size: Size) -> Part:
        """The kept part of an upright picture of `size`; empty if it lies beyond."""
        if self.geometry is None:
            kept = _largest(size, self.ratio or "", follow=self.follow)
            return _gravitated(kept, size, self.gravity)
        width, height, corner = _GEOMETRIES.parse(self.geometry)
        wanted = _length(width, size[0]), _length(height, size[1])
        if corner is None:
            kept = min(wanted[0], size[0]), min(wanted[1], size[1])
            return _gravitated(kept, size, self.gravity)
        left, top = corner
        right, bottom = left + wanted[0], top + wanted[1]
        return max(0, left), max(0, top), min(size[0], right), min(size[1], bottom)


def _length(word: str, whole: int) -> int:
    """Of a side in pixels, or in per cent of the whole one."""
    if word.endswith("%"):
        return max(1, round(float(word[:-1]) * whole / 100))
    return int(word)


def _largest(size: Size, ratio: str, *, follow: bool, zoom: float = 1) -> Size:
    """The largest size of a ratio that fits into `size`, each side divided by `zoom`."""
    across, down = _RATIOS.parse(ratio)
    width, height = size
    if follow and width != height and (width > height) != (across > down):
        across, down = down, across
    if width * down >= height * across:
        exact = height * across / down, float(height)
    else:
        exact = float(width), width * down / across
    return max(1, round(exact[0] / zoom)), max(1, round(exact[1] / zoom))


def _gravitated(kept: Size, size: Size, gravity: Gravity) -> Part:
    left, top = place(kept, SizeSpec(*size), "pad", gravity=gravity).offset
    return left, top, left + kept[0], top + kept[1]


def _moved_to(part: Part) -> Move:
    """The move that makes a part of a picture the whole."""
    from imgbatch.imaging import affine

    left, top, right, bottom = part
    return affine.Move(affine.moved(-left, -top), (right - left, bottom - top))


def cut(picture: Picture, part: Part) -> Picture:
    """A part of a picture, not turned. One that a decoder shrank stays shrunk: then the edges of
    the part may lie within pixels (`Picture.area`), for a resize that follows.
    """
    if part == (0, 0, *picture.full_size):
        return picture
    exact = picture.stored_area(part)
    first = math.floor(exact[0]), math.floor(exact[1])
    whole = (*first, math.ceil(exact[2]), math.ceil(exact[3]))
    area = exact[0] - first[0], exact[1] - first[1], exact[2] - first[0], exact[3] - first[1]
    return replace(
        picture,
        pixels=picture.pixels.crop(whole),
        full_size=(part[2] - part[0], part[3] - part[1]),
        area=area,
    )


@register
@dataclass(frozen=True, slots=True)
class SmartCrop(CutOperation):
    """Keep the part of a given ratio that draws the eye most: detail, colour and skin.

    Attention is measured on the picture at 160 pixels: by gradients, by how far colours are from
    the mean, and by skin tones (imgbatch/imaging/filters/attention.py has the formulas). Of all
    windows of the ratio, at the largest size divided by `zoom`, the one with the most is kept.
    Attention counts twice except in the outermost eighth at each edge, and a quarter more around
    the points where the thirds of the window meet. If nothing draws the eye, the centre is kept.
    All frames of an animation are cropped like the first. No pixel is changed, in any mode.
    """

    name: ClassVar[str] = "smart-crop"
    memory: ClassVar[float] = 8
    ratio: str = parameter("1:1", kind=_RATIOS, help="shape of the part")
    zoom: float = parameter(
        1.0, low=1, high=8, help="how many times smaller than the largest possible part"
    )
    follow: bool = parameter(False, help=_FOLLOW_HELP)

    def output_size(self, size: Size) -> Size:
        return _largest(size, self.ratio, follow=self.follow, zoom=self.zoom)

    def kept_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """The resampler keeps the pixels with alpha multiplied in."""
        return 4 * before[0] * before[1] if has_alpha(mode) else 0

    def apply(self, picture: Picture) -> Picture:
        return cut(picture, self._part(picture))

    def move(self, picture: Picture) -> Move:
        return _moved_to(self._part(picture))

    def settled(self, picture: Picture) -> Operation:
        return _crop_to(self._part(picture))

    def _part(self, picture: Picture) -> Part:
        from imgbatch.imaging.filters import attention

        size = picture.full_size
        kept = self.output_size(size)
        free = size[0] - kept[0], size[1] - kept[1]
        if free == (0, 0):
            return 0, 0, *size
        drawn = attention.attention(_small(picture, attention.SIDE))
        across, down = attention.best_place(drawn, (kept[0] / size[0], kept[1] / size[1]))
        left, top = round(across * free[0]), round(down * free[1])
        return left, top, left + kept[0], top + kept[1]


def _crop_to(part: Part) -> Crop:
    left, top, right, bottom = part
    return Crop(geometry=f"{right - left}x{bottom - top}+{left}+{top}")


def _small(picture: Picture, side: int) -> Image.Image:
    """A picture in 8-bit sRGB, upright, with no side longer than `side`."""
    from imgbatch.imaging import colour, resample

    left, top, right, bottom = picture.area
    longer = max(right - left, bottom - top)
    scale = min(1.0, side / longer)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    pixels = resample.resize(picture.pixels, size, "box", picture.area)
    small = picture.with_pixels(turn(pixels, picture.orientation))
    return colour.to_srgb(colour.to_tonal(small)).image


@register
@dataclass(frozen=True, slots=True)
class Trim(Operation):
    """Crop borders of one colour.

    The colour is that of the corner that most corners resemble (of several, the first from the
    upper left, row by row). Rows and columns at the edges are cropped as long as no channel of any
    pixel in them, including alpha, differs from it by more than `tolerance` levels of 255. Colours
    are compared in 8 bits with alpha multiplied in, so all transparent pixels are alike. A picture
    of one colour stays unchanged, and all frames of an animation are cropped like the first. No
    pixel is changed, in any mode.
    """

    name: ClassVar[str] = "trim"
    sizes_known: ClassVar[bool] = False
    memory: ClassVar[float] = 4.5
    keeps_grey: ClassVar[bool] = True
    any_mode: ClassVar[bool] = True
    tolerance: int = parameter(
        10, low=0, high=254, unit="levels", help="how much a border may differ from its colour"
    )
    margin: float = parameter(
        0.0,
        low=0,
        high=100,
        unit="%",
        help="margin to keep, relative to the shorter side of the rest",
    )

    def apply(self, picture: Picture) -> Picture:
        return cut(picture, self._part(picture))

    def move(self, picture: Picture) -> Move:
        return _moved_to(self._part(picture))

    def settled(self, picture: Picture) -> Operation:
        return _crop_to(self._part(picture))

    def _part(self, picture: Picture) -> Part:
        width, height = picture.size
        found = _contents(picture, self.tolerance)
        if found is None:
            return 0, 0, width, height
        left, top, right, bottom = found
        margin = round(self.margin / 100 * min(right - left, bottom - top))
        return (
            max(0, left - margin),
            max(0, top - margin),
            min(width, right + margin),
            min(height, bottom + margin),
        )


def _contents(picture: Picture, tolerance: int) -> Part | None:
    """The part within the borders of an upright picture; None if there is nothing."""
    from PIL import Image, ImageChops

    from imgbatch.imaging.filters.strips import strips

    border = _border_colour(picture, tolerance)
    lefts, tops, rights, bottoms = [], [], [], []
    for first, behind in strips(picture.size):
        strip = _comparable(picture, (0, first, picture.size[0], behind))
        plain = Image.new(strip.mode, strip.size, border)
        beyond = [255 * (level > tolerance) for level in range(256)] * len(border)
        box = ImageChops.difference(strip, plain).point(beyond).getbbox(alpha_only=False)
        if box is not None:
            lefts.append(box[0])
            tops.append(first + box[1])
            rights.append(box[2])
            bottoms.append(first + box[3])
    return (min(lefts), tops[0], max(rights), bottoms[-1]) if tops else None


def _border_colour(picture: Picture, tolerance: int) -> tuple[int, ...]:
    width, height = picture.size
    corners = []
    for top in (0, height - 1):
        for left in (0, width - 1):
            spot: Any = _comparable(picture, (left, top, left + 1, top + 1)).getpixel((0, 0))
            corners.append(spot if isinstance(spot, tuple) else (spot,))

    def alike(corner: tuple[int, ...]) -> int:
        return sum(
            all(abs(one - other) <= tolerance for one, other in zip(corner, another, strict=True))
            for another in corners
        )

    return max(corners, key=alike)


def _comparable(picture: Picture, box: Part) -> Image.Image:
    """A part in 8 bits, with alpha multiplied in."""
    from imgbatch.imaging import colour

    part = picture.with_pixels(picture.pixels.crop(box))
    image = colour.to_8_bits(part, "for an operation").image
    return image.convert({"LA": "La", "RGBA": "RGBa"}[image.mode]) if part.has_alpha else image
