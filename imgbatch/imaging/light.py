"""Resampling in linear light.

Colours are averaged correctly in numbers that are proportional to light, not in the levels of a
file (which are closer to perception). So levels are looked up as light, resampled, and looked up
back: in 16 bits if that distinguishes all 256 levels, as it does for sRGB, otherwise in float32,
which is also used for alpha and for 16-bit levels. The curve is that of the picture's own profile,
or sRGB's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from imgbatch.imaging import resample
from imgbatch.imaging.colour.icc import grey_srgb, tone_curves
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Box, Picture
from imgbatch.model import Size

if TYPE_CHECKING:
    from imgbatch.imaging.colour.icc import ToneCurve

_CHANNELS: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I": 1}
_MAX: Final = 65_535
# Where no light and full light are in 16 bits: a kernel overshoots next to an edge, and what is
# clipped between its two passes would be missing in the second.
_NONE_16: Final = 8_192
_FULL_16: Final = _MAX - _NONE_16


def resize(picture: Picture, size: Size, kernel: str, box: Box) -> Image.Image | Deep | None:
    """Resample the part `box` of a picture's pixels, as they are stored, to `size`.

    Alpha is premultiplied in light. None for CMYK, and if the profile has no usable curves (see
    `icc.tone_curves`).
    """
    deep = picture.mode.endswith(";16")
    channels = _CHANNELS.get(picture.mode.removesuffix(";16"))
    tables = _tables(picture.icc, deep) if channels else None
    if tables is None or channels is None:
        return None
    if channels >= 3 and len(tables) == 1:
        tables *= 3
    if len(tables) != channels - picture.has_alpha:
        return None
    exact = not picture.has_alpha and all(table.exact for table in tables)
    resized = np.empty((size[1], size[0], channels), np.uint16 if deep else np.uint8)
    for strip in resample.strips(picture.size, size, box):
        part = _part(picture, strip.part, channels)
        light = _in_16_bits(part, tables) if exact else _in_floats(part, tables)
        rows = resample.resize_strip(light, strip, size[0], kernel)
        found = resized[strip.first : strip.last]
        if exact:
            _levels_of_16_bits(rows, tables, found)
        else:
            _levels_of_floats(rows, tables, found)
    if picture.deep is not None:
        return Deep(resized)
    if channels == 1:
        return Image.fromarray(resized[..., 0])
    return Image.frombytes(picture.mode, size, resized.tobytes())


class _Tables(Struct, frozen=True, eq=False):
    """A curve, looked up both ways. `exact` says that 16 bits of light distinguish all levels.

    `light` and `light_16` are the light of each level (256 or 65536), as float32 from 0 to 1 and
    as uint16 with room above and below; the `pairs` are those of two 8-bit levels at once. `level`
    and `level_16` are the levels of each of 65536 steps of light, uniform in 16 bits, otherwise
    uniform in the square root of light, which separates dark levels better. For 16-bit levels
    there are only `light`, and `level` as float64.
    """

    light: NDArray[np.float32]
    level: NDArray[Any]
    pairs: NDArray[np.uint64] | None = None
    pairs_16: NDArray[np.uint32] | None = None
    light_16: NDArray[np.uint16] | None = None
    level_16: NDArray[np.uint8] | None = None
    exact: bool = False


@lru_cache(maxsize=4)
def _tables(icc: bytes | None, deep: bool) -> tuple[_Tables, ...] | None:
    """One for each colour channel, or one for all of them; None if there are none."""
    # Colours in sRGB all have the same curve.
    curves = tone_curves(icc or grey_srgb())
    if curves is None:
        return None
    made: dict[ToneCurve, _Tables | None] = {}
    for curve in curves:
        if curve not in made:
            made[curve] = _deep_tables(curve) if deep else _plain_tables(curve)
    tables = tuple(table for curve in curves if (table := made[curve]) is not None)
    if len(tables) < len(curves):
        return None
    return tables[:1] if len(made) == 1 else tables


def _plain_tables(curve: ToneCurve) -> _Tables | None:
    """For 8-bit levels. None for a curve that falls somewhere, or rises nowhere."""
    light = curve(np.linspace(0, 1, 256))
    # A level is nearest if the light is within half a level of it, according to the curve.
    borders = curve((np.arange(255) + 0.5) / 255)
    if np.any(np.diff(light) < 0) or not light[255] > light[0]:
        return None
    steps = np.arange(_MAX + 1) / _MAX

    def level(of: NDArray[np.float64]) -> NDArray[np.uint8]:
        found = np.searchsorted(borders, of).astype(np.uint8)
        # If a curve is flat at its end, full is meant.
        found[of >= light[255]] = 255
        return found

    plain = light.astype(np.float32)
    light_16 = np.rint(_NONE_16 + light * (_FULL_16 - _NONE_16)).astype(np.uint16)
    level_16 = level(np.clip((np.arange(_MAX + 1) - _NONE_16) / (_FULL_16 - _NONE_16), 0, 1))
    return _Tables(
        plain,
        level(steps**2),
        _paired(plain).view(np.uint64).ravel(),
        _paired(light_16).view(np.uint32).ravel(),
        light_16,
        level_16,
        bool(np.array_equal(level_16[light_16], np.arange(256))),
    )


def _deep_tables(curve: ToneCurve) -> _Tables | None:
    levels = np.arange(_MAX + 1)
    light = curve(levels / _MAX)
    if np.any(np.diff(light) < 0) or not light[_MAX] > light[0]:
        return None
    # One step more, so that all have a next one.
    steps = np.minimum(np.arange(_MAX + 2) / _MAX, 1)
    return _Tables(light.astype(np.float32), np.interp(steps**2, light, levels))


def _paired(values: NDArray[Any]) -> NDArray[Any]:
    """For each two consecutive bytes, read as one number, both their values."""
    pairs = np.arange(65_536, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    return np.ascontiguousarray(values[pairs])


def _part(picture: Picture, part: tuple[int, int, int, int], channels: int) -> NDArray[Any]:
    left, top, right, bottom = part
    if picture.deep is not None:
        return picture.deep.array[top:bottom, left:right]
    image = picture.image
    dtype = np.uint16 if image.mode == "I;16" else np.uint8
    cut = np.frombuffer(image.crop(part).tobytes(), dtype)
    return cut.reshape(bottom - top, right - left, channels)


def _in_16_bits(part: NDArray[np.uint8], tables: tuple[_Tables, ...]) -> NDArray[np.uint16]:
    first = tables[0]
    if _all_same(tables) and part.size % 2 == 0 and first.pairs_16 is not None:
        return first.pairs_16.take(part.ravel().view(np.uint16)).view(np.uint16).reshape(part.shape)
    light = np.empty(part.shape, np.uint16)
    for channel, table in enumerate(tables):
        light[..., channel] = table.light_16.take(part[..., channel])  # type: ignore[union-attr]
    return light


def _in_floats(part: NDArray[Any], tables: tuple[_Tables, ...]) -> NDArray[np.float32]:
    first = tables[0]
    same = _all_same(tables) and part.shape[2] == len(tables)
    if same and first.pairs is not None and part.size % 2 == 0:
        found = first.pairs.take(part.ravel().view(np.uint16))
        return found.view(np.float32).reshape(part.shape)
    light = np.empty(part.shape, np.float32)
    for channel, table in enumerate(tables):
        light[..., channel] = table.light.take(part[..., channel])
    if part.shape[2] > len(tables):
        light[..., -1] = part[..., -1] * np.float32(1 / np.iinfo(part.dtype).max)
    return light


def _levels_of_16_bits(
    rows: NDArray[np.uint16], tables: tuple[_Tables, ...], found: NDArray[np.uint8]
) -> None:
    if _all_same(tables):
        found[:] = tables[0].level_16.take(rows)  # type: ignore[union-attr]
        return
    for channel, table in enumerate(tables):
        found[..., channel] = table.level_16.take(rows[..., channel])  # type: ignore[union-attr]


def _levels_of_floats(
    rows: NDArray[np.float32], tables: tuple[_Tables, ...], found: NDArray[Any]
) -> None:
    most = np.iinfo(found.dtype).max
    colours = len(tables)
    steps = np.sqrt(np.clip(rows[..., :colours], 0, 1))
    steps *= _MAX
    whole = steps.astype(np.uint16)
    if found.dtype == np.uint8:
        for channel, table in _by_channel(tables):
            found[..., channel] = table.level.take(whole[..., channel])
    else:
        steps -= whole
        for channel, table in _by_channel(tables):
            low = table.level.take(whole[..., channel])
            high = table.level.take(whole[..., channel].astype(np.intp) + 1)
            found[..., channel] = np.rint(low + (high - low) * steps[..., channel])
    if found.shape[2] > colours:
        found[..., -1] = np.rint(np.clip(rows[..., -1], 0, 1) * most)
        # Invisible pixels have no colour.
        found[found[..., -1] == 0] = 0


def _by_channel(tables: tuple[_Tables, ...]) -> list[tuple[slice, _Tables]]:
    """All channels at once if they have the same curve."""
    if _all_same(tables):
        return [(slice(0, len(tables)), tables[0])]
    return [(slice(channel, channel + 1), table) for channel, table in enumerate(tables)]


def _all_same(tables: tuple[_Tables, ...]) -> bool:
    return all(table is tables[0] for table in tables)
