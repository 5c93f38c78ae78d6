"""The pixels of larger plain PNGs without Pillow (PNG, third edition).

Pillow reads every header, and writes whatever travels with the pixels. 8-bit pixels are decoded
by the png crate in kornia-rs, where that is installed, in a third of the time; what it rejects is
left to Pillow to judge. At low effort they are encoded by ISA-L, in a tenth of the time of zlib's
fastest level, to smaller files than that one's.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import Image

from imgbatch.imaging import room
from imgbatch.imaging.containers.png import FRAMES, PIXELS, SIGNATURE, chunk, chunks, walk
from imgbatch.imaging.filters.strips import strips

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DECODES: Final = find_spec("kornia_rs") is not None
_ENCODES: Final = find_spec("isal") is not None
# By Pillow's modes: the names of kornia-rs, and the colour types (11.2.1).
_MODES: Final = {"L": "mono", "RGB": "rgb", "RGBA": "rgba"}
_COLOUR_TYPES: Final = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
# Below that, Pillow is done before NumPy is loaded.
_MIN_PIXELS: Final = 250_000
# Bytes per pixel while they are decoded.
_COPIES: Final = 4

# Filters (9.2): none is best for graphics, sub or up for nearly all photographs. A part of each
# strip decides which.
_NONE, _SUB, _UP = range(3)
_TRIED: Final = 4
_LEVEL: Final = 1
# Higher efforts are levels of zlib.
_MAX_EFFORT: Final = 3


def with_one_pixel(file: BinaryIO) -> Image.Image:
    """A PNG with everything in `file`, before and after the pixels, but only one pixel."""
    others = []
    for one in walk(file):
        if one.kind not in PIXELS | FRAMES:
            file.seek(one.start)
            others.append(chunk(one.kind, file.read(one.length)))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = chunk(b"IDAT", zlib.compress(bytes(4)))
    parts = (SIGNATURE, chunk(b"IHDR", header), *others, pixel, chunk(b"IEND", b""))
    return Image.open(BytesIO(b"".join(parts)), formats=("PNG",))


def is_plain(image: Any) -> bool:
    """Whether `decoded` may decode an opened PNG: grey, RGB or RGBA of 8 bits, and large."""
    return (
        _DECODES
        and image.format == "PNG"
        and image.mode in _MODES
        and image.width * image.height >= _MIN_PIXELS
        and "transparency" not in image.info
        # Otherwise the file has other bits, or several frames.
        and [tile.args for tile in image.tile] == [image.mode]
        and image.custom_mimetype is None
    )


def decoded(image: Image.Image, file: BinaryIO) -> Image.Image | None:
    """The pixels of an opened image that `is_plain`, not loaded; None if it is broken."""
    taken = image.width * image.height * len(image.getbands())
    if not room.is_there(_COPIES * taken):
        # It ends the process when memory is short; Pillow only fails.
        return None
    try:
        from kornia_rs import io
    except ImportError:
        return None
    file.seek(0)
    data = file.read()
    try:
        array = io.decode_image_png_u8(data, (image.height, image.width), _MODES[image.mode])
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:
        # A panic in Rust is not an Exception.
        return None
    return Image.frombuffer(image.mode, image.size, array, "raw", image.mode, 0, 1)


def written(header: bytes, pixels: Iterable[bytes], mode: str, options: Mapping[str, Any]) -> bytes:
    """A PNG from a header's and the pixels' data, with all else that Pillow's `save` is given.

    `mode` is Pillow's for the same kind of pixels: other chunks may depend on that.
    """
    file = BytesIO()
    Image.new(mode, (1, 1)).save(file, "PNG", **options)
    around: dict[bool, list[bytes]] = {False: [], True: []}
    behind = False
    for kind, data in chunks(file.getvalue()):
        behind |= kind == b"IDAT"
        if kind not in PIXELS:
            around[behind].append(chunk(kind, data))
    return b"".join(
        (
            SIGNATURE + chunk(b"IHDR", header),
            *around[False],
            *(chunk(b"IDAT", data) for data in pixels),
            *around[True],
            chunk(b"IEND", b""),
        )
    )


def encodes(image: Image.Image, effort: int | None) -> bool:
    """Whether `encoded` is for this image, and for this effort (1 to 10, or None).

    It is for 8-bit grey or RGB, with or without alpha, that is not too small.
    """
    large = image.width * image.height >= _MIN_PIXELS
    little = effort is None or effort <= _MAX_EFFORT
    return _ENCODES and large and little and image.mode in _COLOUR_TYPES


def encoded(image: Image.Image, options: Mapping[str, Any]) -> bytes:
    """A PNG of an image that this `encodes`, with what Pillow's `save` is given besides pixels."""
    header = struct.pack(">IIBBBBB", *image.size, 8, _COLOUR_TYPES[image.mode], 0, 0, 0)
    return written(header, [_compressed(image)], image.mode, options)


def _compressed(image: Image.Image) -> bytes:
    import numpy as np
    from isal import isal_zlib

    width, bands = image.width, len(image.getbands())
    packer = isal_zlib.compressobj(_LEVEL)
    above = np.zeros(width * bands, np.uint8)
    parts = []
    for top, bottom in strips(image.size):
        rows = np.asarray(image.crop((0, top, width, bottom))).reshape(-1, width * bands)
        sample = rows[: -(-len(rows) // _TRIED)]
        lengths = [
            len(isal_zlib.compress(_filtered(sample, above, bands, kind), _LEVEL))
            for kind in (_NONE, _SUB, _UP)
        ]
        best = min((_NONE, _SUB, _UP), key=lengths.__getitem__)
        parts.append(packer.compress(_filtered(rows, above, bands, best)))
        above = rows[-1]
    parts.append(packer.flush())
    return b"".join(parts)


def _filtered(
    rows: NDArray[np.uint8], above: NDArray[np.uint8], bands: int, kind: int
) -> NDArray[np.uint8]:
    """Rows of (height, width * bands), each preceded by the byte that names its filter.

    `above` is the row before the first.
    """
    import numpy as np

    out = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    out[:, 0] = kind
    differences = out[:, 1:]
    if kind == _SUB:
        differences[:, :bands] = rows[:, :bands]
        np.subtract(rows[:, bands:], rows[:, :-bands], out=differences[:, bands:])
    elif kind == _UP:
        np.subtract(rows[0], above, out=differences[0])
        np.subtract(rows[1:], rows[:-1], out=differences[1:])
    else:
        differences[:] = rows
    return out
