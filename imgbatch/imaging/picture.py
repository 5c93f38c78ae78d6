"""Pixels, and what travels with them from the decoder to the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from imgbatch.model import Notice, NoticeKind, Origin, Size

if TYPE_CHECKING:
    from PIL import Image

    from imgbatch.imaging.affine import Geometry
    from imgbatch.imaging.deep import Deep
    from imgbatch.imaging.metadata.exif import Exif

AnyPixels = TypeVar("AnyPixels", "Image.Image", "Deep", "Image.Image | Deep")

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels, possibly fractions."""


# The orientation that undoes each one: only the quarter turns are not their own inverse.
_BACK: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def turned(size: Size, orientation: int) -> Size:
    """Width and height after turning a picture of `size` by an EXIF orientation."""
    return (size[1], size[0]) if orientation >= 5 else size


def turn(image: AnyPixels, orientation: int) -> AnyPixels:
    """The pixels turned upright from an EXIF orientation (CIPA DC-008, tag 0x0112)."""
    from PIL.Image import Transpose

    upright = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(upright[orientation]) if orientation != 1 else image


def stored_box(box: Box, size: Size, orientation: int) -> Box:
    """Where a box of an upright picture of `size` is in the picture as it is stored."""
    width, height = size
    left, top, right, bottom = box
    if orientation in (2, 3, 6, 7):
        left, right = width - right, width - left
    if orientation in (3, 4, 7, 8):
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if orientation >= 5 else (left, top, right, bottom)


class Metadata(Struct, frozen=True):
    """What a file says about its picture.

    `exif` is a block that is copied before it is edited, `xmp` an XMP packet, `iptc` the records of
    IPTC-IIM 4.2, `dpi` pixels per inch across and down, `comment` free text, `texts` a PNG's other
    texts by keyword. `extended` is the part of XMP that did not fit into `xmp`, as a packet.
    `paths` are Photoshop's resources for paths, in fractions of the picture.
    """

    exif: Exif | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: str | None = None
    texts: tuple[tuple[str, str], ...] = ()
    extended: bytes | None = None
    paths: bytes | None = None

    def __bool__(self) -> bool:
        blocks = self.exif or self.xmp or self.iptc or self.paths
        return bool(blocks or self.comment or self.texts)


class Series(Struct, frozen=True):
    """Describes the several frames of a file: of an animation, or pages of a document.

    `plays` is how often an animation is shown, 0 for ever.
    """

    kind: Literal["animation", "pages"]
    count: int
    plays: int = 0


class Coding(Struct, frozen=True):
    """How the file was coded, for outputs of the same size that are to lose as little as it did.

    `tables` are a JPEG's quantisation tables as Pillow gives them, `subsampling` Pillow's number
    for its chroma subsampling (0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0; -1 is grey). `palette`
    says that its pixels were palette indices, `bilevel` that they were black or white.
    """

    tables: tuple[tuple[int, ...], ...] = ()
    subsampling: int = -1
    progressive: bool = False
    palette: bool = False
    bilevel: bool = False


class Picture(Struct, frozen=True):
    """One picture inside a worker, or one frame of several. It never crosses a process.

    `pixels` are a Pillow image in mode L, LA, RGB, RGBA, CMYK or I;16, or, for colours with 16 bits
    per channel, for which Pillow has no mode, a `Deep`. They are upright unless `orientation`
    (EXIF's, 1 to 8) says that they are still stored another way: turning the few pixels that a
    resize leaves is cheaper than turning all. A decoder that shrinks on load gives fewer pixels
    than the file has: `full_size` is what the file has, upright, and `area` the part of `pixels`
    that stands for all of it (a decoder rounds up, so the last row may be half empty). `icc` is the
    profile that its numbers are in; without one they are sRGB. `coding` is kept as long as the
    pixels are (nearly) those of the file; `as_stored` is False if a decoder turned them already. If
    there are several frames, `series` describes the whole, and `duration` is how long this one is
    shown, in milliseconds. `origin` is what it is called, for operations that write that or depend
    on it. `bits` is how many each channel had in its file, if those are more than 8. `geometry` is
    how the upright picture of `full_size` came about, if the metadata tell places in it.

    Nothing is changed in place: an operation returns another picture, or the same one if it has
    nothing to change.
    """

    pixels: Image.Image | Deep
    format: str
    full_size: Size
    area: Box
    orientation: int = 1
    icc: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notices: tuple[Notice, ...] = ()
    coding: Coding | None = None
    series: Series | None = None
    duration: float = 0
    as_stored: bool = True
    origin: Origin = field(default_factory=Origin)
    geometry: Geometry | None = None
    bits: int = 16

    @classmethod
    def of(cls, image: Image.Image, format: str = "png", icc: bytes | None = None) -> Picture:  # noqa: A002
        """A picture of plain pixels, whole and upright."""
        return cls(image, format, image.size, (0, 0, *image.size), icc=icc)

    @property
    def image(self) -> Image.Image:
        """The pixels, which must be a Pillow image (`colour.to_tonal` makes them one)."""
        if self.deep is not None:
            raise TypeError(f"pixels in {self.mode} are not a Pillow image")
        return self.pixels  # type: ignore[return-value]

    @property
    def deep(self) -> Deep | None:
        """The pixels if they are colours with 16 bits per channel."""
        return self.pixels if self.pixels.mode in DEEP_MODES else None  # type: ignore[return-value]

    @property
    def mode(self) -> str:
        """Pillow's mode of the pixels, or LA;16, RGB;16 or RGBA;16."""
        return self.pixels.mode

    @property
    def size(self) -> Size:
        """Width and height of the pixels as they are stored."""
        return self.pixels.size

    def stored_area(self, box: Box) -> Box:
        """Where a box is among `pixels`, as they are stored.

        `box` is in pixels of `full_size`, upright; if a decoder shrank them the result has
        fractions. It never extends beyond `area` to the right or below, whatever is
        rounded.
        """
        wanted = stored_box(box, self.full_size, self.orientation)
        width, height = turned(self.full_size, self.orientation)
        left, top, right, bottom = self.area
        across, down = (right - left) / width, (bottom - top) / height
        return (
            left + wanted[0] * across,
            top + wanted[1] * down,
            min(right, left + wanted[2] * across),
            min(bottom, top + wanted[3] * down),
        )

    def upright(self) -> Picture:
        """The same picture, turned upright."""
        if self.orientation == 1:
            return self
        area = stored_box(self.area, self.size, _BACK[self.orientation])
        return replace(self, pixels=turn(self.pixels, self.orientation), area=area, orientation=1)

    def with_image(self, pixels: Image.Image | Deep) -> Picture:
        """The same picture with other pixels, upright, which are now all there is of it."""
        # Every picture goes through here, and `replace` would take four times as long.
        return Picture(
            pixels,
            self.format,
            pixels.size,
            (0, 0, *pixels.size),
            icc=self.icc,
            metadata=self.metadata,
            notices=self.notices,
            series=self.series,
            duration=self.duration,
            as_stored=self.as_stored,
            origin=self.origin,
            geometry=self.geometry,
            bits=self.bits,
        )

    def with_pixels(self, pixels: Image.Image | Deep) -> Picture:
        """The same picture with each pixel's value changed and its size kept."""
        return replace(self, pixels=pixels)

    def with_notice(self, kind: NoticeKind, message: str) -> Picture:
        """The same picture with one more warning."""
        return replace(self, notices=(*self.notices, Notice(kind, message)))

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return has_alpha(self.mode)


DEEP_MODES: Final = frozenset({"LA;16", "RGB;16", "RGBA;16"})
ANY_MODE: Final = "RGBA;16"
"""The mode that takes the most memory."""

_BYTES: Final = {"L": 1, "I;16": 2, "RGB;16": 6, "RGBA;16": 8}
_COLOURED: Final = {"L": "RGB", "LA": "RGBA", "I;16": "RGB;16", "LA;16": "RGBA;16"}
_TRANSPARENT: Final = {
    "L": "LA",
    "I;16": "LA;16",
    "RGB": "RGBA",
    "RGB;16": "RGBA;16",
    "CMYK": "RGBA",
}


def has_alpha(mode: str) -> bool:
    """Whether a mode has an alpha channel."""
    return mode.removesuffix(";16") in ("LA", "RGBA")


def stored_bytes(mode: str) -> int:
    """Bytes per pixel: Pillow stores every 8-bit mode in four, except grey without alpha."""
    return _BYTES.get(mode, 4)


def in_colours(mode: str) -> str:
    """The mode for colours in place of a grey one."""
    return _COLOURED.get(mode, mode)


def with_alpha(mode: str) -> str:
    """The mode that a mode becomes when alpha is added."""
    return _TRANSPARENT.get(mode, mode)


def with_room_for(mode: str, colour: tuple[int, int, int, int]) -> str:
    """The mode that a mode becomes when a colour, with its alpha, is added."""
    if len(set(colour[:3])) > 1:
        mode = in_colours(mode)
    return with_alpha(mode) if colour[3] < 255 else mode
