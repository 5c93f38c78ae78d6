"""Compositing over a picture, in float64."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from msgspec.structs import replace
from PIL import Image, ImageCms

from imgbatch.imaging.picture import Picture
from imgbatch.model import Origin
from imgbatch.operations import parse
from toolkit.reference import (
    NEAREST,
    Floats,
    planes_of,
)

ORIGIN: Final = Origin("photo", ".jpg", "holidays/lake", 7, 1_717_172_405 * 10**9, "web", "lake")


def named(picture: Picture) -> Picture:
    return replace(picture, origin=ORIGIN)


def applied(words: str, picture: Picture) -> Picture:
    return parse(words).apply(picture)


def over(below: Floats, colours: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    """Source over, of colours not premultiplied: 0 to 255; alpha is 0 to 1.

    `below` has as many channels, and perhaps an alpha. Also returns the alpha of the result.
    """
    bands = colours.shape[2]
    under = below[..., bands:] / 255 if below.shape[2] > bands else np.ones_like(alpha)
    shown = alpha + under * (1 - alpha)
    mixed = colours * alpha + below[..., :bands] * under * (1 - alpha)
    return np.divide(mixed, shown, out=np.zeros_like(mixed), where=shown > 0), shown


def in_8_bits(alpha: Floats, opacity: float) -> Floats:
    """Alpha of 0 to 255 times an opacity, in whole levels, as 0 to 1."""
    product: Floats = np.floor(alpha * opacity + 0.5) / 255
    return product


def check_laid(picture: Picture, after: Picture, colours: Floats, alpha: Floats) -> None:
    """Compare a result with a layer as large as the picture composited over it."""
    before, found = planes_of(picture.image), planes_of(after.image)
    bands = colours.shape[2]
    expected, shown = over(before, colours, alpha)
    touched = alpha[..., 0] > 0
    # With alpha, Pillow drops the precision of its weights beyond 1/128 of a level.
    near = NEAREST + (0.02 if picture.has_alpha else 0)
    assert np.abs(found[..., :bands] - expected)[touched].max() <= near
    assert np.abs(found[..., bands:] - 255 * shown)[touched].max(initial=0) <= near
    assert np.array_equal(found[~touched], before[~touched])


def converted(levels: tuple[int, int, int], source: bytes, target: bytes) -> tuple[int, ...]:
    done = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), levels),
        ImageCms.ImageCmsProfile(BytesIO(source)),
        ImageCms.ImageCmsProfile(BytesIO(target)),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert done is not None
    found = done.getpixel((0, 0))
    assert isinstance(found, tuple)
    return found
