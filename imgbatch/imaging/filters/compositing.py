"""Compositing one picture over another: "source over" (Porter and Duff, Compositing digital images,
SIGGRAPH 1984).
"""

from __future__ import annotations

from PIL import Image


def lay(image: Image.Image, layer: Image.Image, offset: tuple[int, int]) -> None:
    """Composite `layer` over `image` in place, with its upper left corner at `offset`.

    `image` is in mode L, LA, RGB or RGBA, `layer` in LA or RGBA, with as many colours; alpha is
    not premultiplied. With the layer's colour c and alpha a, and the image's C and A (1 without
    alpha), alpha becomes a + A (1 - a), and the colour (c a + C A (1 - a)) divided by that. Parts
    beyond the image are cropped; other pixels are not touched.
    """
    left, top = max(0, offset[0]), max(0, offset[1])
    right = min(image.width, offset[0] + layer.width)
    bottom = min(image.height, offset[1] + layer.height)
    if left >= right or top >= bottom:
        return
    box = (left - offset[0], top - offset[1], right - offset[0], bottom - offset[1])
    if box != (0, 0, *layer.size):
        layer = layer.crop(box)
    if image.mode in ("L", "RGB"):
        image.paste(layer.convert(image.mode), (left, top), layer.getchannel("A"))
        return
    below = image.crop((left, top, right, bottom))
    # Not every Pillow composites grey with alpha; three equal greys give the same result.
    laid = Image.alpha_composite(below.convert("RGBA"), layer.convert("RGBA"))
    image.paste(laid.convert(image.mode), (left, top))


def coloured(mask: Image.Image, levels: tuple[int, ...]) -> Image.Image:
    """A layer (LA or RGBA) of one colour with `mask` (L) as its alpha."""
    plain = Image.new("L" if len(levels) == 1 else "RGB", mask.size, levels)
    plain.putalpha(mask)
    return plain


def faded(mask: Image.Image, opacity: float) -> Image.Image:
    """A mask (L) times an opacity from 0 to 1, to the nearest of 256 levels."""
    if opacity == 1:
        return mask
    return mask.point([int(level * opacity + 0.5) for level in range(256)])
