"""PNG, and animated PNG: chunks that Pillow does not read, 16-bit colours, frames."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import Image, ImageChops, PngImagePlugin
from PIL.PngImagePlugin import PngInfo

from imgbatch.imaging.codecs import beside, png_pixels, png_texts
from imgbatch.imaging.codecs.base import PLAIN_MODES, Codec, Options, restored, tile_codec
from imgbatch.imaging.colour import icc, implied
from imgbatch.imaging.containers import jpeg, photoshop, png
from imgbatch.imaging.metadata import iptc
from imgbatch.imaging.metadata.exif import PREFIX
from imgbatch.imaging.own_settings import in_each_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.imaging.deep import Deep
    from imgbatch.imaging.metadata.exif import Exif
    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.imaging.picture import Metadata, Picture
    from imgbatch.imaging.series import apng
    from imgbatch.imaging.series.frames import Animation
    from imgbatch.model import Encoding, Notice, Size

    ProfileAndNotices = tuple[bytes | None, tuple[Notice, ...]]

in_each_thread(PngImagePlugin, "MAX_TEXT_CHUNK", "MAX_TEXT_MEMORY")

_RAW_PROFILE: Final = "Raw profile type "
_NO_TEXT: Final = frozenset({"xmp", "XML:com.adobe.xmp", "Comment"})
# Copies of EXIF that ImageMagick makes, and which nobody would keep in sync.
_STALE_TEXT: Final = re.compile(
    r"(?:exif|tiff):(?:thumbnail:|\w*Orientation|\w*Dimension|Image(?:Width|Length))"
)
# PNG, 11.3.3.1: keywords are 1 to 79 bytes of Latin-1.
_KEYWORD_BYTES: Final = 79
_HEX_LINE: Final = 72

_GREY: Final = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I"})
_AROUND_SRGB: Final = 0.0006
"""How far a gAMA chunk may be from 1/2.2, which files in sRGB have (11.3.2.5)."""
_CICP_BYTES: Final = 4

# Channels by the colour type in the header: RGB, grey and alpha, RGB and alpha.
_CHANNELS: Final = {2: 3, 4: 2, 6: 4}
# Where each pass begins, down and across, and its steps.
_ADAM7: Final = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)),
    *((0, 1, 2, 2), (1, 0, 2, 1)),
)
# By Pillow's names for samples: from their levels to 8 bits.
_SPREAD: Final = {"L;2": 85, "L;4": 17}
_APPLE: Final = "imgbatch: for Apple"
# Bytes per pixel: packed again, and each of two steps to straight colours.
_APPLE_PIXEL: Final = 20.0
_INDEX_BITS: Final = (1, 2, 4, 8)
_LEVEL: Final = 6
_MAX_LEVEL: Final = 9
_MAX_PLAYS: Final = 2**31 - 1


class Png(Codec):
    """PNG (third edition, W3C 2025)."""

    pillow = "PNG"
    has_texts = True
    has_palettes = True
    has_bilevel = True
    indexed_modes = frozenset({"RGB", "RGBA"})

    def thinned(self, file: BinaryIO) -> tuple[BinaryIO, tuple[Notice, ...]]:
        return png_texts.thinned(file)

    def open(self, file: BinaryIO) -> Image.Image:
        image = super().open(file)
        if _is_for_apple(file):
            image.info[_APPLE] = True
        key = image.info.get("transparency")
        if isinstance(key, int | tuple) and image.mode != "P":
            # Pillow gives it as it is in the file, but samples of other depths in 8 bits.
            image.info["transparency"] = _key_in_8_bits(image, key)
        return image

    # What the header tells

    def channel_bits(self, image: Any, file: BinaryIO) -> int:
        return 16 if image.tile and ";16" in str(image.tile[0].args) else 0

    def uncarried(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        return beside.of_resources(photoshop.resources(_photoshop(image)))

    def animation(self, image: Any, file: BinaryIO) -> Animation | None:
        if image.n_frames == 1 and not image.is_animated:
            return None
        with restored(file):
            file.seek(0)
            return _animation(image, file.read())

    # Colour

    def profile(self, image: Image.Image, file: BinaryIO, exif: Exif | None) -> ProfileAndNotices:
        # Of cICP, iCCP, sRGB and gAMA with cHRM, the first one present counts (4.3).
        found: ProfileAndNotices = (None, ())
        points = _code_points(file)
        own = image.info.get("icc_profile") or None
        if points is not None:
            found = implied.coded(points)
            # A profile beside PQ or HLG says how to show that in the standard range.
            is_high = found[0] is not None and icc.high_range(found[0]) is not None
            if not found[1] and not (is_high and own is not None):
                return found
        if own is not None:
            return own, ()
        if found[1] or "srgb" in image.info:
            return found
        return _of_gamma(image), ()

    def may_colour_grey(self, image: Image.Image, file: BinaryIO) -> bool:
        return _code_points(file) is not None

    # Pixels

    def pixels(self, image: Image.Image, file: BinaryIO, *, salvage: bool) -> PixelsAndNotices:
        if _APPLE in image.info:
            usual = super().open(_usual(file, image.size))
            pixels, notices = super().pixels(usual, file, salvage=salvage)
            return _straight(pixels), notices
        if png_pixels.is_plain(image) and not salvage:
            plain = png_pixels.decoded(image, file)
            if plain is not None:
                return plain, ()
        return super().pixels(image, file, salvage=salvage)

    def with_all_metadata(self, image: Any, file: BinaryIO) -> Image.Image | None:
        # Pillow knows what comes after the pixels once it has loaded them.
        return png_pixels.with_one_pixel(file) if image.tile else image

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        return image.mode in PLAIN_MODES

    def deep_pixels(self, image: Image.Image, file: BinaryIO) -> PixelsAndNotices:
        from imgbatch.imaging import deep_files

        decode = _interlaced if image.info.get("interlace") else _sequential
        return deep_files.in_16_bits(deep_files.read(decode, file, image.size))

    # Metadata that are read

    def exif(self, image: Image.Image) -> tuple[bytes | None, tuple[Notice, ...]]:
        block, _ = super().exif(image)
        if block is None:
            block = _raw_profile(image, "exif") or _raw_profile(image, "APP1")
            block = block.removeprefix(PREFIX) if block and not _is_xmp(block) else None
        return block, ()

    def xmp(self, image: Image.Image) -> bytes | None:
        raw = super().xmp(image)
        if raw:
            return raw
        raw = _raw_profile(image, "xmp") or _raw_profile(image, "APP1")
        if raw and _is_xmp(raw):
            return raw.removeprefix(jpeg.XMP)
        return None if raw and raw.startswith(PREFIX) else raw

    def iptc(self, image: Image.Image) -> bytes | None:
        # ImageMagick has them in Photoshop's resources, others unwrapped.
        raw = _photoshop(image)
        return iptc.from_resources(raw) if raw.startswith(b"8BIM") else raw or None

    def paths(self, image: Image.Image) -> bytes | None:
        return photoshop.paths(_photoshop(image))

    def comments(self, image: Image.Image) -> Iterator[bytes | str]:
        raw: Any = image.info.get("Comment")
        if isinstance(raw, bytes | str):
            yield raw

    def texts(self, image: Image.Image) -> tuple[tuple[str, str], ...]:
        return tuple(
            (keyword, str(value))
            for keyword, value in image.info.items()
            if isinstance(value, str)
            and isinstance(keyword, str)
            and keyword not in _NO_TEXT
            and not keyword.startswith(_RAW_PROFILE)
            and not _STALE_TEXT.match(keyword)
        )

    # Metadata that are written

    def metadata_options(self, kept: Metadata) -> Options:
        found: Options = {}
        if kept.dpi:
            found["dpi"] = kept.dpi
        if kept.exif:
            found["exif"] = kept.exif.tobytes()
        info = PngInfo()
        if kept.xmp:
            info.add_itxt("XML:com.adobe.xmp", kept.xmp.decode("utf-8", "replace"))
        if kept.iptc or kept.paths:
            kind = "iptc" if kept.iptc else "8bim"
            resources = iptc.to_resources(kept.iptc) if kept.iptc else b""
            text = _written_profile(kind, resources + (kept.paths or b""))
            info.add_text(f"{_RAW_PROFILE}{kind}", text, zip=True)
        comment = (("Comment", kept.comment),) if kept.comment else ()
        for keyword, text in (*comment, *kept.texts):
            _add_text(info, keyword, text)
        if info.chunks:
            found["pnginfo"] = info
        return found

    # Encoding

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        effort = _LEVEL if encoding.effort is None else min(_MAX_LEVEL, encoding.effort)
        wanted: Options = {"compress_level": effort}
        palette = picture.image.palette if encoding.colours else None
        if palette is not None:
            # Pillow takes the bytes of a palette with alpha for those of more colours.
            count = len(palette.palette) // len(palette.mode)
            wanted["bits"] = next(bits for bits in _INDEX_BITS if count <= 1 << bits)
        return wanted

    def encoded(self, image: Image.Image, options: Options, encoding: Encoding) -> bytes:
        if png_pixels.encodes(image, encoding.effort):
            return png_pixels.encoded(image, options)
        return super().encoded(image, options, encoding)

    def deep_encoded(self, deep: Deep, options: Options) -> bytes:
        import imagecodecs

        # One filter for all rows (9.2): trying five takes longer and saves next to nothing.
        filters = imagecodecs.PNG.FILTER.PAETH
        level = options.get("compress_level", _LEVEL)
        (_, header), *chunks = png.chunks(
            bytes(imagecodecs.png_encode(deep.array, level, filter=filters))
        )
        pixels = (data for kind, data in chunks if kind == b"IDAT")
        return png_pixels.written(header, pixels, deep.mode.removesuffix(";16"), options)

    def animated(
        self,
        images: Sequence[Image.Image],
        durations: Sequence[float],
        plays: int,
        options: Options,
        encoding: Encoding,
    ) -> bytes:
        from imgbatch.imaging.series import apng

        frames = _frames(images, durations, options)
        return apng.join(frames, plays=min(plays, _MAX_PLAYS))

    # Memory

    def decoder_bytes(self, image: Image.Image, size: Size, file: BinaryIO, stored: int) -> float:
        if _APPLE in image.info:
            return _APPLE_PIXEL * size[0] * size[1]
        if tile_codec(image) == "zip" and not png_pixels.is_plain(image):
            # Pillow decodes these row by row, as it does uncompressed data.
            return 0
        return super().decoder_bytes(image, size, file, stored)

    def deep_arrays(self, image: Image.Image) -> float:
        return 4 if image.info.get("interlace") else 1


def _key_in_8_bits(image: Any, key: int | tuple[int, ...]) -> int | tuple[int, ...]:
    """The transparent level or colour (11.3.1.1) among levels as Pillow will load them."""
    raw = str(image.tile[0].args) if image.tile else ""
    if isinstance(key, int):
        return key * _SPREAD.get(raw, 1)
    return tuple(level >> 8 for level in key) if ";16" in raw else key


# Xcode's PNGs: an additional first chunk, pixels without zlib's header, blue first, and colours
# multiplied by alpha. Apple documents nothing; pngcrush reads them like this.


def _is_for_apple(file: BinaryIO) -> bool:
    with restored(file):
        file.seek(len(png.SIGNATURE) + 4)
        return file.read(4) == b"CgBI"


def _usual(file: BinaryIO, size: Size) -> BinaryIO:
    """The same with pixels that are packed as usual. The position is not restored."""
    file.seek(0)
    around: dict[bool, list[bytes]] = {False: [], True: []}
    pixels, behind = b"", False
    for kind, data in png.chunks(file.read()):
        behind |= kind == b"IDAT"
        if kind == b"IDAT":
            pixels += data
        elif kind != b"CgBI":
            around[behind].append(png.chunk(kind, data))
    # At most four samples of 16 bits, and filters, also those of seven passes.
    most = (size[0] * 8 + 8) * (size[1] + 8) * 2
    unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(pixels, most)
    body = png.chunk(b"IDAT", zlib.compress(unpacked, 1))
    return BytesIO(b"".join((png.SIGNATURE, *around[False], body, *around[True])))


def _straight(image: Any) -> Image.Image:
    """Red first, and colours as they are without alpha."""
    blue, green, red, *alpha = image.split()
    if not alpha:
        return Image.merge("RGB", (red, green, blue))
    premultiplied = Image.merge("RGBA", (red, green, blue, *alpha))
    return Image.frombytes("RGBa", image.size, premultiplied.tobytes()).convert("RGBA")


# Colour


def _code_points(file: BinaryIO) -> tuple[int, int] | None:
    """Primaries and transfer of a cICP chunk, which Pillow does not read (11.3.2.6)."""
    with restored(file):
        try:
            for chunk in png.before_pixels(file):
                if chunk.kind == b"cICP" and chunk.length == _CICP_BYTES:
                    file.seek(chunk.start)
                    primaries, transfer = file.read(2)
                    return primaries, transfer
        except ValueError:
            pass
        return None


def _of_gamma(image: Image.Image) -> bytes | None:
    gamma, chromaticity = image.info.get("gamma"), image.info.get("chromaticity")
    # Beyond these it is a mistake; 0.00001 would be one, too.
    if not gamma or not 0.05 <= gamma <= 10:
        return None
    usual = abs(gamma - 1 / 2.2) < _AROUND_SRGB
    name, curve = f"PNG gamma {gamma:g}", icc.gamma(1 / gamma)
    if image.mode in _GREY:
        return None if usual else icc.grey_profile(name, curve)
    primaries = _primaries(chromaticity) if chromaticity else icc.SRGB
    if primaries is None:
        return None
    if _like_srgb(primaries):
        if usual:
            return None
        primaries = icc.SRGB
    try:
        return icc.rgb_profile(name, primaries, curve)
    except ValueError:
        # Impossible primaries: the gamma still holds.
        return None if usual else icc.rgb_profile(name, icc.SRGB, curve)


def _primaries(chromaticity: tuple[float, ...]) -> icc.Primaries | None:
    """From a cHRM chunk, which begins with white (11.3.2.1)."""
    white, red, green, blue = zip(chromaticity[::2], chromaticity[1::2], strict=True)
    return icc.Primaries(red, green, blue, white)


def _like_srgb(primaries: icc.Primaries) -> bool:
    return all(
        abs(one - other) < 0.002
        for point, known in zip(primaries, icc.SRGB, strict=True)
        for one, other in zip(point, known, strict=True)
    )


# 16 bits


def _sequential(data: bytes) -> NDArray[Any]:
    import imagecodecs

    array: NDArray[Any] = imagecodecs.png_decode(data)
    return array


def _interlaced(data: bytes) -> NDArray[Any]:
    """Seven small pictures put together (Adam7; 8.2): libpng would reject a single one."""
    import imagecodecs
    import numpy as np

    (_, header), *chunks = png.chunks(data)
    width, height = struct.unpack_from(">II", header)
    key = b"".join(png.chunk(kind, data) for kind, data in chunks if kind == b"tRNS")
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    pixel_bytes = 2 * _CHANNELS[header[9]]
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
            png.SIGNATURE
            + png.chunk(b"IHDR", still)
            + key
            + png.chunk(b"IDAT", zlib.compress(scanlines, 0))
            + png.chunk(b"IEND", b"")
        )
        if out is None:
            out = np.empty((height, width, part.shape[2]), np.uint16)
        out[top::down, left::across] = part
    if out is None:
        raise ValueError("it has no pixels")
    return out


# Animations


def _animation(image: Image.Image, data: bytes) -> Animation | None:
    from imgbatch.imaging.series import apng, frames

    found = apng.read(data)
    if found is None or not found.found:
        return None
    size = image.size

    def composed() -> Iterator[frames.Frame]:
        patches = (
            frames.Patch(
                frame.at,
                partial(CODEC.open, BytesIO(frame.png)),
                frame.duration,
                frame.disposal,
                over=frame.over,
            )
            for frame in found
        )
        kept = image.mode in ("1", "L", "RGB") and "transparency" not in image.info
        kept = kept and all(one.control[6] != frames.CLEAR for one in found.found[:-1])
        grey = image.mode in ("1", "L", "LA", "I;16")
        return frames.composed(size, patches, grey=grey, kept=kept)

    def whole() -> Image.Image:
        still = CODEC.open(BytesIO(next(iter(found)).png))
        still.load()
        return still

    largest = max(one.control[0] * one.control[1] for one in found.found)
    return frames.Animation(
        len(found.found),
        found.plays,
        composed,
        found.complete,
        found.still_beside,
        whole,
        frames.working_bytes(size, largest, len(data)),
    )


def _frames(
    images: Sequence[Image.Image], durations: Sequence[float], options: Options
) -> Iterator[apng.Frame]:
    """Each of the images as far as it differs from the one before; equal ones become one frame."""
    from imgbatch.imaging.series import apng

    bare = {key: value for key, value in options.items() if key in ("compress_level", "bits")}
    before, pending = None, None
    for image, duration in zip(images, durations, strict=True):
        box: tuple[int, int, int, int] | None = (0, 0, *image.size)
        if before is not None:
            box = ImageChops.difference(image, before).getbbox(alpha_only=False)
        if box is None and pending is not None:
            pending = pending._replace(duration=pending.duration + duration)
            continue
        if pending is not None:
            yield pending
        buffer = BytesIO()
        image.crop(box).save(buffer, Png.pillow, **(bare if before is not None else options))
        pending = apng.Frame(box[:2] if box else (0, 0), buffer.getvalue(), duration)
        before = image
    if pending is not None:
        yield pending


# Metadata


def _is_xmp(payload: bytes) -> bool:
    return payload.startswith(jpeg.XMP)


def _photoshop(image: Image.Image) -> bytes:
    """Photoshop's image resources, or bare records of IPTC; empty if there are none."""
    raw = _raw_profile(image, "iptc") or _raw_profile(image, "8bim") or b""
    return raw.removeprefix(iptc.PHOTOSHOP)


def _raw_profile(image: Image.Image, kind: str) -> bytes | None:
    """A block in hexadecimal digits, after its name and length: ImageMagick's way in a PNG."""
    text: Any = image.info.get(_RAW_PROFILE + kind)
    if not isinstance(text, str):
        return None
    parts = text.split(None, 2)
    try:
        return bytes.fromhex(parts[2]) if len(parts) == 3 and parts[1].isdigit() else None
    except ValueError:
        return None


def _written_profile(kind: str, block: bytes) -> str:
    digits = block.hex()
    lines = [digits[at : at + _HEX_LINE] for at in range(0, len(digits), _HEX_LINE)]
    return "\n".join(("", kind, f"{len(block):8}", *lines, ""))


def _add_text(info: PngInfo, keyword: str, text: str) -> None:
    """As in the PNG specification: in Latin-1 if that is enough, otherwise in UTF-8."""
    try:
        if 0 < len(keyword.encode("latin-1")) <= _KEYWORD_BYTES:
            text.encode("latin-1")
            info.add_text(keyword, text)
    except UnicodeError:
        info.add_itxt(keyword, text)


CODEC: Final = Png()
