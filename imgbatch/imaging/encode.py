"""From a Picture to the bytes of a file, with everything the format can hold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Final

from PIL import Image

from imgbatch.errors import PictureError
from imgbatch.imaging import colour, formats, metadata
from imgbatch.imaging.formats import Format
from imgbatch.imaging.picture import Metadata, Picture
from imgbatch.model import Encoding, Notice, Size

# JPEG's segments hold 65,533 bytes, and EXIF and XMP have one each (Exif 2.32, 4.7.2).
_JPEG_SEGMENT: Final = 65_533
_XMP_OVERHEAD: Final = 29
_TIFF_XMP: Final = 0x02BC

Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished file in memory."""

    data: bytes
    format: Format
    size: Size
    notices: tuple[Notice, ...]


def encode(picture: Picture, encoding: Encoding) -> Encoded:
    """Encode as `encoding` says; its notices are those of the picture and of this step.

    Raises PictureError in the stage "encode".
    """
    row = formats.BY_NAME[encoding.format or picture.format]
    formats.load_plugin(row)
    if not formats.available(row):
        raise PictureError(
            "encode", "no-codec", f"this installation's Pillow was built without {row.label}"
        )
    size = picture.image.size
    if max(size) > row.max_side:
        raise PictureError(
            "encode",
            "too-large",
            f"{size[0]} x {size[1]} pixels do not fit into {row.label} "
            f"(at most {row.max_side} a side): give a smaller --size or another --format",
        )
    picture = _fitted(picture, row, encoding)
    kept, notices = metadata.select(picture.metadata, encoding.metadata, size)
    kept, more = _held(kept, row)
    try:
        options = _OPTIONS[row.name](picture, encoding.quality or row.quality, kept)
        buffer = BytesIO()
        with warnings.catch_warnings():
            # Pillow looks into EXIF here and there, and warns of what is odd in it.
            warnings.simplefilter("ignore", UserWarning)
            _bare(picture.image).save(buffer, row.pillow, **options)
            data = buffer.getvalue()
            if row.name == "tiff" and kept.exif:
                data, lost = _with_exif(data, kept.exif)
                more += lost
    except MemoryError as error:
        raise PictureError("encode", "memory", "not enough memory to encode it") from error
    except Exception as error:
        # Encoders raise OSError, ValueError, SystemError and more; all mean this one file.
        raise PictureError("encode", "encoder", f"{row.label} encoder: {error}") from error
    return Encoded(data, row, size, picture.notices + notices + more)


def _with_exif(tiff: bytes, block: bytes) -> tuple[bytes, tuple[Notice, ...]]:
    try:
        return metadata.add_to_tiff(tiff, block), ()
    except Exception as error:
        # Pillow writes tags anew, and fails in many ways on values of another type than usual.
        message = f"EXIF cannot be written into a TIFF and was dropped: {error}"
        return tiff, (Notice("metadata-dropped", message),)


def _bare(image: Image.Image) -> Image.Image:
    """Pixels alone: Pillow would also save what it still knows of the file they came from."""
    bare = image if type(image) is Image.Image else image.copy()
    bare.info = {}
    return bare


def _fitted(picture: Picture, row: Format, encoding: Encoding) -> Picture:
    """In a mode that the format can hold, and with a profile only if it can hold that."""
    if picture.image.mode == "I;16" and "I;16" not in row.modes:
        picture = picture.with_pixels(colour.to_8_bit(picture.image)).with_notice(
            "depth-reduced", f"{row.label} holds 8 bits a channel: 16-bit grey was reduced"
        )
    if picture.image.mode == "CMYK" and "CMYK" not in row.modes:
        picture = colour.to_srgb(picture)
    if picture.icc is not None and "icc" not in row.holds:
        # Without its profile the picture would look different: say the same in sRGB.
        picture = colour.to_srgb(picture)
    if picture.has_alpha and not row.alpha:
        picture = colour.flatten(picture, encoding.background)
    if picture.image.mode not in row.modes:
        # Grey into a format of colours alone; a grey profile would not fit what comes out.
        if picture.icc is not None:
            return colour.convert(picture, colour.srgb_profile())
        return picture.with_pixels(picture.image.convert("RGBA" if picture.has_alpha else "RGB"))
    return picture


def _held(kept: Metadata, row: Format) -> tuple[Metadata, tuple[Notice, ...]]:
    """The metadata that fit into the format, and a warning for those that do not."""
    lost = []
    if kept.exif and ("exif" not in row.holds or _too_long(kept.exif, 6, row)):
        lost.append("EXIF")
        kept = replace(kept, exif=None)
    if kept.xmp and ("xmp" not in row.holds or _too_long(kept.xmp, _XMP_OVERHEAD, row)):
        lost.append("XMP")
        kept = replace(kept, xmp=None)
    if "dpi" not in row.holds:
        kept = replace(kept, dpi=None)
    if not lost:
        return kept, ()
    message = f"{' and '.join(lost)} cannot be held by {row.label} and {_were(lost)} dropped"
    return kept, (Notice("metadata-dropped", message),)


def _were(lost: list[str]) -> str:
    return "was" if len(lost) == 1 else "were"


def _too_long(block: bytes, overhead: int, row: Format) -> bool:
    return row.name == "jpeg" and len(block) + overhead > _JPEG_SEGMENT


def _jpeg(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    # 4:2:0 as cameras and browsers use it; whole colour where somebody asks for that quality.
    options: Options = {"quality": quality, "subsampling": 0 if (quality or 0) >= 90 else 2}
    if kept.dpi:
        options["dpi"] = (round(kept.dpi[0]), round(kept.dpi[1]))
    if kept.exif:
        options["exif"] = b"Exif\0\0" + kept.exif
    return options | _profile(picture) | _xmp(kept)


def _png(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    from PIL.PngImagePlugin import PngInfo

    options: Options = {"compress_level": 6}
    if kept.dpi:
        options["dpi"] = kept.dpi
    if kept.exif:
        options["exif"] = kept.exif
    if kept.xmp:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", kept.xmp.decode("utf-8", "replace"))
    return options | _profile(picture)


def _webp(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    options: Options = {"quality": quality, "method": 4}
    if kept.exif:
        options["exif"] = kept.exif
    return options | _profile(picture) | _xmp(kept)


def _avif(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    # One thread: the workers already share the processors between them.
    options: Options = {"quality": quality, "speed": 8, "max_threads": 1}
    if kept.exif:
        # Pillow would take orientation out itself and write the whole block anew for that.
        options["exif"] = metadata.without_orientation(kept.exif)
    return options | _profile(picture) | _xmp(kept)


def _tiff(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    # EXIF is added afterwards: libtiff, which compresses, cannot write its directories.
    options: Options = {"compression": "tiff_adobe_deflate"}
    if kept.xmp:
        options["tiffinfo"] = {_TIFF_XMP: kept.xmp}
    if kept.dpi:
        options["dpi"] = kept.dpi
    return options | _profile(picture)


def _jpeg2000(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    quality = quality or 85
    if quality == 100:
        return {"irreversible": False}
    # OpenJPEG's measure is the PSNR in dB; 85 gives 45.5 dB, as JPEG does at 85 or so.
    return {"irreversible": True, "quality_mode": "dB", "quality_layers": [20 + 0.3 * quality]}


def _bmp(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    return {"dpi": kept.dpi} if kept.dpi else {}


def _ico(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    return {"sizes": [picture.image.size]}


def _plain(picture: Picture, quality: int | None, kept: Metadata) -> Options:
    return {}


def _profile(picture: Picture) -> Options:
    return {"icc_profile": picture.icc} if picture.icc else {}


def _xmp(kept: Metadata) -> Options:
    return {"xmp": kept.xmp} if kept.xmp else {}


_OPTIONS: Final[dict[str, Callable[[Picture, int | None, Metadata], Options]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "tiff": _tiff,
    "gif": _plain,
    "bmp": _bmp,
    "jpeg2000": _jpeg2000,
    "ppm": _plain,
    "qoi": _plain,
    "ico": _ico,
    "tga": _plain,
}
