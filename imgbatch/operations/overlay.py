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
from imgbatch.operations.geometry import GRAVITIES
from imgbatch.operations.parameters import (
    Attachment,
    ColourKind,
    FileKind,
    Number,
    Text,
    Value,
    parameter,
)
from imgbatch.operations.placing import TURN_HELP, Placing, Position, Turn, degrees
from imgbatch.operations.turns import rotation_bytes

if TYPE_CHECKING:
    from PIL import Image

    from imgbatch.imaging.filters.lettering import Drawn

_MARGIN_HELP: Final = "distance from the edges, relative to the shorter side"

_POSITION_HELP: Final = "its left edge, instead of gravity"
_FROM_TOP_HELP: Final = "its upper edge, instead of gravity"

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
    converted to the picture's profile; on a grey picture it is grey. With `rotate` it is turned
    (Lanczos, in three shears). With `tile` it is repeated all over the picture, in rows that are
    turned with it, about 20,000 times at most, alternate ones offset by half a mark. It never lies
    beyond the edges, whatever `x` and `y` are.
    """

    name: ClassVar[str] = "watermark"
    example: ClassVar[str] = "watermark:file=sample_images/logo-alpha.png"
    memory: ClassVar[float] = 4.5
    keeps_grey: ClassVar[bool] = True
    LATER: ClassVar[frozenset[str]] = frozenset({"rotate", "spacing", "x", "y"})
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
    margin: float = parameter(3.0, low=0, high=40, unit="%", help=_MARGIN_HELP)
    opacity: float = parameter(0.5, low=0, high=1, help="1 is opaque, 0 is invisible")
    tile: bool = parameter(False, help="repeat it all over the picture")
    rotate: float | str = parameter(0.0, kind=Turn(), help=TURN_HELP)
    spacing: float | None = parameter(
        None,
        kind=Number(0, 200, "%"),
        help="between tiled marks, relative to the shorter side; the margin by default",
    )
    x: str | None = parameter(None, kind=Position(), help=_POSITION_HELP)
    y: str | None = parameter(None, kind=Position(), help=_FROM_TOP_HELP)

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
        placing, scaled, angle = self._place(picture.size)
        grey = picture.mode in colour.GREY_MODES
        layer = _layer(self.file, scaled, angle, self.opacity, picture.icc, grey)
        offsets = [placing.once(layer.size)]
        if self.tile:
            spacing = self.margin if self.spacing is None else self.spacing
            gap = int(spacing / 100 * min(picture.size))
            cell = scaled[0] + gap, scaled[1] + gap
            offsets = placing.repeated(layer.size, cell, angle)
        made = picture.image.copy()
        for offset in offsets:
            compositing.lay(made, layer, offset)
        return picture.with_pixels(made)

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """Including the mark, before and after scaling and turning."""
        from imgbatch.imaging import affine

        _, scaled, angle = self._place(before)
        sizes = [scaled, affine.extent(scaled, angle), _size_of(self.file) if self.file else (0, 0)]
        layers = _LAYER_BYTES * sum(across * down for across, down in sizes)
        if angle % 90:
            layers += rotation_bytes(scaled[0] * scaled[1])
        return Operation.working_bytes(self, before, after, mode=mode) + layers

    def _place(self, size: Size) -> tuple[Placing, Size, float]:
        """Where the mark is placed, its size before it is turned, and the angle."""
        width, height = _size_of(self.file) if self.file else (1, 1)
        margin = int(self.margin / 100 * min(size))
        placing = Placing(size, self.gravity, margin, self.x, self.y)
        across = max(1, round(self.scale / 100 * max(size)))
        angle = degrees(self.rotate, size)
        scaled = across, max(1, round(height * across / width))
        return placing, placing.fitting(scaled, angle), angle


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
    file: Attachment, size: Size, angle: float, opacity: float, icc: bytes | None, grey: bool
) -> Image.Image:
    """A mark as it is composited with pictures: scaled, turned, faded, and in their profile."""
    from imgbatch.imaging import resample
    from imgbatch.imaging.filters import compositing

    mark = _mark(file)
    scaled = mark.with_image(resample.resize(mark.image, size, "lanczos"))
    image = _in_space(scaled, icc, grey).image
    if angle:
        from imgbatch.imaging.filters import rotation

        image = rotation.turned_whole(image, angle)
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
    dark text. A colour that is not grey turns a grey picture into a colour one. With `rotate` it is
    turned (bicubic, from letters drawn up to eight times as large). With `tile` it is repeated all
    over the picture, about 20,000 times at most, in rows that are turned with it, alternate ones
    offset by half a text. It never lies beyond the edges, whatever `x` and `y` are.
    """

    name: ClassVar[str] = "text"
    example: ClassVar[str] = 'text:text="© {date:%Y} Jane Doe",size=5'
    memory: ClassVar[float] = 4.5
    LATER: ClassVar[frozenset[str]] = frozenset({"rotate", "tile", "spacing", "x", "y"})
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
    rotate: float | str = parameter(0.0, kind=Turn(), help=TURN_HELP)
    tile: bool = parameter(False, help="repeat it all over the picture")
    spacing: float = parameter(
        10.0, low=0, high=200, unit="%", help="between tiled texts, relative to the shorter side"
    )
    x: str | None = parameter(None, kind=Position(), help=_POSITION_HELP)
    y: str | None = parameter(None, kind=Position(), help=_FROM_TOP_HELP)

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
        """Including the letters and their shadow, over the whole width; turned, over all of it."""
        lines = 1 + self.text.count("\\n") + self.text.count("\n")
        pixels = before[0] * before[1]
        turned = degrees(self.rotate, before) % 90 != 0
        share = 1.0 if turned else min(1.0, 1.5 * lines * self.size / 100)
        layers = int(_LAYER_BYTES * share * pixels)
        if turned:
            from imgbatch.imaging.filters import lettering

            finer = min(64 * pixels, max(lettering.MOST_FINER, pixels))
            layers += 3 * finer
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
        text, lacking = lettering.drawable(text, self._font)
        if lacking:
            message = f"{self._whose} has no {_some(lacking)!r}: choose another with font=…"
            picture = picture.with_notice("letters-missing", message)
        offsets, drawn = self._laid_out(text, picture.size)
        layers = [(drawn.mask, self.colour, 0)]
        if self.shadow:
            halo, reach = lettering.halo(drawn.mask, drawn.font)
            layers.insert(0, (halo, self._opposite, reach))
        made = picture.image.copy()
        for mask, ink, reach in layers:
            layer = compositing.coloured(
                compositing.faded(mask, opacity), colour.levels_of(ink, picture)
            )
            for left, top in offsets:
                compositing.lay(made, layer, (left - reach, top - reach))
        return picture.with_pixels(made)

    def _laid_out(self, text: str, size: Size) -> tuple[list[tuple[int, int]], Drawn]:
        """Where a text goes in a picture of `size`, and how it looks there."""
        from imgbatch.imaging.filters import lettering

        shorter = min(size)
        placing = Placing(size, self.gravity, int(self.margin / 100 * shorter), self.x, self.y)
        angle = degrees(self.rotate, size)
        drawn = lettering.drawn(
            text,
            self._font,
            self.size / 100 * shorter,
            placing.room,
            _alignment(self.gravity),
            angle,
        )
        if not self.tile:
            return [placing.once(drawn.mask.size)], drawn
        gap = int(self.spacing / 100 * shorter)
        cell = drawn.upright[0] + gap, drawn.upright[1] + gap
        return placing.repeated(drawn.mask.size, cell, angle), drawn

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
