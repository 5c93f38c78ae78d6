"""From a file to a Picture, shrunk while it is decoded where that costs nothing."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import Image, ImageFile, UnidentifiedImageError

from imgbatch.errors import PictureError
from imgbatch.imaging import colour, depth, formats, memory, metadata
from imgbatch.imaging.colour import implied
from imgbatch.imaging.metadata import embedded, exif
from imgbatch.imaging.picture import Box, Coding, Metadata, Picture, Series, turned
from imgbatch.imaging.series import frames
from imgbatch.model import Notice, Size, Stage

if TYPE_CHECKING:
    from imgbatch.imaging.deep import Deep

Need = Callable[[Size], Size]
"""From a picture's full upright size to the least size that all outputs can start from."""

MAX_PIXELS: Final = 250_000_000
"""Larger pictures fail before they are decoded: a small file can claim to be huge."""

_MOST_FRAMES_OF_MOST_PIXELS: Final = 16
"""So many times that for all frames of a file together."""

# Tags of a TIFF's pixels (TIFF 6.0, section 8).
_BITS_PER_SAMPLE: Final = 0x0102
_PHOTOMETRIC: Final = 0x0106
_SAMPLE_FORMAT: Final = 0x0153
_WHITE_IS_ZERO: Final = 0


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

    `format` is the file's; `plain` says that its pixels will be grey or RGB of 8 bits; `frames`
    is how many will be decoded, one after the other; a pixel takes at most `pixel_bytes` then.
    """

    full_size: Size
    decoded_size: Size
    bytes: int
    format: str = ""
    plain: bool = False
    frames: int = 1
    pixel_bytes: int = 4


Every = Callable[[str, Series], bool]
"""From the name of a file's format and the series in it to whether all frames are wanted."""

Admit = Callable[[Demand], None]
"""Asked before the pixels of a picture are decoded; raises whatever it likes to prevent that."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """How strict to be with a file: its most pixels, and whether it may be cut short.

    And what to take from it: every frame, the small JPEG in a raw file.
    """

    max_pixels: int
    salvage: bool = False
    every: Every | None = None
    raw_preview: bool = False

    def unlimited(self) -> _Rules:
        return replace(self, max_pixels=sys.maxsize)


def decode(path: str, need: Need, **options: Any) -> Picture:
    """The picture in `path`, or the first of several frames: see `pictures`."""
    with closing(pictures(path, need, **options)) as frames:
        return next(frames)


def pictures(
    path: str,
    need: Need,
    *,
    every: Every | None = None,
    max_pixels: int = MAX_PIXELS,
    salvage: bool = False,
    raw_preview: bool = False,
    admit: Admit | None = None,
) -> Generator[Picture]:
    """Decode the picture in `path`, at least as large as `need` asks; and all of its frames.

    It is not turned yet, but knows its orientation; its metadata say that it is upright.
    A JPEG is decoded at 1/2, 1/4 or 1/8 where that is enough (by libjpeg's scaled inverse DCT).
    Of several frames only the first is given unless `every`, which is asked with the format's
    name and the series, says so; they come one by one, and composed: each as it is to be seen.
    With `salvage` a picture that is cut short is kept as far as it goes, with a warning.
    `raw_preview` takes the JPEG inside a camera's raw file. `admit` is called once, after the
    header and before any pixel; whatever it raises is passed on.
    Raises PictureError in the stage "open" or "decode".
    """
    asked = begun = False

    def ask(demand: Demand) -> None:
        nonlocal asked
        if admit is not None:
            admit(demand)
        asked = True

    rules = _Rules(max_pixels, every=every, raw_preview=raw_preview)
    try:
        for picture in _decoded(path, need, rules, ask):
            begun = True
            yield picture
    except PictureError as error:
        # Where even the header is cut short there are no pixels to keep.
        if begun or not (salvage and asked and error.failure.kind == "truncated"):
            raise
        failure = error.failure
    else:
        return
    # The pixels of the first attempt, which its error still held, are gone by now.
    with closing(_decoded(path, need, replace(rules, salvage=True), lambda demand: None)) as rest:
        try:
            picture = next(rest)
        except PictureError:
            raise PictureError(failure.stage, failure.kind, failure.message) from None
        missing = "the file is cut short: what is missing of the picture was left blank"
        if picture.series is not None and picture.series.kind == "animation":
            missing = "the file is cut short: only its whole frames were kept"
        yield picture.with_notice("truncated", missing)
        yield from rest


def _decoded(path: str, need: Need, rules: _Rules, ask: Admit) -> Generator[Picture]:
    with _opened(path) as file:
        image, row = _recognised(file, path, rules)
        with _reading("decode", rules):
            # Counting frames reads the first one's header again: so it comes first.
            moving = frames.find(image, row.name, file)
            series = _series(image, row, moving)
            every = series is not None and rules.every is not None and rules.every(row.name, series)
            first = _Told.of(image, row, file, need, rules, moving)
            demand = first.demand(file, series if every else None)
            if moving is not None:
                demand = replace(demand, bytes=demand.bytes + moving.bytes, plain=False)
            if series is not None and every:
                if series.kind == "animation":
                    pixels = series.count * demand.full_size[0] * demand.full_size[1]
                    _check_pixels(pixels, series.count, "frames", rules)
                else:
                    demand = _largest(image, row, file, need, rules, series, demand)
        ask(demand)
        if moving is not None:
            for picture in _animated(first, moving, file, rules):
                yield replace(picture, series=series)
                if not every:
                    return
            return
        yield replace(first.picture(file, rules), series=series)
        for number in range(1, series.count if series is not None and every else 1):
            with _reading("decode", rules):
                _turn_to(image, number)
                page = _Told.of(image, row, file, need, rules)
            yield replace(page.picture(file, rules), series=series)


@dataclass(slots=True)
class _Told:
    """What is known of a picture, or a page, before its pixels are decoded."""

    image: Image.Image
    row: formats.Format
    stored_size: Size
    full_size: Size
    area: Box
    metadata: Metadata
    orientation: int
    notices: tuple[Notice, ...]
    coding: Coding | None
    as_stored: bool
    wide: int
    deep: bool

    @classmethod
    def of(
        cls,
        image: Image.Image,
        row: formats.Format,
        file: BinaryIO,
        need: Need,
        rules: _Rules,
        moving: frames.Animation | None = None,
    ) -> _Told:
        """Ask an opened image, and tell it how small it may be decoded."""
        wide = depth.lost_to_pillow(image, file)
        deep = _reads_deep(image, file, rules) if wide and moving is None else False
        notices = embedded.attachments(image) + _lost_sizes(row, file) + _lost_in_heif(image)
        # The size of an image in EXIF's eyes can change with its orientation, so metadata
        # come first.
        found, orientation, more = _metadata(image, row)
        stored_size = image.size
        full_size = turned(stored_size, orientation)
        return cls(
            image=image,
            row=row,
            stored_size=stored_size,
            full_size=full_size,
            coding=_coding(image) if moving is None else None,
            as_stored=row.becomes is None and not _turned_by_decoder(image),
            area=_shrink_on_load(image, turned(need(full_size), orientation)),
            metadata=found,
            orientation=orientation,
            notices=notices + more,
            wide=wide,
            deep=deep,
        )

    def demand(self, file: BinaryIO, series: Series | None) -> Demand:
        """What it takes to decode it, as one of a series or alone."""
        image: Any = self.image
        return Demand(
            self.full_size,
            turned(image.size, self.orientation),
            memory.decoding(
                image, self.row, self.stored_size, _source(image, file), deep=self.deep
            ),
            self.row.name,
            not self.deep and memory.is_plain(image),
            series.count if series is not None else 1,
            8 if self.deep else 4,
        )

    def picture(self, file: BinaryIO, rules: _Rules) -> Picture:
        """Decode it."""
        image, row = self.image, self.row
        with _reading("decode", rules):
            if row.name == "ico":
                # It was measured above; Pillow counts the mask of a bitmap as if it were pixels.
                file.seek(0)
                with _pillow_told(rules.unlimited()):
                    image = Image.open(file, formats=(row.pillow,))
            icc, told = implied.profile(image, row, file, self.metadata.exif)
            pixels, more = _pixels(image, file, deep=self.deep)
            if row.name == "png":
                # PNG alone may tell metadata behind the pixels.
                self.read_again(_with_all_told(image, file, deep=self.deep))
        return self._made(pixels, image, icc, told, more)

    def read_again(self, image: Image.Image) -> None:
        """Take the metadata from an image that is loaded, and so knows them all."""
        self.metadata, self.orientation, late = metadata.read(image)
        self.full_size = turned(self.stored_size, self.orientation)
        self.notices += tuple(notice for notice in late if notice not in self.notices)

    def composed(self, frame: frames.Frame, file: BinaryIO, whole: Image.Image | None) -> Picture:
        """The first frame of an animation; `whole` is a still with all that the file tells."""
        icc, told = implied.profile(self.image, self.row, file, self.metadata.exif)
        if whole is not None:
            self.read_again(whole)
        made = self._made(frame.image, frame.image, icc, told, ())
        return replace(made, duration=frame.duration)

    def _made(
        self,
        pixels: Image.Image | Deep,
        image: Image.Image,
        icc: bytes | None,
        told: tuple[Notice, ...],
        more: tuple[Notice, ...],
    ) -> Picture:
        notices = self.notices + told
        if self.wide and not self.deep:
            notices += (_reduced(self.wide, self.image),)
        made = Picture(
            pixels=pixels,
            format=self.row.becomes or self.row.name,
            full_size=self.full_size,
            area=self.area,
            orientation=self.orientation,
            icc=icc,
            metadata=self.metadata,
            notices=notices + more,
            coding=self.coding,
            as_stored=self.as_stored,
        )
        return _with_sane_profile(made, image.mode)


def _animated(
    told: _Told, moving: frames.Animation, file: BinaryIO, rules: _Rules
) -> Iterator[Picture]:
    """The frames of an animation; what travels with them is the same for all."""
    if not moving.complete and not rules.salvage:
        raise PictureError("decode", "truncated", "the file is cut short: a frame is missing")
    composed = moving.composed()
    first: Picture | None = None
    while True:
        # Not around the yield: what Pillow is told is told to all who use it.
        with _reading("decode", rules):
            frame = next(composed, None)
            if frame is None:
                return
            if first is None:
                first = told.composed(frame, file, moving.whole())
                if moving.still_beside:
                    message = "the still picture beside the animation was dropped"
                    first = first.with_notice("gain-map-dropped", message)
                made = first
            else:
                made = replace(first, pixels=frame.image, duration=frame.duration, notices=())
                made = _with_sane_profile(made, frame.image.mode)
        yield made


def _check_pixels(pixels: int, count: int, what: str, rules: _Rules) -> None:
    """Raise PictureError if all frames together are too many pixels for anybody."""
    if pixels > rules.max_pixels * _MOST_FRAMES_OF_MOST_PIXELS:
        raise PictureError(
            "open",
            "too-large",
            f"{count} {what} of {pixels:,} pixels together are more than "
            f"{_MOST_FRAMES_OF_MOST_PIXELS} times the limit of {rules.max_pixels:,}",
        )


def _largest(
    image: Image.Image,
    row: formats.Format,
    file: BinaryIO,
    need: Need,
    rules: _Rules,
    series: Series,
    demand: Demand,
) -> Demand:
    """The demand of pages that may differ: as if all were as large as the largest."""
    pixels = 0
    for number in range(series.count):
        _turn_to(image, number)
        width, height = image.size
        if width * height > rules.max_pixels:
            raise PictureError(
                "open",
                "too-large",
                f"page {number + 1} of {width} x {height} pixels is more than the limit of "
                f"{rules.max_pixels:,}",
            )
        pixels += width * height
        _check_pixels(pixels, number + 1, "pages", rules)
        other = _Told.of(image, row, file, need, rules).demand(file, series)
        larger = max(demand, other, key=lambda one: one.decoded_size[0] * one.decoded_size[1])
        demand = replace(
            larger,
            bytes=max(demand.bytes, other.bytes),
            plain=demand.plain and other.plain,
        )
    _turn_to(image, 0)
    return demand


def _turn_to(image: Image.Image, page: int) -> None:
    """Go to a page of a TIFF; Pillow would keep the profile of the one before where it has none."""
    if image.tell() != page:
        image.info.clear()
        image.seek(page)


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
            raise PictureError("open", "no-codec", f"{row.label}: {formats.remedy(row)}")
        formats.load_plugin(row)
        if row.name == "ico":
            image = _inside_icon(file)
        else:
            # The limit is checked below, in better words; but WebP allocates its canvas here.
            with _pillow_told(rules if row.name == "webp" else rules.unlimited()):
                image = _open(file, row, preview=rules.raw_preview)
        width, height = image.size
        if width * height > rules.max_pixels:
            raise PictureError(
                "open",
                "too-large",
                f"{width} x {height} pixels are more than the limit of {rules.max_pixels:,}",
            )
    return image, row


def _open(file: BinaryIO, row: formats.Format, *, preview: bool = False) -> Image.Image:
    if preview and row is formats.RAW:
        from imgbatch.imaging import raw

        return raw.preview(file)
    try:
        return Image.open(file, formats=(row.pillow,))
    except Exception:
        # Pillow looks into EXIF already here, and falls over some of what is broken in it.
        image = (
            embedded.opened_without_exif(file, row)
            or _opened_deep(file, row)
            or frames.opened_cut_short(file, row.name)
        )
        if image is None:
            raise
        return image


def _opened_deep(file: BinaryIO, row: formats.Format) -> Image.Image | None:
    """A TIFF of a kind that Pillow has no mode for, but can be read with the extra `deep`."""
    if row.name != "tiff":
        return None
    from imgbatch.imaging import deep_files

    file.seek(0)
    try:
        with deep_files.more_tiffs():
            image = Image.open(file, formats=(row.pillow,))
    except Exception:
        # Then the first error is the one to tell.
        return None
    if image.mode != "I;16" and not formats.installed("deep"):
        raise PictureError(
            "open", "no-codec", "a TIFF of this kind needs: pip install 'imgbatch[deep]'"
        )
    return image


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
    "unexpected end of file",
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
    if image.format in ("JPEG", "MPO", "RAW"):
        image.draft(None, (max(1, least[0]), max(1, least[1])))
    # Odd sizes are rounded up, so the exact scale is the one that gives this size.
    for scale in (1, 2, 4, 8):
        if image.size == (-(-width // scale), -(-height // scale)):
            return (0, 0, width / scale, height / scale)
    return (0, 0, *image.size)


def _reads_deep(image: Image.Image, file: BinaryIO, rules: _Rules) -> bool:
    """Whether all the bits of a channel can be read, for which Pillow has no mode.

    Of what is cut short only Pillow gives a part.
    """
    if rules.salvage or not formats.installed("deep"):
        return False
    from imgbatch.imaging import deep_files

    return deep_files.readable(image, file)


def _reduced(bits: int, image: Image.Image) -> Notice:
    """The warning that Pillow took 8 bits of each channel."""
    # There is no mode for CMYK of more than 8 bits.
    remedy = "" if image.mode == "CMYK" else " (imgbatch[deep] keeps them)"
    if remedy and formats.installed("deep"):
        remedy = ""
    return Notice("depth-reduced", f"{bits} bits a channel were reduced to 8{remedy}")


def _pixels(
    image: Image.Image, file: BinaryIO, *, deep: bool
) -> tuple[Image.Image | Deep, tuple[Notice, ...]]:
    """The pixels of an opened image, in one of the modes that a `Picture` has."""
    if deep:
        from imgbatch.imaging import deep_files

        return deep_files.read(image, file)
    if image.format == "JPEG2000" and depth.lost_to_pillow(image, file):
        # Pillow rounds its highest levels up to what 8 bits cannot hold: white would be black.
        message = "a JPEG 2000 of this kind cannot be read"
        if not formats.installed("deep"):
            message = "a JPEG 2000 of this depth needs: pip install 'imgbatch[deep]'"
        raise PictureError("decode", "no-codec", message)
    image.load()
    pixels, notices = _in_working_mode(image)
    # Pixels alone: the plugin's own image would keep its decoder's frames alive.
    return (image._new(image.im) if pixels is image else pixels), notices


def _with_all_told(image: Image.Image, file: BinaryIO, *, deep: bool) -> Image.Image:
    """A PNG that is loaded, so that what stands behind its pixels is known."""
    if not deep:
        return image
    from imgbatch.imaging import deep_files

    return deep_files.with_one_pixel(file)


def _lost_sizes(row: formats.Format, file: BinaryIO) -> tuple[Notice, ...]:
    if row.name != "ico":
        return ()
    from PIL.IcoImagePlugin import IcoFile

    file.seek(0)
    sizes = {(entry.width, entry.height) for entry in IcoFile(file).entry}
    if len(sizes) == 1:
        return ()
    return (Notice("sizes-dropped", f"only the largest of the icon's {len(sizes)} sizes was kept"),)


def _source(image: Any, file: BinaryIO) -> BinaryIO:
    """What the image is decoded from: `file`, or a preview inside it."""
    source: BinaryIO = image.fp or file
    return source


def _lost_in_heif(image: Image.Image) -> tuple[Notice, ...]:
    if image.format != "HEIF":
        return ()
    from imgbatch.imaging import heif

    return heif.dropped(image)


def _turned_by_decoder(image: Any) -> bool:
    """Whether loading has turned the pixels upright: Pillow does that with a TIFF."""
    if image.format == "TIFF":
        return bool(image.tag_v2.get(exif.ORIENTATION, 1) != 1)
    return image.info.get("original_orientation") not in (None, 1)


def _series(
    image: Image.Image, row: formats.Format, moving: frames.Animation | None
) -> Series | None:
    """What there are several frames for, if there are."""
    if moving is not None:
        return Series("animation", moving.count, moving.plays) if moving.count > 1 else None
    count = getattr(image, "n_frames", 1) if row.series == "pages" else 1
    return Series("pages", count) if count > 1 else None


def _coding(image: Any) -> Coding | None:
    if image.format in ("JPEG", "MPO"):
        from PIL.JpegImagePlugin import get_sampling

        tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
        return Coding(tables, get_sampling(image), bool(image.info.get("progressive")))
    if image.mode in ("P", "1"):
        return Coding(palette=image.mode == "P", bilevel=image.mode == "1")
    return None


def _in_working_mode(image: Image.Image) -> tuple[Image.Image | Deep, tuple[Notice, ...]]:
    """Pixels in one of the modes L, LA, RGB, RGBA, CMYK and I;16."""
    mode = image.mode
    transparent = "transparency" in image.info
    if mode in ("1", "L", "RGB") and transparent:
        return image.convert("RGBA" if mode == "RGB" else "LA"), ()
    if mode == "I;16" and transparent:
        return _keyed(image)
    if mode == "I;16":
        return _stretched(image), ()
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
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


def _keyed(image: Image.Image) -> tuple[Image.Image | Deep, tuple[Notice, ...]]:
    """16-bit grey of which one level is transparent; without the extra, in 8 bits."""
    if formats.installed("deep"):
        from imgbatch.imaging import deep_files

        return deep_files.keyed(image), ()
    import numpy as np

    opaque = np.asarray(image) != image.info["transparency"]
    grey = colour.to_8_bit(image)
    grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    message = "16-bit grey with a transparent level was reduced to 8 (imgbatch[deep] keeps them)"
    return grey, (Notice("depth-reduced", message),)


def _stretched(image: Any) -> Image.Image:
    """16-bit grey as it is meant: of fewer bits, or with 0 for white (TIFF 6.0, section 8)."""
    bits, inverted, shifted = 16, False, 0
    if image.format == "TIFF":
        bits = 12 if image.tag_v2.get(_BITS_PER_SAMPLE) == (12,) else 16
        inverted = image.tag_v2.get(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO
    elif image.format == "HEIF":
        # pillow-heif has them in the upper bits.
        bits = image.info.get("bit_depth", 16)
        shifted = 16 - bits
    if bits == 16 and not inverted:
        return image  # type: ignore[no-any-return]
    import numpy as np

    levels = np.asarray(image) >> shifted
    if bits < 16:
        highest = (1 << bits) - 1
        # The highest becomes 65535, rounded.
        levels = ((levels.astype(np.uint32) * 65_535 + highest // 2) // highest).astype(np.uint16)
    return Image.fromarray(65_535 - levels if inverted else levels)


def _scaled_to_16_bit(image: Image.Image) -> tuple[Image.Image, tuple[Notice, ...]]:
    """Wide integers and floats as 16-bit grey.

    Integers are taken as 0 to 65535 (what a 16-bit file gives); floats that lie in 0 to 1 as
    that range. Whatever goes beyond is scaled down to fit, with a warning, never clipped.
    """
    import numpy as np

    raw = np.asarray(image)
    if image.mode == "I" and _is_unsigned_tiff(image):
        # Pillow's own numbers have a sign.
        raw = raw.view(np.uint32)
    values = np.nan_to_num(raw.astype(np.float64))
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        return Image.fromarray(np.rint(values * 65_535).astype(np.uint16)), ()
    if low >= 0 and high <= 65_535:
        return Image.fromarray(np.rint(values).astype(np.uint16)), ()
    span = (high - low) or 1
    scaled = np.rint((values - low) * (65_535 / span)).astype(np.uint16)
    message = f"values from {low:g} to {high:g} were scaled to 16 bits"
    return Image.fromarray(scaled), (Notice("range-scaled", message),)


def _is_unsigned_tiff(image: Any) -> bool:
    return bool(image.format == "TIFF" and image.tag_v2.get(_SAMPLE_FORMAT, (1,)) == (1,))


def _with_sane_profile(picture: Picture, mode: str) -> Picture:
    """Without a profile that is broken or of another colour space than the pixels."""
    if picture.icc is None:
        return picture
    if mode == "LAB":
        return replace(picture, icc=None)
    if colour.profile_fits(picture.icc, picture.mode):
        return picture
    if picture.mode in colour.GREY_MODES and colour.profile_fits(picture.icc, "RGB"):
        if colour.is_srgb(picture.icc):
            return replace(picture, icc=None)
        # Grey pixels under an RGB profile: said in RGB they mean exactly what was meant.
        return colour.as_rgb(picture)
    return replace(picture, icc=None).with_notice(
        "profile-dropped", "its colour profile is broken or belongs to another colour space"
    )
