"""Few colours: pictures that had a palette, or were black and white, and still fit one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image

from imgbatch.imaging.picture import Picture

if TYPE_CHECKING:
    from imgbatch.imaging.codecs.base import Codec

_MAX_COLOURS: Final = 256


def restored(picture: Picture, codec: Codec) -> Picture:
    """In the mode of its file, P or 1, if that loses nothing and the format has it.

    Pixels are processed in full colours (see `Picture`); those that were not resampled may have
    no more colours than before.
    """
    coding = picture.coding
    if coding is None:
        return picture
    if coding.bilevel and codec.has_bilevel and picture.mode == "L":
        levels = {level for _, level in picture.image.getcolors(2) or [(0, 1)]}
        return picture.with_pixels(picture.image.convert("1")) if levels <= {0, 255} else picture
    if coding.palette and codec.has_palettes and picture.mode in ("RGB", "RGBA"):
        image = indexed(picture.image)
        return picture.with_pixels(image) if image is not None else picture
    return picture


def indexed(image: Image.Image) -> Image.Image | None:
    """An RGB or RGBA image in mode P with exactly its colours; None if there are more than 256."""
    found = image.getcolors(_MAX_COLOURS)
    if found is None:
        return None
    import numpy as np

    bands = len(image.getbands())
    # One number per pixel, so that they sort and compare at once.
    weights = np.array([1, 256, 65_536, 16_777_216][:bands], np.uint32)
    keys = np.asarray(image).astype(np.uint32) @ weights
    colours = np.array(sorted(colour for _, colour in found), np.uint32).reshape(-1, bands)
    numbers = colours @ weights
    order = np.argsort(numbers)
    indices = np.searchsorted(numbers[order], keys).astype(np.uint8)
    out = Image.fromarray(indices).convert("L")
    out = Image.frombytes("P", image.size, out.tobytes())
    out.putpalette(colours[order].astype(np.uint8).tobytes(), image.mode)
    return out
