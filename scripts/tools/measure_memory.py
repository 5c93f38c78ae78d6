"""scripts/tool measure_memory [MEGAPIXELS [WORD ...]]: peaks of memory against their estimates.

Prints, for cases with one of the WORDs in their names, bytes per pixel as measured and as estimated
by imgbatch, for decoding and for operations and encoding, including the decoded picture. Exits with
1 if a peak exceeds its estimate, or if the estimate for 1 MP or more exceeds 2.5 times the peak
plus 5 MB. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import struct
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image

from imgbatch.imaging import formats
from imgbatch.imaging.codecs import libjxl
from imgbatch.imaging.decode import Demand, decode
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.encode import encode
from imgbatch.imaging.picture import Picture, stored_bytes
from imgbatch.operations import names
from imgbatch.recipes.recipe import Recipe

Make = Callable[[Image.Image], bytes]
Scenes = tuple[Image.Image, Image.Image]

MOST_TIMES = 2.5
FEW_BYTES = 5_000_000
"""The estimate's allowance for buffers, plus 1 MB."""


def saved(kind: str, mode: str = "RGB", **options: Any) -> Make:
    def make(image: Image.Image) -> bytes:
        buffer = BytesIO()
        in_mode(image, mode).save(buffer, kind, **options)
        return buffer.getvalue()

    return make


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "P":
        return image.quantize(64, Image.Quantize.FASTOCTREE)
    if mode == "I;16":
        return Image.fromarray(in_16_bits(image.convert("L")))
    converted = image.convert(mode)
    if mode in ("LA", "RGBA"):
        converted.putalpha(image.getchannel("G"))
    return converted


def icon(image: Image.Image) -> bytes:
    inside = bytearray(saved("DIB", "RGBA")(image) + bytes(image.width * image.height // 8))
    struct.pack_into("<i", inside, 8, image.height * 2)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inside), 22) + inside


def deep(image: Image.Image, mode: str = "RGB") -> np.ndarray[Any, np.dtype[np.uint16]]:
    return in_16_bits(in_mode(image, mode))


def in_16_bits(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """With noise in the lower byte, as from a camera."""
    levels = np.asarray(image).astype(np.uint16) << 8
    return (levels + np.random.default_rng(2).integers(0, 256, levels.shape)).astype(np.uint16)


def deep_tiff(mode: str = "RGB", kind: str = "uint16", **options: Any) -> Make:
    def make(image: Image.Image) -> bytes:
        array = deep(image, mode)
        levels = array if kind == "uint16" else (array / 65_535).astype(kind)
        if options.get("planarconfig"):
            levels = np.moveaxis(levels, 2, 0)
        if options.get("rowsperstrip"):
            options["rowsperstrip"] = image.height
        if mode == "RGBA":
            options.setdefault("extrasamples", ["unassalpha"])
        file = BytesIO()
        tifffile.imwrite(file, levels, photometric="rgb", metadata=None, **options)
        return file.getvalue()

    return make


def deep_png(mode: str) -> Make:
    return lambda image: bytes(imagecodecs.png_encode(deep(image, mode), 1))


def deep_jpeg2000(image: Image.Image) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(deep(image), level=60))


def deep_avif(mode: str = "RGB") -> Make:
    return lambda image: bytes(
        imagecodecs.avif_encode(deep(image, mode) >> 6, level=80, bitspersample=10, speed=10)
    )


def deep_ppm(image: Image.Image) -> bytes:
    return b"P6 %d %d 65535 " % image.size + deep(image).astype(">u2").tobytes()


def deep_heic(image: Image.Image) -> bytes:
    file = BytesIO()
    pillow_heif.encode("RGB;16", image.size, deep(image).tobytes(), file, enc_params=QUICK)
    return file.getvalue()


def heic(mode: str = "RGB", **options: Any) -> Make:
    pillow_heif.register_heif_opener()
    return saved("HEIF", mode, enc_params=dict(QUICK), **options)


def jxl(mode: str = "RGB", **options: Any) -> Make:
    formats.codec(formats.BY_NAME["jxl"])
    return saved("JXL", mode, effort=1, **options)


def held_jpeg(image: Image.Image) -> bytes:
    return libjxl.recompressed(saved("JPEG")(image), 1) or b""


def deep_jxl(image: Image.Image) -> bytes:
    return libjxl.encoded([libjxl.Frame(deep(image), 0)], libjxl.Wanted(1, 1))


def inks_with_alpha(image: Image.Image) -> bytes:
    file = BytesIO()
    levels = np.dstack([np.asarray(image.convert("CMYK")), np.asarray(image.convert("L"))])
    tifffile.imwrite(
        file, levels, photometric="separated", extrasamples=[2], compression="zlib", metadata=None
    )
    return file.getvalue()


def lab(image: Image.Image) -> bytes:
    file = BytesIO()
    tifffile.imwrite(file, deep(image), photometric="icclab", compression="zlib", metadata=None)
    return file.getvalue()


def raw(orientation: int, *, linear: bool = False) -> Make:
    def make(image: Image.Image) -> bytes:
        file = BytesIO()
        pattern = [
            (0x828D, 3, 2, (2, 2), True),
            (0x828E, 1, 4, bytes((0, 1, 1, 2)), True),
        ]
        tags = [
            (0x0112, 3, 1, orientation, True),
            *([] if linear else pattern),
            (0xC612, 1, 4, bytes((1, 4, 0, 0)), True),
            (0xC621, 10, 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
            (0xC628, 5, 3, (1, 1, 1, 1, 1, 1), True),
        ]
        samples = deep(image, "RGB" if linear else "L")
        photometric = 34_892 if linear else 32_803
        tifffile.imwrite(file, samples, photometric=photometric, metadata=None, extratags=tags)
        return file.getvalue()

    return make


def plain_ppm(image: Image.Image) -> bytes:
    return b"P3 %d %d 255 " % image.size + " ".join(map(str, np.asarray(image).ravel())).encode()


QUICK = {"preset": "ultrafast"}
UPSIDE_DOWN = Image.Exif()
UPSIDE_DOWN[0x0112] = 3
LZW = {"compression": "tiff_lzw"}
FILES: dict[str, tuple[Make, int]] = {
    # A name, how to make the file, and the scale to decode it at.
    **{f"jpeg 1/{n}": (saved("JPEG"), n) for n in (1, 2, 4, 8)},
    **{f"jpeg progressive 1/{n}": (saved("JPEG", progressive=True), n) for n in (1, 8)},
    "jpeg progressive 4:4:4": (saved("JPEG", progressive=True, subsampling=0), 2),
    "jpeg grey": (saved("JPEG", "L"), 1),
    "jpeg cmyk progressive": (saved("JPEG", "CMYK", progressive=True), 1),
    **{f"png {m}": (saved("PNG", m, compress_level=1), 1) for m in ("1", "P", "L", "RGB", "RGBA")},
    "png I;16": (saved("PNG", "I;16", compress_level=1), 1),
    "png L keyed": (saved("PNG", "L", compress_level=1, transparency=9), 1),
    "png RGB keyed": (saved("PNG", compress_level=1, transparency=(1, 2, 3)), 1),
    "png I;16 keyed": (saved("PNG", "I;16", compress_level=1, transparency=257), 1),
    "webp lossy": (saved("WEBP", method=0), 1),
    "webp lossless": (saved("WEBP", "RGBA", lossless=True, quality=0, method=0), 1),
    "avif": (saved("AVIF", speed=10), 1),
    "avif 4:4:4 alpha": (saved("AVIF", "RGBA", speed=10, subsampling="4:4:4"), 1),
    "avif grey": (saved("AVIF", "L", speed=10), 1),
    "tiff": (saved("TIFF"), 1),
    "tiff turned": (saved("TIFF", exif=UPSIDE_DOWN), 1),
    "tiff lzw": (saved("TIFF", **LZW), 1),
    "tiff lzw turned": (saved("TIFF", exif=UPSIDE_DOWN, **LZW), 1),
    "tiff lzw one strip": (saved("TIFF", strip_size=2**31 - 1, **LZW), 1),
    "tiff jpeg": (saved("TIFF", "YCbCr", compression="jpeg"), 1),
    "tiff jpeg one strip": (saved("TIFF", "YCbCr", compression="jpeg", strip_size=2**31 - 1), 1),
    **{f"tiff {m}": (saved("TIFF", m), 1) for m in ("F", "I", "CMYK", "YCbCr")},
    "gif": (saved("GIF", "P"), 1),
    "bmp": (saved("BMP"), 1),
    "jpeg2000": (saved("JPEG2000"), 1),
    "jpeg2000 alpha": (saved("JPEG2000", "RGBA"), 1),
    "ppm": (saved("PPM"), 1),
    "ppm 16 bits": (saved("PPM", "I;16"), 1),
    "ppm plain": (plain_ppm, 1),
    "qoi": (saved("QOI"), 1),
    "tga": (saved("TGA"), 1),
    "ico": (icon, 1),
    **{f"deep png {m}": (deep_png(m), 1) for m in ("LA", "RGB", "RGBA")},
    "deep tiff": (deep_tiff(), 1),
    "deep tiff RGBA": (deep_tiff("RGBA"), 1),
    "deep tiff premultiplied": (deep_tiff("RGBA", extrasamples=["assocalpha"]), 1),
    "deep tiff planes": (deep_tiff(planarconfig="separate"), 1),
    "deep tiff turned": (deep_tiff(extratags=[(0x0112, 3, 1, 3, True)]), 1),
    "deep tiff lzw": (deep_tiff(compression="lzw"), 1),
    "deep tiff lzw one strip": (deep_tiff(compression="lzw", rowsperstrip=1), 1),
    "deep tiff tiles": (deep_tiff(compression="zlib", tile=(256, 256)), 1),
    "deep tiff 32-bit": (deep_tiff(kind="float32"), 1),
    "deep tiff 64-bit": (deep_tiff(kind="float64"), 1),
    "deep jpeg2000": (deep_jpeg2000, 1),
    **{f"deep avif {m}": (deep_avif(m), 1) for m in ("RGB", "RGBA")},
    "deep ppm": (deep_ppm, 1),
    "deep heic": (deep_heic, 1),
    **{f"heic {m}": (heic(m), 1) for m in ("L", "RGB", "RGBA")},
    "heic 4:4:4": (heic(chroma=444), 1),
    "heic cells": (heic(tile_size=512), 1),
    **{f"jxl {m}": (jxl(m, distance=1), 1) for m in ("L", "RGB", "RGBA", "I;16")},
    "jxl lossless": (jxl(), 1),
    "jxl jpeg": (held_jpeg, 1),
    "deep jxl": (deep_jxl, 1),
    **{f"raw 1/{scale}": (raw(1), scale) for scale in (1, 2)},
    "raw turned": (raw(6), 1),
    **{f"raw linear 1/{scale}": (raw(1, linear=True), scale) for scale in (1, 2)},
    "tiff inks with alpha": (inks_with_alpha, 1),
    "deep tiff Lab": (lab, 1),
}
DEEP = ("LA;16", "RGB;16", "RGBA;16")
PIXELS = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")
FILTERS = ("brightness", "sepia", "saturation", "sharpen", "blur", "grayscale", "autocontrast")
MOVES, GREYS = ("flip", "border", "smart-crop"), ("L", "LA", "I;16")
WORK: dict[str, tuple[dict[str, Any], str]] = {
    # A name, the settings of the recipe, and the mode of the decoded picture.
    **{f"{f} {m}": ({"filters": [f], "format": "tga"}, m) for f in FILTERS for m in PIXELS},
    **{f"{f} to tiff {m}": ({"filters": [f], "format": "tiff"}, m) for f in MOVES for m in GREYS},
    **{f"to sRGB {m}": ({"profile": "srgb", "format": "tga"}, m) for m in ("RGB", "CMYK")},
    **{f"to {f} {m}": ({"format": f}, m) for f in ("jpeg", "png", "webp", "tiff") for m in PIXELS},
    **{f"to {f} RGB": ({"format": f}, "RGB") for f in ("avif", "gif", "bmp", "jpeg2000", "qoi")},
    **{f"to {f} RGBA": ({"format": f}, "RGBA") for f in ("avif", "gif", "jpeg2000")},
    **{f"half {m}": ({"sizes": ["50%"], "format": "jpeg"}, m) for m in PIXELS},
    **{f"to jxl {m}": ({"format": "jxl"}, m) for m in (*PIXELS, "RGB;16", "RGBA;16")},
    "to jxl lossless": ({"format": "jxl", "lossless": True}, "RGB"),
    "to jxl lossless RGBA": ({"format": "jxl", "lossless": True}, "RGBA"),
    "to jxl lossless RGB;16": ({"format": "jxl", "lossless": True}, "RGB;16"),
    **{f"to heif {m}": ({"format": "heif"}, m) for m in ("L", "RGB", "RGBA", "RGB;16", "RGBA;16")},
    **{f"to {f} {m}": ({"format": f}, m) for f in ("jpeg", "png", "tiff", "gif") for m in DEEP},
    **{f"half {m}": ({"sizes": ["50%"], "format": "png"}, m) for m in DEEP},
    **{f"{f} {m}": ({"filters": [f], "format": "tga"}, m) for f in FILTERS for m in DEEP},
    "double": ({"sizes": ["200%"], "enlarge": True, "format": "jpeg"}, "RGB"),
    "padded": ({"sizes": ["2000x2000"], "fit": "pad", "format": "jpeg"}, "RGB"),
    "mitchell": ({"sizes": ["50%"], "kernel": "mitchell", "format": "jpeg"}, "I;16"),
    "four sizes": ({"sizes": ["50%", "25%", "12%", "6%"], "format": "png"}, "RGB"),
}


def scene(megapixels: float) -> Image.Image:
    """Soft colours with a little noise, 3:2, like a photograph."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5) // 16 * 16
    size = height * 3 // 2, height
    random = np.random.default_rng(1)
    soft = Image.fromarray(random.integers(0, 256, (24, 36, 3), dtype=np.uint8)).resize(size)
    noise = random.integers(-4, 5, (size[1], size[0], 1), dtype=np.int16)
    return Image.fromarray(np.clip(np.asarray(soft) + noise, 0, 255).astype(np.uint8))


def decoding(name: str, scenes: Scenes) -> tuple[int, int]:
    """The peak and the estimate of decoding, in bytes."""
    make, scale = FILES[name]
    demands: list[Demand] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "photo.dng" if name.startswith("raw") else "photo.tga")
        for image in scenes:
            path.write_bytes(make(image))
            before = reset_peak()
            decode(
                str(path), lambda size: (size[0] // scale, size[1] // scale), admit=demands.append
            )
    return status("VmHWM") - before, demands[-1].bytes


def working(name: str, scenes: Scenes) -> tuple[int, int]:
    """The peak and the estimate of operations and encoding, with the decoded picture, in bytes."""
    words, mode = WORK[name]
    recipe = Recipe.from_options(**words)
    for image in scenes:
        decoded = Picture.of(in_mode(image, mode.removesuffix(";16") if mode in DEEP else mode))
        if mode in DEEP:
            decoded = decoded.with_pixels(Deep(deep(image, mode.removesuffix(";16"))))
        # What is left of the small one does not count either.
        picture, files = decoded, []
        before = reset_peak()
        for output in recipe.outputs:
            picture = decoded
            for operation in output.operations:
                picture = operation.apply(picture)
            files.append(encode(picture, output.encoding))
    size, pixels = decoded.size, decoded.size[0] * decoded.size[1]
    held = stored_bytes(mode) * pixels
    peak = status("VmHWM") - before + held
    return peak, recipe.working_bytes(size, size, "jpeg", mode=mode) + held


def reset_peak() -> int:
    gc.collect()
    # Memory left over from importing modules would be reused unseen. (Only glibc gives it back.)
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megapixels", nargs="?", type=float, default=12, metavar="MEGAPIXELS")
    parser.add_argument("words", nargs="*", metavar="WORD")
    options = parser.parse_args()
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        # So that the C library returns freed memory at once.
        os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
        os.execv(sys.executable, sys.orig_argv)
    return measured(options.megapixels, options.words)


def preload() -> None:
    """Load what most measurements need, so that not each of their processes has to.

    But run no codec: threads that it had started would be missing after a fork.
    """
    Image.init()
    names()
    # Then the collections between measurements have little to look at.
    gc.collect()
    gc.freeze()


def measured(megapixels: float, words: list[str]) -> int:
    """Print the measurements; return 1 if a peak is higher than its estimate."""
    missed = False
    preload()
    # A small one first, so that one-time work is not measured. Smaller PNGs are left to Pillow.
    small, larger, large = scene(0.01), scene(0.3), scene(megapixels)
    for measure, table in ((decoding, FILES), (working, WORK)):
        for name in table:
            if words and not any(word in name for word in words):
                continue
            scenes = larger if name.startswith("png") else small, large
            # A process each, so that nothing one leaves behind serves the next.
            if (child := os.fork()) == 0:
                peak, estimate = (one / megapixels / 1e6 for one in measure(name, scenes))
                what = f"{measure.__name__:9} {name:24}"
                # A few hundred kilobytes may not show at all.
                ratio = estimate / max(peak, 0.01)
                print(f"{what} {peak:7.2f} {estimate:7.2f} {ratio:6.2f} x", flush=True)
                most = MOST_TIMES * peak + FEW_BYTES / megapixels / 1e6
                os._exit(peak > estimate or (megapixels >= 1 and estimate > most))
            missed |= os.waitpid(child, 0)[1] != 0
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
