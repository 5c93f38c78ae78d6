"""From a file to a Picture, shrunk while it is decoded where that costs nothing."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from PIL import Image, ImageFile, UnidentifiedImageError

from imgbatch.errors import PictureError
from imgbatch.imaging import colour, exif, formats, memory, metadata
from imgbatch.imaging.picture import Box, Metadata, Picture, turned
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
    format: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What decoding a picture takes: its upright size in the file, the upright size that the
    decoder will give, and the estimated peak of memory in bytes, its pixels included.

    `format` is the file's; `plain` says that its pixels will be grey or RGB of 8 bits.
    """

    full_size: Size
    decoded_size: Size
    bytes: int
    format: str = ""
    plain: bool = False


Admit = Callable[[Demand], None]
"""Asked before the pixels of a picture are decoded; raises whatever it likes to prevent that."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """How strict to be with a file: its most pixels, and whether it may be cut short."""

    max_pixels: int
    salvage: bool = False

    def unlimited(self) -> _Rules:
        return replace(self, max_pixels=sys.maxsize)


def decode(
    path: str,
    need: Need,
    *,
    max_pixels: int = MAX_PIXELS,
    salvage: bool = False,
    admit: Admit | None = None,
) -> Picture:
    """Decode the picture in `path`, at least as large as `need` asks.

    It is not turned yet, but knows its orientation; its metadata say that it is upright.
    A JPEG is decoded at 1/2, 1/4 or 1/8 where that is enough (by libjpeg's scaled inverse DCT).
    With `salvage` a picture that is cut short is kept as far as it goes, with a warning. `admit`
    is called once, after the header and before any pixel; whatever it raises is passed on.
    Raises PictureError in the stage "open" or "decode".
    """
    asked = False

    def ask(demand: Demand) -> None:
        nonlocal asked
        if admit is not None:
            admit(demand)
        asked = True

    try:
        return _decoded(path, need, _Rules(max_pixels), ask)
    except PictureError as error:
        # Where even the header is cut short there are no pixels to keep.
        if not (salvage and asked and error.failure.kind == "truncated"):
            raise
        failure = error.failure
    # The pixels of the first attempt, which its error still held, are gone by now.
    try:
        picture = _decoded(path, need, _Rules(max_pixels, salvage=True), lambda demand: None)
    except PictureError:
        raise PictureError(failure.stage, failure.kind, failure.message) from None
    return picture.with_notice(
        "truncated", "the file is cut short: what is missing of the picture was left blank"
    )


def _decoded(path: str, need: Need, rules: _Rules, ask: Admit) -> Picture:
    with _opened(path) as file:
        image, row = _recognised(file, path, rules)
        with _reading("decode", rules):
            # Counting frames reads the first one's header again: so it comes first.
            lost = _lost_depth(image) + _lost_frames(image)
            # The size of an image in EXIF's eyes can change with its orientation, so metadata
            # come first.
            found, orientation, notices = _metadata(image, row)
            stored_size = image.size
            full_size = turned(stored_size, orientation)
            notices += lost
            area = _shrink_on_load(image, turned(need(full_size), orientation))
            demand = Demand(
                full_size,
                turned(image.size, orientation),
                memory.decoding(image, row, stored_size, file),
                row.name,
                memory.is_plain(image),
            )
        ask(demand)
        with _reading("decode", rules):
            if row.name == "ico":
                # It was measured above; Pillow counts the mask of a bitmap as if it were pixels.
                file.seek(0)
                with _pillow_told(rules.unlimited()):
                    image = Image.open(file, formats=(row.pillow,))
            icc = image.info.get("icc_profile")
            image.load()
            if row.name == "png":
                # PNG alone may tell metadata behind the pixels.
                found, orientation, late = metadata.read(image)
                full_size = turned(stored_size, orientation)
                notices += tuple(notice for notice in late if notice not in notices)
            pixels, more = _in_working_mode(image)
            if pixels is image:
                # Pixels alone: the plugin's own image would keep its decoder's frames alive.
                pixels = image._new(image.im)
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


def read_header(path: str, max_pixels: int = MAX_PIXELS) -> Header:
    """Read the upright size, the date of capture and the camera of `path`; decode nothing.

    Raises PictureError in the stage "open".
    """
    rules = _Rules(max_pixels)
    with _opened(path) as file:
        image, row = _recognised(file, path, rules)
        with _reading("open", rules):
            found, orientation, _ = metadata.read(image)
    # Pillow already gives the upright size of a TIFF.
    size = turned(image.size, 1 if row.name == "tiff" else orientation)
    if found.exif is None:
        return Header(size, format=row.name)
    block = exif.Exif(found.exif)
    return Header(
        size, block.text(exif.DATE_TIME_ORIGINAL), block.text(exif.MODEL), format=row.name
    )


class _Unmapped(io.FileIO):
    """A file that keeps its descriptor to itself.

    Pillow would hand it to libtiff, which maps the file into memory; a map of a file that is cut
    short meanwhile kills the process (SIGBUS). So a compressed TIFF is read as a whole instead.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    # A file object, never a path: Pillow maps files that it opens itself, too.
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise PictureError("open", "unreadable", "this is a pipe or a device, not a file")
        file = io.BufferedReader(_Unmapped(path))
    except ValueError as error:
        raise PictureError("open", "not-found", f"cannot be opened: {error}") from error
    except IsADirectoryError as error:
        raise PictureError("open", "unreadable", "this folder cannot be listed") from error
    except OSError as error:
        kind = "not-found" if error.errno == errno.ENOENT else "unreadable"
        raise PictureError("open", kind, f"cannot be opened: {error.strerror}") from error
    with file:
        yield file


def _recognised(file: BinaryIO, path: str, rules: _Rules) -> tuple[Image.Image, formats.Format]:
    """The image in `file`, not loaded; of an icon the image inside it, whose size is the true one.

    Pillow loads icons as soon as it opens them.
    """
    with _reading("open", rules):
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
        if row.name == "ico":
            image = _inside_icon(file)
        else:
            # The limit is checked below, in better words; but WebP allocates its canvas here.
            with _pillow_told(rules if row.name == "webp" else rules.unlimited()):
                image = Image.open(file, formats=(row.pillow,))
        width, height = image.size
        if width * height > rules.max_pixels:
            raise PictureError(
                "open",
                "too-large",
                f"{width} x {height} pixels are more than the limit of {rules.max_pixels:,}",
            )
    return image, row


def _inside_icon(file: BinaryIO) -> Image.Image:
    """The header of the picture that Pillow takes from an icon: a PNG, or a bitmap and its mask."""
    from PIL.BmpImagePlugin import DibImageFile
    from PIL.IcoImagePlugin import IcoFile
    from PIL.PngImagePlugin import PngImageFile

    file.seek(0)
    offset = IcoFile(file).entry[0].offset
    file.seek(offset)
    is_png = formats.BY_NAME["png"].matches(file.read(formats.HEAD_BYTES))
    file.seek(offset)
    if is_png:
        return PngImageFile(file)
    image = DibImageFile(file)
    image._size = (image.width, image.height // 2)
    return image


def _metadata(image: Image.Image, row: formats.Format) -> tuple[Metadata, int, tuple[Notice, ...]]:
    """What is known before the pixels are decoded."""
    if row.name == "ico":
        return Metadata(), 1, ()
    if row.name == "png" and "exif" not in image.info:
        # Asking for more would decode it.
        return Metadata(), 1, ()
    found, orientation, notices = metadata.read(image)
    # Pillow turns TIFFs upright itself, while it loads them.
    return found, 1 if row.name == "tiff" else orientation, notices


@contextmanager
def _reading(stage: Stage, rules: _Rules) -> Iterator[None]:
    """Turn whatever a codec raises into a PictureError with words for a person."""
    try:
        with warnings.catch_warnings(), _pillow_told(rules):
            # What matters of these is said by our own checks, in words for a person.
            warnings.simplefilter("ignore")
            yield
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(stage, "memory", "not enough memory to decode it") from error
    except Image.DecompressionBombError as error:
        message = f"it has more pixels than the limit of {rules.max_pixels:,}"
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


# What Pillow and the codecs say of missing data.
_CUT_SHORT: Final = (
    "truncated",
    "premature",
    "not enough image data",
    "buffer is not large enough",
)


def _explained(error: BaseException) -> tuple[str, str]:
    text = str(error)
    cut_short = any(words in text.lower() for words in _CUT_SHORT)
    if cut_short or isinstance(error, EOFError):
        return "truncated", f"the file is cut short or damaged ({text or 'unexpected end'})"
    return "broken", f"its data are broken ({text or type(error).__name__})"


@contextmanager
def _pillow_told(rules: _Rules) -> Iterator[None]:
    """Set what Pillow keeps in globals, for this moment: it may be a guest in another program.

    Its limit only warns where it should fail, and fails at twice its number. Files that are cut
    short fail here also where that program allows them, so that the outcome is the same in every
    process.
    """
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS = rules.max_pixels // 2 + 1
    ImageFile.LOAD_TRUNCATED_IMAGES = rules.salvage
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


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
