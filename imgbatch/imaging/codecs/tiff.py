"""TIFF and BigTIFF: one directory of tags for everything, several pages, and 16 bits or more."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import SEEK_END, BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import Image, TiffImagePlugin

from imgbatch.errors import PictureError
from imgbatch.imaging import formats, limits
from imgbatch.imaging.codecs import beside, fax, tiff_pixels
from imgbatch.imaging.codecs.base import PLAIN_MODES, Codec, Options, restored, tile_codec
from imgbatch.imaging.colour import implied
from imgbatch.imaging.containers import photoshop, tiff
from imgbatch.imaging.containers.tiff import Directory, Field
from imgbatch.imaging.metadata import iptc
from imgbatch.imaging.metadata.embedded import unreadable
from imgbatch.imaging.metadata.exif import ORIENTATION
from imgbatch.imaging.modes import GreyLevels
from imgbatch.imaging.picture import turn
from imgbatch.imaging.series import pages
from imgbatch.model import Notice
from imgbatch.plurals import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.imaging.deep import Deep
    from imgbatch.imaging.metadata.exif import Exif
    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.imaging.picture import Metadata, Picture
    from imgbatch.model import Encoding, Size

_Ratio = tuple[int, int]

_BIG_ENDIAN_BIG: Final = b"MM\0+"

# Tags of TIFF 6.0.
_WIDTH: Final = 0x0100
_LENGTH: Final = 0x0101
_BITS_PER_SAMPLE: Final = 0x0102
_COMPRESSION_TAG: Final = 0x0103
_PHOTOMETRIC: Final = 0x0106
_FILL_ORDER: Final = 0x010A
_SAMPLES: Final = 0x0115
_ROWS_PER_STRIP: Final = 0x0116
_PLANAR: Final = 0x011C
_TILE_WIDTH: Final = 0x0142
_TILE_LENGTH: Final = 0x0143
_EXTRA_SAMPLES: Final = 0x0152
_SAMPLE_FORMAT: Final = 0x0153
# Strips and tiles: where they are, and how long.
_OFFSETS: Final = ((0x0111, 0x0117), (0x0144, 0x0145))
_DATA: Final = (*(tag for tag, _ in _OFFSETS), 0x0201)
# What tells where pixels are, and what they consist of: numbers, without which a file is broken.
_LAYOUT: Final = frozenset(
    {
        *(_WIDTH, _LENGTH, _BITS_PER_SAMPLE, _COMPRESSION_TAG, _PHOTOMETRIC, _FILL_ORDER),
        *(_SAMPLES, _PLANAR, _EXTRA_SAMPLES, _SAMPLE_FORMAT, *_DATA),
    }
)
# XResolution, YResolution and ResolutionUnit.
_RESOLUTION: Final = frozenset({0x011A, 0x011B, 0x0128})
_XMP: Final = 0x02BC
_IPTC: Final = 0x83BB
_PHOTOSHOP: Final = 0x8649
_RESOURCES: Final = frozenset({_IPTC, _PHOTOSHOP})
_READ: Final = "imgbatch: directory"
_WHITE_IS_ZERO: Final = 0
_UNSIGNED: Final = (1,)
_SIGNED: Final = 2
# libtiff swaps bytes, and Pillow swaps those of these kinds once more.
_NATIVE: Final = {
    "I;16BS": "I;16NS",
    "I;32BS": "I;32NS",
    "F;32BF": "F;32NF",
}
_ASSOCIATED_ALPHA: Final = 1

_STRUCTURE: Final = frozenset(
    {
        *(0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116),
        *(0x0117, 0x0118, 0x0119, 0x011C, 0x0120, 0x0121, 0x0122, 0x0123, 0x0124, 0x0125, 0x012D),
        *(0x013D, 0x0140, 0x0141, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x014C, 0x0152, 0x0153),
        *(0x0154, 0x0155, 0x0156, 0x015B, 0x0200, 0x0201, 0x0202, 0x0203, 0x0205, 0x0206, 0x0207),
        *(0x0208, 0x0209, 0x0211, 0x0212, 0x0213, 0x0214, 0x02BC, 0x8649, 0x83BB, 0x8773, 0x935C),
        0xCD41,
    }
)
"""Tags that describe the file's own layout, and not the picture: the encoder writes them. XMP,
IPTC and ICC have places of their own, and Content Credentials certify the file."""

# Tags of the pixels, which tifffile writes.
_PIXELS: Final = frozenset(
    {
        *(0x00FE, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0112, 0x0115, 0x0116, 0x0117),
        *(0x011C, 0x013D, 0x0152, 0x0153),
    }
)

_COMPRESSION: Final = {
    "none": None,
    "packbits": "packbits",
    "lzw": "tiff_lzw",
    "deflate": "tiff_adobe_deflate",
    "zstd": "zstd",
}
# By Pillow's names: those of tifffile.
_DEEP_COMPRESSION: Final = {
    None: None,
    "packbits": "packbits",
    "tiff_lzw": "lzw",
    "tiff_adobe_deflate": "adobe_deflate",
    "zstd": "zstd",
}
# Pillow's names for CCITT T.4 and T.6 (section 10 and 11).
_FAX: Final = frozenset({"tiff_ccitt", "group3", "group4", "tiff_raw_16"})
# The orientations that undo quarter turns; all others undo themselves.
_TURNED_BACK: Final = {6: 8, 8: 6}
# Of those that Pillow knows, its wheels' libtiff lacks WebP.
_DECODED: Final = frozenset(TiffImagePlugin.COMPRESSION_INFO) - {50001}
_JPEG: Final = "jpeg"
_JPEG_QUALITY: Final = 85
_JPEG_MODES: Final = frozenset({"L", "RGB", "CMYK"})
_STRIP_BYTES: Final = 1 << 18
# Bytes per pixel of a strip: at most four channels with 16 bits.
_STRIP_PIXEL: Final = 8


class Tiff(Codec):
    """TIFF (6.0)."""

    pillow = "TIFF"
    indexed_modes = frozenset({"RGB"})
    upright = True
    exif_apart = False
    has_bilevel = True

    def thinned(self, file: BinaryIO) -> tuple[BinaryIO, tuple[Notice, ...]]:
        # If there is no page, Pillow says what is wrong.
        file.seek(0)
        if file.read(len(_BIG_ENDIAN_BIG)) == _BIG_ENDIAN_BIG:
            # Pillow does not take it.
            file, lost = pages.first(file)
            return file, unreadable(lost)
        with suppress(ValueError):
            file = tiff.beginning_with_a_page(file, limits.PAGES)
        file.seek(0)
        return file, ()

    def open(self, file: BinaryIO) -> Image.Image:
        image = super().open(file)
        if tiff_pixels.is_misread(image):
            raise ValueError("Pillow would mix up its planes")
        for number, tile in enumerate(_tiles(image)):
            native = _NATIVE.get(tile.args[0]) if tile.codec_name == "libtiff" else None
            if native is not None:
                _tiles(image)[number] = tile._replace(args=(native, *tile.args[1:]))
        return image

    def open_damaged(self, file: BinaryIO) -> Image.Image | None:
        # Not damaged, but of a kind for which Pillow has no mode.
        file.seek(0)
        try:
            with tiff_pixels.white_first():
                return self.open(file)
        except Exception:
            file.seek(0)
        try:
            with tiff_pixels.opening():
                image = tiff_pixels.marked(super().open(file))
        except Exception:
            # In that case the first error is the one to report.
            return None
        if not formats.installed("deep"):
            message = "a TIFF of this kind needs: pip install 'imgbatch[deep]'"
            raise PictureError("open", "no-codec", message)
        return image

    def unsupported(self, file: BinaryIO, *, opened: bool) -> str | None:
        size = file.seek(0, SEEK_END)
        found = tiff.read(file, wanted=_LAYOUT.__contains__, most_bytes=size)
        places = any(found.numbers(tag) for tag in _DATA)
        if found.lost or not places or not all(found.numbers(one.tag) for one in found.fields):
            # So it is broken.
            return None

        def number(tag: int, default: int) -> int:
            return next(iter(found.numbers(tag)), default)

        compression, kind = number(_COMPRESSION_TAG, 1), number(_PHOTOMETRIC, -1)
        if min(number(_WIDTH, 0), number(_LENGTH, 0)) < 1:
            return None
        if compression not in _DECODED:
            return f"with compression {compression}"
        if opened or kind < 0 or tiff_pixels.is_known(found):
            return None
        bits = found.numbers(_BITS_PER_SAMPLE) or [1]
        words = counted(bits[-1], "bit")
        return (
            f"of {' + '.join([*map(str, bits[:-1]), words])} and photometric interpretation {kind}"
        )

    # What the header tells

    def is_turned(self, image: Any) -> bool:
        return bool(image.tag_v2.get(ORIENTATION, 1) != 1)

    def turned_from(self, image: Any) -> int:
        return _orientation(image)

    def channel_bits(self, image: Any, file: BinaryIO) -> int:
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
        wide = image.mode not in ("1", "F") and isinstance(bits, tuple)
        return max((one for one in bits if isinstance(one, int)), default=0) if wide else 0

    def uncarried(self, image: Any, file: BinaryIO) -> tuple[Notice, ...]:
        return beside.of_tiff(image.tag_v2) + beside.of_resources(
            photoshop.resources(_photoshop(image))
        )

    def pages(self, file: BinaryIO) -> pages.Pages | None:
        with restored(file):
            found = pages.Pages(file)
        if len(found) > limits.PAGES:
            raise PictureError("open", "too-large", f"it has more than {limits.PAGES:,} pages")
        return found if len(found) > 1 else None

    def profile(
        self, image: Image.Image, file: BinaryIO, exif: Exif | None
    ) -> tuple[bytes | None, tuple[Notice, ...]]:
        if tiff_pixels.is_converted(image):
            return None, ()
        return image.info.get("icc_profile") or implied.camera(image.mode, exif), ()

    def may_colour_grey(self, image: Image.Image, file: BinaryIO) -> bool:
        return False

    # Pixels

    def grey_levels(self, image: Any) -> GreyLevels:
        tags = image.tag_v2
        return GreyLevels(
            bits=12 if tags.get(_BITS_PER_SAMPLE) == (12,) else 16,
            white_is_zero=tags.get(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO,
            unsigned=tags.get(_SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED,
        )

    def pixels(self, image: Any, file: BinaryIO, *, salvage: bool) -> PixelsAndNotices:
        if tiff_pixels.is_beyond(image):
            return self.deep_pixels(image, file)
        if image.info.get("compression") in _FAX:
            return self._faxed(image, file, salvage=salvage)
        pixels, notices = super().pixels(image, file, salvage=salvage)
        signed = image.tag_v2.get(_SAMPLE_FORMAT, _UNSIGNED)
        if (
            isinstance(signed, tuple)
            and {*signed} == {_SIGNED}
            and isinstance(pixels, Image.Image)
            and pixels.mode == "L"
        ):
            # Pillow wraps them round. The lowest is black (section 19, SMinSampleValue's default).
            pixels = pixels.point([level ^ 0x80 for level in range(256)])
        return pixels, notices

    def _faxed(self, image: Any, file: BinaryIO, *, salvage: bool) -> PixelsAndNotices:
        # Loading forgets it.
        orientation = _orientation(image)
        with fax.heard() as told:
            pixels, notices = super().pixels(image, file, salvage=salvage)
        if told and not salvage:
            raise EOFError("its fax data are damaged")
        if not salvage and _lacks_rows(image, file, orientation):
            # No proof: another encoder may have had reasons.
            message = "its fax data seem to be damaged: rows may be blank or wrong"
            notices += (Notice("truncated", message),)
        return pixels, notices

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        return image.mode in PLAIN_MODES or (image.mode == "LAB" and tiff_pixels.is_beyond(image))

    def deep_pixels(self, image: Any, file: BinaryIO) -> PixelsAndNotices:
        from imgbatch.imaging import deep_files

        _check_places(image, file.seek(0, SEEK_END))
        orientation = _orientation(image)
        if tiff_pixels.is_beyond(image):
            pixels, notices = tiff_pixels.read(image, file)
            return turn(pixels, orientation), notices
        # Pillow gives the size after turning.
        stored = image.size[::-1] if orientation >= 5 else image.size

        def decode(data: bytes) -> NDArray[Any]:
            import imagecodecs
            import numpy as np

            array: NDArray[Any] = imagecodecs.tiff_decode(data, index=image.tell())
            planar = image.tag_v2.get(_PLANAR, 1) == 2 and array.ndim == 3
            return np.moveaxis(array, 0, -1) if planar else array

        array, alpha = deep_files.read(decode, file, stored), _alpha(image)
        if alpha == 0 and array.ndim == 3 and array.shape[2] in (2, 4):
            # An extra channel of unknown meaning.
            array = array[:, :, :-1]
        premultiplied = alpha == _ASSOCIATED_ALPHA
        pixels, notices = deep_files.in_16_bits(array, premultiplied=premultiplied)
        return turn(pixels, orientation), notices

    # Metadata that are read

    def exif(self, image: Image.Image) -> tuple[bytes | None, tuple[Notice, ...]]:
        block, notices = super().exif(image)
        if block is not None:
            return block, notices
        kept = _directory(image).only(lambda tag: tag not in _STRUCTURE)
        block = tiff.block(kept) if kept.fields or kept.below else None
        return block, unreadable(kept.lost_in_all)

    def iptc(self, image: Any) -> bytes | None:
        own = _value(image, _IPTC)
        if own is not None and own.data:
            return own.data if own.data[0] == iptc.MARKER else own.turned().data
        return iptc.from_resources(_photoshop(image))

    def paths(self, image: Any) -> bytes | None:
        return photoshop.paths(_photoshop(image))

    # Metadata that are written

    def metadata_options(self, kept: Metadata) -> Options:
        # EXIF is added afterwards: libtiff, which compresses, cannot write its directories.
        found: Options = {}
        if kept.xmp:
            found["tiffinfo"] = {_XMP: kept.xmp}
        if kept.dpi:
            found["dpi"] = kept.dpi
        return found

    def finished(self, data: bytes, kept: Metadata) -> tuple[bytes, tuple[Notice, ...]]:
        if not (kept.exif or kept.iptc or kept.paths):
            return data, ()
        try:
            return with_metadata(data, kept.exif, kept.iptc, kept.paths)
        except (ValueError, OverflowError) as error:
            message = f"EXIF and IPTC cannot be written into a TIFF and were dropped: {error}"
            return data, (Notice("metadata-dropped", message),)

    # Encoding

    def accepted_modes(self, encoding: Encoding) -> frozenset[str]:
        modes = super().accepted_modes(encoding)
        if encoding.compression == _JPEG:
            return frozenset(mode for mode in modes if not mode.endswith(";16"))
        return modes

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        wanted = encoding.compression or "deflate"
        if picture.mode == "1" and encoding.compression in (None, _JPEG):
            return {"compression": "group4"}
        if wanted == _JPEG and picture.mode in _JPEG_MODES:
            return {"compression": _JPEG, "quality": encoding.quality or _JPEG_QUALITY}
        # JPEG has neither alpha nor 16 bits.
        return {"compression": _COMPRESSION["deflate" if wanted == _JPEG else wanted]}

    def deep_encoded(self, deep: Deep, options: Options) -> bytes:
        import tifffile

        fields = self._fields(deep, options)
        resolution, unit = _resolution(fields)
        tags = [
            # It counts the values of bytes itself.
            (one.tag, one.kind, None, one.data, True)
            for one in fields
            if one.tag not in _PIXELS | _RESOLUTION
        ]
        compression = _DEEP_COMPRESSION[options.get("compression")]
        buffer = BytesIO()
        tifffile.imwrite(
            buffer,
            deep.array,
            byteorder="<",
            photometric="minisblack" if deep.mode == "LA;16" else "rgb",
            extrasamples=None if deep.mode == "RGB;16" else ["unassalpha"],
            planarconfig="contig",
            compression=compression,
            # Neighbours are similar; otherwise noise in their lower bytes hides that (section 14).
            predictor=compression in ("lzw", "adobe_deflate", "zstd"),
            rowsperstrip=max(1, _STRIP_BYTES // deep.array[0].nbytes),
            resolution=resolution,
            resolutionunit=unit,
            metadata=None,
            software=False,
            maxworkers=1,
            extratags=tags,
        )
        return buffer.getvalue()

    def _fields(self, deep: Deep, options: Options) -> list[Field]:
        """All that is not pixels, as Pillow writes it beside one pixel: the same as in 8 bits."""
        # Pillow's own compression is not meant for one pixel.
        others = {name: value for name, value in options.items() if name != "compression"}
        file = BytesIO()
        Image.new(deep.mode.removesuffix(";16"), (1, 1)).save(file, self.pillow, **others)
        file.seek(0)
        return tiff.read(file).in_order("<").fields

    def working_mode(self, image: Image.Image) -> str:
        if tiff_pixels.is_beyond(image):
            return tiff_pixels.working_mode(image)
        return super().working_mode(image)

    def joined(self, pages: Sequence[bytes]) -> bytes:
        return tiff.joined(pages)

    # Memory

    def decoder_bytes(self, image: Any, size: Size, file: BinaryIO, stored: int) -> float:
        if tiff_pixels.is_beyond(image):
            return float(size[0] * size[1] * tiff_pixels.reading_bytes(image))
        if tile_codec(image) != "libtiff":
            return super().decoder_bytes(image, size, file, stored)
        rows = min(size[1], _number(image, _ROWS_PER_STRIP, size[1]))
        height = _number(image, _TILE_LENGTH, rows)
        return float(_number(image, _TILE_WIDTH, size[0]) * height * _STRIP_PIXEL)

    def deep_arrays(self, image: Any) -> float:
        if tiff_pixels.is_beyond(image):
            return tiff_pixels.reading_bytes(image) / (2 * len(image.getbands()))
        # Numbers may be wider than 16 bits.
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))
        return 2 + max((bit / 16 for bit in bits if bit > 16), default=1.0)


def _tiles(image: Any) -> list[Any]:
    tiles: list[Any] = image.tile
    return tiles


def _lacks_rows(image: Any, file: BinaryIO, orientation: int) -> bool:
    """Whether strips of fax data have no codes for rows of the loaded image, now upright."""
    tags = image.tag_v2
    offsets, counts = (tags.get(tag) for tag in _OFFSETS[0])
    coded = tags.get(_COMPRESSION_TAG)
    known = isinstance(offsets, tuple) and isinstance(counts, tuple)
    if not known or coded not in (fax.GROUP_3, fax.GROUP_4):
        return False
    stored = turn(image, _TURNED_BACK.get(orientation, orientation))
    rows = _number(image, _ROWS_PER_STRIP, stored.height)
    inverted = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO
    strips = fax.Strips(coded, tags.get(_FILL_ORDER, 1), rows, offsets, counts)
    with restored(file):
        return fax.lost(stored, file, strips, inverted=inverted)


def _orientation(image: Any) -> int:
    orientation = image.tag_v2.get(ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def _check_places(image: Any, size: int) -> None:
    """Raise EOFError if a strip or tile is located beyond the end of the file."""
    for offsets_tag, counts_tag in _OFFSETS:
        offsets, counts = (image.tag_v2.get(tag, ()) for tag in (offsets_tag, counts_tag))
        if isinstance(offsets, tuple) and isinstance(counts, tuple):
            ends = (at + count for at, count in zip(offsets, counts, strict=False))
            if any(end > size for end in ends):
                raise EOFError("truncated: a strip or tile is beyond its end")


def _alpha(image: Any) -> int | None:
    """The kind of the first extra sample: 0 unknown, 1 premultiplied alpha, 2 alpha; None: none."""
    extra = image.tag_v2.get(_EXTRA_SAMPLES, ())
    return int(extra[0]) if isinstance(extra, tuple) and extra else None


def _number(image: Any, tag: int, default: int) -> int:
    value = image.tag_v2.get(tag, default)
    return value if isinstance(value, int) and value > 0 else default


# Metadata


def _directory(image: Any) -> Directory:
    """The directory of the first page, read once, with all tags that are carried.

    What is too long or lost of IPTC does not count for EXIF.
    """
    if _READ not in image.info:
        with restored(image.fp) as file:
            image.info[_READ] = tiff.read(file, wanted=_is_carried, apart=_RESOURCES)
    found: Directory = image.info[_READ]
    return found


def _value(image: Any, tag: int) -> Field | None:
    """A field of the first page; None if it is missing or cannot be read."""
    try:
        return next((one for one in _directory(image).fields if one.tag == tag), None)
    except ValueError:
        # Whoever asks for EXIF gets the warning.
        return None


def _photoshop(image: Any) -> bytes:
    """Photoshop's image resources; empty if there are none."""
    found = _value(image, _PHOTOSHOP)
    return found.data if found is not None else b""


def _is_carried(tag: int) -> bool:
    return tag not in _STRUCTURE or tag in _RESOURCES


def with_metadata(
    data: bytes, exif: Exif | None, records: bytes | None = None, resources: bytes | None = None
) -> tuple[bytes, tuple[Notice, ...]]:
    """A TIFF file with an EXIF block's tags and directories, IPTC records, and Photoshop's image
    resources, on its first page.

    The pixels, the other pages and the page's own values stay where they are; its new directory
    is appended, and the file's header points there (section 2). A warning names tags that cannot
    be read. Raises ValueError.
    """
    own = tiff.read(BytesIO(data))
    there = {one.tag for one in own.fields}
    added = Directory(own.order)
    notices: tuple[Notice, ...] = ()
    if exif:
        found = tiff.read(BytesIO(exif.tobytes())).only(
            lambda tag: tag not in _STRUCTURE and tag not in there
        )
        added = found.in_order(own.order)
        notices = unreadable(found.lost_in_all)
    if records:
        added.fields.append(Field(_IPTC, tiff.UNDEFINED, records))
    if resources:
        added.fields.append(Field(_PHOTOSHOP, tiff.BYTE, resources))
    return tiff.extended(data, added), notices


def _ratio(data: bytes) -> _Ratio:
    number, by = struct.unpack("<II", data)
    return number, by


def _resolution(fields: Iterable[Field]) -> tuple[tuple[_Ratio, _Ratio], int]:
    """Across and down as fractions, and the unit; TIFF's "no resolution" if there is none."""
    data = {one.tag: one.data for one in fields if one.tag in _RESOLUTION}
    if len(data) < len(_RESOLUTION):
        return ((1, 1), (1, 1)), 1
    across, down, unit = (data[tag] for tag in sorted(_RESOLUTION))
    return (_ratio(across), _ratio(down)), int.from_bytes(unit, "little")


CODEC: Final = Tiff()
