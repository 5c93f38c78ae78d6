"""Files of 16 bits a channel."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any, Final

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from imgbatch.imaging.picture import Picture
from imgbatch.model import Size

Levels = NDArray[np.uint16]
WIDTH, HEIGHT = 38, 27
CHANNELS: Final = {"LA;16": 2, "RGB;16": 3, "RGBA;16": 4}
PNG_COLOUR: Final = {1: 0, 2: 4, 3: 2, 4: 6}


def levels(channels: int, width: int = WIDTH, height: int = HEIGHT) -> Levels:
    """Smooth colours with noise in the lower bits, and both ends of the range."""
    rng = np.random.default_rng(channels)
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = (rows[..., None] * 900 + columns[..., None] * (600 + 250 * np.arange(channels))) % 65_536
    noise = rng.integers(0, 256, (height, width, channels))
    out: Levels = ((ramp + noise) % 65_536).astype(np.uint16)
    out[0, 0], out[-1, -1] = 0, 65_535
    return out


def same_size(size: Size) -> Size:
    return size


def array_of(picture: Picture) -> NDArray[Any]:
    """The upright pixels."""
    upright = picture.upright()
    return upright.deep.array if upright.deep is not None else np.asarray(upright.image)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    array: Levels, *, interlaced: bool = False, before: bytes = b"", behind: bytes = b""
) -> bytes:
    """A PNG of 16 bits a channel, its rows unfiltered; with chunks before and after its pixels."""
    height, width = array.shape[:2]
    channels = array.reshape(height, width, -1)
    passes = [channels]
    if interlaced:
        # Adam7 (PNG, 8.2): where each pass begins, and its steps, vertical and horizontal.
        places = (
            *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)),
            *((0, 1, 2, 2), (1, 0, 2, 1)),
        )
        passes = [channels[top::down, left::across] for top, left, down, across in places]
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes() for one in passes if one.size for row in one
    )
    kind = PNG_COLOUR[channels.shape[2]]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows))
        + behind
        + chunk(b"IEND", b"")
    )


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    file = BytesIO()
    writer = {name: options.pop(name) for name in ("byteorder", "bigtiff") if name in options}
    channels = array.shape[2] if array.ndim == 3 else 1
    options.setdefault("photometric", "rgb" if channels >= 3 else "minisblack")
    if channels in (2, 4):
        options.setdefault("extrasamples", ["unassalpha"])
    if options.get("planarconfig") == "separate":
        array = np.moveaxis(array, 2, 0)
    tifffile.imwrite(file, array, metadata=None, **writer, **options)
    return file.getvalue()


def jpeg2000(array: NDArray[Any], **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(array, level=0, reversible=True, **options))


def avif(array: NDArray[Any], bits: int, **options: Any) -> bytes:
    options |= {"pixelformat": "444", "speed": 9, "numthreads": 1}
    return bytes(imagecodecs.avif_encode(array, level=100, bitspersample=bits, **options))


def deep_files() -> dict[str, bytes]:
    """A file of each kind that Pillow reduces to 8 bits."""
    array = levels(3)
    head = f"P6 {WIDTH} {HEIGHT} 65535\n".encode()
    return {
        ".png": png(array),
        ".tif": tiff(array),
        ".jp2": jpeg2000(array, codecformat="jp2"),
        ".ppm": head + array.astype(">u2").tobytes(),
        ".avif": avif(array >> 6, 10),
    }
