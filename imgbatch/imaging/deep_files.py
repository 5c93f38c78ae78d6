"""Files with 16 bits per channel, read and written with the extra `deep` (imagecodecs, tifffile).

Pillow reads the header and what travels with the pixels; only the pixels themselves are decoded
here. For writing, Pillow makes a file of one pixel with everything that travels along, which is
copied from there, so that it is the same as in 8-bit files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import SEEK_END, BytesIO
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from imgbatch.imaging import depth, png
from imgbatch.imaging.containers import png as png_file
from imgbatch.imaging.containers import tiff
from imgbatch.imaging.containers.tiff import Field
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.formats import Format
from imgbatch.imaging.picture import turn
from imgbatch.model import Notice, Size

PixelsAndNotices = tuple[Deep | Image.Image, tuple[Notice, ...]]
"""The pixels (grey in a Pillow image of mode I;16), and warnings about them."""

_Ratio = tuple[int, int]

_MAXIMUM: Final = 65_535
# By the colour type in the header: RGB, grey and alpha, RGB and alpha.
_PNG_CHANNELS: Final = {2: 3, 4: 2, 6: 4}
# Where each pass begins, down and across, and its steps.
_ADAM7: Final = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)),
    *((0, 1, 2, 2), (1, 0, 2, 1)),
)

_EXTRA_SAMPLES: Final = 0x0152
_PLANAR: Final = 0x011C
_SAMPLE_FORMAT: Final = 0x0153
_FLOATS: Final = 3
_ASSOCIATED_ALPHA: Final = 1
_OFFSETS: Final = ((0x0111, 0x0117), (0x0144, 0x0145))
# Tags of the pixels (TIFF 6.0), which tifffile writes.
_TIFF_PIXELS: Final = frozenset(
    {
        *(0x00FE, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0112, 0x0115, 0x0116, 0x0117),
        *(0x011C, 0x013D, 0x0152, 0x0153),
    }
)

# XResolution, YResolution and ResolutionUnit.
_TIFF_RESOLUTION: Final = frozenset({0x011A, 0x011B, 0x0128})

_COMPRESSIONS: Final = {
    None: None,
    "packbits": "packbits",
    "tiff_lzw": "lzw",
    "tiff_adobe_deflate": "adobe_deflate",
    "zstd": "zstd",
}
_STRIP_BYTES: Final = 1 << 18
_PNG_LEVEL: Final = 6


# Reading


@contextmanager
def more_tiffs() -> Iterator[None]:
    """Let Pillow open, though not load, TIFFs for which it has no mode.

    Grey with alpha in 16 bits, colours as floats or in 32 bits, grey floats with 16 and 64 bits,
    16-bit grey with 0 for white.
    """
    before = dict(TiffImagePlugin.OPEN_INFO)
    TiffImagePlugin.OPEN_INFO.update(_MORE_TIFFS)
    try:
        yield
    finally:
        TiffImagePlugin.OPEN_INFO.clear()
        TiffImagePlugin.OPEN_INFO.update(before)


def _more_tiffs() -> dict[Any, tuple[str, str]]:
    more: dict[Any, tuple[str, str]] = {}
    # This one it can load, too, but its tables lack it.
    more[b"MM", 0, (1,), 1, (16,), ()] = ("I;16", "I;16B")
    for order in (b"II", b"MM"):
        for alpha in (0, 1, 2):
            mode = "LA" if alpha else "L"
            more[order, 1, (1,), 1, (16, 16), (alpha,)] = (mode, f"{mode};16")
        more[order, 1, (1,), 1, (16, 16), ()] = ("LA", "LA;16")
        for kind, bits in ((1, 32), (3, 16), (3, 32), (3, 64)):
            more[order, 2, (kind,), 1, (bits,) * 3, ()] = ("RGB", "RGB;16")
            for alpha in (0, 1, 2):
                mode = "RGBA" if alpha else "RGB"
                more[order, 2, (kind,), 1, (bits,) * 4, (alpha,)] = (mode, f"{mode};16")
        for bits in (16, 64):
            more[order, 1, (3,), 1, (bits,), ()] = ("L", "L;16")
    return more


_MORE_TIFFS: Final = _more_tiffs()


def readable(image: Any, file: BinaryIO) -> bool:
    """Whether `read` can read the pixels of an opened image (RGB, RGBA and LA, in most formats)."""
    if image.format not in _READERS or image.mode not in ("LA", "RGB", "RGBA", "L"):
        return False
    if image.format == "PPM":
        return bool(image.tile) and image.tile[0].codec_name == "ppm"
    if image.format == "JPEG2000":
        bits = depth.sample_bits(image, file)
        # Only Pillow knows what other kinds mean (YCC, signed, reduced or mixed components).
        return len(bits) == len(image.getbands()) and len(set(bits)) == 1 and 8 < bits[0] <= 16
    return True


def read(image: Any, file: BinaryIO) -> PixelsAndNotices:
    """The pixels of an opened image that is not loaded, upright if Pillow would turn them.

    Raises EOFError if the file is cut short, ValueError if it is broken.
    """
    size = file.seek(0, SEEK_END)
    file.seek(0)
    if image.format == "TIFF":
        _check_places(image, size)
    data = file.read()
    try:
        array = _READERS[image.format](image, data)
    except RuntimeError as error:
        # The error classes of imagecodecs; the messages are those of the C libraries.
        raise _explained(str(error), data, image.format) from error
    except IndexError as error:
        raise ValueError(str(error)) from error
    if array.shape[1::-1] != _stored_size(image):
        raise ValueError("it does not have the size in its header")
    pixels, notices = _in_16_bits(array, image)
    return turn(pixels, _tiff_orientation(image)), notices


def keyed(image: Image.Image) -> Deep:
    """A loaded image in mode I;16 with one transparent level (PNG, tRNS)."""
    grey = np.asarray(image)
    opaque = grey != image.info["transparency"]
    return Deep(np.dstack([grey, np.where(opaque, _MAXIMUM, 0).astype(np.uint16)]))


def _stored_size(image: Any) -> Size:
    width, height = image.size
    # Pillow gives the size that a TIFF will have after turning.
    return (height, width) if _tiff_orientation(image) >= 5 else (width, height)


def _tiff_orientation(image: Any) -> int:
    orientation = image.tag_v2.get(0x0112, 1) if image.format == "TIFF" else 1
    return orientation if orientation in range(1, 9) else 1


def _explained(text: str, data: bytes, kind: str) -> Exception:
    too_short = ("too small", "truncated", "read error", "not enough data")
    cut_short = any(words in text.lower() for words in too_short)
    if kind == "JPEG2000":
        # No message; a whole codestream has an end marker (ISO 15444-1, A.4.4).
        cut_short = b"\xff\xd9" not in data[-64:]
    return EOFError(text) if cut_short else ValueError(text or "its decoder fails")


def _check_places(image: Any, size: int) -> None:
    """Raise EOFError if a strip or tile is located beyond the end of the file."""
    for offsets_tag, counts_tag in _OFFSETS:
        offsets, counts = (image.tag_v2.get(tag, ()) for tag in (offsets_tag, counts_tag))
        if isinstance(offsets, tuple) and isinstance(counts, tuple):
            ends = (at + count for at, count in zip(offsets, counts, strict=False))
            if any(end > size for end in ends):
                raise EOFError("truncated: a strip or tile is beyond its end")


def _png(image: Any, data: bytes) -> NDArray[Any]:
    import imagecodecs

    if image.info.get("interlace"):
        return _interlaced(data)
    array: NDArray[Any] = imagecodecs.png_decode(data)
    return array


def _interlaced(data: bytes) -> NDArray[Any]:
    """Seven small pictures put together (Adam7; PNG, 8.2): libpng would reject a single one."""
    import imagecodecs

    (_, header), *chunks = png_file.chunks(data)
    width, height = struct.unpack_from(">II", header)
    key = b"".join(png_file.chunk(kind, data) for kind, data in chunks if kind == b"tRNS")
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    pixel_bytes = 2 * _PNG_CHANNELS[header[9]]
    unpacker = zlib.decompressobj()
    out: NDArray[Any] | None = None
    for top, left, down, across in _ADAM7:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns <= 0 or rows <= 0:
            continue
        length = rows * (1 + columns * pixel_bytes)
        scanlines = unpacker.decompress(packed, length)
        if len(scanlines) < length:
            raise EOFError("truncated: it has fewer pixels than its header says")
        packed = unpacker.unconsumed_tail
        still = struct.pack(">II", columns, rows) + header[8:12] + b"\0"
        part = imagecodecs.png_decode(
            png_file.SIGNATURE
            + png_file.chunk(b"IHDR", still)
            + key
            + png_file.chunk(b"IDAT", zlib.compress(scanlines, 0))
            + png_file.chunk(b"IEND", b"")
        )
        if out is None:
            out = np.empty((height, width, part.shape[2]), np.uint16)
        out[top::down, left::across] = part
    if out is None:
        raise ValueError("it has no pixels")
    return out


def _tiff(image: Any, data: bytes) -> NDArray[Any]:
    import imagecodecs

    array: NDArray[Any] = imagecodecs.tiff_decode(data, index=image.tell())
    if image.tag_v2.get(_PLANAR, 1) == 2 and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    return array


def _jpeg2000(image: Any, data: bytes) -> NDArray[Any]:
    import imagecodecs

    bits = depth.sample_bits(image, BytesIO(data))[0]
    return _from_bits(imagecodecs.jpeg2k_decode(data, numthreads=1), bits)


def _avif(image: Any, data: bytes) -> NDArray[Any]:
    import imagecodecs

    bits = depth.lost_to_pillow(image, BytesIO(data))
    return _from_bits(imagecodecs.avif_decode(data, numthreads=1), bits)


def _heif(image: Any, data: bytes) -> NDArray[Any]:
    from imgbatch.imaging import heif

    bits, levels, premultiplied = heif.bits_and_levels(data)
    array = _from_bits(levels, bits)
    return _straight(array) if premultiplied else array


def _ppm(image: Any, data: bytes) -> NDArray[Any]:
    (_, _, offset, args) = image.tile[0]
    maximum = args[1]
    width, height = image.size
    wanted = width * height * 3
    if len(data) - offset < wanted * 2:
        raise EOFError("truncated: it has fewer pixels than its header says")
    levels: NDArray[Any] = np.frombuffer(data, ">u2", wanted, offset).reshape(height, width, 3)
    return _stretched(levels, maximum)


_READERS: Final[dict[str, Callable[[Any, bytes], NDArray[Any]]]] = {
    "PNG": _png,
    "TIFF": _tiff,
    "JPEG2000": _jpeg2000,
    "AVIF": _avif,
    "HEIF": _heif,
    "PPM": _ppm,
}


def _from_bits(levels: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    return _stretched(levels, (1 << bits) - 1)


def _stretched(levels: NDArray[Any], highest: int) -> NDArray[np.uint16]:
    """Levels up to `highest` as 16 bits: that and all above becomes 65535, rounded."""
    if highest == _MAXIMUM:
        return levels.astype(np.uint16, copy=False)
    wide = (np.arange(highest + 1, dtype=np.uint32) * _MAXIMUM + highest // 2) // highest
    table = wide.astype(np.uint16)
    out = np.empty(levels.shape, np.uint16)
    # Row by row, because the look-up takes eight bytes per number on the way.
    for row, target in zip(levels, out, strict=True):
        target[:] = table[np.minimum(row, highest)]
    return out


def _in_16_bits(array: NDArray[Any], image: Any) -> PixelsAndNotices:
    """An array from the decoder, as Deep."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"its pixels come in {array.ndim} dimensions")
    notices: tuple[Notice, ...] = ()
    if array.dtype != np.uint16:
        array, notices = _scaled(array)
    alpha = _alpha_of_tiff(image) if image.format == "TIFF" else None
    if alpha == 0 and array.shape[2] in (2, 4):
        # An extra channel of unknown meaning.
        array = array[:, :, :-1]
    if array.shape[2] == 1:
        return Image.fromarray(np.ascontiguousarray(array[:, :, 0], np.uint16)), notices
    if array.shape[2] not in (2, 3, 4):
        raise ValueError(f"it has {array.shape[2]} channels")
    if alpha == _ASSOCIATED_ALPHA:
        array = _straight(array)
    return Deep(np.ascontiguousarray(array, np.uint16)), notices


def _alpha_of_tiff(image: Any) -> int | None:
    """The kind of the first extra sample: 0 unknown, 1 premultiplied alpha, 2 alpha; None: none."""
    extra = image.tag_v2.get(_EXTRA_SAMPLES, ())
    return int(extra[0]) if isinstance(extra, tuple) and extra else None


def _straight(array: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Colours divided by their alpha (TIFF 6.0, section 18), rounded, row by row."""
    out = np.empty_like(array)
    for row, target in zip(array, out, strict=True):
        alpha = row[:, -1:].astype(np.uint32)
        colours = row[:, :-1].astype(np.uint64) * _MAXIMUM + alpha // 2
        target[:, :-1] = np.minimum(colours // np.maximum(alpha, 1), _MAXIMUM)
        target[:, -1:] = alpha
    return out


def _scaled(array: NDArray[Any]) -> tuple[NDArray[np.uint16], tuple[Notice, ...]]:
    """Floats from 0 to 1, and integers of another width, as 16 bits."""
    if array.dtype.kind == "u":
        highest = int(np.iinfo(array.dtype).max)
        # In 64 bits, multiplying by 65535 would overflow: so it is a quotient.
        for row in array:
            row[:] = np.rint(row * (_MAXIMUM / highest))
        return array.astype(np.uint16), ()
    if array.dtype.kind != "f":
        raise ValueError(f"its pixels are of an unsupported kind ({array.dtype})")
    for row in array:
        np.nan_to_num(row, copy=False)
    low, high = float(array.min()), float(array.max())
    notices: tuple[Notice, ...] = ()
    if low < 0 or high > 1:
        message = f"values from {low:g} to {high:g} were scaled to 16 bits"
        notices += (Notice("range-scaled", message),)
    else:
        low, high = 0.0, 1.0
    out = np.empty(array.shape, np.uint16)
    # Row by row, because they are widened on the way.
    for row, target in zip(array, out, strict=True):
        target[:] = np.rint((row.astype(np.float64) - low) * (_MAXIMUM / ((high - low) or 1)))
    return out, notices


# Writing


def encoded(deep: Deep, row: Format, options: Mapping[str, Any]) -> bytes:
    """A PNG, TIFF or HEIC of these pixels, with everything else that Pillow's `save` is given."""
    if row.name == "heif":
        from imgbatch.imaging import heif

        return heif.encoded(deep, options)
    return _written_png(deep, options) if row.name == "png" else _written_tiff(deep, options)


def _written_png(deep: Deep, options: Mapping[str, Any]) -> bytes:
    import imagecodecs

    # One filter for all rows (PNG, 9.2): trying five takes longer and saves next to nothing.
    filters = imagecodecs.PNG.FILTER.PAETH
    level = options.get("compress_level", _PNG_LEVEL)
    (_, header), *chunks = png_file.chunks(
        bytes(imagecodecs.png_encode(deep.array, level, filter=filters))
    )
    pixels = (data for kind, data in chunks if kind == b"IDAT")
    return png.written(header, pixels, _without_depth(deep), options)


def _without_depth(deep: Deep) -> str:
    return deep.mode.removesuffix(";16")


def _written_tiff(deep: Deep, options: Mapping[str, Any]) -> bytes:
    import tifffile

    # Pillow's own compression is not meant for one pixel.
    others = {name: value for name, value in options.items() if name != "compression"}
    file = BytesIO()
    Image.new(_without_depth(deep), (1, 1)).save(file, "TIFF", **others)
    file.seek(0)
    fields = tiff.read(file).in_order("<").fields
    resolution, unit = _resolution(fields)
    tags = [
        # It counts the values of bytes itself.
        (one.tag, one.kind, None, one.data, True)
        for one in fields
        if one.tag not in _TIFF_PIXELS | _TIFF_RESOLUTION
    ]
    compression = _COMPRESSIONS[options.get("compression")]
    buffer = BytesIO()
    tifffile.imwrite(
        buffer,
        deep.array,
        byteorder="<",
        photometric="minisblack" if deep.mode == "LA;16" else "rgb",
        extrasamples=None if deep.mode == "RGB;16" else ["unassalpha"],
        planarconfig="contig",
        compression=compression,
        # Neighbours are similar; otherwise the noise in their lower bytes hides that (section 14).
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


def _ratio(data: bytes) -> _Ratio:
    number, by = struct.unpack("<II", data)
    return number, by


def _resolution(fields: Iterable[Field]) -> tuple[tuple[_Ratio, _Ratio], int]:
    """Across and down as fractions, and the unit; TIFF's "no resolution" if there is none."""
    data = {one.tag: one.data for one in fields if one.tag in _TIFF_RESOLUTION}
    if len(data) < len(_TIFF_RESOLUTION):
        return ((1, 1), (1, 1)), 1
    across, down, unit = (data[tag] for tag in sorted(_TIFF_RESOLUTION))
    return (_ratio(across), _ratio(down)), int.from_bytes(unit, "little")
