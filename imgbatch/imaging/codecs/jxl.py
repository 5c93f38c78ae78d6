"""JPEG XL, still and animated, through libjxl (`codecs.libjxl`): 8 and 16 bits, floats are read.

libjxl turns pixels upright, composes frames and mixes spot colours in. CMYK is not read: libjxl
gives the inks as they are, with black apart. A JPEG can be held whole: then it is the JPEG's own
coefficients that are coded, in a fifth less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from msgspec.structs import replace
from PIL import Image, ImageFile

from imgbatch.errors import PictureError
from imgbatch.imaging import limits
from imgbatch.imaging.codecs import beside, libjxl, libjxl_api
from imgbatch.imaging.codecs.base import Codec, Options, restored
from imgbatch.imaging.codecs.libjxl import Frame, Wanted
from imgbatch.imaging.colour import icc, implied
from imgbatch.imaging.fitting import Curve
from imgbatch.imaging.metadata import writing
from imgbatch.imaging.series import animated, frames
from imgbatch.model import Notice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.imaging.deep import Deep
    from imgbatch.imaging.formats import Format
    from imgbatch.imaging.metadata.exif import Exif
    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.imaging.picture import Metadata, Picture
    from imgbatch.model import Encoding

_EXIF: Final = b"Exif"
_XMP: Final = b"xml "
_JUMBF: Final = b"jumb"
_RECONSTRUCTION: Final = b"jbrd"
_GAIN_MAP: Final = b"jhgm"
_OFFSET_BYTES: Final = 4
"""An Exif box begins with the number of bytes before the block (ISO 18181-2, 9.4)."""
_MOST_BYTES: Final = {_EXIF: limits.EXIF_BYTES + _OFFSET_BYTES, _XMP: limits.XMP_BYTES, _JUMBF: 64}

_MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_PLAIN_BITS: Final = 8

_FLOATS: Final = 16
"""Bytes of a pixel with four channels in libjxl."""

_EFFORT: Final = 5
_MOST_EFFORT: Final = 9


class JxlImageFile(ImageFile.ImageFile):
    """A JPEG XL, in the form of a Pillow plugin, upright. Raises ImportError without libjxl."""

    format = "JXL"
    format_description = "JPEG XL"

    about: libjxl.Header
    """What its header says."""
    n_frames = 1
    """How many frames it has; known once the codec was asked for the animation."""

    def _open(self) -> None:
        file: Any = self.fp
        self.about = about = libjxl.header(file.read(), _MOST_BYTES)
        self._size = about.size
        self._mode = _MODES[about.channels]
        if about.channels == 1 and about.bits > _PLAIN_BITS and not about.tick:
            self._mode = "I;16"
        self.tile = []
        self._rest: Iterator[Frame] | None = None
        self._number = -1
        self.info["original_orientation"] = about.orientation
        self.info["loop"] = about.plays
        if about.icc and not _is_hdr(about):
            self.info["icc_profile"] = about.icc
        if (block := _block(about.boxes.get(_EXIF, b""))) is not None:
            self.info["exif"] = block
        if packet := about.boxes.get(_XMP):
            self.info["xmp"] = packet

    def load(self) -> Any:
        """Decode it, or the first of its frames."""
        if self._im is None:
            self.seek(0)
        return super().load()

    def seek(self, frame: int) -> None:
        """Decode this frame, and those before it. Raises EOFError if the file ends before it."""
        if self._rest is None or frame < self._number:
            dtype = np.uint16 if self.mode == "I;16" else np.uint8
            self._rest, self._number = self.decoded(dtype), -1
        while self._number < frame:
            found = next(self._rest, None)
            if found is None:
                raise EOFError("there are no more frames")
            self._number += 1
            self.im = _image(found.array).im
            self.info["duration"] = found.ticks * self.about.tick

    def tell(self) -> int:
        """The number of the frame that is loaded."""
        return max(0, self._number)

    def decoded(self, dtype: type[np.generic]) -> Iterator[Frame]:
        """The frames."""
        # Pillow's setting is ours while a file is read.
        salvage = ImageFile.LOAD_TRUNCATED_IMAGES
        return libjxl.frames(_all(self.fp), self.about, dtype, salvage=salvage)


class Jxl(Codec):
    """JPEG XL (ISO 18181): codestreams, and files of boxes."""

    pillow = "JXL"
    # Whatever EXIF and XMP repeat of what the codestream says (ISO 18181-2, 9.4).
    upright = True
    recodes = frozenset({"jpeg"})
    curve = Curve(
        (
            *((1, -1.79), (20, -0.99), (40, -0.58), (60, -0.26), (70, 0.0), (80, 0.34)),
            *((85, 0.57), (90, 0.88), (95, 1.36), (98, 1.92), (100, 2.65)),
        ),
        0.43,
    )

    # Opening

    def open(self, file: BinaryIO) -> Image.Image:
        try:
            libjxl_api.library()
        except ImportError as error:
            raise PictureError("open", "no-codec", f"JPEG XL: {error}") from error
        image = JxlImageFile(file)
        if image.about.is_cmyk:
            raise PictureError("open", "no-codec", "a JPEG XL in CMYK cannot be read")
        return image

    # What the header tells

    def channel_bits(self, image: Any, file: BinaryIO) -> int:
        bits: int = image.about.bits
        return bits

    def left_behind(self, image: Any, file: BinaryIO) -> tuple[Notice, ...]:
        notices: tuple[Notice, ...] = ()
        if _GAIN_MAP in image.about.kinds:
            notices += (Notice("gain-map-dropped", "a gain map in the file was dropped"),)
        if image.about.dropped:
            message = "an extra channel (depth, mask) was dropped"
            notices += (Notice("gain-map-dropped", message),)
        return notices

    def uncarried(self, image: Any, file: BinaryIO) -> tuple[Notice, ...]:
        return beside.of_boxes(image.about.kinds, image.about.boxes.get(_JUMBF, b""))

    def animation(self, image: Any, file: BinaryIO) -> frames.Animation | None:
        if not image.about.tick:
            return None
        data = _all(file)
        begun, complete = libjxl.frame_count(data)
        image.n_frames = begun
        if ImageFile.LOAD_TRUNCATED_IMAGES:
            # Only decoding shows whether the last one that begins is whole. If it is the last of
            # all, nobody knows before it is decoded, and the file fails.
            image.n_frames = libjxl.whole_frames(data, image.about)
            complete = complete and image.n_frames == begun
        found = frames.by_its_library(image, complete=complete)
        if found is None:
            return None
        # The frame before, as floats.
        taken = _FLOATS * image.width * image.height + len(data)
        return replace(found, bytes=found.bytes + taken)

    # Colour

    def profile(
        self, image: Any, file: BinaryIO, exif: Exif | None
    ) -> tuple[bytes | None, tuple[Notice, ...]]:
        about: libjxl.Header = image.about
        if _is_hdr(about):
            return implied.coded(about.points)
        own, _ = super().profile(image, file, exif)
        if own is None and _RECONSTRUCTION in about.kinds:
            # It has the colours of the JPEG that it was made of.
            return implied.camera(image.mode, exif), ()
        return own, ()

    # Pixels

    def pixels(self, image: Any, file: BinaryIO, *, salvage: bool) -> PixelsAndNotices:
        if image.mode == "I;16" and image.about.has_floats:
            return self.deep_pixels(image, file)
        return super().pixels(image, file, salvage=salvage)

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        return True

    def deep_pixels(self, image: Any, file: BinaryIO) -> PixelsAndNotices:
        from imgbatch.imaging import deep_files

        dtype = np.float32 if image.about.has_floats else np.uint16
        return deep_files.in_16_bits(next(image.decoded(dtype)).array)

    # Metadata

    def metadata_options(self, kept: Metadata) -> Options:
        # Pixels are upright.
        return super().metadata_options(writing.without_orientation(kept))

    # Encoding

    def can_encode(self) -> bool:
        try:
            libjxl_api.library()
        except ImportError:
            return False
        return True

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        quality = encoding.quality or self.row.quality or 0
        distance = 0.0 if encoding.lossless else libjxl.distance(quality)
        return {"distance": distance, "effort": _effort(encoding)}

    def deep_encoded(self, deep: Deep, options: Options) -> bytes:
        return libjxl.encoded([Frame(deep.array, 0)], _wanted(options))

    def animated(
        self,
        images: Sequence[Image.Image],
        durations: Sequence[float],
        plays: int,
        options: Options,
        encoding: Encoding,
    ) -> bytes:
        whole = animated.whole_milliseconds(durations)
        moving = (Frame(_array(one), ticks) for one, ticks in zip(images, whole, strict=True))
        return libjxl.encoded(moving, _wanted(options), plays=plays)

    # JPEG

    def recoded(self, data: bytes, source: Format, encoding: Encoding) -> bytes | None:
        made = libjxl.recompressed(data, _effort(encoding))
        return made if made is not None and self.original(made, source) == data else None

    def original(self, data: bytes, target: Format) -> bytes | None:
        try:
            return libjxl.reconstructed(data, _most_bytes(data))
        except (ValueError, EOFError):
            return None


def _most_bytes(data: bytes) -> int:
    """More than any JPEG has that becomes a file like this."""
    return 16 * len(data) + 64_000_000


def _all(file: Any) -> bytes:
    with restored(file):
        file.seek(0)
        data: bytes = file.read()
        return data


def _is_hdr(about: libjxl.Header) -> bool:
    return about.points is not None and about.points[1] in icc.HIGH_RANGE


def _block(box: bytes) -> bytes | None:
    """The block in an Exif box; None if there is none."""
    offset = int.from_bytes(box[:_OFFSET_BYTES])
    return box[_OFFSET_BYTES + offset :] or None


def _image(array: NDArray[Any]) -> Image.Image:
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def _array(image: Image.Image) -> NDArray[Any]:
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array


def _effort(encoding: Encoding) -> int:
    # The tenth takes ten times as long, for next to nothing.
    return min(encoding.effort or _EFFORT, _MOST_EFFORT)


def _wanted(options: Options) -> Wanted:
    boxes: tuple[tuple[bytes, bytes], ...] = ()
    if block := options.get("exif"):
        boxes += ((_EXIF, bytes(_OFFSET_BYTES) + block),)
    if packet := options.get("xmp"):
        boxes += ((_XMP, packet),)
    return Wanted(options["distance"], options["effort"], options.get("icc_profile"), boxes)


def _save(image: Image.Image, file: Any, name: str | bytes) -> None:
    options: Options = {"distance": 0, "effort": _EFFORT} | image.encoderinfo
    file.write(libjxl.encoded([Frame(_array(image), 0)], _wanted(options)))


def _accept(head: bytes) -> bool:
    return head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL "))


if Jxl.pillow not in Image.OPEN:
    Image.register_open(Jxl.pillow, JxlImageFile, _accept)
Image.register_save(Jxl.pillow, _save)

CODEC: Final = Jxl()
