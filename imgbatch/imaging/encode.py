"""From a Picture to the bytes of a file, with everything the format can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image

from imgbatch.errors import MORE_MEMORY, PictureError, is_short_of_memory
from imgbatch.imaging import colour, fitting, formats, memory, metadata, palette, room
from imgbatch.imaging.formats import Format, Setting
from imgbatch.imaging.metadata import writing
from imgbatch.imaging.own_settings import quiet
from imgbatch.imaging.picture import ANY_MODE, Metadata, Picture
from imgbatch.imaging.series import animated
from imgbatch.model import Encoding, Notice, Size

if TYPE_CHECKING:
    from imgbatch.imaging.codecs.base import Codec, Options


class Encoded(Struct, frozen=True):
    """A finished file in memory."""

    data: bytes
    format: Format
    size: Size
    notices: tuple[Notice, ...]
    copied: bool = False


# Lost only when a picture is decoded, so that a copy of its file still has it.
_KEPT_BY_COPY: Final = frozenset(
    {
        *("depth-reduced", "inks-converted", "range-scaled", "sizes-dropped"),
        *("gain-map-dropped", "video-dropped", "credentials-dropped", "extras-dropped"),
    }
)


_NOTHING_SET: Final = Encoding()
# They change how a picture is coded, but none of its pixels.
_NO_PIXELS: Final = frozenset({"lossless", "effort", "max_bytes"})


def may_copy(picture: Picture, encoding: Encoding) -> bool:
    """Whether a decoded picture's file is already what `encoding` asks for, except for its size."""
    row = formats.BY_NAME[picture.format]
    return may_stay(picture, encoding) and not _sets(encoding, row.settings - {"max_bytes"})


def may_stay(picture: Picture, encoding: Encoding) -> bool:
    """Whether a decoded picture's file has the pixels and metadata that `encoding` asks for.

    It may be coded with other settings, such as another quality.
    """
    return encoding.format in (None, picture.format) and _is_kept(picture, encoding)


def may_recode(picture: Picture, encoding: Encoding) -> bool:
    """Whether an upright picture's file may become one in another format without being decoded.

    `recoded` finds out whether that can be done. Turning is no change: both files say how.
    """
    source, target = _source_and_target(picture, encoding)
    kept = picture.series is None and _keeps_metadata(picture, encoding)
    if not (kept and formats.encodes(target)):
        return False
    codec = formats.codec(target)
    if source.name in codec.recodes:
        return not codec.is_lossy(encoding) and not _sets(encoding, target.settings - _NO_PIXELS)
    back = target.name in formats.codec(source).recodes
    return back and not _sets(encoding, target.settings - {"max_bytes"})


def recoded(picture: Picture, data: bytes, encoding: Encoding) -> Encoded | None:
    """The file of a picture that `may_recode`, made from that in another format, `data`.

    None if its codec cannot do it, or if it is too large.
    """
    source, target = _source_and_target(picture, encoding)
    codec = formats.codec(target)
    if source.name in codec.recodes:
        made = codec.recoded(data, source, encoding)
    else:
        made = formats.codec(source).original(data, target)
    if made is None or (encoding.max_bytes is not None and len(made) > encoding.max_bytes):
        return None
    return Encoded(made, target, picture.size, ())


def _source_and_target(picture: Picture, encoding: Encoding) -> tuple[Format, Format]:
    return formats.BY_NAME[picture.format], formats.BY_NAME[encoding.format or picture.format]


def _sets(encoding: Encoding, settings: frozenset[Setting]) -> bool:
    return any(getattr(encoding, one) != getattr(_NOTHING_SET, one) for one in settings)


def _is_kept(picture: Picture, encoding: Encoding) -> bool:
    """Whether a decoded picture is that of its file, and its metadata are to stay as they are."""
    return picture.as_stored and picture.orientation == 1 and _keeps_metadata(picture, encoding)


def _keeps_metadata(picture: Picture, encoding: Encoding) -> bool:
    return (
        # Another policy may concern parts of the file that are not even read.
        encoding.metadata == "all"
        and not (encoding.artist or encoding.copyright)
        and not (encoding.dpi and "dpi" in formats.BY_NAME[picture.format].settings)
        and all(notice.kind in _KEPT_BY_COPY for notice in picture.notices)
    )


def holds_series(picture: Picture, encoding: Encoding) -> bool:
    """Whether all frames of this picture's series can be written."""
    row = formats.BY_NAME[encoding.format or picture.format]
    return picture.series is not None and row.series == picture.series.kind


def encode(picture: Picture, encoding: Encoding, *, following: Sequence[Picture] = ()) -> Encoded:
    """Encode as `encoding` says; its notices are those of the pictures and of this step.

    `following` are the other frames of an animation, or pages. The file is no larger than
    `encoding.max_bytes`: see `fitting`. Raises PictureError in the stage "encode".
    """
    row = formats.BY_NAME[encoding.format or picture.format]
    if not formats.available(row):
        raise PictureError("encode", "no-codec", f"{row.label}: {formats.remedy(row)}")
    try:
        codec = formats.codec(row)
    except PictureError as error:
        raise PictureError("encode", error.failure.kind, error.failure.message) from error
    if row.becomes is not None or not codec.can_encode():
        message = f"this installation's libraries have no encoder for {row.label}"
        raise PictureError("encode", "no-codec", message)
    if picture.series is not None and row.series != picture.series.kind:
        what = "frames" if picture.series.kind == "animation" else "pages"
        message = f"only the first of {picture.series.count} {what} was kept"
        picture = picture.with_notice("frames-dropped", message)
    size = picture.size
    if max(size) > row.max_side:
        raise PictureError(
            "encode",
            "too-large",
            f"{size[0]} x {size[1]} pixels are too many for {row.label} "
            f"(at most {row.max_side} per side): use a smaller --size or another --format",
        )
    if following and holds_series(picture, encoding):
        if row.series == "pages":
            return _checked(_pages((picture, *following), codec, encoding), encoding)
    else:
        following = ()
    frames = [_fitted(one, codec, encoding) for one in (picture, *following)]
    if encoding.colours and codec.indexed_modes:
        frames = palette.reduced(frames, codec, encoding)
    file = _File.of(frames, codec, encoding)
    if encoding.max_bytes is None or codec.curve is None or not finds_quality(row, encoding):
        return _checked(file.encoded(), encoding)
    return _within(encoding.max_bytes, codec.curve, file)


def finds_quality(row: Format, encoding: Encoding) -> bool:
    """Whether there is a quality to find for `encoding.max_bytes`."""
    return "max_bytes" in row.settings and not encoding.lossless


def _within(limit: int, curve: fitting.Curve, whole: _File) -> Encoded:
    """The file of the highest quality that is no larger than `limit`, perhaps with fewer pixels."""
    quality, coding = whole.encoding.quality, whole.frames[0].coding
    if quality is None and coding is not None and coding.tables:
        # Finer steps than its own would tell nothing more.
        encoded = whole.encoded()
        if len(encoded.data) <= limit:
            return encoded
    file = whole

    def coded(size: Size, quality: int) -> bytes:
        nonlocal file
        if size != file.size:
            # First the one of the size before is freed.
            file = whole
            file = whole.resized(size)
        return file.encoded(quality).data

    try:
        found = fitting.fitted(
            coded,
            whole.size,
            limit,
            curve,
            highest=quality or fitting.HIGHEST,
            fixed=whole.fixed,
            frames=len(whole.frames),
        )
    except fitting.TooLargeError as error:
        raise PictureError("encode", "too-large", _too_large(error, whole, limit)) from None
    return Encoded(found.data, whole.codec.row, found.size, tuple(dict.fromkeys(file.notices)))


def _checked(encoded: Encoded, encoding: Encoding) -> Encoded:
    """The same, if it is not too large; otherwise raise PictureError."""
    limit = encoding.max_bytes
    if limit is None or len(encoded.data) <= limit:
        return encoded
    raise PictureError(
        "encode",
        "too-large",
        f"it has {len(encoded.data):,} bytes, expected at most {limit:,} (--max-bytes), and "
        f"{encoded.format.label} has no quality to adjust: use --format jpeg, webp or avif, "
        "or a smaller --size",
    )


def _too_large(error: fitting.TooLargeError, whole: _File, limit: int) -> str:
    width, height = error.size
    message = (
        f"even {width} x {height} pixels at low quality have {error.bytes:,} bytes, expected at "
        f"most {limit:,} (--max-bytes)"
    )
    if 2 * whole.fixed > error.bytes:
        message += f"; {whole.fixed:,} of them are metadata and profile: use --metadata none"
    return message


class _File(Struct, frozen=True):
    """A file without its bytes: frames as its format can hold them, and what travels along."""

    frames: Sequence[Picture]
    codec: Codec
    encoding: Encoding
    kept: Metadata
    notices: tuple[Notice, ...]

    @classmethod
    def of(cls, frames: Sequence[Picture], codec: Codec, encoding: Encoding) -> _File:
        """With the metadata of the first frame, as far as `encoding` lets it through."""
        first = frames[0]
        kept, notices = metadata.select(
            first.metadata,
            encoding,
            first.size,
            srgb=lambda: _is_srgb(first),
            moved=first.geometry,
        )
        kept, more = writing.held(kept, codec)
        earlier = [notice for frame in frames for notice in frame.notices]
        return cls(frames, codec, encoding, kept, (*earlier, *notices, *more))

    @property
    def size(self) -> Size:
        """Width and height of each frame."""
        return self.frames[0].size

    @property
    def fixed(self) -> int:
        """About how many bytes are not for pixels."""
        icc = self.frames[0].icc if "icc" in self.codec.row.holds else None
        kept = self.kept
        blocks = (kept.exif, kept.xmp, kept.extended, kept.iptc, kept.paths, icc)
        return sum(len(block) for block in blocks if block) + len(kept.comment or "")

    def resized(self, size: Size) -> _File:
        """The same with fewer pixels, and a warning about that."""
        from imgbatch.imaging import resample

        resized = (
            frame.with_image(resample.resize(frame.pixels, size, "lanczos"))
            for frame in self.frames
        )
        frames = [_without_hidden(frame, self.codec, self.encoding) for frame in resized]
        message = (
            f"{size[0]} x {size[1]} pixels instead of {self.size[0]} x {self.size[1]}: at quality "
            f"{fitting.LOWEST} it would exceed {self.encoding.max_bytes:,} bytes"
        )
        frames[0] = frames[0].with_notice("scaled-down", message)
        return self.of(frames, self.codec, self.encoding)

    def encoded(self, quality: int | None = None) -> Encoded:
        """The file, at `quality` instead of that of its `encoding` if given."""
        codec, row, first = self.codec, self.codec.row, self.frames[0]
        encoding = replace(self.encoding, quality=quality) if quality else self.encoding
        try:
            options = codec.options(first, encoding)
            options |= writing.options(self.kept, first.icc, codec)
            # Pillow sometimes looks into EXIF, and warns of oddities in it.
            with quiet():
                if len(self.frames) > 1 or codec.times_stills:
                    data = _animation(self.frames, codec, options, encoding)
                elif first.deep is not None:
                    data = codec.deep_encoded(first.deep, options)
                else:
                    data = codec.encoded(_bare(first.image), options, encoding)
                data, lost = codec.finished(data, self.kept)
        except Exception as error:
            # Encoders raise OSError, ValueError, SystemError and more; all concern
            # this one file. Few distinguish a lack of memory from anything else.
            taken = memory.encoding(row, self.size, mode=ANY_MODE)
            if is_short_of_memory(error) or not room.is_there(taken):
                message = f"not enough memory to encode it: {MORE_MEMORY}"
                raise PictureError("encode", "memory", message) from error
            raise PictureError("encode", "encoder", f"{row.label} encoder: {error}") from error
        return Encoded(data, row, self.size, tuple(dict.fromkeys((*self.notices, *lost))))


def _animation(
    frames: Sequence[Picture], codec: Codec, options: Options, encoding: Encoding
) -> bytes:
    """The frames as they are, in one file."""
    series = frames[0].series
    images = animated.alike([_bare(frame.image) for frame in frames])
    durations = [frame.duration for frame in frames]
    plays = series.plays if series is not None else 1
    return codec.animated(images, durations, plays, options, encoding)


def _pages(pictures: Sequence[Picture], codec: Codec, encoding: Encoding) -> Encoded:
    """Each page as a separate file would be, with all that belongs to it, in one file."""
    unlimited = replace(encoding, max_bytes=None)
    pages = [encode(replace(one, series=None), unlimited) for one in pictures]
    notices = dict.fromkeys(notice for page in pages for notice in page.notices)
    data = codec.joined([page.data for page in pages])
    return Encoded(data, codec.row, pages[0].size, tuple(notices))


def _is_srgb(picture: Picture) -> bool:
    """Whether these are colours in sRGB: without a profile they are, except for CMYK."""
    if picture.icc is None:
        return picture.mode != "CMYK"
    return colour.is_srgb(picture.icc)


def _bare(image: Image.Image) -> Image.Image:
    """Only pixels: Pillow would also save what it still knows about the file they came from."""
    bare = image if type(image) is Image.Image else image.copy()
    bare.info = {}
    return bare


def _fitted(picture: Picture, codec: Codec, encoding: Encoding) -> Picture:
    """In a mode that the format can hold, and with a profile only if it can hold that."""
    row, modes = codec.row, codec.accepted_modes(encoding)
    if picture.icc is not None and not codec.holds_code_points:
        picture = colour.in_standard_range(picture)
    if picture.mode.endswith(";16") and picture.mode not in modes:
        picture = colour.to_8_bits(picture, _for_whom(row))
    if picture.mode == "CMYK" and "CMYK" not in modes:
        picture = colour.to_srgb(picture, encoding.intent)
    if picture.icc is not None and "icc" not in row.holds:
        # Without its profile the picture would look different: convert it to sRGB.
        picture = colour.to_srgb(picture, encoding.intent)
    if picture.has_alpha:
        if row.alpha:
            picture = _without_hidden(picture, codec, encoding)
        else:
            picture = colour.flatten(picture, encoding.background)
    picture = codec.warned(picture)
    if picture.mode not in modes:
        # Grey into a format that only has colours.
        picture = colour.in_colours(picture, encoding.intent)
    if encoding.metadata == "none" and picture.icc is not None and colour.is_srgb(picture.icc):
        # It says no more than having none does. Any other is needed to see the right colours.
        picture = replace(picture, icc=None)
    if picture.coding is None or encoding.colours:
        return picture
    return palette.restored(picture, codec)


def _without_hidden(picture: Picture, codec: Codec, encoding: Encoding) -> Picture:
    """Without colours that cannot be seen, if the encoder would mix them with others."""
    if not (picture.has_alpha and codec.is_lossy(encoding)):
        return picture
    from imgbatch.imaging.filters import hidden

    return picture.with_pixels(hidden.filled(picture.pixels))


def _for_whom(row: Format) -> str:
    if row.deep_modes and not formats.installed("deep"):
        return f"for {row.label} (imgbatch[deep] keeps them)"
    return f"for {row.label}"
