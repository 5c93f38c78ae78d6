"""Turning a picture by any angle, with three shears.

Turning by an angle is shearing along the rows, the columns and the rows again (Paeth, A fast
algorithm for general raster rotation, Graphics Interface 1986; Unser, Thévenaz and Yaroslavsky,
Convolution-based interpolation for fast, high-quality rotation of images, IEEE Trans. Image
Processing 4(10), 1995). In a shear each row is only moved, by a fraction of a pixel (to the
nearest 1/32 here): rows that move alike are resampled together, with Lanczos and the SIMD code of
resizing. That takes no longer than looking up each pixel, and is sharper than two-dimensional
bicubic interpolation. It is done tile by tile, so that all intermediates stay small.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from imgbatch.imaging import affine, resample
from imgbatch.imaging.picture import stored_box, turn, turned
from imgbatch.model import Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Pixels = NDArray[Any]

_TILE: Final = 1024
"""The longest side of a tile, in pixels."""

_PIECE: Final = 128
"""The most pixels of a row that are resampled in one piece."""

_PHASES: Final = 32
"""Into how many parts a pixel is divided."""

_REACH: Final = 4
"""How many pixels the kernel reaches to each side, plus one for rounding."""

_SPARE: Final = 2 * _TILE // _PIECE
"""How many more pixels the pieces of a row may have than the row."""

Span = tuple[int, int]
"""The first pixel, and the one after the last; possibly beyond the image."""

Part = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


class Rotation(NamedTuple):
    """Turning a picture of `before` pixels clockwise by `angle` (radians, -pi/4 to pi/4) around
    its centre, which becomes the centre of `after` pixels.
    """

    before: Size
    after: Size
    angle: float


def rotated(
    image: Image.Image, orientation: int, rotation: Rotation, background: tuple[int, ...] | None
) -> Image.Image:
    """A turned image, from one in mode L, LA, RGB, RGBA or CMYK. Alpha is premultiplied on the way.

    It is brought upright from its EXIF orientation first. Beyond its edges is the background, in
    levels of its mode, and pixels on an edge are mixed by how much of them the image covers.
    Without a background the outermost pixels are repeated.
    """
    made = Image.new(image.mode, rotation.after, background)
    columns, rows = map(_spans, rotation.after)
    for top, bottom in rows:
        for left, right in columns:
            box = left, top, right, bottom
            cover = None if background is None else _cover(rotation, box)
            if cover is None or cover.getbbox():
                tile = _sheared(image, orientation, rotation, box)
                if cover is not None:
                    below = _premultiplied(Image.new(image.mode, tile.size, background))
                    tile = Image.composite(tile, below, cover)
                made.paste(_in_mode(tile, image.mode), box)
    return made


def turned_whole(image: Image.Image, degrees: float) -> Image.Image:
    """All of an image turned clockwise, with nothing around it: 0 in every channel.

    The image is in mode L, LA, RGB or RGBA; quarter turns only move its pixels.
    """
    quarters = round(degrees / 90)
    rest = degrees - 90 * quarters
    orientation = (1, 6, 3, 8)[quarters % 4]
    if not rest:
        return turn(image, orientation)
    before = turned(image.size, orientation)
    rotation = Rotation(before, affine.extent(before, rest), math.radians(rest))
    return rotated(image, orientation, rotation, (0,) * len(image.getbands()))


def _spans(length: int) -> list[Span]:
    """Tiles of about the same length."""
    count = math.ceil(length / _TILE)
    edges = [length * number // count for number in range(count + 1)]
    return list(itertools.pairwise(edges))


def _cover(rotation: Rotation, box: Part) -> Image.Image | None:
    """How much of each pixel of a tile is in the image, from 0 to 255; None if all are.

    It is the same as for pixels that are turned with the image.
    """
    cosine, sine = math.cos(rotation.angle), math.sin(rotation.angle)
    across = _centred((box[0], box[2]), rotation.after[0]).astype(np.float32)
    down = _centred((box[1], box[3]), rotation.after[1]).astype(np.float32)[:, None]
    # From the centre to either side, along the image's own rows and columns.
    sides = [
        (across * cosine, down * sine, rotation.before[0]),
        (across * -sine, down * cosine, rotation.before[1]),
    ]
    # The pixels that are farthest away are in corners.
    if all(
        np.abs(row[[0, -1]] + column[[0, -1]]).max() <= (length - 1) / 2
        for row, column, length in sides
    ):
        return None
    shares = [
        np.clip((length + 1) / 2 - np.abs(row + column), 0, 1) for row, column, length in sides
    ]
    return Image.fromarray((shares[0] * shares[1] * 255 + 0.5).astype(np.uint8))


def _sheared(image: Image.Image, orientation: int, rotation: Rotation, box: Part) -> Image.Image:
    """A tile of the result, in the form of `_premultiplied`.

    From the centre, the result shows at (x, y) what the image has at
    (x cos a + y sin a, y cos a - x sin a). With t = tan(a / 2) that is (u + t v, v), where
    v = y - u sin a and u = x + t y.
    """
    (width, height), (wide, high) = rotation.before, rotation.after
    sine, tangent = math.sin(rotation.angle), math.tan(rotation.angle / 2)
    x, y = _centred((box[0], box[2]), wide), _centred((box[1], box[3]), high)
    # The part of the image's rows and columns that is needed, from the last shear to the first.
    columns = _reached(x, tangent, y, width)
    u = _centred(columns, width)
    rows = _reached(y, -sine, u, height)
    v = _centred(rows, height)
    ends = _reached(u, tangent, v, width)

    pixels = _read(image, orientation, rotation.before, ends, rows)
    pixels = _moved(pixels, columns[0] - ends[0] + tangent * v, len(u))
    first = y[0] + (height - 1) / 2 - rows[0]
    pixels = _moved(np.ascontiguousarray(pixels.T), first - sine * u, len(y))
    first = x[0] + (width - 1) / 2 - columns[0]
    pixels = _moved(np.ascontiguousarray(pixels.T), first + tangent * y, len(x))
    return _as_image(np.ascontiguousarray(pixels), image.mode)


def _centred(span: Span, length: int) -> Floats:
    """The centres of some pixels of a row of `length`, from its centre."""
    first, last = span
    return np.arange(first, last, dtype=np.float64) + (1 - length) / 2


def _reached(ahead: Floats, slope: float, aside: Floats, length: int) -> Span:
    """The pixels of a row of `length` that the kernel reaches around `ahead + slope * aside`."""
    ends = ahead[[0, -1]] + slope * aside[[0, -1]][:, None] + (length - 1) / 2
    return math.floor(ends.min()) - _REACH, math.ceil(ends.max()) + _REACH + 1 + _SPARE


def _moved(pixels: Pixels, starts: Floats, length: int) -> Pixels:
    """For each row `length` pixels, resampled from a start that may be a fraction."""
    steps = np.rint(starts * _PHASES).astype(np.intp)
    whole, phases = steps // _PHASES - _REACH, steps % _PHASES
    # The kernel's weights are computed for each pixel of a row, so rows are split into short ones.
    pieces = math.ceil(length / _PIECE)
    piece = math.ceil(length / pieces)
    windows = sliding_window_view(pixels, piece + 2 * _REACH, axis=1)
    moved = np.empty((len(pixels), pieces * piece), pixels.dtype)
    for phase in range(_PHASES):
        (rows,) = np.nonzero(phases == phase)
        if rows.size:
            alike = windows[rows[:, None], whole[rows, None] + piece * np.arange(pieces)]
            image = _as_channels(alike.reshape(-1, piece + 2 * _REACH))
            start = _REACH + phase / _PHASES
            box = start, 0, start + piece, image.height
            part = resample.resize(image, (piece, image.height), "lanczos", box)
            moved[rows] = np.frombuffer(part.tobytes(), pixels.dtype).reshape(rows.size, -1)
    return moved[:, :length]


def _read(image: Image.Image, orientation: int, size: Size, columns: Span, rows: Span) -> Pixels:
    """A part of an image of upright `size`, one number per pixel; repeated beyond the edges."""
    across = np.arange(*columns).clip(0, size[0] - 1)
    down = np.arange(*rows).clip(0, size[1] - 1)
    upright = int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1
    part = turn(image.crop(stored_box(upright, size, orientation)), orientation)
    part = _premultiplied(part)
    layout = "RGBX" if part.mode == "RGB" else part.mode
    dtype = np.uint8 if part.mode == "L" else np.uint32
    pixels: Pixels = np.frombuffer(part.tobytes("raw", layout), dtype)
    pixels = pixels.reshape(part.height, part.width)
    if pixels.shape != (len(down), len(across)):
        pixels = pixels[down - down[0]][:, across - across[0]]
    return pixels


def _as_channels(pixels: Pixels) -> Image.Image:
    """As an image of four independent channels, or of one."""
    mode = "L" if pixels.dtype == np.uint8 else "CMYK"
    return Image.frombuffer(mode, pixels.shape[::-1], pixels, "raw", mode, 0, 1)


def _as_image(pixels: Pixels, mode: str) -> Image.Image:
    """What `_read` turned into numbers, in a mode of its own or premultiplied."""
    layout = {"RGB": "RGBX", "LA": "RGBa", "RGBA": "RGBa"}.get(mode, mode)
    mode = "RGB" if mode == "RGB" else layout
    return Image.frombuffer(mode, pixels.shape[::-1], pixels, "raw", layout, 0, 1)


def _premultiplied(image: Image.Image) -> Image.Image:
    """In mode RGBa if there is alpha."""
    return image.convert("RGBA").convert("RGBa") if image.mode in ("LA", "RGBA") else image


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """In the mode that `_premultiplied` was given."""
    return image.convert("RGBA").convert(mode) if image.mode == "RGBa" else image
