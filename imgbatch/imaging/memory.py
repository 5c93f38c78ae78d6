"""How much memory a picture takes, known before it is decoded: a bound, not a model of the codecs.

Peaks of resident memory, as measured by `scripts/tool measure_memory`, are never above an
estimate, and for 1 MP and more an estimate is at most 2.5 times that plus 5 MB, in every mode. So a
format has a figure for decoding and two for encoding, for RGB and for RGBA (in the table), an
operation one of its own (`Operation.memory`), and `recipes/memory.py` adds up. Other modes are
derived from these: grey takes a fraction of them, and what is converted first a few bytes more.
"""

from __future__ import annotations

from io import SEEK_CUR, SEEK_END
from typing import Any, BinaryIO, Final

from PIL import Image

from imgbatch.imaging import png
from imgbatch.imaging.containers import riff
from imgbatch.imaging.formats import Format
from imgbatch.imaging.picture import ANY_MODE, DEEP_MODES, has_alpha, with_alpha
from imgbatch.model import Size

_MARGIN: Final = 1.05
_AROUND: Final = 4_000_000
"""Bytes for the buffers of any decoder, and for the allocator's rounding."""

# Codecs read a longer file only in parts.
_MAX_READ: Final = 64_000_000
# A library that has to be loaded first.
_CODEC: Final = 32_000_000
# Numbers in text are split into words, 1 MiB at a time.
_WORDS: Final = 48_000_000

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

_STRIP: Final = 8
_SMALLER: Final = (8, 16)
"""Bytes per pixel of a libtiff strip, at most four channels with 16 bits; and of a picture that
is made smaller to stay below a limit of bytes, plain or not."""

_GREYS: Final = frozenset({"L", "LA", "I;16", "LA;16"})
_GREY: Final = 0.4
"""The fraction of an encoder's bytes for colours that it takes for grey."""
_CONVERTED: Final = {"I;16": 13.0, **dict.fromkeys(("CMYK", *DEEP_MODES), 6.5)}
"""Additional bytes per pixel if it is converted before it is encoded, if only to swap bytes."""

_WORKED_ON: Final = {
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("I;16B", "I;16L", "I;16N", "I", "F"), "I;16"),
    **dict.fromkeys(("P", "YCbCr", "LAB", "HSV", "RGBX"), "RGB"),
    **dict.fromkeys(("PA", "RGBa"), "RGBA"),
    "La": "LA",
}
"""The modes of pixels in files, and those they are converted to (see `modes`)."""


def decoding(
    image: Image.Image, row: Format, stored_size: Size, file: BinaryIO, *, deep: bool = False
) -> int:
    """The most bytes that are taken while `image`, opened but not loaded, becomes a Picture.

    `image` already has the size that its decoder will give, `stored_size` is that in its file.
    With `deep` all of its bits are read.
    """
    place = file.tell()
    taken = _deep(image, stored_size) if deep else _loaded(image, row, stored_size, file)
    # Most decoders hold the file, or one strip of it; numbers in text are read in parts.
    taken += 0 if _codec(image) == "ppm_plain" else file.seek(0, SEEK_END)
    file.seek(place)
    return int(taken * _MARGIN) + _AROUND


def encoding(row: Format, size: Size, *, mode: str, limited: bool = False) -> int:
    """The most bytes that an encoder takes besides the pixels, including the finished file.

    With a limit on the bytes (`limited`) it may have to be given a smaller picture.
    """
    alpha = has_alpha(mode)
    each = row.encoding[alpha]
    if mode in _GREYS and ("LA" if alpha and row.alpha else "L") in row.modes:
        each *= _GREY
    if mode not in row.modes:
        each += _CONVERTED.get(mode, 0)
    if limited:
        each += _SMALLER[mode not in ("L", "RGB")]
    return int(size[0] * size[1] * each)


def opening(path: str) -> int:
    """Roughly how many bytes opening a file takes, where that is more than reading it."""
    try:
        with open(path, "rb") as file:
            head = file.read(30)
            size = file.seek(0, SEEK_END)
    except OSError:
        return 0
    taken = 2 * min(size, _MAX_READ) + _CODEC
    if head[:4] == b"RIFF" and head[8:15] == b"WEBPVP8":
        # Two canvases, or what a simple one takes in practice.
        taken += 8 * riff.webp_pixels(head)
    return taken


def mode_of(image: Image.Image, *, deep: bool) -> str:
    """The mode that the pixels of an opened image will have, or one that takes more memory.

    With `deep` it is one with 16 bits per channel in colour.
    """
    if deep:
        return "RGB;16" if image.mode == "RGB" else ANY_MODE
    # A bitmap inside an icon has a mask, which becomes alpha.
    mode = "RGBA" if image.format == "DIB" else _WORKED_ON.get(image.mode, image.mode)
    return with_alpha(mode) if "transparency" in image.info else mode


def _loaded(image: Any, row: Format, size: Size, file: BinaryIO) -> float:
    """The pixels, and what their decoder holds or, later, what they are converted into."""
    stored, converted = _MODES.get(image.mode, (4, 4))
    keyed = "transparency" in image.info
    turned = image.format == "TIFF" and _number(image, 0x0112, 1) != 1
    # Grey under a profile may be converted to colour.
    if keyed or turned or (image.mode in ("L", "LA") and image.info.get("icc_profile")):
        converted = max(converted, 14 if keyed and image.mode == "I;16" else 4)
    pixels, codec = image.width * image.height, _codec(image)
    if image.format in ("JPEG", "MPO"):
        # All coefficients (int16), at full size whatever the scale.
        beside = 2.0 * image.layers if _in_several_scans(image, file) else 0
    elif codec == "zip" and not png.is_plain(image):
        # Pillow decodes these row by row, as it does uncompressed data.
        beside = 0
    else:
        beside = row.decoding * stored if row.opened_in_c or codec != "raw" else 0
    held: float = size[0] * size[1] * beside
    if codec == "libtiff":
        held = _strip_pixels(image, size) * _STRIP
    elif codec == "ppm_plain":
        held += _WORDS
    taken: float = pixels * stored + max(held, pixels * converted)
    return taken


def _deep(image: Any, size: Size) -> float:
    """Three 16-bit arrays are the most: as decoded, in order, and turned.

    Numbers in a TIFF may be wider than that. A PNG takes one, an interlaced one four.
    """
    arrays = 3.0
    if image.format == "PNG":
        arrays = 4 if image.info.get("interlace") else 1
    elif image.format == "TIFF":
        bits = image.tag_v2.get(0x0102, (16,))
        arrays = 2 + max((bit / 16 for bit in bits if bit > 16), default=1.0)
    return size[0] * size[1] * len(image.getbands()) * 2 * arrays


def _in_several_scans(image: Any, file: BinaryIO) -> bool:
    """Whether the first scan of a JPEG lacks components (ITU-T T.81, B.2.3), or may do so.

    The header of a scan of all components is what Pillow read last, where it stopped.
    """
    length = 6 + 2 * image.layers
    if image.info.get("progressive") or file.tell() < length + 2:
        return True
    file.seek(-(length + 2), SEEK_CUR)
    return bool(file.read(5) != b"\xff\xda" + length.to_bytes(2) + bytes((image.layers,)))


def _strip_pixels(image: Any, size: Size) -> int:
    """The pixels of a strip or tile of a TIFF."""
    height = _number(image, 0x0143, min(size[1], _number(image, 0x0116, size[1])))
    return _number(image, 0x0142, size[0]) * height


def _number(image: Any, tag: int, default: int) -> int:
    value = image.tag_v2.get(tag, default)
    return value if isinstance(value, int) and value > 0 else default


def _codec(image: Any) -> str:
    return image.tile[0].codec_name if image.tile else ""
