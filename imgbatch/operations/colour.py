"""Operations on colours: how strong they are, which, and whether there are any.

Sepia, saturation and hue follow the W3C's Filter Effects Module Level 1 (section 9, the
shorthand functions), so that a filter looks like its namesake in CSS.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec.structs import replace

from imgbatch.errors import UsageError
from imgbatch.imaging.filters import cube
from imgbatch.imaging.picture import Picture
from imgbatch.model import Size
from imgbatch.operations.base import Operation, register
from imgbatch.operations.parameters import Attachment, FileKind, parameter
from imgbatch.operations.point import ToneOperation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageFilter

_GREY: Final = frozenset({"L", "LA", "I;16", "LA;16"})
_IN_GREY: Final = {
    "RGB": "L",
    "RGBA": "LA",
    "CMYK": "L",
    "RGB;16": "I;16",
    "RGBA;16": "LA;16",
}


Matrix = tuple[tuple[float, float, float], ...]
"""Three rows: the new red, green and blue, each a sum of the old red, green and blue."""


@dataclass(frozen=True, slots=True)
class MatrixOperation(ToneOperation):
    """Base of operations that mix the channels."""

    @abstractmethod
    def matrix(self) -> Matrix:
        """What each new channel is made of."""

    def change(self, image: Image.Image) -> Image.Image:
        """Mix in floating point, round and clip."""
        flat = [cell for row in self.matrix() for cell in (*row, 0.0)]
        # Pillow copies an image that already has that mode.
        colours = image if image.mode == "RGB" else image.convert("RGB")
        return colours.convert("RGB", tuple(flat))


@register
@dataclass(frozen=True, slots=True)
class Grayscale(Operation):
    """Black and white, by the luma of Rec. ITU-R BT.601: the result has one grey channel."""

    name: ClassVar[str] = "grayscale"
    pixelwise: ClassVar[bool] = True
    memory: ClassVar[float] = 5.5

    def output_mode(self, mode: str) -> str:
        """Grey, with as many bits."""
        return _IN_GREY.get(mode, mode)

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """Nothing for what is grey already."""
        return 0 if mode in _GREY else Operation.working_bytes(self, before, after, mode=mode)

    def apply(self, picture: Picture) -> Picture:
        """Mode L, LA, I;16 or LA;16; in sRGB grey, since an RGB profile does not fit that."""
        from imgbatch.imaging import colour

        if picture.mode in _GREY:
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
    keeps_grey: ClassVar[bool] = False
    amount: float = parameter(1.0, low=0, high=1, help="strength")

    def matrix(self) -> Matrix:
        """Between the identity and the sepia matrix."""
        rest = 1 - self.amount
        return (
            (0.393 + 0.607 * rest, 0.769 - 0.769 * rest, 0.189 - 0.189 * rest),
            (0.349 - 0.349 * rest, 0.686 + 0.314 * rest, 0.168 - 0.168 * rest),
            (0.272 - 0.272 * rest, 0.534 - 0.534 * rest, 0.131 + 0.869 * rest),
        )

    def apply(self, picture: Picture) -> Picture:
        """In sRGB, for which the matrix is made; a grey picture becomes a colour one."""
        from imgbatch.imaging import colour

        return ToneOperation.apply(self, colour.to_srgb(picture))


@register
@dataclass(frozen=True, slots=True)
class Saturation(MatrixOperation):
    """More or less colour (CSS saturate()): 1 changes nothing, 0 is grey."""

    name: ClassVar[str] = "saturation"
    example: ClassVar[str] = "saturation:amount=1.7"
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
        if picture.mode in _GREY:
            return picture
        return ToneOperation.apply(self, picture)


@register
@dataclass(frozen=True, slots=True)
class Hue(MatrixOperation):
    """Turn all colours round the colour circle (CSS hue-rotate()): 0 changes nothing.

    The matrix of the W3C's Filter Effects Module Level 1, which keeps the luma (Rec. 709 weights).
    Grey pictures have no colour to turn.
    """

    name: ClassVar[str] = "hue"
    example: ClassVar[str] = "hue:angle=60"
    angle: float = parameter(15.0, low=-180, high=180, unit="degrees", help="how far")

    def matrix(self) -> Matrix:
        """Luma, and what is left of each channel turned about it."""
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        luma = (0.213, 0.715, 0.072)
        across = ((0.787, -0.715, -0.072), (-0.213, 0.285, -0.072), (-0.213, -0.715, 0.928))
        along = ((-0.213, -0.715, 0.928), (0.143, 0.140, -0.283), (-0.787, 0.715, 0.072))
        red, green, blue = (
            (
                luma[0] + cos * one[0] + sin * other[0],
                luma[1] + cos * one[1] + sin * other[1],
                luma[2] + cos * one[2] + sin * other[2],
            )
            for one, other in zip(across, along, strict=True)
        )
        return red, green, blue

    def apply(self, picture: Picture) -> Picture:
        return picture if picture.mode in _GREY else ToneOperation.apply(self, picture)


@register
@dataclass(frozen=True, slots=True)
class Vibrance(ToneOperation):
    """Strengthen weak colours more than strong ones, and spare skin tones.

    With the saturation s = (max - min) / 255 of a pixel and its luma Y (Rec. 709), each channel c
    becomes Y + (c - Y) f, where f = 1 + amount (1 - s) (1 - k / 2). The skin measure k is 1 at
    a hue of 25 degrees and falls to 0 at 0 and 50. With a negative amount f = 1 + amount (1 - s):
    weak colours fade first. Grey pictures have no colours.
    """

    name: ClassVar[str] = "vibrance"
    example: ClassVar[str] = "vibrance:amount=0.8"
    memory: ClassVar[float] = 6
    amount: float = parameter(0.4, low=-1, high=1, help="how much; 0 changes nothing")

    def apply(self, picture: Picture) -> Picture:
        if picture.mode in _GREY or not self.amount:
            return picture
        return ToneOperation.apply(self, picture)

    def change(self, image: Image.Image) -> Image.Image:
        from imgbatch.imaging.filters import strips

        return strips.mapped(image, self._strip)

    def _strip(self, strip: NDArray[np.uint8], top: int) -> NDArray[np.uint8]:
        import numpy as np

        red, green, blue = (strip[..., band].astype(np.float32) for band in range(3))
        most = np.maximum(np.maximum(red, green), blue)
        spread = most - np.minimum(np.minimum(red, green), blue)
        more = (1 - spread * np.float32(1 / 255)) * np.float32(self.amount)
        if self.amount > 0:
            # Where red is the largest, this is the hue in units of 60 degrees, and 25
            # degrees is 5/12.
            hue = (green - blue) / np.maximum(spread, 1)
            skin = 1 - np.abs(hue - np.float32(_SKIN)) * np.float32(1 / _SKIN)
            np.maximum(skin, 0, out=skin)
            skin *= red >= most
            skin *= np.float32(-0.5)
            skin += 1
            more *= skin
        # Y + (c - Y) f is c f - Y (f - 1); half a level is added, so that truncation rounds.
        less = np.float32(0.2126) * red + np.float32(0.7152) * green + np.float32(0.0722) * blue
        less *= more
        less -= np.float32(0.5)
        more += 1
        changed = np.empty(strip.shape, np.uint8)
        for band, channel in enumerate((red, green, blue)):
            channel *= more
            channel -= less
            np.clip(channel, 0, 255, out=channel)
            changed[..., band] = channel
        return changed


_SKIN: Final = 25 / 60


@register
@dataclass(frozen=True, slots=True)
class Lut(Operation):
    """Give the picture a look: a table of colours from a .cube file, of one or three dimensions.

    Adobe's Cube LUT Specification 1.0, with trilinear interpolation. Such tables are made for sRGB,
    so a picture in another profile is converted first; a grey one becomes a colour one. A table of
    more than 65 colours per side, or with a domain other than 0 to 1, is resampled to 65. With an
    amount below 1, each colour of the table is mixed with the colour that it replaces. Results
    below 0 or above 1 are clipped.
    """

    name: ClassVar[str] = "lut"
    pixelwise: ClassVar[bool] = True
    example: ClassVar[str] = "lut:file=sample_images/film.cube"
    memory: ClassVar[float] = 9
    file: Attachment | str | None = parameter(None, kind=FileKind("a .cube file"), help="the table")
    amount: float = parameter(1.0, low=0, high=1, help="strength; 0 changes nothing")

    def __post_init__(self) -> None:
        self.check_fields()
        if self.file is None:
            raise UsageError("lut: found no file, expected file=… with a .cube file")
        try:
            cube.read(self._table)
        except cube.CubeError as error:
            path = self.file.path if isinstance(self.file, Attachment) else self.file
            raise UsageError(f"lut: file: {path}: {error}") from None

    @property
    def _table(self) -> bytes:
        return self.file.data if isinstance(self.file, Attachment) else b""

    def apply(self, picture: Picture) -> Picture:
        from imgbatch.imaging import colour

        if not self.amount:
            return picture
        picture = colour.to_srgb(colour.to_tonal(picture))
        if cube.read(self._table).dimensions == 3 and picture.mode not in _GREY:
            return picture.with_pixels(picture.image.filter(_filter(self._table, self.amount)))
        picture = colour.in_colours(picture)
        alpha = range(256) if picture.has_alpha else ()
        table = [*_curves(self._table, self.amount), *alpha]
        return picture.with_pixels(picture.image.point(table))


@lru_cache(maxsize=8)
def _curves(data: bytes, amount: float) -> tuple[int, ...]:
    """256 levels for each channel, concatenated: colours for a one-dimensional table, greys for any
    table."""
    import numpy as np
    from PIL import Image

    table = cube.read(data)
    if table.dimensions == 3:
        greys = Image.frombytes("L", (256, 1), bytes(range(256))).convert("RGB")
        return tuple(greys.filter(_filter(data, amount)).tobytes("raw", "RGB;L"))
    low, high = table.domain
    levels = np.linspace(0, 1, 256)
    found: list[int] = []
    for band, values in enumerate(table.array().T):
        places = np.linspace(low[band], high[band], table.size)
        mixed = levels + amount * (np.interp(levels, places, values) - levels)
        found += np.rint(np.clip(mixed, 0, 1) * 255).astype(int).tolist()
    return tuple(found)


_MAX: Final = 65
"""The most colours per side that Pillow accepts."""
_BEYOND: Final = 2
"""About how far beyond black and white its tables reach. Only interpolated values are clipped."""


@lru_cache(maxsize=8)
def _filter(data: bytes, amount: float) -> ImageFilter.Color3DLUT:
    """Pillow's own, which interpolates in C."""
    import numpy as np
    from PIL import ImageFilter

    table = cube.read(data)
    values = np.clip(table.array(), -_BEYOND, _BEYOND)
    if table.size > _MAX or table.domain != ((0, 0, 0), (1, 1, 1)):
        values = _resampled(values, table)
    size = len(values)
    if amount < 1:
        # Interpolation keeps straight lines straight, so the mix may as well be in the table.
        steps = np.linspace(0, 1, size, dtype=np.float32)
        blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
        same = np.stack([red, green, blue], axis=-1)
        values = same + np.float32(amount) * (values - same)
    flat: Any = np.ascontiguousarray(values, np.float32).ravel()
    return ImageFilter.Color3DLUT(size, flat)


def _resampled(values: NDArray[np.float32], table: cube.Cube) -> NDArray[np.float32]:
    """A table of 65 colours per side for 0 to 1, resampled one axis after the other."""
    import numpy as np

    low, high = table.domain
    steps = np.linspace(0, 1, _MAX)
    for axis, band in enumerate((2, 1, 0)):
        places = (steps - low[band]) / (high[band] - low[band]) * (table.size - 1)
        places = np.clip(places, 0, table.size - 1)
        before = np.minimum(places.astype(int), table.size - 2)
        share = (places - before).astype(np.float32)
        share = share.reshape([-1 if one == axis else 1 for one in range(4)])
        one, other = np.take(values, before, axis), np.take(values, before + 1, axis)
        values = one + share * (other - one)
    return values
