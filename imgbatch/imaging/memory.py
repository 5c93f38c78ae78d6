"""How much memory a picture takes to decode, told from its header alone.

The figures are bytes per pixel beside the process itself, measured as peaks of resident memory
(`scripts/tool measure_memory` repeats that). What a codec needs beside the pixels that Pillow keeps
is one function here; formats without one are decoded row by row straight into those.
"""

from __future__ import annotations

from collections.abc import Callable
from io import SEEK_CUR, SEEK_END
from itertools import pairwise
from operator import mul
from typing import Any, BinaryIO, Final

from PIL import Image

from imgbatch.imaging import colour, png
from imgbatch.imaging.formats import Format
from imgbatch.model import Size

_MARGIN: Final = 1.05
_AROUND: Final = 4_000_000
"""Bytes for the buffers of any decoder, and for what the allocator rounds up."""

# Of a longer file its codec reads only parts.
_MOST_READ: Final = 64_000_000
# Of a library that has to be loaded first.
_CODEC: Final = 32_000_000

_STORED: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes per pixel of Pillow's own storage, by mode; 4 in all others, RGB and LA too."""


def decoding(
    image: Image.Image, row: Format, stored_size: Size, file: BinaryIO, *, deep: bool = False
) -> int:
    """The estimated peak of bytes while `image`, opened but not loaded, becomes a Picture.

    `image` already has the size that its decoder will give, `stored_size` is that of its file.
    With `deep` all of its bits are read.
    """
    place = file.tell()
    width, height = image.size
    if deep:
        peak = _deep(image, row, stored_size, file)
        file.seek(place)
        return int(peak * _MARGIN) + _AROUND
    stored = width * height * stored_bytes(image.mode)
    codec = _BESIDE.get(row.name)
    beside = codec(image, stored_size, file) if codec else 0
    # Whatever the codec held is gone when the mode is changed.
    peak = stored + max(beside, width * height * _converted(image))
    file.seek(place)
    return int(peak * _MARGIN) + _AROUND


def opening(path: str) -> int:
    """The bytes that it takes to open a file, where that is more than to read it; about."""
    try:
        with open(path, "rb") as file:
            head = file.read(30)
            size = _length(file)
    except OSError:
        return 0
    taken = 2 * min(size, _MOST_READ) + _CODEC
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X":
        # Two canvases, whose sides are told less 1 (RFC 9649, 2.7.1).
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        taken += 8 * width * height
    elif head[:4] == b"RIFF" and head[8:15] == b"WEBPVP8":
        # Of a simple one at most 16,383 a side; it is asked for what that takes in practice.
        taken += 8 * _simple_webp(head)
    return taken


def _simple_webp(head: bytes) -> int:
    """The pixels of a WebP without an extended header (RFC 6386, 9.1; RFC 9649, 3.4)."""
    if head[15:16] == b"L":
        bits = int.from_bytes(head[21:25], "little")
        return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)
    width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width * height


def stored_bytes(mode: str) -> int:
    """Bytes per pixel in which Pillow keeps an image of `mode`."""
    return _STORED.get(mode, 4)


def is_plain(image: Image.Image) -> bool:
    """Whether an opened image will become grey or RGB of 8 bits."""
    modes = ("1", "L", "P", "RGB", "YCbCr", "LAB", "HSV", "RGBX")
    # A bitmap inside an icon has a mask, which becomes alpha.
    return image.mode in modes and "transparency" not in image.info and image.format != "DIB"


def _converted(image: Image.Image) -> float:
    """Bytes per pixel beside the loaded image while it is brought into its working mode."""
    transparent = "transparency" in image.info
    if image.mode in ("I", "F", "I;16B", "I;16L", "I;16N"):
        # Scaled to 16 bits in arrays of float64, three of which live at once.
        return 24
    if image.mode == "I;16":
        # Compared and reduced in arrays of uint32.
        return 14 if transparent else 0
    if image.mode == "1":
        return 4 if transparent else 1
    turned = image.format == "TIFF" and _number(image, 0x0112, 1) != 1
    if transparent or turned or image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return 4
    # Grey under a profile for colours is said in colours.
    grey = image.mode in ("L", "LA")
    return 4 if grey and colour.profile_space(_profile(image)) == b"RGB " else 0


def _profile(image: Image.Image) -> bytes:
    icc = image.info.get("icc_profile")
    return icc if isinstance(icc, bytes) else b""


def _deep(image: Any, row: Format, size: Size, file: BinaryIO) -> float:
    """The file, the array that its decoder gives, and what that takes or is made into."""
    codec = _BESIDE_DEEP.get(row.name)
    array = size[0] * size[1] * len(image.getbands()) * 2
    return _length(file) + (codec(image, size, array) if codec else array)


def _deep_tiff(image: Any, size: Size, array: int) -> float:
    """As wide as the file has it, and once more where that is changed on the way."""
    bits = image.tag_v2.get(0x0102, (16,))
    samples = max(len(bits), _number(image, 0x0115, 1))
    width = max((bit for bit in bits if isinstance(bit, int)), default=16) / 16
    given: float = size[0] * size[1] * samples * 2 * width
    tile = _number(image, 0x0142, 0) * _number(image, 0x0143, 0) * samples * 2 * width
    straight = image.tag_v2.get(0x0152, (2,))[:1] == (2,) or len(image.getbands()) == samples == 3
    turned = _number(image, 0x0112, 1) != 1
    changed = width != 1 or not straight or _number(image, 0x011C, 1) == 2
    return given + max(tile, array * (changed + turned))


def _deep_heif(image: Any, size: Size, array: int) -> float:
    """The frame as it is coded, in colours, and as bytes."""
    return size[0] * size[1] * _coded_heif(image) * 2 + array * 2


def _deep_avif(image: Any, size: Size, array: int) -> float:
    """Frames in 4:4:4 at most, two bytes a sample; and levels of 16 bits made of those."""
    return array * 3


def _deep_jpeg2000(image: Any, size: Size, array: int) -> float:
    """OpenJPEG's int32 for each sample."""
    return array + size[0] * size[1] * len(image.getbands()) * 4


def _deep_png(image: Any, size: Size, array: int) -> float:
    """Of an interlaced one the bytes of a pass, which is half of it, in three places, too."""
    return array * (4 if image.info.get("interlace") else 1)


_BESIDE_DEEP: Final[dict[str, Callable[[Any, Size, int], float]]] = {
    "png": _deep_png,
    "tiff": _deep_tiff,
    "heif": _deep_heif,
    "avif": _deep_avif,
    "jpeg2000": _deep_jpeg2000,
}


def _heif(image: Any, size: Size, file: BinaryIO) -> float:
    """The file twice, the frame as it is coded, and the pixels as bytes."""
    return size[0] * size[1] * (_coded_heif(image) + len(image.getbands())) + 2 * _length(file)


def _coded_heif(image: Any) -> float:
    """Samples a pixel, alpha's own frame included."""
    chroma = {"420": 0.5, "422": 1.0, "400": 0.0}
    told = "".join(filter(str.isdigit, str(image.info.get("chroma", ""))))
    alpha = 1 if image.mode in ("LA", "RGBA", "RGBa") else 0
    return 1 + (0 if image.mode == "L" else chroma.get(told, 2.0)) + alpha


def _raw(image: Any, size: Size, file: BinaryIO) -> float:
    """The file and its samples, four channels of 16 bits as they are developed, and the bytes.

    A preview takes what a JPEG does.
    """
    if image.format == "JPEG":
        return _jpeg(image, size, file)
    developed: int = image.size[0] * image.size[1]
    return size[0] * size[1] * 2 + developed * (8 + 3 - 4) + _length(file)


def _jpeg(image: Any, size: Size, file: BinaryIO) -> float:
    """In several scans, all coefficients (int16) at the full size, whatever the scale."""
    if not (image.info.get("progressive") or _in_several_scans(file, image.layers)):
        return 0
    across = [max(1, layer[1]) for layer in image.layer]
    down = [max(1, layer[2]) for layer in image.layer]
    samples: float = sum(map(mul, across, down)) / (max(across) * max(down))
    return size[0] * size[1] * samples * 2


def _in_several_scans(file: BinaryIO, components: int) -> bool:
    """Whether the first scan of a JPEG leaves components out (ITU-T T.81, B.2.3)."""
    # Where Pillow stopped to read, the header of a scan of all components is what it read last.
    length = 6 + 2 * components
    if file.tell() > length + 2:
        file.seek(-(length + 2), SEEK_CUR)
        if file.read(5) == b"\xff\xda" + length.to_bytes(2) + bytes((min(components, 255),)):
            return False
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        if head[1] == 0xDA:
            return file.read(1)[:1] < bytes((min(components, 255),))
        # Any number of 0xFF may stand before a marker.
        step = -3 if head[1] == 0xFF else int.from_bytes(head[2:]) - 2
        file.seek(step, 1)
    return False


def _png(image: Image.Image, size: Size, file: BinaryIO) -> float:
    """The file, and its bytes, which are the pixels themselves but for RGB."""
    if not png.is_plain(image):
        return 0
    return _length(file) + size[0] * size[1] * (3 if image.mode == "RGB" else 0)


def _webp(image: Image.Image, size: Size, file: BinaryIO) -> float:
    """The file, two canvases for an animation even where there is none, and the frame's bytes."""
    return size[0] * size[1] * 3 * 4 + _length(file)


def _avif(image: Image.Image, size: Size, file: BinaryIO) -> float:
    """The file, the frames of colours and of alpha as they are coded, and the pixels' bytes."""
    file.seek(0)
    head = file.read(65_536)
    frames = [_coded(head[at + 6 : at + 7]) for at in _places(head, b"av1C")] or [6.0]
    # Cells of a grid are put together in a frame of its own. 0.7: dav1d's tables of blocks.
    samples = sum(frames) * (2 if b"grid" in head else 1) + 0.7 * len(frames)
    return size[0] * size[1] * (samples + len(image.getbands())) + _length(file)


def _coded(flags: bytes) -> float:
    """Bytes per pixel of a frame, from the third byte of its av1C (AV1-ISOBMFF, 2.3.3)."""
    flag = flags[0] if flags else 0x40
    grey, halved, deep = flag & 0x10, (flag & 0x0C).bit_count(), flag & 0x40
    samples = 1 + (0 if grey else 2 / 2**halved)
    return samples * (2 if deep else 1)


def _places(data: bytes, word: bytes) -> list[int]:
    places = []
    at = data.find(word)
    while at >= 0:
        places.append(at)
        at = data.find(word, at + 1)
    return places


def _tiff(image: Any, size: Size, file: BinaryIO) -> float:
    """Compressed: the file, and one strip or tile as it is decoded. Else one as it is read."""
    tiles = image.tile
    if not tiles or tiles[0].codec_name != "libtiff":
        places = sorted(tile.offset for tile in tiles)
        return max((after - before for before, after in pairwise(places)), default=0)
    width = _number(image, 0x0142, size[0])
    height = _number(image, 0x0143, min(size[1], _number(image, 0x0116, size[1])))
    bits = image.tag_v2.get(0x0102, (8,))
    samples = len(bits) if isinstance(bits, tuple) else 1
    deepest = max((bit for bit in bits if isinstance(bit, int)), default=8) if samples else 8
    # libtiff turns what is JPEG inside into four bytes a pixel.
    return width * height * max(4, samples * deepest / 8) + _length(file)


def _number(image: Any, tag: int, default: int) -> int:
    value = image.tag_v2.get(tag, default)
    return value if isinstance(value, int) and value > 0 else default


def _jpeg2000(image: Image.Image, size: Size, file: BinaryIO) -> float:
    """OpenJPEG's int32 for each sample of a tile, and up to 16 bits for each once more."""
    return size[0] * size[1] * len(image.getbands()) * 6


def _bmp(image: Any, size: Size, file: BinaryIO) -> float:
    """Run lengths are decoded in Python, into an array that is copied."""
    return size[0] * size[1] * 2 if _codec(image) == "bmp_rle" else 0


def _ppm(image: Any, size: Size, file: BinaryIO) -> float:
    """All but plain bytes are decoded in Python; text is split into words, 1 MiB at a time."""
    codec = _codec(image)
    if codec == "raw":
        return 0
    array = size[0] * size[1] * len(image.getbands()) * (4 if image.mode == "I" else 1)
    return array * 2 + (48_000_000 if codec == "ppm_plain" else 0)


def _qoi(image: Any, size: Size, file: BinaryIO) -> float:
    """Decoded in Python, into an array that grows by an eighth when it is full."""
    return size[0] * size[1] * len(image.getbands()) * 9 / 8


def _ico(image: Any, size: Size, file: BinaryIO) -> float:
    """A bitmap's alpha is cut out of its bytes, and pasted into a copy of the pixels."""
    return size[0] * size[1] * 5 if image.format == "DIB" else 0


def _codec(image: Any) -> str:
    return image.tile[0].codec_name if image.tile else ""


def _length(file: BinaryIO) -> int:
    return file.seek(0, SEEK_END)


_BESIDE: Final[dict[str, Callable[[Any, Size, BinaryIO], float]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "tiff": _tiff,
    "jpeg2000": _jpeg2000,
    "bmp": _bmp,
    "ppm": _ppm,
    "qoi": _qoi,
    "ico": _ico,
    "heif": _heif,
    "raw": _raw,
}
