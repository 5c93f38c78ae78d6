"""What each operation does to a small picture, in one property that a wrong one would not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imgbatch.imaging.picture import Picture
from imgbatch.imaging.self_test import Check, checked
from imgbatch.operations import build, names, unloadable
from imgbatch.operations.parameters import Attachment

Levels = NDArray[np.float64]

WIDTH, HEIGHT = 96, 64
_DISC: Final = 80, 20, 10
"""Centre and radius of a disc in the colour of skin."""
_SKIN: Final = 210, 160, 130


class Property(Struct, frozen=True):
    """The settings of an operation, and what then holds for the levels before and after it.

    With a `frame` there is a white one around the picture, of so many pixels.
    """

    settings: dict[str, Any]
    expected: str
    holds: Callable[[Levels, Levels], Any]
    frame: int = 0


def scene() -> NDArray[np.uint8]:
    """Gradients from 50 to 200, fine texture and a disc: (64, 96, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    texture = 6.0 * ((x + y) % 2)
    bands = [50 + x * 1.4 + texture, 60 + y * 1.8 + texture, 170 - x * 0.8 + texture]
    levels = np.stack(bands, axis=2)
    across, down, radius = _DISC
    levels[np.hypot(x - across, y - down) < radius] = _SKIN
    pixels: NDArray[np.uint8] = np.rint(levels).astype(np.uint8)
    return pixels


def operations() -> Iterator[Check]:
    """A check for each operation, once it is done."""
    for name in names():
        yield operation(name)
    for package, trouble in unloadable().items():
        yield Check(package, trouble)


def operation(name: str) -> Check:
    """The check for one operation."""
    return checked(name, partial(_wrong_with, name))


def _wrong_with(name: str) -> str:
    known = PROPERTIES.get(name)
    operation = build(name, known.settings if known else {})
    image = Image.fromarray(scene())
    before = Picture.of(ImageOps.expand(image, known.frame, "white") if known else image)
    after = operation.apply(before).upright()
    if operation.sizes_known and after.size != operation.output_size(before.size):
        return f"its result has {after.size}, expected {operation.output_size(before.size)}"
    if known is None:
        # One of another package: what it is for is not known here.
        return ""
    levels = [np.asarray(one.image.convert("RGB"), np.float64) for one in (before, after)]
    return "" if known.holds(*levels) else f"expected {known.expected}"


def _is(change: Callable[[Levels], Levels], most: float = 1.0) -> Callable[[Levels, Levels], bool]:
    """Whether the levels are what a formula says, to within some levels."""

    def holds(before: Levels, after: Levels) -> bool:
        expected = np.clip(change(before), 0, 255)
        return after.shape == expected.shape and bool(np.abs(after - expected).max() <= most)

    return holds


def _luma(levels: Levels) -> Levels:
    found: Levels = levels @ np.array([0.299, 0.587, 0.114])
    return found


def _spread(levels: Levels) -> float:
    """How far colours are from grey."""
    return float(np.ptp(levels, axis=2).mean())


def _texture(levels: Levels) -> float:
    """How much neighbours differ, away from the disc."""
    return float(np.abs(np.diff(levels[40:, :60], axis=1)).mean())


def _exposed(levels: Levels) -> Levels:
    """A stop longer, in linear light (IEC 61966-2-1)."""
    share = levels / 255
    light = 2 * np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    curved = 1.055 * np.minimum(light, 1) ** (1 / 2.4) - 0.055
    return 255 * np.where(light <= 0.0031308, 12.92 * light, curved)


def _skin(levels: Levels) -> int:
    """How many pixels are those of the disc."""
    return int((np.abs(levels - _SKIN).max(axis=2) < 10).sum())


def _cast(levels: Levels) -> float:
    """How far the mean is from grey."""
    return float(np.ptp(levels.mean(axis=(0, 1))))


def _darkened(before: Levels, after: Levels) -> bool:
    changed = after - before
    return bool(changed[0, 0].max() < -10 and abs(changed[HEIGHT // 2, WIDTH // 2]).max() <= 1)


def _marked(before: Levels, after: Levels) -> bool:
    """A white square of ten pixels lies in the upper left corner, and nowhere else."""
    rest = after.copy()
    rest[:10, :10] = before[:10, :10]
    return bool((after[:10, :10] == 255).all() and (rest == before).all())


def _written(before: Levels, after: Levels) -> bool:
    """White letters lie in the lower left quarter, and nothing above."""
    ink = (after[HEIGHT // 2 :, : WIDTH // 2].min(axis=2) > 245).sum()
    return bool(ink > 20 and (after[: HEIGHT // 3] == before[: HEIGHT // 3]).all())


def _white_square() -> Attachment:
    stream = BytesIO()
    Image.new("RGB", (10, 10), "white").save(stream, "PNG")
    return Attachment("self-test.png", stream.getvalue())


def _inverting_table() -> Attachment:
    rows = "\n".join(f"{1 - r} {1 - g} {1 - b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    return Attachment("self-test.cube", f"LUT_3D_SIZE 2\n{rows}\n".encode())


PROPERTIES: Final[MappingProxyType[str, Property]] = MappingProxyType(
    {
        "autocontrast": Property(
            {}, "black and white", lambda _, after: after.min() <= 2 and after.max() >= 253
        ),
        "blur": Property(
            {"radius": 2},
            "the same mean, and less detail",
            lambda before, after: (
                abs(before.mean() - after.mean()) < 1 and _texture(after) < _texture(before) / 3
            ),
        ),
        "border": Property(
            {"size": 12.5},
            "eight white pixels around the picture",
            lambda before, after: (after[:8] == 255).all() and (after[8:-8, 8:-8] == before).all(),
        ),
        "brightness": Property({"amount": 1.2}, "levels times 1.2", _is(lambda v: 1.2 * v)),
        "clarity": Property(
            {"amount": 0.8}, "more local contrast", lambda before, after: after.std() > before.std()
        ),
        "contrast": Property(
            {"amount": 1.4}, "levels farther from grey", _is(lambda v: 1.4 * (v - 127.5) + 127.5)
        ),
        "crop": Property(
            {"geometry": "20x10+30+5"}, "the part asked for", _is(lambda v: v[5:15, 30:50], 0)
        ),
        "curves": Property({"preset": "negative"}, "a negative", _is(lambda v: 255 - v)),
        "denoise": Property(
            {"strength": 1},
            "less texture",
            lambda before, after: _texture(after) < _texture(before),
        ),
        "equalize": Property(
            {"amount": 1},
            "all levels as frequent",
            lambda _, after: (
                np.histogram(_luma(after), 4, (0, 256))[0].min() > 0.15 * after[..., 0].size
            ),
        ),
        "exposure": Property({"stops": 1, "protect": False}, "twice the light", _is(_exposed)),
        "flip": Property({}, "left and right swapped", _is(lambda v: v[:, ::-1], 0)),
        "gamma": Property(
            {"amount": 2}, "the root of the levels", _is(lambda v: 255 * (v / 255) ** 0.5)
        ),
        "grain": Property(
            {"amount": 0.5},
            "noise around the same mean",
            lambda before, after: (
                abs(after.mean() - before.mean()) < 3 and (after - before).std() > 4
            ),
        ),
        "grayscale": Property({}, "the luma", _is(lambda v: np.repeat(_luma(v)[..., None], 3, 2))),
        "hue": Property(
            {"angle": 180},
            "blue where it was red",
            lambda before, after: (
                (after - before)[..., 2][before[..., 0] > before[..., 2] + 40].mean() > 20
            ),
        ),
        "invert": Property({}, "a negative", _is(lambda v: 255 - v, 0)),
        "levels": Property(
            {"black": 55, "white": 205}, "levels stretched", _is(lambda v: (v - 55) * 255 / 150)
        ),
        "lut": Property(
            {"file": _inverting_table()}, "what the table says", _is(lambda v: 255 - v)
        ),
        "output-sharpen": Property(
            {"strength": "high"},
            "more detail",
            lambda before, after: _texture(after) > _texture(before),
        ),
        "posterize": Property(
            {"levels": 4},
            "four levels",
            lambda _, after: all(len(np.unique(one)) <= 4 for one in after.T),
        ),
        "rotate": Property({"angle": 90}, "a quarter turn", _is(lambda v: np.rot90(v, -1), 0)),
        "saturation": Property({"amount": 0}, "grey", lambda _, after: _spread(after) < 1),
        "sepia": Property(
            {},
            "brown",
            lambda _, after: (
                (after[..., 0] > after[..., 1]).all() and (after[..., 1] > after[..., 2]).all()
            ),
        ),
        "shadows-highlights": Property(
            {"shadows": 0.6, "highlights": 0},
            "brighter shadows",
            lambda before, after: (after - before)[_luma(before) < 100].mean() > 5,
        ),
        "sharpen": Property(
            {"amount": 2}, "more detail", lambda before, after: _texture(after) > _texture(before)
        ),
        "smart-crop": Property(
            {"ratio": "1:1"},
            "the whole disc",
            lambda before, after: _skin(after) == _skin(before) and after.shape[1] == HEIGHT,
        ),
        "text": Property({"text": "HHH", "size": 25, "shadow": False}, "white letters", _written),
        "threshold": Property(
            {}, "black and white", lambda _, after: set(np.unique(after)) == {0, 255}
        ),
        "trim": Property({}, "no frame", _is(lambda v: v[8:-8, 8:-8], 0), frame=8),
        "unsharp": Property(
            {"amount": 2}, "more detail", lambda before, after: _texture(after) > _texture(before)
        ),
        "vibrance": Property(
            {"amount": 1},
            "stronger colours",
            lambda before, after: _spread(after) > _spread(before),
        ),
        "vignette": Property({"amount": 0.8, "radius": 0.2}, "darker corners", _darkened),
        "watermark": Property(
            {
                "file": _white_square(),
                "scale": 100 * 10 / WIDTH,
                "gravity": "northwest",
                "margin": 0,
                "opacity": 1,
            },
            "the mark in its corner",
            _marked,
        ),
        "white-balance": Property(
            {"amount": 1},
            "less of a cast",
            lambda before, after: _cast(after) < 0.6 * _cast(before),
        ),
    }
)
"""Of all operations of imgbatch itself, by name."""
