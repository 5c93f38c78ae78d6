"""PPM, PGM, PBM and PFM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import (
    Image,
    PpmImagePlugin,  # noqa: F401
)

from imgbatch.imaging.codecs.base import Codec, tile_codec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.model import Size

# Pillow's decoders of plain bytes with any highest level, and of numbers in text.
_BINARY: Final = "ppm"
_IN_TEXT: Final = "ppm_plain"
# Text is split into words, 1 MiB at a time.
_WORDS: Final = 48_000_000


class Ppm(Codec):
    """PPM and its relatives."""

    pillow = "PPM"

    def channel_bits(self, image: Image.Image, file: BinaryIO) -> int:
        # There are 16 bits if the highest level, which is in the header, is above 255.
        return _highest(image).bit_length()

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        return image.mode == "RGB" and tile_codec(image) == _BINARY

    def deep_pixels(self, image: Image.Image, file: BinaryIO) -> PixelsAndNotices:
        from imgbatch.imaging import deep_files

        (_, _, offset, _) = image.tile[0]  # type: ignore[attr-defined]
        width, height = image.size

        def decode(data: bytes) -> NDArray[Any]:
            import numpy as np

            wanted = width * height * 3
            if len(data) - offset < wanted * 2:
                raise EOFError("truncated: it has fewer pixels than its header says")
            levels = np.frombuffer(data, ">u2", wanted, offset).reshape(height, width, 3)
            return deep_files.stretched(levels, _highest(image))

        return deep_files.in_16_bits(deep_files.read(decode, file, image.size))

    def decoder_bytes(self, image: Image.Image, size: Size, file: BinaryIO, stored: int) -> float:
        taken = super().decoder_bytes(image, size, file, stored)
        return taken + (_WORDS if tile_codec(image) == _IN_TEXT else 0)

    def reads_in_parts(self, image: Image.Image) -> bool:
        return tile_codec(image) == _IN_TEXT


def _highest(image: Any) -> int:
    args = image.tile[0].args if image.tile else ()
    highest = args[1] if isinstance(args, tuple) and len(args) > 1 else 0
    return highest if isinstance(highest, int) else 0


CODEC: Final = Ppm()
