"""From a file to a Picture, shrunk while it is decoded where that costs nothing."""

from __future__ import annotations

import errno
import os
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from PIL import Image, UnidentifiedImageError

from imgbatch.errors import PictureError
from imgbatch.imaging import colour, exif, formats, metadata
from imgbatch.imaging.picture import Box, Picture, turned
from imgbatch.model import Notice, Size, Stage

Need = Callable[[Size], Size]
"""From a picture's full upright size to the least size that all outputs can start from."""

MAX_PIXELS: Final = 250_000_000
"""Larger pictures fail before they are decoded: a small file can claim to be huge."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file tells without its pixels: its upright size, when and with what it was taken."""

    size: Size
    date: str | None = None
    camera: str | None = None


def decode(path: str, need: Need, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode the picture in `path`, at least as large as `need` asks.

    It is not turned yet, but knows its orientation; its metadata say that it is upright.
    A JPEG is decoded at 1/2, 1/4 or 1/8 where that is enough (by libjpeg's scaled inverse DCT).
    Raises PictureError in the stage "open" or "decode".
    """
    with _opened(path) as file:
        image, row = _recognised(file, path, max_pixels)
        with _reading("decode"), _pillows_limit(max_pixels // 2 + 1):
            shallow = _lost_depth(image)
            # The size of an image in EXIF's eyes can change with its orientation, so metadata
            # come first; PNG alone may tell them behind the pixels.
            if row.name == "png":
                image.load()
            found, orientation, notices = metadata.read(image)
            full_size = turned(image.size, orientation)
            notices += shallow + _lost_frames(image)
            area = _shrink_on_load(image, turned(need(full_size), orientation))
            icc = image.info.get("icc_profile")
            image.load()
            if row.name == "tiff":
                # Pillow turns TIFFs upright itself, while it loads them.
                full_size, area, orientation = image.size, (0, 0, *image.size), 1
            pixels, more = _in_working_mode(image)
    picture = Picture(
        image=pixels,
        format=row.name,
        full_size=full_size,
        area=area,
        orientation=orientation,
        icc=icc or None,
        metadata=found,
        notices=notices + more,
    )
    return _with_sane_profile(picture, image.mode)


def read_header(path: str) -> Header:
    """Read the upright size, the date of capture and the camera of `path`; decode nothing.

    Raises PictureError in the stage "open".
    """
    with _opened(path) as file:
        image, row = _recognised(file, path, MAX_PIXELS)
        with _reading("open"):
            found, orientation, _ = metadata.read(image)
    # Pillow already gives the upright size of a TIFF.
    size = turned(image.size, 1 if row.name == "tiff" else orientation)
    if found.exif is None:
        return Header(size)
    block = exif.Exif(found.exif)
    return Header(size, block.text(exif.DATE_TIME_ORIGINAL), block.text(exif.MODEL))


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    # A file object, never a path: Pillow maps files that it opens itself into memory, and a map
    # of a file that is cut short meanwhile kills the process.
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise PictureError("open", "unreadable", "this is a pipe or a device, not a file")
        file = open(path, "rb")
    except ValueError as error:
        raise PictureError("open", "not-found", f"cannot be opened: {error}") from error
    except IsADirectoryError as error:
        raise PictureError("open", "unreadable", "this folder cannot be listed") from error
    except OSError as error:
        kind = "not-found" if error.errno == errno.ENOENT else "unreadable"
        raise PictureError("open", kind, f"cannot be opened: {error.strerror}") from error
    with file:
        yield file


def _recognised(file: BinaryIO, path: str, max_pixels: int) -> tuple[Image.Image, formats.Format]:
    with _reading("open"):
        head = file.read(formats.HEAD_BYTES)
        if not head:
            raise PictureError("open", "empty", "the file is empty")
        row = formats.recognise(head, os.path.splitext(path)[1].lower())
        if row is None:
            what = formats.describe_foreign(head)
            raise PictureError(
                "open",
                "not-an-image",
                f"this is {what}, not a picture that imgbatch opens"
                if what
                else "not a picture in a format that imgbatch opens",
            )
        if not formats.available(row):
            raise PictureError(
                "open", "no-codec", f"this installation's Pillow was built without {row.label}"
            )
        formats.load_plugin(row)
        # An icon is loaded at once, and the pictures in it have headers of their own.
        with _pillows_limit(max_pixels // 2 + 1 if row.name == "ico" else None):
            image = Image.open(file, formats=(row.pillow,))
        width, height = image.size
        if width * height > max_pixels:
            raise PictureError(
                "open",
                "too-large",
                f"{width} x {height} pixels are more than the limit of {max_pixels:,}",
            )
    return image, row


@contextmanager
def _reading(stage: Stage) -> Iterator[None]:
    """Turn whatever a codec raises into a PictureError with words for a person."""
    try:
        with warnings.catch_warnings():
            # What matters of these is said by our own checks, in words for a person.
            warnings.simplefilter("ignore")
            yield
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(stage, "memory", "not enough memory to decode it") from error
    except Image.DecompressionBombError as error:
        message = "a picture inside it has more pixels than the limit"
        raise PictureError(stage, "too-large", message) from error
    except UnidentifiedImageError as error:
        raise PictureError(
            "open", "broken", "its header is broken: it begins like a picture but is none"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        kind, message = _explained(error)
        raise PictureError(stage, kind, message) from error
    except Exception as error:
        # Pillow's plugins raise KeyError, IndexError, TypeError and more on hostile files.
        raise PictureError(
            stage, "broken", f"its data are broken ({type(error).__name__}: {error})"
        ) from error


def _explained(error: BaseException) -> tuple[str, str]:
    text = str(error)
    if "truncated" in text.lower() or "premature" in text.lower() or isinstance(error, EOFError):
        return "truncated", f"the file is cut short or damaged ({text or 'unexpected end'})"
    return "broken", f"its data are broken ({text or type(error).__name__})"


@contextmanager
def _pillows_limit(pixels: int | None) -> Iterator[None]:
    """Set Pillow's limit, which only warns where it should fail and fails at twice its number."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _shrink_on_load(image: Image.Image, least: Size) -> Box:
    """Ask the decoder for fewer pixels; return the part of them that is the whole picture."""
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (max(1, least[0]), max(1, least[1])))
    # Odd sizes are rounded up, so the exact scale is the one that gives this size.
    for scale in (1, 2, 4, 8):
        if image.size == (-(-width // scale), -(-height // scale)):
            return (0, 0, width / scale, height / scale)
    return (0, 0, *image.size)


def _lost_depth(image: Image.Image) -> tuple[Notice, ...]:
    """A warning for colours of 16 bits a channel, of which Pillow keeps 8 (not of grey ones).

    Only known before the pixels are loaded.
    """
    tiles = getattr(image, "tile", None)
    deep = image.format in ("PNG", "TIFF") and tiles and ";16" in str(tiles[0].args)
    if not deep or image.mode.startswith("I"):
        return ()
    return (Notice("depth-reduced", "16 bits a channel were reduced to 8"),)


def _lost_frames(image: Image.Image) -> tuple[Notice, ...]:
    if image.format == "MPO":
        return (
            Notice(
                "gain-map-dropped",
                "a second picture in the file (gain map, preview or other view) was dropped",
            ),
        )
    frames = getattr(image, "n_frames", 1)
    if image.format != "ICO" and frames > 1:
        return (Notice("frames-dropped", f"only the first of {frames} frames was kept"),)
    return ()


def _in_working_mode(image: Image.Image) -> tuple[Image.Image, tuple[Notice, ...]]:
    """Pixels in one of the modes L, LA, RGB, RGBA, CMYK and I;16."""
    mode = image.mode
    transparent = "transparency" in image.info
    if mode in ("1", "L", "RGB") and transparent:
        return image.convert("RGBA" if mode == "RGB" else "LA"), ()
    if mode == "I;16" and transparent:
        return _keyed(image)
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK", "I;16"):
        return image, ()
    if mode == "1":
        return image.convert("L"), ()
    if mode == "P":
        return image.convert("RGBA" if transparent else "RGB"), ()
    if mode in ("PA", "RGBa"):
        return image.convert("RGBA"), ()
    if mode == "La":
        return image.convert("LA"), ()
    if mode == "LAB":
        return colour.lab_to_rgb(image), ()
    if mode in ("I", "F", "I;16B", "I;16L", "I;16N"):
        return _scaled_to_16_bit(image)
    return image.convert("RGB"), ()


def _keyed(image: Image.Image) -> tuple[Image.Image, tuple[Notice, ...]]:
    """16-bit grey of which one level is transparent, as 8-bit grey with alpha."""
    import numpy as np

    opaque = np.asarray(image) != image.info["transparency"]
    grey = colour.to_8_bit(image)
    grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    message = "16-bit grey with a transparent level was reduced to 8 bits"
    return grey, (Notice("depth-reduced", message),)


def _scaled_to_16_bit(image: Image.Image) -> tuple[Image.Image, tuple[Notice, ...]]:
    """Wide integers and floats as 16-bit grey.

    Integers are taken as 0 to 65535 (what a 16-bit file gives); floats that lie in 0 to 1 as
    that range. Whatever goes beyond is scaled down to fit, with a warning, never clipped.
    """
    import numpy as np

    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        return Image.fromarray(np.rint(values * 65_535).astype(np.uint16)), ()
    if low >= 0 and high <= 65_535:
        return Image.fromarray(np.rint(values).astype(np.uint16)), ()
    span = (high - low) or 1
    scaled = np.rint((values - low) * (65_535 / span)).astype(np.uint16)
    message = f"values from {low:g} to {high:g} were scaled to 16 bits"
    return Image.fromarray(scaled), (Notice("depth-reduced", message),)


def _with_sane_profile(picture: Picture, mode: str) -> Picture:
    """Without a profile that is broken or of another colour space than the pixels."""
    if picture.icc is None:
        return picture
    if mode == "LAB":
        return replace(picture, icc=None)
    if colour.profile_fits(picture.icc, picture.image.mode):
        return picture
    if picture.image.mode in ("L", "LA") and colour.profile_space(picture.icc) == b"RGB ":
        if colour.is_srgb(picture.icc):
            return replace(picture, icc=None)
        # Grey pixels under an RGB profile: said in RGB they mean exactly what was meant.
        wide = picture.image.convert("RGBA" if picture.has_alpha else "RGB")
        return picture.with_pixels(wide)
    return replace(picture, icc=None).with_notice(
        "profile-dropped", "its colour profile is broken or belongs to another colour space"
    )
