"""Colour: profiles, and conversion between modes without changing the appearance.

Transforms are LittleCMS's, relative colorimetric with black-point compensation unless another
intent is requested. Colours with 16 bits per channel go through the LittleCMS of imagecodecs (the
extra `deep`), since Pillow's has no mode for them. A picture without a profile counts as sRGB
(grey: with the sRGB curve), as in browsers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace
from PIL import Image, ImageColor

from imgbatch.errors import PictureError, UsageError, raise_if_short_of_memory
from imgbatch.imaging import formats
from imgbatch.imaging.colour.icc import HIGH_RANGE, grey_srgb, is_whole, tone_curves
from imgbatch.imaging.colour.icc import high_range as high_range_points
from imgbatch.imaging.picture import Picture
from imgbatch.model import WHITE, Colour, Intent, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgbatch.imaging.deep import Deep

GREY_MODES: Final = frozenset({"L", "LA", "I;16", "LA;16"})

_SPACES: Final = {
    **dict.fromkeys(GREY_MODES, b"GRAY"),
    **dict.fromkeys(("RGB", "RGBA", "RGB;16", "RGBA;16"), b"RGB "),
    "CMYK": b"CMYK",
    "LAB": b"Lab ",
}
# ICC.1:2010, 7.2.15; the numbers are also Pillow's and LittleCMS's.
_INTENTS: Final[dict[Intent, int]] = {
    "perceptual": 0,
    "relative": 1,
    "saturation": 2,
    "absolute": 3,
}
# lcms2.h: without the second, 16 bits go through a table of 33 colours per side.
_BLACK_POINT_COMPENSATION: Final = 0x2000
_NO_OPTIMIZATION: Final = 0x0100


def parse_colour(word: str) -> Colour:
    """A CSS colour (`white`, `#fff`, `rgb(0,0,0)`, `transparent`) as red, green, blue, alpha.

    Raises UsageError for anything else.
    """
    if word.strip().lower() == "transparent":
        # White if a format turns out to have no alpha.
        return (255, 255, 255, 0)
    try:
        red, green, blue, *alpha = ImageColor.getrgb(word)
    except ValueError:
        raise UsageError(
            f"unknown colour {word!r}: give a CSS colour such as white, #1e90ff or rgb(20,20,20)"
        ) from None
    return red, green, blue, alpha[0] if alpha else 255


def profile_space(icc: bytes) -> bytes | None:
    """The colour space signature of an ICC profile (ICC.1, header bytes 16-19), None if broken."""
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    return icc[16:20]


def profile_fits(icc: bytes, mode: str) -> bool:
    """Whether a profile has all its parts, and is for this mode's colour space."""
    return profile_space(icc) == _SPACES.get(mode) and is_whole(icc)


@cache
def srgb_profile() -> bytes:
    """LittleCMS's sRGB profile, with a fixed date so that outputs are the same every day."""
    from PIL import ImageCms

    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc[24:36] = bytes.fromhex("07E8 0001 0001 0000 0000 0000")
    return bytes(icc)


def srgb_profile_for(mode: str) -> bytes:
    """The profile that pixels of this mode have implicitly; for CMYK, sRGB."""
    return grey_srgb() if mode in GREY_MODES else srgb_profile()


@lru_cache(maxsize=16)
def is_srgb(icc: bytes) -> bool:
    """Whether a profile is sRGB, or grey with its curve: by its effect, not by its name."""
    space = profile_space(icc)
    mode = {b"RGB ": "RGB", b"GRAY": "L"}.get(space or b"")
    if mode is None:
        return False
    probe = Image.new("RGB", (16, 1))
    probe.putdata(
        [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
        + [(level, level, level) for level in (20, 60, 118, 190)]
        + [(200, 60, 40), (40, 160, 90), (60, 90, 200), (224, 172, 140)]
    )
    probe = probe.convert(mode)
    try:
        same = _transformed(probe, icc, srgb_profile_for(mode), mode)
    except PictureError:
        return False
    pairs = zip(probe.tobytes(), same.tobytes(), strict=True)
    return all(abs(before - after) <= 1 for before, after in pairs)


def to_srgb(picture: Picture, intent: Intent = "relative") -> Picture:
    """The same colours in sRGB, at the same depth; grey stays grey; no profile is needed any more.

    CMYK without a profile is converted by the simple formula, which every viewer uses.
    """
    picture = in_standard_range(picture)
    if picture.icc is not None and not is_srgb(picture.icc):
        picture = convert(picture, srgb_profile_for(picture.mode), intent)
    elif picture.mode == "CMYK":
        picture = picture.with_pixels(picture.image.convert("RGB"))
    return replace(picture, icc=None)


def convert(picture: Picture, icc: bytes, intent: Intent = "relative") -> Picture:
    """The same colours in the space of the RGB, grey or CMYK profile `icc`, which is attached.

    Black-point compensation is only used with the relative intent. A picture whose own profile
    cannot be used counts as one without, with a warning. Raises PictureError if `icc` cannot be
    used.
    """
    try:
        return _convert(picture, icc, intent)
    except PictureError as error:
        if picture.icc is None:
            raise
        plain = replace(picture, icc=None)
        return _convert(plain, icc, intent).with_notice("profile-dropped", str(error))


def in_colours(picture: Picture, intent: Intent = "relative") -> Picture:
    """Grey as RGB at the same depth; a grey profile, which would not fit, becomes sRGB."""
    if picture.mode not in GREY_MODES:
        return picture
    if picture.icc is not None and not is_srgb(picture.icc):
        return convert(picture, srgb_profile(), intent)
    return as_rgb(replace(picture, icc=None))


def as_rgb(picture: Picture) -> Picture:
    """Grey as RGB at the same depth, each level three times. The profile stays."""
    if picture.mode not in GREY_MODES:
        return picture
    if picture.mode in ("L", "LA"):
        return picture.with_pixels(picture.image.convert("RGBA" if picture.has_alpha else "RGB"))
    import numpy as np

    array = _array(picture)
    grey = array[..., :1]
    return picture.with_pixels(_of_array(np.concatenate([grey, grey, array], axis=2)))


def in_standard_range(picture: Picture) -> Picture:
    """PQ and HLG as sRGB, at the same depth, with a warning (see `high_range`)."""
    points = high_range_points(picture.icc) if picture.icc is not None else None
    if points is None:
        return picture
    from imgbatch.imaging.colour.high_range import to_standard

    message = f"{HIGH_RANGE[points.transfer]} (high dynamic range) was brought to the range of sRGB"
    made = _mapped(picture, lambda levels: to_standard(levels, points))
    return replace(made, icc=None).with_notice("tone-mapped", message)


def _mapped(
    picture: Picture, change: Callable[[NDArray[np.uint16]], NDArray[np.uint16]]
) -> Picture:
    """With the colours changed in 16 bits, at the same depth; alpha stays."""
    import numpy as np

    from imgbatch.imaging.deep import Deep, rounded_to_8_bit

    picture = as_rgb(picture)
    deep = picture.deep
    array = deep.array if deep else np.asarray(picture.image)
    colours = array[..., :3] if deep else array[..., :3].astype(np.uint16) * 257
    changed = change(colours)
    levels: NDArray[Any] = changed if deep else rounded_to_8_bit(changed)
    if picture.has_alpha:
        levels = np.concatenate([levels, array[..., 3:]], axis=2)
    if deep:
        return picture.with_pixels(Deep(levels))
    return picture.with_pixels(Image.frombytes(picture.mode, picture.size, levels.tobytes()))


def _convert(picture: Picture, icc: bytes, intent: Intent) -> Picture:
    picture = in_standard_range(picture)
    points = high_range_points(icc)
    if points is not None:
        from imgbatch.imaging.colour.high_range import from_standard

        plain = to_srgb(picture, intent)
        return replace(_mapped(plain, lambda levels: from_standard(levels, points)), icc=icc)
    mode = {b"GRAY": "L", b"CMYK": "CMYK"}.get(profile_space(icc) or b"", "RGB")
    if mode == "CMYK":
        picture = flatten(picture, WHITE)
    if picture.icc is None and picture.mode == "CMYK":
        picture = picture.with_pixels(picture.image.convert("RGB"))
    source = picture.icc or srgb_profile_for(picture.mode)
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        converted = _convert_16_bit(picture, source, icc, mode, intent)
        if converted is not None:
            return replace(converted, icc=icc)
        picture = to_8_bits(picture, "for a conversion of colours (imgbatch[deep] keeps them)")
    opaque = picture.image
    if picture.has_alpha:
        opaque = opaque.convert("L" if picture.mode == "LA" else "RGB")
    levels = _grey_levels(source, icc, intent) if opaque.mode == mode == "L" else None
    if levels is not None:
        # Index 257 * level of 65536 is the level itself.
        pixels = opaque.point([round(int(level) / 257) for level in levels[::257]])
    else:
        pixels = _transformed(opaque, source, icc, mode, intent)
    if picture.has_alpha:
        pixels.putalpha(picture.image.getchannel("A"))
    return replace(picture.with_pixels(pixels), icc=icc)


def _convert_16_bit(
    picture: Picture, source: bytes, icc: bytes, mode: str, intent: Intent
) -> Picture | None:
    """Convert I;16 and Deep; None if what that needs is not installed."""
    import numpy as np

    from imgbatch.imaging.deep import Deep

    array = _array(picture)
    colours = array[..., :-1] if picture.has_alpha else array
    levels = None
    if mode == "L" and colours.shape[2] == 1:
        levels = _grey_levels(source, icc, intent)
    if levels is not None:
        converted = levels[colours]
    elif formats.installed("deep"):
        dtype = np.dtype(np.uint8 if mode == "CMYK" else np.uint16)
        converted = _transformed_16_bit(colours, source, icc, dtype, intent)
    else:
        return None
    if picture.has_alpha:
        converted = np.concatenate([converted, array[..., -1:]], axis=2)
    if mode == "CMYK":
        return picture.with_pixels(Image.frombytes("CMYK", picture.size, converted.tobytes()))
    if converted.shape[2] == 1:
        return picture.with_pixels(Image.fromarray(np.ascontiguousarray(converted[..., 0])))
    return picture.with_pixels(Deep(converted))


def _array(picture: Picture) -> NDArray[np.uint16]:
    """The levels of I;16 or Deep as (height, width, channels)."""
    import numpy as np

    deep = picture.deep
    return deep.array if deep else np.asarray(picture.image, np.uint16)[..., None]


@lru_cache(maxsize=4)
def _grey_levels(source: bytes, target: bytes, intent: Intent) -> NDArray[np.uint16] | None:
    """The new value of each of 65536 levels of grey; None if curves alone do not determine it.

    LittleCMS is up to 30 levels of 255 off in the dark where one of the curves is a straight line.
    """
    import numpy as np

    before, after = tone_curves(source), tone_curves(target)
    if intent == "absolute" or not before or not after or len(before) != 1 or len(after) != 1:
        return None
    levels = np.linspace(0, 1, 65_536)
    light, reached = before[0](levels), after[0](levels)
    if np.any(np.diff(reached) < 0):
        return None
    return np.rint(np.interp(light, reached, levels) * 65_535).astype(np.uint16)


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """A Lab image (D50, as TIFF stores it) in sRGB."""
    return _transformed(image, _lab_profile(), srgb_profile(), "RGB")


def lab_to_rgb_16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """L*, a* and b* (D50) of each pixel, (height, width, 3), as sRGB with 16 bits per channel."""
    import numpy as np

    return _transformed_16_bit(
        array, _lab_profile(), srgb_profile(), np.dtype(np.uint16), "relative"
    )


@cache
def _lab_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def to_8_bit(image: Image.Image) -> Image.Image:
    """A 16-bit grey image in 8 bits: 65535 becomes 255, rounded."""
    import numpy as np

    wide = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((wide * 255 + 32_767) // 65_535).astype(np.uint8))


def to_8_bits(picture: Picture, why: str) -> Picture:
    """With 8 bits per channel, and a warning that says `why` if there were more."""
    deep: Deep | None = picture.deep
    if deep is None and picture.mode != "I;16":
        return picture
    image = deep.to_8_bit() if deep else to_8_bit(picture.image)
    what = "16-bit colours were" if deep else "16-bit grey was"
    return picture.with_pixels(image).with_notice(
        "depth-reduced", f"{what} reduced to 8 bits {why}"
    )


def to_tonal(picture: Picture) -> Picture:
    """What tone operations work on: 8 bits per channel in L, LA, RGB or RGBA."""
    picture = to_8_bits(in_standard_range(picture), "for an operation")
    return to_srgb(picture) if picture.mode == "CMYK" else picture


def fits_grey(colour: Colour) -> bool:
    """Whether a colour is a grey."""
    return colour[0] == colour[1] == colour[2]


def levels_of(colour: Colour, picture: Picture) -> tuple[int, ...]:
    """A colour in the picture's own profile, mode and depth, without alpha.

    Grey pictures only accept greys (see `in_colours`).
    """
    grey = picture.mode in GREY_MODES
    spot = _spot(colour[:1] if grey else colour[:3], deep=picture.mode.endswith(";16"))
    plain = Picture(spot, "png", (1, 1), (0, 0, 1, 1))
    if picture.icc is None:
        return _inks(colour) if picture.mode == "CMYK" else _levels(plain)
    try:
        found = _levels(convert(plain, picture.icc))
    except PictureError:
        # Its profile is broken: then its numbers are used as if there were none.
        return levels_of(colour, replace(picture, icc=None))
    # Without the extra `deep` it was converted in 8 bits.
    reduced = picture.deep is not None and not formats.installed("deep")
    return tuple(level * 257 for level in found) if reduced else found


def _inks(colour: Colour) -> tuple[int, ...]:
    """The simple formula inverted, with as much black as possible."""
    light = max(colour[:3])
    inks = (255 - round(255 * part / light) if light else 0 for part in colour[:3])
    return (*inks, 255 - light)


def _spot(levels: tuple[int, ...], *, deep: bool) -> Image.Image | Deep:
    """One pixel of 8-bit levels, in 8 or 16 bits."""
    if not deep:
        return Image.new("L" if len(levels) == 1 else "RGB", (1, 1), levels)
    import numpy as np

    return _of_array(np.array([[levels]], np.uint16) * 257)


def _levels(spot: Picture) -> tuple[int, ...]:
    deep = spot.deep
    if deep:
        return tuple(int(level) for level in deep.array[0, 0])
    found: Any = spot.image.getpixel((0, 0))
    return found if isinstance(found, tuple) else (found,)


def is_half_transparent(picture: Picture) -> bool:
    """Whether any pixel is neither fully transparent nor opaque."""
    return picture.has_alpha and any(picture.image.getchannel("A").histogram()[1:255])


def flatten(picture: Picture, background: Colour) -> Picture:
    """Without alpha, over `background`; a warning if anything was transparent at all."""
    if not picture.has_alpha:
        return picture
    if _is_opaque(picture):
        return picture.with_pixels(_without_alpha(picture))
    if not fits_grey(background):
        picture = in_colours(picture)
    below = levels_of(background, picture)
    deep = picture.deep
    if deep:
        flat: Image.Image | Deep = _laid_over(deep, below)
    else:
        opaque = picture.image.convert("L" if picture.mode == "LA" else "RGB")
        flat = Image.new(opaque.mode, opaque.size, below if len(below) > 1 else below[0])
        flat.paste(opaque, mask=picture.image.getchannel("A"))
    return picture.with_pixels(flat).with_notice(
        "alpha-flattened", "transparency was flattened; --background sets the colour below it"
    )


def with_alpha(picture: Picture) -> Picture:
    """With an alpha channel, opaque, if there is none. Not for CMYK."""
    if picture.has_alpha:
        return picture
    if picture.mode in ("L", "RGB"):
        return picture.with_pixels(picture.image.convert("LA" if picture.mode == "L" else "RGBA"))
    import numpy as np

    return picture.with_pixels(
        _of_array(np.pad(_array(picture), ((0, 0), (0, 0), (0, 1)), constant_values=65_535))
    )


def with_room_for(picture: Picture, colour: Colour) -> Picture:
    """In a mode that can hold a colour: grey becomes RGB, alpha is added, if necessary."""
    see_through = colour[3] < 255
    if picture.mode == "CMYK" and see_through:
        picture = to_srgb(picture)
    if not fits_grey(colour):
        picture = in_colours(picture)
    return with_alpha(picture) if see_through else picture


def on_canvas(picture: Picture, size: Size, offset: tuple[int, int], background: Colour) -> Picture:
    """A picture placed at `offset` on a canvas of `size`, in its own profile and depth."""
    picture = with_room_for(picture, background)
    return picture.with_image(_on_canvas(picture, size, offset, background))


def _on_canvas(
    picture: Picture, size: Size, offset: tuple[int, int], background: Colour
) -> Image.Image | Deep:
    fill = levels_of(background, picture)
    deep = picture.deep
    if picture.has_alpha:
        fill += (background[3] * (257 if deep else 1),)
    if deep is None:
        canvas = Image.new(picture.mode, size, fill if len(fill) > 1 else fill[0])
        canvas.paste(picture.image, offset)
        return canvas
    import numpy as np

    array = np.empty((size[1], size[0], len(fill)), np.uint16)
    array[:] = fill
    height, width = deep.array.shape[:2]
    array[offset[1] : offset[1] + height, offset[0] : offset[0] + width] = deep.array
    return _of_array(array)


def _is_opaque(picture: Picture) -> bool:
    deep = picture.deep
    if deep:
        return int(deep.array[..., -1].min()) == 65_535
    low, _ = picture.image.getchannel("A").getextrema()
    return low == 255


def _without_alpha(picture: Picture) -> Image.Image | Deep:
    deep = picture.deep
    if deep is None:
        return picture.image.convert("L" if picture.mode == "LA" else "RGB")
    return _of_array(deep.array[..., :-1])


def _of_array(array: NDArray[np.uint16]) -> Image.Image | Deep:
    import numpy as np

    from imgbatch.imaging.deep import Deep

    array = np.ascontiguousarray(array)
    return Deep(array) if array.shape[2] > 1 else Image.fromarray(array[..., 0])


def _laid_over(deep: Deep, below: tuple[int, ...]) -> Image.Image | Deep:
    """Rounded exactly: the largest sum is 65535 * 65535 + 32767, which 32 bits hold."""
    import numpy as np

    flat = np.empty((*deep.array.shape[:2], deep.array.shape[2] - 1), np.uint16)
    for before, after in zip(deep.array, flat, strict=True):
        alpha = before[:, -1:].astype(np.uint32)
        seen = before[:, :-1] * alpha + np.array(below, np.uint32) * (65_535 - alpha)
        after[:] = (seen + 32_767) // 65_535
    return _of_array(flat)


def _transformed(
    image: Image.Image, source: bytes, target: bytes, mode: str, intent: Intent = "relative"
) -> Image.Image:
    try:
        # ImageCms reports a profile it cannot use as PyCMSError, OSError or TypeError.
        return _transform(source, target, image.mode, mode, intent).apply(image)  # type: ignore[no-any-return]
    except Exception as error:
        raise_if_short_of_memory(error)
        raise PictureError(
            "operate", "profile", f"its colour profile cannot be used: {error}"
        ) from error


@lru_cache(maxsize=16)
def _transform(source: bytes, target: bytes, mode_in: str, mode_out: str, intent: Intent):  # type: ignore[no-untyped-def]
    from io import BytesIO

    from PIL import ImageCms

    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(source)),
        ImageCms.ImageCmsProfile(BytesIO(target)),
        mode_in,
        mode_out,
        renderingIntent=ImageCms.Intent(_INTENTS[intent]),
        flags=ImageCms.Flags(
            (_BLACK_POINT_COMPENSATION if intent == "relative" else 0)
            # Its table for grey is too coarse for the dark end of straight curves.
            | (_NO_OPTIMIZATION if mode_in == "L" else 0)
        ),
    )


_CHANNELS: Final = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk", b"Lab ": "lab"}


def _transformed_16_bit(
    array: NDArray[Any], source: bytes, target: bytes, dtype: np.dtype[Any], intent: Intent
) -> NDArray[Any]:
    """(height, width, channels) in the source's space, converted to the target's."""
    import imagecodecs

    flags = _NO_OPTIMIZATION | (_BLACK_POINT_COMPENSATION if intent == "relative" else 0)
    try:
        converted = imagecodecs.cms_transform(
            array[..., 0] if array.shape[2] == 1 else array,
            source,
            target,
            colorspace=_CHANNELS[source[16:20]],
            outcolorspace=_CHANNELS[target[16:20]],
            outdtype=dtype,
            intent=_INTENTS[intent],
            flags=flags,
        )
    except Exception as error:
        raise_if_short_of_memory(error)
        # CmsError, or KeyError for a space that no picture has.
        raise PictureError(
            "operate", "profile", f"its colour profile cannot be used: {error}"
        ) from error
    return converted if converted.ndim == 3 else converted[..., None]
