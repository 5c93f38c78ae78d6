"""Operations for the finished picture: a border around it, a vignette, and grain."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from imgbatch.errors import UsageError
from imgbatch.imaging.picture import Picture, with_room_for
from imgbatch.model import WHITE, Colour, Size
from imgbatch.operations.base import Operation, register
from imgbatch.operations.parameters import ColourKind, parameter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from imgbatch.imaging.affine import Move

    Band = NDArray[np.uint8]
    Floats = NDArray[np.float32]

_BLACK: Final[Colour] = (0, 0, 0, 255)


@register
@dataclass(frozen=True, slots=True)
class Border(Operation):
    """Put a border around the picture, which grows by it.

    The border is `size` per cent of the picture's shorter side wide, and `bottom` times that at
    its lower edge. A `line` runs around the picture at the inner edge of the border, and is part
    of it. All pixel formats are kept, including 16 bits; but a colour that is not grey turns a grey
    picture into a colour one, and a transparent colour adds an alpha channel.
    """

    name: ClassVar[str] = "border"
    memory: ClassVar[float] = 4.75
    any_mode: ClassVar[bool] = True
    size: float = parameter(
        5.0, low=0, high=100, unit="%", help="width, relative to the shorter side"
    )
    colour: Colour = parameter(WHITE, kind=ColourKind(), help="its colour")
    bottom: float = parameter(1.0, low=1, high=10, help="how many times wider it is at the bottom")
    line: float = parameter(
        0.0, low=0, high=100, unit="%", help="width of the line, relative to the shorter side"
    )
    line_colour: Colour = parameter(_BLACK, kind=ColourKind(), help="colour of the line")

    def __post_init__(self) -> None:
        self.check_fields()
        if self.line > self.size:
            raise UsageError(
                f"{self.name}: found line={self.line:g} and size={self.size:g}, "
                "expected a line no wider than the border"
            )

    def output_size(self, size: Size) -> Size:
        side, bottom, _ = self._widths(size)
        return size[0] + 2 * side, size[1] + side + bottom

    def output_mode(self, mode: str) -> str:
        """Holds both colours."""
        line = with_room_for(mode, self.line_colour) if self.line else mode
        return with_room_for(line, self.colour)

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """The result, and the picture with its line."""
        copies = 2 if self.line else 1
        return copies * Operation.working_bytes(self, before, after, mode=mode)

    def apply(self, picture: Picture) -> Picture:
        from imgbatch.imaging import colour

        side, bottom, line = self._widths(picture.size)
        width, height = picture.size
        if line:
            size = width + 2 * line, height + 2 * line
            picture = colour.on_canvas(picture, size, (line, line), self.line_colour)
        if side > line or bottom > line:
            size = width + 2 * side, height + side + bottom
            offset = (side - line, side - line)
            picture = colour.on_canvas(picture, size, offset, self.colour)
        return picture

    def move(self, picture: Picture) -> Move:
        from imgbatch.imaging import affine

        side, _, _ = self._widths(picture.full_size)
        return affine.Move(affine.moved(side, side), self.output_size(picture.full_size))

    def _widths(self, size: Size) -> tuple[int, int, int]:
        """The widths of the border and its lower edge, and of the line in both, in pixels."""
        shorter = min(size)
        side = round(self.size / 100 * shorter)
        line = min(side, round(self.line / 100 * shorter))
        return side, round(self.size * self.bottom / 100 * shorter), line


@register
@dataclass(frozen=True, slots=True)
class Vignette(Operation):
    """Darken the picture towards its corners, or brighten them.

    The distance r from the centre is measured in the picture's own shape: with x and y from -1 to
    1 at its edges, r = sqrt((x² + y²) / 2), which is 0.71 at the middle of an edge and 1 in a
    corner. t = (r - radius) / feather, clipped to 0..1, gives s = t² (3 - 2 t), and a level v
    becomes v (1 - amount s); with a negative amount v + (255 - v) |amount| s.
    """

    name: ClassVar[str] = "vignette"
    memory: ClassVar[float] = 4.5
    keeps_grey: ClassVar[bool] = True
    amount: float = parameter(
        0.4, low=-1, high=1, help="1 makes the corners black, -1 white; 0 changes nothing"
    )
    radius: float = parameter(
        0.3, low=0, high=1, help="where it begins: 0 in the centre, 1 in the corners"
    )
    feather: float = parameter(0.7, low=0.01, high=2, help="distance to its full strength")

    def apply(self, picture: Picture) -> Picture:
        from imgbatch.imaging import colour
        from imgbatch.imaging.filters import channels

        picture = colour.to_tonal(picture)
        if not self.amount:
            return picture
        size = picture.size

        def change(strip: Image.Image, bands: list[Band], top: int) -> list[Band]:
            import numpy as np

            factor = self._strength(size, top, strip.height)
            factor *= -abs(self.amount)
            factor += 1
            # Truncated below, this rounds to the nearest.
            added = (1 - factor) * 255 + np.float32(0.5) if self.amount < 0 else np.float32(0.5)
            return [_cut(band * factor + added) for band in bands]

        return picture.with_pixels(channels.mapped(picture.image, change))

    def _strength(self, size: Size, top: int, rows: int) -> Floats:
        """s of some rows, (rows, width)."""
        import numpy as np

        width, height = size
        across = (2 * np.arange((width + 1) // 2) + 1) / width - 1
        down = (2 * np.arange(top, top + rows) + 1) / height - 1
        t = (across**2 / 2).astype(np.float32) + (down**2 / 2).astype(np.float32)[:, None]
        np.sqrt(t, out=t)
        t -= self.radius
        t *= 1 / self.feather
        np.clip(t, 0, 1, out=t)
        s = t * -2
        s += 3
        s *= t
        s *= t
        # The right half mirrors the left one.
        return np.concatenate([s, s[:, : width // 2][:, ::-1]], axis=1)


def _cut(levels: Floats) -> Band:
    import numpy as np

    return levels.astype(np.uint8)


@register
@dataclass(frozen=True, slots=True)
class Grain(Operation):
    """Film grain, strongest in the middle tones.

    n * w is added to every channel of a pixel: n is noise with a standard deviation of 32 *
    amount levels, and w = 4 v (1 - v) follows from the pixel's luma v (Rec. ITU-R BT.601, 0 to
    1), so that black and white have none. With `colour` each channel has noise of its own.
    Grains are `size` pixels across in a picture whose longer side has 2000 pixels, and in
    proportion in others, but at least one pixel. The noise depends only on `seed`, the name of
    the file and the picture's size: the same comes out again, on every machine.
    """

    name: ClassVar[str] = "grain"
    memory: ClassVar[float] = 7.5
    keeps_grey: ClassVar[bool] = True
    amount: float = parameter(0.2, low=0, high=1, help="strength; 0 changes nothing")
    size: float = parameter(
        1.5, low=0.5, high=20, unit="pixels", help="size of a grain if the longer side has 2000"
    )
    colour: bool = parameter(False, help="coloured grain")
    seed: int = parameter(0, low=0, high=999_999, help="a different one gives different grain")

    def apply(self, picture: Picture) -> Picture:
        from imgbatch.imaging import colour
        from imgbatch.imaging.filters import channels, noise

        picture = colour.to_tonal(picture)
        if not self.amount:
            return picture
        origin = picture.origin
        named = zlib.crc32(f"{origin.stem}{origin.ext}".encode("utf-8", "surrogatepass"))
        grain = self.size * max(picture.size) / 2000
        coloured = self.colour and picture.mode in ("RGB", "RGBA")
        fields = [
            noise.field(picture.size, grain, (self.seed, named, channel))
            for channel in range(3 if coloured else 1)
        ]
        factor = _DEVIATION * self.amount / noise.DEVIATION * 4 / 255**2

        def change(strip: Image.Image, bands: list[Band], top: int) -> list[Band]:
            weight = _weight(strip, factor)
            box = (0, top, strip.width, top + strip.height)
            added = [_split(weight, field.crop(box)) for field in fields]
            return [_added(band, *added[n % len(added)]) for n, band in enumerate(bands)]

        return picture.with_pixels(channels.mapped(picture.image, change))


_DEVIATION: Final = 32
"""The deviation of the grain in middle grey at its full amount, in levels."""


def _weight(strip: Image.Image, factor: float) -> Floats:
    """factor * l (255 - l) of each pixel's luma l, from 0 to 255."""
    import numpy as np

    luma = np.asarray(strip.convert("L")).astype(np.uint16)
    luma *= 255 - luma
    weight = luma.astype(np.float32)
    weight *= factor
    return weight


def _split(weight: Floats, field: Image.Image) -> tuple[Band, Band]:
    """What is added where noise is bright, and what is subtracted where it is dark."""
    import numpy as np

    from imgbatch.imaging.filters import noise

    change = np.asarray(field).astype(np.float32)
    change -= noise.MIDDLE
    change *= weight
    np.rint(change, out=change)
    whole = change.astype(np.int16)
    return np.maximum(whole, 0).astype(np.uint8), np.maximum(-whole, 0).astype(np.uint8)


def _added(band: Band, more: Band, less: Band) -> Band:
    """band + more - less, clipped; one of the two is always 0. It never needs more than 8 bits."""
    import numpy as np

    brighter = np.minimum(band, 255 - more) + more
    return np.maximum(brighter, less) - less
