"""BMP, with alpha in any bits, and the profile of its fifth version."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from PIL import (
    BmpImagePlugin,  # noqa: F401
    Image,
    ImageFile,
)

from imgbatch.imaging import limits
from imgbatch.imaging.codecs.base import Codec, restored
from imgbatch.imaging.filters.strips import strips
from imgbatch.model import Notice

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE_HEAD: Final = 14
_BIT_FIELDS: Final = frozenset({3, 6})
"""Compressions with masks for the channels; the second always has one for alpha."""
_MASKS: Final = 40
_VERSION_3: Final = 56
_VERSION_5: Final = 124
_EMBEDDED: Final = b"DEBM"
"""The type of the colour space, PROFILE_EMBEDDED, in little-endian order."""


class _Header(NamedTuple):
    """The part of a header that describes bit fields (BITMAPV3INFOHEADER and later)."""

    offset: int
    width: int
    height: int
    bits: int
    compression: int
    masks: tuple[int, ...]

    @classmethod
    def read(cls, file: BinaryIO) -> _Header:
        """The header of a file, whose position is restored. Raises struct.error."""
        with restored(file):
            file.seek(0)
            # Tiny files end before the masks, which they do not need.
            head = file.read(_FILE_HEAD + _VERSION_3).ljust(_FILE_HEAD + _VERSION_3, b"\0")
        (offset, length, width, height, _, bits, compression) = struct.unpack_from(
            "<IIiiHHI", head, 10
        )
        if length < _MASKS:
            # Version 1, of OS/2: the palette or the pixels begin before these fields.
            compression = 0
        count = 4 if length >= _VERSION_3 or compression == 6 else 3
        masks = struct.unpack_from(f"<{count}I", head, _FILE_HEAD + _MASKS)
        return cls(offset, width, height, bits, compression, masks)

    @property
    def alpha(self) -> int:
        """The mask of alpha; 0 if there is none."""
        return self.masks[3] if len(self.masks) > 3 else 0


class Bmp(Codec):
    """BMP."""

    pillow = "BMP"
    indexed_modes = frozenset({"RGB"})

    def open(self, file: BinaryIO) -> Image.Image:
        image = super().open(file)
        header = _Header.read(file)
        if header.compression in _BIT_FIELDS and header.alpha and image.mode == "RGB":
            # Pillow ignores alpha in 16 bits.
            image = BitFields(file)
        if icc := _profile(file):
            image.info["icc_profile"] = icc
        return image

    def open_damaged(self, file: BinaryIO) -> Image.Image | None:
        # Not damaged, but with channels in bits that Pillow does not know.
        if _Header.read(file).compression not in _BIT_FIELDS:
            return None
        return BitFields(file)

    def left_behind(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        if _profile(file) != b"":
            return ()
        return (Notice("profile-dropped", "colour profile dropped, it is cut short"),)


class BitFields(ImageFile.ImageFile):
    """A bitmap whose channels are in any bits of 16 or 32, in the form of a Pillow plugin."""

    format = "BMP"
    format_description = "Windows bitmap with bit fields"

    def _open(self) -> None:
        self._header = _Header.read(self.fp)  # type: ignore[arg-type]
        if self._header.bits not in (16, 32) or min(self._header.width, self._height) <= 0:
            raise SyntaxError("not a bitmap with bit fields")
        self._size = (self._header.width, self._height)
        self._mode = "RGBA" if self._header.alpha else "RGB"
        self.tile = []

    @property
    def _height(self) -> int:
        # Rows from the top have a negative number.
        return abs(self._header.height)

    def load(self) -> Any:
        """Decode the pixels. Raises EOFError if some are missing."""
        if self._im is None:
            import numpy as np

            values, masks = self._values(), self._header.masks[: len(self.mode)]
            out = np.empty((self.height, self.width, len(masks)), np.uint8)
            # A few rows at a time, because the levels are widened on the way.
            for top, bottom in strips(self.size):
                for band, mask in enumerate(masks):
                    out[top:bottom, :, band] = _level(values[top:bottom], mask)
            if self._header.alpha and not out[..., 3].any():
                # Writers that reserve bits for alpha, but have none, leave them 0.
                out[..., 3] = 255
            self.im = Image.fromarray(out, self.mode).im
        return super().load()

    def _values(self) -> NDArray[Any]:
        """The pixels as they are in the file, from the top."""
        import numpy as np

        header, file = self._header, self.fp
        stride = (header.width * header.bits + 31) // 32 * 4
        file.seek(header.offset)  # type: ignore[union-attr]
        data = file.read(stride * self._height)  # type: ignore[union-attr]
        if len(data) < stride * self._height:
            raise EOFError("truncated: it has fewer pixels than its header says")
        rows = np.frombuffer(data, f"<u{header.bits // 8}").reshape(self._height, -1)
        values: NDArray[Any] = rows[:, : header.width]
        return values if header.height < 0 else values[::-1]


def _level(values: NDArray[Any], mask: int) -> NDArray[Any]:
    """The bits of a mask as levels up to 255, rounded; 0 if it has none."""
    import numpy as np

    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    levels: NDArray[Any] = (values.astype(np.uint32) & mask) >> shift
    return np.rint(levels * (255 / (mask >> shift)))


def _profile(file: BinaryIO) -> bytes | None:
    """The ICC profile that a header of version 5 points to (BITMAPV5HEADER).

    None if there is none, empty if it is cut short.
    """
    with restored(file):
        file.seek(_FILE_HEAD)
        head = file.read(_VERSION_5)
        if len(head) < _VERSION_5 or struct.unpack_from("<I", head)[0] != _VERSION_5:
            return None
        if head[56:60] != _EMBEDDED:
            return None
        at, length = struct.unpack_from("<II", head, 112)
        file.seek(_FILE_HEAD + at)
        # One that is too long is recognised by its length.
        data = file.read(min(length, limits.ICC_BYTES + 1))
    return data if len(data) == min(length, limits.ICC_BYTES + 1) else b""


CODEC: Final = Bmp()
