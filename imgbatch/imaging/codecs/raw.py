"""Camera raw, through the extra `raw` (rawpy, which is LibRaw).

Developed with the camera's white balance, to 8-bit sRGB, upright. What this module imports is
loaded only for such a file.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from imgbatch.errors import PictureError
from imgbatch.imaging import formats, limits
from imgbatch.imaging.codecs.base import Codec, restored
from imgbatch.imaging.containers import isobmff, tiff
from imgbatch.imaging.containers.tiff import Directory, Field
from imgbatch.imaging.metadata import exif
from imgbatch.model import Size

# LibRaw would use all processors, which the workers already share. It reads this once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import rawpy

if TYPE_CHECKING:
    from rawpy import RawPy

_SRGB_CURVE: Final = (2.4, 12.92)
"""Exponent and slope at black (IEC 61966-2-1)."""

# LibRaw's codes for turning, as EXIF orientations.
_ORIENTATIONS: Final = {0: 1, 3: 3, 5: 8, 6: 6}
# First bytes of files that are TIFF except for their version number: Olympus and Panasonic.
_NEARLY_TIFF: Final = (b"IIRO", b"IIRS", b"IIU\0")
_FUJIFILM: Final = b"FUJIFILMCCD-RAW"
_FUJIFILM_JPEG: Final = 84
# Canon's boxes with one TIFF block each (CR3): IFD0, Exif, and GPS.
_CANON_BOXES: Final = {b"CMT1": None, b"CMT2": tiff.EXIF_IFD, b"CMT4": tiff.GPS_IFD}
_UUID_BYTES: Final = 16
_TIFF_HEAD_BYTES: Final = 16

_DESCRIPTION: Final = 0x010E
_MAKE: Final = 0x010F
_SOFTWARE: Final = 0x0131
_DATE: Final = 0x0132
_PHOTOMETRIC: Final = 0x0106
_LINEAR_RAW: Final = 34_892
"""All colours in each pixel (DNG 1.4, chapter 2)."""
_LINEAR_BYTES: Final = 4
_KEPT: Final = frozenset(
    {
        *(_DESCRIPTION, _MAKE, exif.MODEL, _SOFTWARE, _DATE, exif.ARTIST, exif.COPYRIGHT),
        *(tiff.EXIF_IFD, tiff.GPS_IFD),
    }
)


class Raw(Codec):
    """Raw files of cameras, and the JPEGs inside."""

    pillow = "RAW"
    upright = True

    def open(self, file: BinaryIO) -> Image.Image:
        return RawImageFile(file)

    def open_preview(self, file: BinaryIO) -> Image.Image:
        return _preview(file)

    def unsupported(self, file: BinaryIO, *, opened: bool) -> str | None:
        found = _directory(file)
        models = [one.data for one in found.fields if one.tag == exif.MODEL] if found else []
        return f"from a {_text(models[0])}" if models and not opened else None

    def inner(self, image: Image.Image) -> Codec:
        jpeg = isinstance(image, JpegImageFile)
        return formats.codec(formats.BY_NAME["jpeg"]) if jpeg else self

    def draft(self, image: Image.Image, least: Size) -> Size:
        image.draft(None, (max(1, least[0]), max(1, least[1])))
        return image.size

    def decoder_bytes(self, image: Image.Image, size: Size, file: BinaryIO, stored: int) -> float:
        taken = super().decoder_bytes(image, size, file, stored)
        # LibRaw keeps four numbers per pixel of these before it develops them, and halves none.
        return taken + (size[0] * size[1] * _LINEAR_BYTES if _is_linear(file) else 0)


class RawImageFile(ImageFile.ImageFile):
    """A camera's raw file, in the form of a Pillow plugin.

    It is not registered: raw files have no signature, and Pillow would try it on every file.
    Its size is upright, like the developed pixels.

    `draft` takes half the size, of a mosaic at a quarter of the work: one pixel of each two by two.
    """

    format = "RAW"
    format_description = "Camera raw"

    _halved = False

    def _open(self) -> None:
        file: Any = self.fp
        with _opened(file) as raw:
            sizes = raw.sizes
            self._orientation = _ORIENTATIONS.get(sizes.flip, 1)
        # Given already as it will be: LibRaw crops to iwidth and iheight before it turns.
        width, height = _developed(sizes)
        self._size = (height, width) if self._orientation >= 5 else (width, height)
        self._mode = "RGB"
        self.tile = []
        found = metadata(file)
        if found is not None:
            self.info["exif"] = _with_orientation(found, 1)
        self.info["original_orientation"] = self._orientation
        if xmp := packet(file):
            self.info["xmp"] = xmp

    def draft(self, mode: str | None, size: Size | None) -> None:
        """Take half the size if that is at least `size`."""
        width, height = -(-self._size[0] // 2), -(-self._size[1] // 2)
        if size is not None and not self._halved and width >= size[0] and height >= size[1]:
            self._halved, self._whole = True, self._size
            self._size = (width, height)

    def load(self) -> Any:
        """Develop it."""
        if self._im is None:
            with _opened(self.fp) as raw:  # type: ignore[arg-type]
                try:
                    array = raw.postprocess(
                        use_camera_wb=True,
                        half_size=self._halved,
                        output_color=rawpy.ColorSpace.sRGB,
                        output_bps=8,
                        gamma=_SRGB_CURVE,
                        # As exposed: LibRaw's brightening differs from picture to picture.
                        no_auto_bright=True,
                        adjust_maximum_thr=0,
                    )
                except rawpy.LibRawError as error:
                    raise _explained(error) from error
            # A camera without colours has one channel.
            developed = Image.fromarray(array.squeeze(axis=2) if array.shape[2] == 1 else array)
            if self._halved and developed.size == self._whole:
                # LibRaw halves mosaics, and not what has all colours in each pixel, or none.
                developed = developed.reduce(2)
            if developed.size != self._size:
                raise ValueError(f"developed to {developed.size} pixels instead of {self._size}")
            self.im = developed.convert("RGB").im
        return super().load()


def _preview(file: BinaryIO) -> Image.Image:
    """The largest JPEG inside a raw file, opened; with the raw file's EXIF, and its orientation.

    Raises PictureError if there is none.
    """
    with _opened(file) as raw:
        turned = _ORIENTATIONS.get(raw.sizes.flip, 1)
        try:
            thumbnail = raw.extract_thumb()
        except rawpy.LibRawError as error:
            message = f"it has no preview that can be used ({_message(error)})"
            raise PictureError("open", "no-preview", message) from error
    if not isinstance(thumbnail.data, bytes):
        raise PictureError("open", "no-preview", "its preview is not a JPEG")
    image = JpegImageFile(BytesIO(thumbnail.data))
    # LibRaw puts a block of its own before any in the preview itself.
    blocks = [data for _, data in image.applist if data.startswith(exif.PREFIX)]
    own = blocks[-1].removeprefix(exif.PREFIX) if blocks else None
    found = metadata(file) or own or tiff.block(Directory("<"))
    if own is not None:
        # A preview with an orientation knows best how it is stored.
        turned = _orientation(own) or turned
    block = exif.PREFIX + _with_orientation(found, turned)
    image.info["exif"] = block
    # Where Pillow keeps the segments unchanged.
    others = [one for one in image.applist if not one[1].startswith(exif.PREFIX)]
    image.applist = [("APP1", block), *others]
    return image


def metadata(file: BinaryIO) -> bytes | None:
    """An EXIF block from the TIFF tags of the file; None if it has none.

    MakerNotes are left out: they point to places in the raw file.
    """
    found = _directory(file)
    if found is None:
        return None
    kept = found.only(_KEPT.__contains__).without(exif.MAKER_NOTE)
    return tiff.block(kept) if kept.fields or kept.below else None


def packet(file: BinaryIO) -> bytes | None:
    """The XMP packet of a raw file that has one as a tag (DNG 1.4, chapter 2)."""
    found = _directory(file)
    fields = found.fields if found is not None else []
    return next((one.data for one in fields if one.tag == exif.XMP and one.data), None)


def _is_linear(file: BinaryIO) -> bool:
    """Whether the samples of a DNG are said to be linear, in its own directory or one below."""
    found = _directory(file)
    if found is None:
        return False
    kinds = found.numbers(_PHOTOMETRIC)
    with restored(file), suppress(ValueError, OSError):
        for place in found.numbers(tiff.SUB_IFDS)[: limits.DIRECTORIES]:
            below = tiff.read(file, place, wanted=lambda tag: tag == _PHOTOMETRIC)
            kinds += below.numbers(_PHOTOMETRIC)
    return _LINEAR_RAW in kinds


def _directory(file: BinaryIO) -> Directory | None:
    with restored(file):
        try:
            return _read_directory(file)
        except (ValueError, OSError, struct.error):
            # Metadata that cannot be read is no reason not to develop it.
            return None


def _read_directory(file: BinaryIO) -> Directory | None:
    file.seek(0)
    head = file.read(len(_FUJIFILM) + _TIFF_HEAD_BYTES)
    if head[:4] in (b"II*\0", b"MM\0*"):
        return tiff.read(file)
    if head[:4] in _NEARLY_TIFF:
        file.seek(0)
        return tiff.read(BytesIO(b"II*\0" + file.read()[4:]))
    if head.startswith(_FUJIFILM):
        file.seek(_FUJIFILM_JPEG)
        offset, length = struct.unpack(">II", file.read(8))
        file.seek(offset)
        with Image.open(BytesIO(file.read(length)), formats=("JPEG",)) as image:
            block = image.info.get("exif", b"").removeprefix(exif.PREFIX)
        return tiff.read(BytesIO(block))
    if head[4:12] == b"ftypcrx ":
        return _canon(file)
    return None


def _canon(file: BinaryIO) -> Directory | None:
    top: Directory | None = None
    boxes = {
        box.kind: box
        for own in isobmff.find(file, b"moov", b"uuid")
        for box in isobmff.walk(file, own.start + _UUID_BYTES, own.stop)
    }
    for kind, pointer in _CANON_BOXES.items():
        if kind not in boxes:
            continue
        box = boxes[kind]
        file.seek(box.start)
        found = tiff.read(BytesIO(file.read(min(box.stop - box.start, limits.EXIF_BYTES))))
        if pointer is None:
            top = found
        elif top is not None:
            top.below[pointer] = found.in_order(top.order)
    return top


def _with_orientation(block: bytes, orientation: int) -> bytes:
    found = tiff.read(BytesIO(block))
    order = "little" if found.order == "<" else "big"
    data = orientation.to_bytes(2, order)  # type: ignore[arg-type]
    others = [one for one in found.fields if one.tag != exif.ORIENTATION]
    found.fields = [*others, Field(exif.ORIENTATION, tiff.SHORT, data)]
    return tiff.block(found)


def _orientation(block: bytes) -> int | None:
    try:
        return exif.Exif(block).orientation
    except ValueError:
        return None


def _developed(sizes: Any) -> Size:
    """Width and height before turning, with pixels made square (as in LibRaw)."""
    width, height = sizes.width, sizes.height
    aspect = sizes.pixel_aspect
    if aspect < 0.995:
        height = round(height / aspect)
    elif aspect > 1.005:
        width = round(width * aspect)
    return width, height


def _opened(file: BinaryIO) -> RawPy:
    file.seek(0)
    try:
        return rawpy.imread(file)
    except rawpy.LibRawError as error:
        raise _explained(error) from error


def _explained(error: Exception) -> Exception:
    words = _message(error)
    if isinstance(error, rawpy.LibRawIOError):
        return EOFError(words)
    if isinstance(error, rawpy.LibRawUnsufficientMemoryError):
        return MemoryError(words)
    if isinstance(error, rawpy.LibRawFileUnsupportedError):
        # Its words are the same for a camera that it does not know, and for a file that is not raw.
        return ValueError("LibRaw does not know it")
    return ValueError(words)


def _message(error: Exception) -> str:
    message = error.args[0] if error.args else ""
    return _text(message) if isinstance(message, bytes) else str(message)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("ascii", "replace")


CODEC: Final = Raw()
