"""How much memory a picture takes, known before it is decoded: a bound, not a model of the codecs.

Peaks of resident memory, as measured by `scripts/tool measure_memory`, are never above an
estimate, and for 1 MP and more an estimate is at most 2.5 times that plus 5 MB, in every mode. So a
format has a figure for decoding and two for encoding, for RGB and for RGBA (in the table), an
operation one of its own (`Operation.memory`), and `recipes/memory.py` adds up. Other modes are
derived from these: grey takes a fraction of them, and what is converted first a few bytes more.
"""

from __future__ import annotations

from io import SEEK_END
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image

from imgbatch.imaging import formats
from imgbatch.imaging.containers import riff
from imgbatch.imaging.formats import Format
from imgbatch.imaging.picture import ANY_MODE, DEEP_MODES, has_alpha, with_alpha
from imgbatch.model import Size

if TYPE_CHECKING:
    from imgbatch.imaging.codecs.base import Codec

_MARGIN: Final = 1.05
_AROUND: Final = 4_000_000
"""Bytes for the buffers of any decoder, and for the allocator's rounding."""

# Codecs read a longer file only in parts.
_MAX_READ: Final = 64_000_000
# Bytes per pixel of a WebP: two canvases, or what a simple one takes in practice.
_CANVASES: Final = 8
# A library that has to be loaded first.
_CODEC: Final = 32_000_000

_MODES: Final = {
    "1": (1, 1),
    "L": (1, 0),
    "P": (1, 4),
    **dict.fromkeys(("LA", "RGB", "RGBA", "CMYK"), (4, 0)),
    "I;16": (2, 0),
    # Scaled to 16 bits in arrays of float64, three of which exist at once.
    **dict.fromkeys(("I;16B", "I;16L", "I;16N"), (2, 24)),
    **dict.fromkeys(("I", "F"), (4, 24)),
}
"""Bytes per pixel of a mode in Pillow, and the additional ones during its conversion."""

_SMALLER: Final = (8, 16)
"""Bytes per pixel, plain or not, of a picture made smaller to stay below a limit of bytes."""

_INDEXED: Final = 38
"""Bytes per pixel of a picture that gets a palette, as in a GIF."""

_GREYS: Final = frozenset({"L", "LA", "I;16", "LA;16"})
_GREY: Final = 0.4
"""The fraction of an encoder's bytes for colours that it takes for grey."""
_CONVERTED: Final = {"I;16": 13.0, **dict.fromkeys(("CMYK", *DEEP_MODES), 6.5)}
"""Additional bytes per pixel if it is converted before it is encoded, if only to swap bytes."""


def decoding(
    image: Image.Image, codec: Codec, stored_size: Size, file: BinaryIO, *, deep: bool = False
) -> int:
    """The most bytes that are taken while `image`, opened but not loaded, becomes a Picture.

    `image` already has the size that its decoder will give, `stored_size` is that in its file.
    With `deep` all of its bits are read.
    """
    place = file.tell()
    taken = _deep(image, codec, stored_size) if deep else _loaded(image, codec, stored_size, file)
    # Most decoders hold the file, or one strip of it.
    taken += 0 if codec.reads_in_parts(image) else file.seek(0, SEEK_END)
    file.seek(place)
    return int(taken * _MARGIN) + _AROUND


def encoding(
    row: Format, size: Size, *, mode: str, limited: bool = False, indexed: bool = False
) -> int:
    """The most bytes that an encoder takes besides the pixels, including the finished file.

    With a limit on the bytes (`limited`) it may have to be given a smaller picture, and first a
    palette may be chosen (`indexed`).
    """
    alpha = has_alpha(mode)
    each = row.encoding[alpha]
    if mode in _GREYS and ("LA" if alpha and row.alpha else "L") in row.modes:
        each *= _GREY
    if mode not in row.modes:
        each += _CONVERTED.get(mode, 0)
    if indexed:
        each = max(each, _INDEXED)
    if limited:
        each += _SMALLER[mode not in ("L", "RGB")]
    pixels = size[0] * size[1]
    at_once = min(pixels, row.at_once)
    return int(at_once * each + (pixels - at_once) * formats.ROW_BY_ROW[alpha])


def opening(path: str) -> int:
    """Roughly how many bytes opening a file takes, where that is more than reading it."""
    try:
        with open(path, "rb") as file:
            head = file.read(formats.HEAD_BYTES)
            size = file.seek(0, SEEK_END)
    except OSError:
        return 0
    # Codecs are not asked: this may decide whether one is loaded at all.
    return 2 * min(size, _MAX_READ) + _CODEC + _CANVASES * riff.webp_pixels(head)


def mode_of(image: Image.Image, codec: Codec, *, deep: bool) -> str:
    """The mode that the pixels of an opened image will have, or one that takes more memory.

    With `deep` it is one with 16 bits per channel in colour.
    """
    if deep:
        return "RGB;16" if image.mode == "RGB" else ANY_MODE
    mode = codec.working_mode(image)
    return with_alpha(mode) if "transparency" in image.info else mode


def _loaded(image: Image.Image, codec: Codec, size: Size, file: BinaryIO) -> float:
    """The pixels, and what their decoder holds or, later, what they are converted into."""
    stored, converted = _MODES.get(image.mode, (4, 4))
    keyed = "transparency" in image.info
    # Grey under a profile may be converted to colour.
    in_profile = image.mode in ("L", "LA") and image.info.get("icc_profile")
    if keyed or in_profile or codec.is_turned(image):
        converted = max(converted, 14 if keyed and image.mode == "I;16" else 4)
    pixels = image.width * image.height
    held = codec.decoder_bytes(image, size, file, stored)
    taken: float = pixels * stored + max(held, pixels * converted)
    return taken


def _deep(image: Image.Image, codec: Codec, size: Size) -> float:
    return size[0] * size[1] * len(image.getbands()) * 2 * codec.deep_arrays(image)
