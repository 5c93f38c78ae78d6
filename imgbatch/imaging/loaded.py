"""What a program has in memory: files, images of Pillow's, and arrays."""

from __future__ import annotations

import os
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from PIL import Image

from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.codecs.base import Codec
from imgbatch.imaging.metadata.exif import PREFIX
from imgbatch.imaging.opening import InMemory, Input, Pixels, Rules, reading, recognised
from imgbatch.model import Encoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.imaging.picture import Picture
    from imgbatch.model import Size

_USUAL: Final = "png"
# Pillow's names that are not ours.
_PLUGINS: Final = {"mpo": "jpeg", "dib": "bmp"}
_CHANNELS: Final = (1, 2, 3, 4)
_SHAPES: Final = "(height, width) or (height, width, channels) with 1 to 4 channels"
_GREY: Final = 1


def of(source: object) -> Input:
    """What a program gives to be read: a path, bytes, a binary file, an image or an array.

    A file is read from where it is to its end. Raises TypeError for anything else, ValueError for
    pixels that are none, PictureError for an image that cannot be loaded, and for a folder.
    """
    if isinstance(source, str | os.PathLike):
        return _path(os.fsdecode(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return InMemory(bytes(source))
    if isinstance(source, Image.Image):
        return of_image(source, _name_of(getattr(source, "filename", "")))
    # Whoever has an array has loaded it.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(source, numpy.ndarray):
        return of_array(cast("NDArray[Any]", source))
    if not callable(read := getattr(source, "read", None)):
        raise TypeError(
            f"found {type(source).__name__}, expected a path, bytes, a binary file, a Pillow image "
            "or a NumPy array"
        )
    data = read()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"found a file that gives {type(data).__name__}, expected one opened 'rb'")
    return InMemory(bytes(data), _name_of(getattr(source, "name", "")))


def _path(path: str) -> str:
    if not path:
        raise PictureError("open", "not-found", "found an empty path: is a variable empty?")
    if os.path.isdir(path):
        raise PictureError(
            "open", "unreadable", "this is a folder, not a picture: imgbatch.run takes folders"
        )
    return path


def _name_of(path: object) -> str:
    """The name at the end of a file's path; files may have a number instead."""
    return os.path.basename(os.fsdecode(path)) if isinstance(path, str | bytes) else ""


def image_of(data: bytes, name: str) -> Image.Image:
    """The image in a finished file, loaded. Raises PictureError."""
    rules = Rules(sys.maxsize)
    source = recognised(BytesIO(data), InMemory(data, name), rules)
    with reading("decode", rules, source):
        source.image.load()
    return source.image


def of_image(image: Image.Image, name: str = "") -> Pixels:
    """The pixels and the metadata (`info`) of an image; of several frames the one that it shows.

    It keeps its format, or becomes a PNG if it has none that can be written. Raises PictureError if
    it cannot be loaded, ValueError if it has no pixels.
    """
    try:
        # With the settings that the program has for Pillow: it has opened this file.
        image.load()
    except Exception as error:
        with reading("decode", Rules()):
            raise error from None
    if not all(image.size):
        raise ValueError(f"found a picture of {image.width} x {image.height} pixels")
    word = (image.format or _USUAL).lower()
    row = formats.BY_NAME.get(_PLUGINS.get(word, word), formats.BY_NAME[_USUAL])
    if row.becomes is not None or not formats.available(row):
        row = formats.BY_NAME[_USUAL]
    return Pixels(_Loaded(row), image, name)


def of_array(array: NDArray[Any], name: str = "") -> Pixels:
    """The pixels in an array of uint8 or uint16: grey, grey and alpha, RGB, or RGB and alpha.

    Its shape is (height, width) or (height, width, channels). Colours are sRGB, alpha is not
    premultiplied. It becomes a PNG unless told otherwise. Raises TypeError or ValueError for
    another array.
    """
    import numpy as np

    # A matrix would stay two-dimensional.
    array = np.asarray(array)
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise TypeError(
            f"found an array of {array.dtype}, expected uint8 or uint16: levels from 0 to 1 are "
            "numpy.rint(array * 255).astype(numpy.uint8)"
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in _CHANNELS or not array.size:
        raise ValueError(f"found an array of shape {array.shape}, expected {_SHAPES}")
    plain = np.ascontiguousarray(array.reshape(*array.shape[:2], channels))
    # In the byte order of this machine.
    plain = plain.astype(plain.dtype.newbyteorder("="), copy=False)
    levels = plain[..., 0] if channels == _GREY else plain
    if channels == _GREY or array.dtype == np.uint8:
        return Pixels(_Loaded(formats.BY_NAME[_USUAL]), Image.fromarray(levels), name)
    from imgbatch.imaging.deep import Deep

    # What is left of it where the extra for 16 bits is not installed.
    image = Image.fromarray((plain >> 8).astype(np.uint8))
    return Pixels(_Loaded(formats.BY_NAME[_USUAL], Deep(plain)), image, name)


def image_from(picture: Picture) -> Image.Image:
    """An image of its own, upright, with what is known of it in its `info`."""
    from imgbatch.imaging import colour, metadata

    kept, _ = metadata.select(picture.metadata, Encoding(), picture.size, moved=picture.geometry)
    if picture.deep is not None:
        picture = colour.to_8_bits(picture, "for Pillow")
    image = picture.image.copy()
    image.format = None
    blocks = {
        "icc_profile": picture.icc,
        "exif": PREFIX + kept.exif.tobytes() if kept.exif else None,
        "xmp": kept.xmp,
        "dpi": kept.dpi,
    }
    image.info = {name: block for name, block in blocks.items() if block}
    return image


def array_from(picture: Picture) -> NDArray[Any]:
    """The levels in an array of its own, as `of_array` takes them; CMYK becomes sRGB."""
    import numpy as np

    from imgbatch.imaging import colour

    if picture.mode == "CMYK":
        picture = colour.to_srgb(picture)
    return np.array(picture.deep.array if picture.deep is not None else picture.image)


class _Loaded(Codec):
    """Takes an image as if it had just been read from a file of some format."""

    def __init__(self, row: formats.Format, deep: Any = None) -> None:
        self.row = row
        self._deep = deep

    def channel_bits(self, image: Image.Image, file: BinaryIO) -> int:
        return 16 if self._deep is not None else 0

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        return self._deep is not None

    def deep_pixels(self, image: Image.Image, file: BinaryIO) -> PixelsAndNotices:
        return self._deep, ()

    def deep_arrays(self, image: Image.Image) -> float:
        return 1

    def decoder_bytes(self, image: Image.Image, size: Size, file: BinaryIO, stored: int) -> float:
        return 0
