"""Targa, with runs that go on in the next row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import (
    Image,
    TgaImagePlugin,  # noqa: F401
)

from imgbatch.imaging import modes
from imgbatch.imaging.codecs.base import Codec, tile_codec

if TYPE_CHECKING:
    from imgbatch.imaging.modes import PixelsAndNotices

_RUN_LENGTHS: Final = "tga_rle"
_REPEATED: Final = 0x80
_HEADER_BYTES: Final = 18
# Image types that nobody writes any more, and the bits of a pixel without alpha in two bytes.
_HUFFMAN: Final = frozenset({32, 33})
_WITHOUT_ALPHA: Final = 15


class Tga(Codec):
    """Targa (2.0)."""

    pillow = "TGA"
    indexed_modes = frozenset({"RGB"})

    def unsupported(self, file: BinaryIO, *, opened: bool) -> str | None:
        file.seek(0)
        header = file.read(_HEADER_BYTES)
        kind, bits = header[2], header[16]
        if kind in _HUFFMAN:
            return "with Huffman coding"
        return f"with {bits} bits per pixel" if bits == _WITHOUT_ALPHA else None

    def pixels(self, image: Any, file: BinaryIO, *, salvage: bool) -> PixelsAndNotices:
        packed = tile_codec(image) == _RUN_LENGTHS
        try:
            return super().pixels(image, file, salvage=salvage)
        except OSError:
            # Version 1 let a run go on in the next row, which Pillow does not read.
            file.seek(0)
            whole = _unpacked(self.open(file), file) if packed else None
            if whole is None:
                raise
        return modes.in_working_mode(whole, self.grey_levels)


def _unpacked(image: Any, file: BinaryIO) -> Image.Image | None:
    """The pixels of an opened image with run lengths; None if some are missing."""
    (_, _, offset, (layout, orientation, depth)) = image.tile[0]
    file.seek(offset)
    data, step = file.read(), depth // 8
    wanted = image.width * image.height * step
    out, at = bytearray(), 0
    while len(out) < wanted and at < len(data):
        count = (data[at] & ~_REPEATED) + 1
        stop = at + 1 + (step if data[at] & _REPEATED else step * count)
        pixels = data[at + 1 : stop]
        out += pixels * count if data[at] & _REPEATED else pixels
        at = stop
    if len(out) < wanted:
        return None
    made = Image.frombytes(
        image.mode, image.size, bytes(out[:wanted]), "raw", layout, 0, orientation
    )
    if image.mode == "P":
        made.putpalette(image.palette)
    return made


CODEC: Final = Tga()
