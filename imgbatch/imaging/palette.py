"""Few colours: pictures that had a palette, or were black and white, and still fit one; and those
that are to get one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from imgbatch.imaging import colour
from imgbatch.imaging.picture import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgbatch.imaging.codecs.base import Codec
    from imgbatch.model import Encoding

_MAX_COLOURS: Final = 256
_OPAQUE: Final = 255
_PLAIN: Final = 0.03
"""The share of all pixels that makes a colour that of a plain area."""


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
    table = _colours_of([image], _MAX_COLOURS)
    return _numbered(image, table) if table is not None else None


def reduced(pictures: Sequence[Picture], codec: Codec, encoding: Encoding) -> list[Picture]:
    """Pictures of one size in mode P, all with one palette of at most `encoding.colours` colours.

    Exact if they have no more. Colours that cannot be seen do not count. What is transparent is
    kept if the codec has palettes with alpha, and laid over the background if not.
    """
    most = encoding.colours or _MAX_COLOURS
    plain = [_in_8_bits(one, codec, encoding) for one in pictures]
    alpha = any(_sees_through(one.image) for one in plain)
    images = [_seen(one.image) if alpha else one.image.convert("RGB") for one in plain]
    table = _colours_of(images, most)
    if table is not None:
        made = [_numbered(image, table) for image in images]
    else:
        made = (_translucent if alpha else _opaque)(images, most, dither=encoding.dither)
    return [one.with_pixels(image) for one, image in zip(plain, made, strict=True)]


def _in_8_bits(picture: Picture, codec: Codec, encoding: Encoding) -> Picture:
    """In RGB or RGBA."""
    if picture.mode.endswith(";16"):
        picture = colour.to_8_bits(picture, "for a palette")
    if picture.mode == "CMYK":
        picture = colour.to_srgb(picture, encoding.intent)
    if picture.has_alpha and "RGBA" not in codec.indexed_modes:
        picture = colour.flatten(picture, encoding.background)
    # A palette has colours, and so must its profile.
    return colour.in_colours(picture, encoding.intent)


def _sees_through(image: Image.Image) -> bool:
    lowest: Any = image.getchannel("A").getextrema()[0] if image.mode == "RGBA" else _OPAQUE
    return bool(lowest < _OPAQUE)


def _seen(image: Image.Image) -> Image.Image:
    """In RGBA, without the colours of pixels with alpha 0."""
    import numpy as np

    pixels = np.array(image.convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0
    return Image.fromarray(pixels)


def _colours_of(images: Sequence[Image.Image], most: int) -> NDArray[np.uint8] | None:
    """The colours of RGB or RGBA images; None if there are more than `most`.

    Sorted by their last channel, then by the one before it.
    """
    import numpy as np

    every: set[Any] = set()
    for image in images:
        found = image.getcolors(most)
        every.update(one for _, one in found or ())
        if found is None or len(every) > most:
            return None
    in_order = sorted(every, key=lambda one: one[::-1])
    return np.array(in_order, np.uint8).reshape(len(every), -1)


def _numbered(image: Image.Image, colours: NDArray[np.uint8]) -> Image.Image:
    """In mode P with these colours, which are all that it has, as sorted by `_colours_of`."""
    import numpy as np

    # One number per pixel, so that they compare at once.
    weights = np.array([1, 256, 65_536, 16_777_216][: colours.shape[1]], np.uint32)
    keys = np.asarray(image).astype(np.uint32) @ weights
    return _with_palette(np.searchsorted(colours @ weights, keys), colours)


def _opaque(images: Sequence[Image.Image], most: int, *, dither: bool) -> list[Image.Image]:
    import numpy as np

    from imgbatch.imaging.series import quantise

    each = quantise.SAMPLE // len(images) + 1
    # One frame after the other: there may be many.
    samples = (quantise.sample(np.asarray(image.convert("RGBA")), each)[:, :3] for image in images)
    colours = np.concatenate(list(samples))
    plain = _plain_colours(colours, most)
    palette = _anchored(quantise.palette_for(colours, most), plain)
    made = []
    for image in images:
        frame = np.asarray(image.convert("RGBA"))
        numbers = quantise.reduced(frame, palette, dither=dither)
        for one in plain:
            # Pillow finds colours that are only near.
            same = (palette == one).all(axis=1)
            if same.any():
                numbers[(frame[..., :3] == one).all(axis=2)] = same.argmax()
        made.append(_with_palette(numbers, palette))
    return made


def _translucent(images: Sequence[Image.Image], most: int, *, dither: bool) -> list[Image.Image]:
    import numpy as np

    from imgbatch.imaging.series import quantise, translucent

    each = translucent.SAMPLE // len(images) + 1
    samples = (quantise.sample(np.asarray(image), each) for image in images)
    colours = np.concatenate(list(samples))
    hidden = any(image.getchannel("A").getextrema()[0] == 0 for image in images)
    clear = np.zeros((int(hidden), 4), np.uint8)
    chosen = translucent.palette_for(colours, most - len(clear))
    chosen = _anchored(chosen, _plain_colours(colours, most))
    palette = np.concatenate([clear, chosen])
    return [
        _with_palette(translucent.reduced(np.asarray(image), palette, dither=dither), palette)
        for image in images
    ]


def _plain_colours(colours: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Those of a sample (n, channels) that plain areas have, the commonest last.

    At most a quarter of as many as a palette may have.
    """
    import numpy as np

    found, counts = np.unique(colours, axis=0, return_counts=True)
    order = np.argsort(counts, kind="stable")
    return found[order[counts[order] >= _PLAIN * len(colours)]][-max(1, most // 4) :]


def _anchored(palette: NDArray[np.uint8], plain: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A palette that has the very colours of plain areas.

    Otherwise a white background is nearly white, and dithered.
    """
    import numpy as np

    made = palette.astype(np.int32)
    for one in plain.astype(np.int32):
        made[((made - one) ** 2).sum(axis=1).argmin()] = one
    return made.astype(np.uint8)


def _with_palette(numbers: NDArray[Any], colours: NDArray[np.uint8]) -> Image.Image:
    import numpy as np

    height, width = numbers.shape
    image = Image.frombytes("P", (width, height), numbers.astype(np.uint8).tobytes())
    image.putpalette(colours.tobytes(), "RGBA" if colours.shape[1] == 4 else "RGB")
    return image
