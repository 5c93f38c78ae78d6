"""Small valid files of every format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from typing import Any, Final

import numpy as np
from PIL import Image, features

from imgbatch.imaging import formats
from imgbatch.model import Encoding
from toolkit import properties
from toolkit.containers import PNG, Part
from toolkit.pictures import (
    Order,
    cmyk_profile,
    exif_block,
    grey_profile,
    saved,
    scene,
    wide_gamut_profile,
    with_metadata,
    with_segments,
    xmp_packet,
)


@dataclass(frozen=True, slots=True)
class Specimen:
    """A whole file, with a name that ends in the suffix of its format."""

    name: str
    data: bytes

    @property
    def suffix(self) -> str:
        return self.name[self.name.rindex(".") :]


def specimens() -> list[Specimen]:
    """At least one file of every format that this Pillow can write, in its many kinds."""
    makers: list[Callable[[], Iterator[Specimen]]] = [_jpeg, _png, _tiff, _simple, _ico]
    makers += [_webp] if features.check("webp") else []
    makers += [_avif] if features.check("avif") else []
    makers += [_jpeg2000] if features.check("jpg_2000") else []
    makers += [_heif] if find_spec("pillow_heif") else []
    makers += [_jxl] if find_spec("imagecodecs") else []
    makers += [_raw] if find_spec("rawpy") and find_spec("tifffile") else []
    return [specimen for make in makers for specimen in make()]


def _everything(format_name: str, order: Order = "<", orientation: int = 6) -> bytes:
    """A file with EXIF, a position, a thumbnail, XMP, a profile and a resolution."""
    block = exif_block(order, orientation=orientation).block
    packet = xmp_packet(orientation=3, gps="attributes", thumbnail=True)
    return with_metadata(
        _rgb(), format_name, exif=block, xmp=packet, icc=wide_gamut_profile(), dpi=(300, 300)
    )


def _rgb() -> Image.Image:
    return Image.fromarray(scene(72, 48))


def _rgba() -> Image.Image:
    picture = _rgb().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def _wide() -> Image.Image:
    return Image.fromarray(scene(72, 48)[..., 0].astype(np.uint16) * 257)


def _frames(mode: str = "RGB") -> dict[str, Any]:
    others = [_rgb().rotate(angle).convert(mode) for angle in (90, 180)]
    return {"save_all": True, "append_images": others}


def _jpeg() -> Iterator[Specimen]:
    block = exif_block(">", orientation=8).block
    yield Specimen("plain.jpg", saved(scene(300, 200), "JPEG", quality=60))
    yield Specimen("everything.jpg", _everything("JPEG"))
    yield Specimen("grey.jpg", saved(_rgb().convert("L"), "JPEG", icc_profile=grey_profile()))
    yield Specimen("cmyk.jpg", saved(_rgb().convert("CMYK"), "JPEG", icc_profile=cmyk_profile()))
    options: dict[str, Any] = {"exif": b"Exif\0\0" + block, "restart_marker_blocks": 2}
    yield Specimen("progressive.jpg", saved(_rgb(), "JPEG", progressive=True, **options))
    yield Specimen("full-chroma.jpg", saved(_rgb(), "JPEG", subsampling=0, optimize=True))
    yield Specimen("two-pictures.mpo", saved(_rgb(), "MPO", exif=b"Exif\0\0" + block, **_frames()))
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x10\x1c\x02\x50\0\x0bAda Licht..\0"
    segments = [(0xFFED, iptc), (0xFFFE, b"a remark"), (0xFFEE, b"Adobe\0d\0\0\0\0\1")]
    yield Specimen("segments.jpg", with_segments(saved(_rgb(), "JPEG"), segments))


def _heif() -> Iterator[Specimen]:
    from pillow_heif import from_pillow

    options = {"exif": exif_block().block, "xmp": xmp_packet(), "quality": 60}
    for name, picture in (("everything.heic", _rgb()), ("alpha.heic", _rgba())):
        file = BytesIO()
        from_pillow(picture).save(file, **options)
        yield Specimen(name, file.getvalue())


def _jxl() -> Iterator[Specimen]:
    formats.codec(formats.BY_NAME["jxl"])
    block, packet = exif_block().block, xmp_packet()
    more: dict[str, Any] = {"icc_profile": wide_gamut_profile(), "exif": block, "xmp": packet}
    yield Specimen("plain.jxl", saved(_rgb(), "JXL", distance=1))
    yield Specimen("everything.jxl", saved(_rgba(), "JXL", **more))
    yield Specimen("deep.jxl", saved(_wide(), "JXL"))
    codec = formats.codec(formats.BY_NAME["jxl"])
    encoding = Encoding("jxl", lossless=True)
    whole = codec.recoded(_everything("JPEG"), formats.BY_NAME["jpeg"], encoding)
    yield Specimen("jpeg.jxl", whole or b"")
    others = [_rgb().rotate(angle) for angle in (0, 90, 180)]
    moving = codec.animated(others, [40, 50, 60], 2, {"distance": 1, "effort": 1}, encoding)
    yield Specimen("moving.jxl", moving)


def _raw() -> Iterator[Specimen]:
    from toolkit.raw import dng

    yield Specimen("camera.dng", dng(previews=(saved(_rgb(), "JPEG"),)))


def _png() -> Iterator[Specimen]:
    few = _rgb().quantize(12)
    yield Specimen("rgb.png", saved(_rgb(), "PNG"))
    yield Specimen("everything.png", _everything("PNG"))
    yield Specimen("alpha.png", saved(_rgba(), "PNG", icc_profile=wide_gamut_profile()))
    yield Specimen("grey-alpha.png", saved(_rgba().convert("LA"), "PNG"))
    yield Specimen("palette.png", saved(few, "PNG", transparency=3, bits=4))
    yield Specimen("one-bit.png", saved(_rgb().convert("1"), "PNG"))
    yield Specimen("deep-grey.png", saved(_wide(), "PNG"))
    yield Specimen("keyed.png", saved(_rgb(), "PNG", transparency=(90, 140, 230)))
    yield Specimen("moving.png", saved(_rgb(), "PNG", duration=50, **_frames()))
    yield Specimen("interlaced.png", _hand_made_png(scene(37, 21), depth=8, interlaced=True))
    deep = scene(37, 21).astype(np.uint16) * 257
    yield Specimen("deep.png", _hand_made_png(deep, depth=16, interlaced=False))
    raw = b"\nexif\n%8d\n%b\n" % (6 + len(_OLD_EXIF), (b"Exif\0\0" + _OLD_EXIF).hex().encode())
    text = Part(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))
    parts = PNG.split(saved(_rgb(), "PNG"))
    yield Specimen("old-exif.png", PNG.join([parts[0], text, *parts[1:]]))


_OLD_EXIF: Final = exif_block(orientation=5).block
_ADAM7: Final = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)),
    *((1, 0, 2, 2), (0, 1, 1, 2)),
)


def _hand_made_png(pixels: Any, *, depth: int, interlaced: bool) -> bytes:
    """RGB in ways that Pillow reads but does not write (ISO 15948, section 8)."""
    height, width = pixels.shape[:2]
    wide = pixels.astype(">u2" if depth == 16 else np.uint8)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(
        b"\0" + row.tobytes() for left, top, dx, dy in passes for row in wide[top::dy, left::dx]
    )
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, interlaced)
    parts = [Part(b"IHDR", header), Part(b"IDAT", zlib.compress(rows)), Part(b"IEND", b"")]
    return PNG.join(parts)


def _webp() -> Iterator[Specimen]:
    yield Specimen("lossy.webp", saved(_rgb(), "WEBP", quality=60))
    yield Specimen("everything.webp", _everything("WEBP"))
    yield Specimen("alpha.webp", saved(_rgba(), "WEBP", quality=60))
    yield Specimen("moving.webp", saved(_rgb(), "WEBP", duration=40, **_frames()))


def _avif() -> Iterator[Specimen]:
    quick: dict[str, Any] = {"speed": 10, "max_threads": 1}
    block = exif_block(orientation=6).block
    parts: dict[str, Any] = {"exif": block, "xmp": xmp_packet(gps="nested")}
    parts["icc_profile"] = wide_gamut_profile()
    yield Specimen("everything.avif", saved(_rgb(), "AVIF", **quick, **parts))
    yield Specimen("alpha.avif", saved(_rgba(), "AVIF", **quick))
    whole = saved(_rgb(), "AVIF", **quick)
    aperture = properties.clap(_rgb().size, (3, 2, 11, 9))
    yield Specimen("cropped.avif", properties.with_properties(whole, (b"clap", aperture)))
    yield Specimen("moving.avif", saved(_rgb(), "AVIF", **quick, duration=40, **_frames()))


def _tiff() -> Iterator[Specimen]:
    yield Specimen("everything.tif", _everything("TIFF"))
    yield Specimen("turned.tif", _everything("TIFF", orientation=8, order=">"))
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        data = saved(_rgb(), "TIFF", compression=name, strip_size=4096)
        yield Specimen(f"{name.replace('_', '-')}.tif", data)
    yield Specimen(
        "predicted.tif", saved(_rgb(), "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    )
    yield Specimen("fax.tif", saved(_rgb().convert("1"), "TIFF", compression="group4"))
    yield Specimen("pages.tif", saved(_rgb(), "TIFF", **_frames()))
    yield Specimen(
        "big.tif", saved(_rgb(), "TIFF", big_tiff=True, icc_profile=wide_gamut_profile())
    )
    yield Specimen("deep.tif", saved(_wide(), "TIFF"))
    yield Specimen("float.tif", saved(_rgb().convert("F"), "TIFF"))
    yield Specimen("integers.tif", saved(_rgb().convert("I"), "TIFF"))
    yield Specimen("palette.tif", saved(_rgb().quantize(200), "TIFF"))
    yield Specimen("alpha.tif", saved(_rgba(), "TIFF", compression="tiff_lzw"))
    cmyk = saved(_rgb().convert("CMYK"), "TIFF", icc_profile=cmyk_profile())
    yield Specimen("cmyk.tif", cmyk)
    yield Specimen("lab.tif", saved(Image.new("LAB", (40, 30), (120, 140, 90)), "TIFF"))


def _jpeg2000() -> Iterator[Specimen]:
    yield Specimen("whole.jp2", saved(_rgb(), "JPEG2000"))
    yield Specimen("stream.j2k", saved(_rgb(), "JPEG2000", no_jp2=True, irreversible=True))
    tiles: dict[str, Any] = {"tile_size": (32, 32), "progression": "RPCL", "num_resolutions": 3}
    yield Specimen("tiles.jp2", saved(_rgba(), "JPEG2000", **tiles))


def _simple() -> Iterator[Specimen]:
    """Formats with a header and little else."""
    few, grey, bits = _rgb().quantize(12), _rgb().convert("L"), _rgb().convert("1")
    yield Specimen("plain.gif", saved(few, "GIF", interlace=0))
    yield Specimen("interlaced.gif", saved(few, "GIF", interlace=1, transparency=2))
    yield Specimen("moving.gif", saved(_rgb(), "GIF", duration=40, loop=0, **_frames()))
    for name, image in (("rgb", _rgb()), ("alpha", _rgba()), ("palette", few), ("bits", bits)):
        yield Specimen(f"{name}.bmp", saved(image, "BMP"))
    yield Specimen("runs.bmp", _run_length_bmp())
    yield Specimen("rgb.ppm", saved(_rgb(), "PPM"))
    yield Specimen("grey.pgm", saved(grey, "PPM"))
    yield Specimen("deep.pgm", saved(_wide(), "PPM"))
    yield Specimen("bits.pbm", saved(bits, "PPM"))
    yield Specimen("float.pfm", saved(grey.convert("F"), "PPM"))
    digits = b" ".join(b"%d" % level for level in scene(12, 9).tobytes())
    yield Specimen("words.ppm", b"P3\n# a remark\n12 9\n255\n" + digits + b"\n")
    yield Specimen("rgb.qoi", saved(_rgb(), "QOI"))
    yield Specimen("alpha.qoi", saved(_rgba(), "QOI"))
    for name, image in (("rgb", _rgb()), ("alpha", _rgba()), ("grey", grey), ("palette", few)):
        yield Specimen(f"{name}.tga", saved(image, "TGA"))
    yield Specimen("runs.tga", saved(_rgb(), "TGA", compression="tga_rle"))


def _run_length_bmp() -> bytes:
    """8 bits with BI_RLE8: 16 x 8 in runs, a literal run, and a jump."""
    line = b"\x06\x01\x00\x04\x01\x02\x03\x04\x06\x02\x00\x00"
    pixels = line * 7 + b"\x00\x02\x04\x00\x0c\x03\x00\x01"
    palette = b"".join(bytes((level, 255 - level, 90, 0)) for level in range(16))
    start = 54 + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, 16, 8, 1, 8, 1, len(pixels), 2835, 2835, 16, 16)
    return head + palette + pixels


def _ico() -> Iterator[Specimen]:
    sizes = [(16, 16), (32, 32), (48, 48)]
    square = _rgba().resize((48, 48))
    yield Specimen("png.ico", saved(square, "ICO", sizes=sizes))
    yield Specimen("bmp.ico", saved(square, "ICO", sizes=sizes, bitmap_format="bmp"))
