"""The settings of an Encoding as Pillow's arguments for each format's encoder.

Only what concerns pixels; `encode` adds what travels with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imgbatch.imaging.formats import Format
from imgbatch.imaging.picture import Picture
from imgbatch.model import Encoding

Options = dict[str, Any]
"""Keyword arguments of Pillow's `save`."""

_SUBSAMPLING: Final = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
_FINE_QUALITY: Final = 90
_OPTIMISED_EFFORT: Final = 6

# By effort, 1 to 10. Slower ones save a few percent; the two fastest make files a third larger.
_X265_PRESETS: Final = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_X265_EFFORT: Final = 3

_TIFF_COMPRESSION: Final = {
    "none": None,
    "packbits": "packbits",
    "lzw": "tiff_lzw",
    "deflate": "tiff_adobe_deflate",
    "zstd": "zstd",
}
_JPEG_MODES: Final = frozenset({"L", "RGB", "CMYK"})


def options(picture: Picture, row: Format, encoding: Encoding) -> Options:
    """The arguments for one picture, whose pixels the format can hold."""
    words = _OPTIONS.get(row.name)
    return words(picture, encoding, encoding.quality or row.quality) if words else {}


def _jpeg(picture: Picture, encoding: Encoding, quality: int | None) -> Options:
    # 4:2:0 as cameras and browsers use it; full chroma if somebody asks for that quality.
    wanted: Options = {
        "quality": quality,
        "subsampling": 0 if (quality or 0) >= _FINE_QUALITY else 2,
    }
    coding = picture.coding
    if encoding.quality is None and coding is not None and coding.tables:
        # Pixels that were not resampled lose least in the steps to which they were rounded before.
        wanted = {"qtables": [list(table) for table in coding.tables]}
        wanted["subsampling"] = coding.subsampling if coding.subsampling >= 0 else 2
        wanted["progressive"] = coding.progressive
    if encoding.subsampling:
        wanted["subsampling"] = _SUBSAMPLING[encoding.subsampling]
    if encoding.progressive:
        wanted["progressive"] = True
    if (encoding.effort or 0) >= _OPTIMISED_EFFORT:
        wanted["optimize"] = True
    return wanted


def _png(picture: Picture, encoding: Encoding, quality: int | None) -> Options:
    return {"compress_level": 6 if encoding.effort is None else min(9, encoding.effort)}


def _webp(picture: Picture, encoding: Encoding, quality: int | None) -> Options:
    wanted: Options = {"method": 4}
    if encoding.effort is not None:
        wanted["method"] = round((encoding.effort - 1) * 6 / 9)
    if encoding.lossless:
        # In this case quality is effort to libwebp; exact keeps hidden colours.
        return wanted | {"lossless": True, "quality": 75, "exact": True}
    return wanted | {"quality": quality}


def _avif(picture: Picture, encoding: Encoding, quality: int | None) -> Options:
    # One thread: the workers already share the processors between them.
    wanted: Options = {"quality": quality, "speed": 8, "max_threads": 1}
    if encoding.effort is not None:
        wanted["speed"] = 11 - encoding.effort
    if encoding.subsampling:
        wanted["subsampling"] = encoding.subsampling
    return wanted


def _heif(picture: Picture, encoding: Encoding, quality: int | None) -> Options:
    preset = _X265_PRESETS[(encoding.effort or _X265_EFFORT) - 1]
    # One thread, as above; there is no other limit to what x265 takes for itself.
    wanted: Options = {
        "quality": quality,
        "enc_params": {"preset": preset, "x265:pools": "none", "x265:frame-threads": "1"},
    }
    if encoding.lossless:
        # -1 is its code for lossless; the colours must not be converted (H.273, 0).
        return wanted | {"quality": -1, "chroma": "444", "matrix_coefficients": 0}
    if encoding.subsampling:
        wanted["chroma"] = encoding.subsampling.replace(":", "")
    return wanted


def _tiff(picture: Picture, encoding: Encoding, quality: int | None) -> Options:
    wanted = encoding.compression or "deflate"
    if picture.mode == "1" and encoding.compression in (None, "jpeg"):
        return {"compression": "group4"}
    if wanted == "jpeg" and picture.mode in _JPEG_MODES:
        return {"compression": "jpeg", "quality": quality or 85}
    # JPEG has neither alpha nor 16 bits.
    return {"compression": _TIFF_COMPRESSION["deflate" if wanted == "jpeg" else wanted]}


def _jpeg2000(picture: Picture, encoding: Encoding, quality: int | None) -> Options:
    if encoding.lossless or quality is None or quality == 100:
        return {"irreversible": False}
    # OpenJPEG measures the PSNR in dB; 85 gives 45.5 dB, like JPEG at about 85.
    return {"irreversible": True, "quality_mode": "dB", "quality_layers": [20 + 0.3 * quality]}


def _ico(picture: Picture, encoding: Encoding, quality: int | None) -> Options:
    return {"sizes": [picture.size]}


_OPTIONS: Final[dict[str, Callable[[Picture, Encoding, int | None], Options]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "heif": _heif,
    "tiff": _tiff,
    "jpeg2000": _jpeg2000,
    "ico": _ico,
}
