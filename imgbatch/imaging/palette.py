"""Few colours: pictures that had a palette, or were black and white, and still fit one."""

from __future__ import annotations

from typing import Final

from PIL import Image

from imgbatch.imaging.formats import Format
from imgbatch.imaging.picture import Picture

_MAX_COLOURS: Final = 256
_WITH_PALETTE: Final = frozenset({"png"})
_WITH_BILEVEL: Final = frozenset({"png", "tiff"})


def restored(picture: Picture, row: Format) -> Picture:
    """In the mode of its file, P or 1, if that loses nothing and the format has it.

    Pixels are processed in full colours (see `Picture`); those that were not resampled may have
    no more colours than before.
    """
    coding = picture.coding
    if coding is None:
        return picture
    if coding.bilevel and row.name in _WITH_BILEVEL and picture.mode == "L":
        levels = {level for _, level in picture.image.getcolors(2) or [(0, 1)]}
        return picture.with_pixels(picture.image.convert("1")) if levels <= {0, 255} else picture
    if coding.palette and row.name in _WITH_PALETTE and picture.mode in ("RGB", "RGBA"):
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
