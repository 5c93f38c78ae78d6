"""Operations that lay something over the picture: a mark, and text."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging.picture import Picture, with_room_for
from imgbatch.model import PLACES, WHITE, Colour, Gravity, Size
from imgbatch.naming import UNKNOWN, Caption, date_of
from imgbatch.operations.base import Operation, register
from imgbatch.operations.geometry import GRAVITIES, Placement, SizeSpec, place
from imgbatch.operations.parameters import (
    Attachment,
    ColourKind,
    FileKind,
    Text,
    Value,
    parameter,
)

if TYPE_CHECKING:
    from PIL import Image

_MARGIN_HELP: Final = "distance from the edges, relative to the shorter side"

_MOST_NAMED: Final = 20
"""How many missing letters a warning names."""

_LAYER_BYTES: Final = 18
"""Bytes of memory for a pixel of a layer, including its state before scaling and conversion."""


@register
@dataclass(frozen=True, slots=True)
class Watermark(Operation):
    """Overlay a mark, such as a logo.

    The mark is scaled (Lanczos) to `scale` per cent of the picture's longer side, so that it is
    as large on a portrait as on a landscape; its own shape is kept, and if it does not fit between
    the margins it is made smaller. It is composited with its alpha times `opacity`, in 8 bits:
    source over (Porter and Duff, Compositing digital images, SIGGRAPH 1984). Its colours are
    converted to the picture's profile; on a grey picture it is grey. With `tile` it is repeated
    all over the picture, with alternate rows offset by half a mark.
    """

    name: ClassVar[str] = "watermark"
    example: ClassVar[str] = "watermark:file=sample_images/logo-alpha.png"
    memory: ClassVar[float] = 4.5
    keeps_grey: ClassVar[bool] = True
    file: Attachment | None = parameter(
        None, kind=FileKind("a picture, preferably a PNG with alpha"), help="the mark"
    )
    scale: float = parameter(
        20.0,
        low=1,
        high=100,
        unit="%",
        help="width of the mark, relative to the picture's longer side",
    )
    gravity: Gravity = parameter(
        "southeast", choices=GRAVITIES, synonyms=PLACES, help="position in the picture"
    )
    margin: float = parameter(
        3.0, low=0, high=40, unit="%", help=f"{_MARGIN_HELP}; between tiled marks"
    )
    opacity: float = parameter(0.5, low=0, high=1, help="1 is opaque, 0 is invisible")
    tile: bool = parameter(False, help="repeat it all over the picture")

    def __post_init__(self) -> None:
        self.check_fields()
        if self.file is None:
            raise UsageError(f"{self.name}: found no file, expected file=… with a picture")
        try:
            _size_of(self.file)
        except PictureError as error:
            raise UsageError(
                f"{self.name}: file: found {self.file.path!r} ({error}), expected a picture"
            ) from None

    def apply(self, picture: Picture) -> Picture:
        """On a copy; only what the mark covers is computed."""
        from imgbatch.imaging import colour
        from imgbatch.imaging.filters import compositing

        picture = colour.to_tonal(picture)
        if not self.opacity or self.file is None:
            return picture
        margin, placement = self._place(picture.size)
        grey = picture.mode in colour.GREY_MODES
        layer = _layer(self.file, placement.scaled, self.opacity, picture.icc, grey)
        made = picture.image.copy()
        offsets = (
            _tiles(placement.scaled, picture.size, margin)
            if self.tile
            else [(margin + placement.offset[0], margin + placement.offset[1])]
        )
        for offset in offsets:
            compositing.lay(made, layer, offset)
        return picture.with_pixels(made)

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """Including the mark, before and after scaling."""
        _, placement = self._place(before)
        across, down = placement.scaled
        given = _size_of(self.file) if self.file else (0, 0)
        layers = _LAYER_BYTES * (across * down + given[0] * given[1])
        return Operation.working_bytes(self, before, after, mode=mode) + layers

    def _place(self, size: Size) -> tuple[int, Placement]:
        """The margin in pixels, and how the mark is placed within the margins."""
        width, height = _size_of(self.file) if self.file else (1, 1)
        margin = int(self.margin / 100 * min(size))
        across = max(1, round(self.scale / 100 * max(size)))
        scaled = across, max(1, round(height * across / width))
        room = SizeSpec(size[0] - 2 * margin, size[1] - 2 * margin)
        return margin, place(scaled, room, "pad", gravity=self.gravity)


def _tiles(size: Size, within: Size, gap: int) -> list[tuple[int, int]]:
    """The offsets of marks in rows, one of them in the centre, alternate rows offset by half."""
    across, down = size[0] + gap, size[1] + gap
    left, top = (within[0] - size[0]) // 2, (within[1] - size[1]) // 2
    rows = range(-(top // down + 1), (within[1] - top) // down + 1)
    found = []
    for row in rows:
        start = left + (across // 2 if row % 2 else 0)
        columns = range(-(start // across + 1), (within[0] - start) // across + 1)
        found += [(start + column * across, top + row * down) for column in columns]
    return found


@lru_cache(maxsize=16)
def _size_of(file: Attachment) -> Size:
    """Width and height of a mark, upright, from its header. Raises PictureError."""
    from io import BytesIO

    from imgbatch.imaging import metadata
    from imgbatch.imaging.opening import Rules, reading, recognised
    from imgbatch.imaging.picture import turned

    rules = Rules()
    with reading("open", rules):
        image, _, codec, _, _ = recognised(BytesIO(file.data), file.path, rules)
        _, orientation = metadata.header(image, codec)
    return turned(image.size, 1 if codec.upright else orientation)


@lru_cache(maxsize=4)
def _mark(file: Attachment) -> Picture:
    """A mark in sRGB, upright, in mode LA or RGBA. Raises PictureError."""
    from imgbatch.imaging import colour
    from imgbatch.imaging.decode import decode_bytes

    try:
        picture = decode_bytes(file.data, file.path)
    except PictureError as error:
        raise PictureError("operate", Watermark.name, f"{file.path}: {error}") from error
    picture = colour.to_srgb(colour.to_8_bits(picture, "for a mark"))
    return colour.with_alpha(picture)


@lru_cache(maxsize=8)
def _layer(
    file: Attachment, size: Size, opacity: float, icc: bytes | None, grey: bool
) -> Image.Image:
    """A mark as it is composited with pictures: scaled, faded, and in their profile."""
    from imgbatch.imaging import resample
    from imgbatch.imaging.filters import compositing

    mark = _mark(file)
    scaled = mark.with_image(resample.resize(mark.image, size, "lanczos"))
    image = _in_space(scaled, icc, grey).image
    alpha = compositing.faded(image.getchannel("A"), opacity)
    layer = image.convert("L" if image.mode == "LA" else "RGB")
    layer.putalpha(alpha)
    return layer


def _in_space(mark: Picture, icc: bytes | None, grey: bool) -> Picture:
    """With as many channels as the picture, in its profile; if that is broken, without one."""
    from imgbatch.imaging import colour

    if not grey:
        mark = colour.in_colours(mark)
    if icc is not None and not colour.is_srgb(icc):
        try:
            return colour.convert(mark, icc)
        except PictureError:
            # Then its numbers are used as they are.
            return _in_space(mark, None, grey)
    return colour.convert(mark, colour.srgb_profile_for("L")) if grey else mark


class _FontKind(FileKind, frozen=True):
    """A font file, or the name of a font that this system has."""

    def within(self, folder: str, value: Any) -> Any:
        """Below the folder if it is there; otherwise it may be the name of a font."""
        path = FileKind.within(self, folder, value)
        return path if isinstance(path, str) and os.path.isfile(path) else value

    def check(self, value: Any) -> Value:
        if isinstance(value, str) and value and not os.path.exists(value):
            from imgbatch.imaging.filters.lettering import system_font

            value = system_font(value)
        return FileKind.check(self, value)


@register
@dataclass(frozen=True, slots=True)
class TextOverlay(Operation):
    """Write text on the picture: its name, its date, who took it.

    `text` may contain the same fields as names: {stem}, {ext}, {dir} and {parent} of the source,
    {seq}, {output}, {width} and {height} of the picture at this point, {date:%Y-%m-%d} when it was
    taken (or else when the file was modified) and {camera} (or `unknown`). Braces are doubled,
    `\\n` starts a new line. The font's size is `size` per cent of the picture's shorter side, less
    if the text would not fit between the margins. The bundled font is Noto Sans, which has all
    letters of Latin, Greek and Cyrillic, but no other scripts and no emoji; all files get the same
    font. Letters that it lacks are refused in `text` itself; where they come from a name or another
    field they become boxes, or lose their accents, with a warning (`letters-missing`). Text is
    composited like a watermark, on top of its shadow: a blurred copy of it, black, or white for
    dark text. A colour that is not grey turns a grey picture into a colour one.
    """

    name: ClassVar[str] = "text"
    example: ClassVar[str] = 'text:text="© {date:%Y} Jane Doe",size=5'
    memory: ClassVar[float] = 4.5
    text: str = parameter("{stem}", kind=Text(what="text"), help="what to write, with fields")
    font: Attachment | None = parameter(
        None,
        kind=_FontKind("the file of a TrueType or OpenType font, or the name of an installed one"),
        help="the font; the bundled one by default",
    )
    size: float = parameter(
        3.0, low=0.5, high=50, unit="%", help="font size, relative to the shorter side"
    )
    colour: Colour = parameter(WHITE, kind=ColourKind(), help="colour of the letters")
    opacity: float = parameter(1.0, low=0, high=1, help="1 is opaque, 0 is invisible")
    gravity: Gravity = parameter(
        "southwest", choices=GRAVITIES, synonyms=PLACES, help="position in the picture"
    )
    margin: float = parameter(3.0, low=0, high=40, unit="%", help=_MARGIN_HELP)
    shadow: bool = parameter(True, help="a soft shadow, to be legible on any background")

    def __post_init__(self) -> None:
        self.check_fields()
        try:
            literal = self._caption.literal
        except UsageError as error:
            raise UsageError(f"{self.name}: text: {error}") from None
        if self.font is not None or not literal.isascii():
            self._check_letters(literal)

    def output_mode(self, mode: str) -> str:
        """Holds the colour of the letters."""
        return with_room_for(mode, (*self.colour[:3], 255))

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """Including the letters and their shadow, over the whole width."""
        lines = 1 + self.text.count("\\n") + self.text.count("\n")
        share = min(1.0, 1.5 * lines * self.size / 100)
        layers = int(_LAYER_BYTES * share * before[0] * before[1])
        return Operation.working_bytes(self, before, after, mode=mode) + layers

    @property
    def name_fields(self) -> frozenset[str]:
        return self._caption.fields

    @property
    def _caption(self) -> Caption:
        return Caption.parse(self.text.replace("\\n", "\n"))

    def _check_letters(self, literal: str) -> None:
        """Raise UsageError for a file that is not a font, and for letters that it lacks."""
        from imgbatch.imaging.filters import lettering

        text = lettering.readable(literal)
        try:
            lettering.font_of(self._font, 24)
        except OSError:
            path = self.font.path if self.font else ""
            raise UsageError(
                f"{self.name}: font: found {path!r}, expected a TrueType or OpenType font"
            ) from None
        lacking = lettering.missing(text, self._font)
        if lacking:
            raise UsageError(
                f"{self.name}: text: found {lacking!r}, expected letters that {self._whose} has: "
                "choose another with font=…"
            )

    @property
    def _font(self) -> bytes | None:
        return self.font.data if self.font else None

    @property
    def _whose(self) -> str:
        return f"the font {self.font.path}" if self.font else "the bundled font"

    def apply(self, picture: Picture) -> Picture:
        from imgbatch.imaging import colour
        from imgbatch.imaging.filters import compositing, lettering

        picture = colour.to_tonal(picture)
        text = lettering.readable(self._rendered(picture))
        opacity = self.opacity * self.colour[3] / 255
        if not text.strip() or not opacity:
            return picture
        if not colour.fits_grey(self.colour):
            picture = colour.in_colours(picture)
        shorter = min(picture.size)
        margin = int(self.margin / 100 * shorter)
        room = picture.size[0] - 2 * margin, picture.size[1] - 2 * margin
        text, lacking = lettering.drawable(text, self._font)
        if lacking:
            message = f"{self._whose} has no {_some(lacking)!r}: choose another with font=…"
            picture = picture.with_notice("letters-missing", message)
        alignment = _alignment(self.gravity)
        mask, size = lettering.mask_of(text, self._font, self.size / 100 * shorter, room, alignment)
        left, top = _offset(mask.size, room, self.gravity)
        made = picture.image.copy()
        if self.shadow:
            halo, reach = lettering.halo(mask, size)
            layer = compositing.coloured(
                compositing.faded(halo, opacity), colour.levels_of(self._opposite, picture)
            )
            compositing.lay(made, layer, (margin + left - reach, margin + top - reach))
        layer = compositing.coloured(
            compositing.faded(mask, opacity), colour.levels_of(self.colour, picture)
        )
        compositing.lay(made, layer, (margin + left, margin + top))
        return picture.with_pixels(made)

    @property
    def _opposite(self) -> Colour:
        """The colour of a shadow that sets the text off: black, or white for dark text."""
        red, green, blue, _ = self.colour
        bright = 299 * red + 587 * green + 114 * blue >= 1000 * 100
        return (0, 0, 0, 255) if bright else WHITE

    def _rendered(self, picture: Picture) -> str:
        origin = picture.origin
        taken, camera = _date_and_camera(picture)
        width, height = picture.full_size
        return self._caption.render(
            {
                "stem": origin.stem,
                "ext": origin.ext,
                "dir": origin.dir,
                "parent": origin.parent or UNKNOWN,
                "seq": origin.seq,
                "output": origin.output,
                "width": width,
                "height": height,
                "date": date_of(taken, origin.mtime_ns),
                "camera": camera or UNKNOWN,
            }
        )


def _date_and_camera(picture: Picture) -> tuple[str | None, str | None]:
    """When it was taken, as in EXIF, and with which camera."""
    from imgbatch.imaging.metadata import dates, exif

    metadata = picture.metadata
    moment = dates.of(metadata).moment
    camera = metadata.exif.text(exif.MODEL) if metadata.exif else None
    return moment.text if moment else None, camera


def _some(letters: str) -> str:
    """All of them, or the first few."""
    return letters if len(letters) <= _MOST_NAMED else f"{letters[:_MOST_NAMED]}…"


def _alignment(gravity: Gravity) -> str:
    if gravity.endswith("west"):
        return "left"
    return "right" if gravity.endswith("east") else "center"


def _offset(size: Size, room: Size, gravity: Gravity) -> tuple[int, int]:
    """Where something of `size` lies in `room`; if it is larger, at its upper left corner."""
    kept = min(size[0], room[0]), min(size[1], room[1])
    return place(kept, SizeSpec(*room), "pad", gravity=gravity).offset
