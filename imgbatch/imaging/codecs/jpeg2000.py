"""JPEG 2000: codestreams, and files of boxes with metadata in three UUIDs."""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import (
    Image,
    Jpeg2KImagePlugin,  # noqa: F401
)

from imgbatch.errors import PictureError
from imgbatch.imaging import formats, limits
from imgbatch.imaging.codecs import beside
from imgbatch.imaging.codecs.base import PLAIN_MODES, Codec, Options, restored
from imgbatch.imaging.containers import isobmff, jpeg
from imgbatch.imaging.filters.strips import strips
from imgbatch.imaging.metadata.exif import PREFIX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.imaging.picture import Metadata, Picture
    from imgbatch.model import Encoding, Notice

# The first two markers of a codestream (A.4.1 and A.5.1).
_SIZ: Final = b"\xff\x4f\xff\x51"
_SIZ_BYTES: Final = 42
_MOST_CHANNELS: Final = 4
# The names of boxes that are agreed on, and how much is read of one: a block that is too long is
# recognised by its length.
_EXIF: Final = b"JpgTiffExif->JP2"
_XMP: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC: Final = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_XML: Final = b"xml "
_JUMBF: Final = b"jumb"
_WANTED: Final = frozenset({_EXIF, _XMP, _IPTC, _XML, _JUMBF})
# A box for any XML (I.7.1), and one with a packet of XMP, which older programs put there.
_XML_XMP: Final = b"xml with XMP"
_PACKET: Final = b"http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_MAX_BYTES: Final = max(limits.EXIF_BYTES, limits.XMP_BYTES, limits.IPTC_BYTES) + 1
_READ: Final = "imgbatch: boxes"
# Files of so few bytes, or bits per pixel, are checked; and how many dB they may miss.
_FEW_BYTES: Final = 1_000
_FEW_BITS: Final = 0.1
_TOLERANCE: Final = 1.0
# The end marker of a codestream (ISO 15444-1, A.4.4), and how close to the end of a file it is.
_END: Final = b"\xff\xd9"
_END_BYTES: Final = 64


class Jpeg2000(Codec):
    """JPEG 2000 (ISO 15444-1)."""

    pillow = "JPEG2000"
    # Pillow's limit is that of a JPEG's segment, minus the kind of text.
    comment_bytes = jpeg.MAX_BYTES - 3

    def open(self, file: BinaryIO) -> Image.Image:
        image = super().open(file)
        with restored(file):
            profile = isobmff.icc_profile(file, limits.ICC_BYTES + 1)
        if profile:
            image.info["icc_profile"] = profile
        return image

    def channel_bits(self, image: Image.Image, file: BinaryIO) -> int:
        return max((abs(bits) for bits in _sample_bits(file)), default=0)

    def uncarried(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        boxes = _boxes(image)
        found = beside.of_boxes(
            boxes.keys() - {_EXIF, _IPTC, _XMP, _XML_XMP}, boxes.get(_JUMBF, b"")
        )
        return (*found, beside.dropped("XML in a box")) if _XML in boxes else found

    def unsupported(self, file: BinaryIO, *, opened: bool) -> str | None:
        channels = len(_sample_bits(file))
        return f"with {channels} channels" if channels > _MOST_CHANNELS else None

    # Pixels

    def pixels(self, image: Image.Image, file: BinaryIO, *, salvage: bool) -> PixelsAndNotices:
        if self.lost_bits(image, file):
            # Pillow rounds its highest levels up to what 8 bits cannot hold: white would become
            # black.
            message = "a JPEG 2000 of this kind cannot be read"
            if not formats.installed("deep"):
                message = "a JPEG 2000 of this depth needs: pip install 'imgbatch[deep]'"
            raise PictureError("decode", "no-codec", message)
        return super().pixels(image, file, salvage=salvage)

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        bits = _sample_bits(file)
        # Only Pillow knows what other kinds mean (YCC, signed, reduced or mixed components).
        usual = len(bits) == len(image.getbands()) and len(set(bits)) == 1 and 8 < bits[0] <= 16
        return usual and image.mode in PLAIN_MODES

    def deep_pixels(self, image: Image.Image, file: BinaryIO) -> PixelsAndNotices:
        from imgbatch.imaging import deep_files

        bits = _sample_bits(file)[0]

        def decode(data: bytes) -> NDArray[Any]:
            import imagecodecs

            return deep_files.from_bits(imagecodecs.jpeg2k_decode(data, numthreads=1), bits)

        return deep_files.in_16_bits(deep_files.read(decode, file, image.size, _is_cut_short))

    # Metadata

    def exif(self, image: Image.Image) -> tuple[bytes | None, tuple[Notice, ...]]:
        block, _ = super().exif(image)
        if block is None:
            block = _boxes(image).get(_EXIF, b"").removeprefix(PREFIX)
        return block or None, ()

    def xmp(self, image: Image.Image) -> bytes | None:
        found = _boxes(image)
        return found.get(_XMP) or found.get(_XML_XMP)

    def iptc(self, image: Image.Image) -> bytes | None:
        return _boxes(image).get(_IPTC)

    def metadata_options(self, kept: Metadata) -> Options:
        return {"comment": kept.comment.encode("utf-8")} if kept.comment else {}

    def finished(self, data: bytes, kept: Metadata) -> tuple[bytes, tuple[Notice, ...]]:
        exif = kept.exif.tobytes() if kept.exif else None
        blocks = {_EXIF: exif, _XMP: kept.xmp, _IPTC: kept.iptc}
        boxes = (isobmff.uuid_box(name, block) for name, block in blocks.items() if block)
        return data + b"".join(boxes), ()

    # Encoding

    def is_lossy(self, encoding: Encoding) -> bool:
        return super().is_lossy(encoding) and encoding.quality != 100

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        quality = encoding.quality or self.row.quality
        if quality is None or not self.is_lossy(encoding):
            return {"irreversible": False}
        # OpenJPEG measures the PSNR in dB; 85 gives 45.5 dB, like JPEG at about 85.
        layers = [20 + 0.3 * quality]
        return {"irreversible": True, "quality_mode": "dB", "quality_layers": layers}

    def encoded(self, image: Image.Image, options: Options, encoding: Encoding) -> bytes:
        data = super().encoded(image, options, encoding)
        wanted = options.get("quality_layers")
        few = max(_FEW_BYTES, image.width * image.height * _FEW_BITS // 8)
        if wanted is None or len(data) > few or _psnr(image, data) >= wanted[0] - _TOLERANCE:
            return data
        # With hardly any detail OpenJPEG misses its target by far: lossless takes little more.
        exact = {"irreversible": False, "quality_mode": "rates", "quality_layers": None}
        return super().encoded(image, options | exact, encoding)


def _sample_bits(file: BinaryIO) -> tuple[int, ...]:
    """The bits of each component (A.5.1), negative if signed.

    Empty if they are unknown, or if the components differ in size.
    """
    with restored(file):
        file.seek(isobmff.codestream(file))
        head = file.read(_SIZ_BYTES)
        count = int.from_bytes(head[40:42])
        rows = file.read(3 * count)
    if not head.startswith(_SIZ) or len(rows) < 3 * count:
        return ()
    if set(rows[1::3]) | set(rows[2::3]) != {1}:
        return ()
    bits = ((one & 0x7F) + 1 for one in rows[::3])
    return tuple(-n if one & 0x80 else n for n, one in zip(bits, rows[::3], strict=True))


def _psnr(image: Image.Image, data: bytes) -> float:
    """The PSNR in dB of a file of an image."""
    import numpy as np

    total = 0.0
    with Image.open(BytesIO(data), formats=("JPEG2000",)) as decoded:
        for top, bottom in strips(image.size):
            box = (0, top, image.width, bottom)
            before = np.asarray(image.crop(box), np.float64)
            total += float(np.sum((before - np.asarray(decoded.crop(box))) ** 2))
    error = total / (image.width * image.height * len(image.getbands()))
    peak = 65_535 if image.mode == "I;16" else 255
    return 10 * math.log10(peak**2 / error) if error else math.inf


def _is_cut_short(message: str, data: bytes) -> bool:
    # OpenJPEG has no message for that.
    return _END not in data[-_END_BYTES:]


def _boxes(image: Any) -> dict[bytes, bytes]:
    """The boxes at the top by their names, read once; a bare codestream has none.

    Content has what is read.
    """
    if _READ not in image.info and image.fp is not None:
        boxes: dict[bytes, bytes] = {}
        with restored(image.fp) as file:
            for name, content in isobmff.contents(file, _WANTED, _MAX_BYTES):
                is_packet = name == _XML and _PACKET in content
                boxes.setdefault(_XML_XMP if is_packet else name, content)
        image.info[_READ] = boxes
    found: dict[bytes, bytes] = image.info.get(_READ, {})
    return found


CODEC: Final = Jpeg2000()
