"""Opening files: recognised by their content, and with every error in words for people."""

from __future__ import annotations

import errno
import io
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from msgspec import Struct
from PIL import Image, UnidentifiedImageError

from imgbatch.errors import MORE_MEMORY, PictureError, is_short_of_memory
from imgbatch.imaging import formats
from imgbatch.imaging.metadata import EVERY_POLICY
from imgbatch.imaging.own_settings import NOTHING, pillow_limited, quiet, silence_codecs
from imgbatch.imaging.picture import Series
from imgbatch.model import MAX_PIXELS, MetadataPolicy, Notice, Stage
from imgbatch.store import regular
from imgbatch.store.checksum import PIECE_BYTES
from imgbatch.store.crc import crc32

if TYPE_CHECKING:
    from imgbatch.imaging.codecs.base import Codec

Every = Callable[[str, Series], bool]
"""From the name of a file's format and its series to whether all frames are wanted."""


class Rules(Struct, frozen=True):
    """How strict to be with a file: its maximum of pixels, and whether it may be cut short.

    And what to take from it: every frame, if `every` says so, which is called with the format's
    name and the series; with `raw_preview` the JPEG inside a camera's raw file; metadata for
    outputs with these policies, but none that all of them drop, unless `dates` are to be found.
    """

    max_pixels: int = MAX_PIXELS
    salvage: bool = False
    every: Every | None = None
    raw_preview: bool = False
    metadata: tuple[MetadataPolicy, ...] = EVERY_POLICY
    dates: bool = False


OnRead = Callable[[int], None]
"""Called with the checksum of a whole file when everything wanted from it has been read."""


class _Unmapped(io.FileIO):
    """A file that hides its descriptor.

    Pillow would hand it to libtiff, which maps the file into memory; a mapped file that is cut
    short in the meantime kills the process (SIGBUS). So a compressed TIFF is read as a whole.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


class _Summed(_Unmapped):
    """The same, with the checksum of what is read anyway: reading it again would cost more.

    Decoders read a file from its beginning, sometimes going back to what they have seen.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._at = self._summed = self._value = 0

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._sum(memoryview(buffer)[:count])
        return count

    def readall(self) -> bytes:
        data = super().readall()
        self._sum(data)
        return data

    def _sum(self, data: bytes | memoryview) -> None:
        end = self._at + len(data)
        if self._at <= self._summed < end:
            new = data[self._summed - self._at :] if self._at < self._summed else data
            self._value = crc32(new, self._value)
            self._summed = end
        self._at = end

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = super().seek(offset, whence)
        return self._at

    def checksum(self) -> int:
        """The checksum of the whole file; unread parts are read now. Raises OSError."""
        if self._at != self._summed:
            self.seek(self._summed)
        while data := self.read(PIECE_BYTES):
            self._sum(data)
        return self._value


class InMemory(Struct, frozen=True):
    """A file that is in memory. It may have a name, whose suffix is that of a file."""

    data: bytes
    name: str = ""


class Pixels(Struct, frozen=True):
    """A picture that is no file: a loaded image, and a codec that takes it for an opened one."""

    codec: Codec
    image: Image.Image
    name: str = ""


Input = str | InMemory | Pixels
"""What pictures are made from: the path of a file, or something in memory."""


def name_of(given: Input) -> str:
    """The name of a file, or of what is in its place; perhaps empty."""
    return given if isinstance(given, str) else given.name


def opened(given: Input, on_read: OnRead | None = None) -> AbstractContextManager[BinaryIO]:
    """The file, which is closed in the end; an empty one for pixels. Raises PictureError.

    `on_read` is called with the checksum of one that has a path, unless the block is left by an
    exception.
    """
    if isinstance(given, str):
        return _opened_from(given, on_read)
    return io.BytesIO(given.data if isinstance(given, InMemory) else b"")


@contextmanager
def _opened_from(path: str, on_read: OnRead | None) -> Iterator[BinaryIO]:
    # A file object, never a path: Pillow also maps files that it opens itself.
    try:
        descriptor = regular.descriptor(path)
        raw = _Unmapped(descriptor) if on_read is None else _Summed(descriptor)
    except ValueError as error:
        raise PictureError("open", "not-found", f"cannot be opened: {error}") from error
    except regular.NotRegularError as error:
        words = f"this is {error.kind}, not a file"
        if error.kind == regular.FOLDER:
            words = "this folder cannot be listed"
        raise PictureError("open", "unreadable", words) from error
    except OSError as error:
        kind = "not-found" if error.errno == errno.ENOENT else "unreadable"
        raise PictureError("open", kind, f"cannot be opened: {error.strerror}") from error
    with io.BufferedReader(raw) as file:
        yield file
        if on_read is not None and isinstance(raw, _Summed) and not raw.closed:
            try:
                value = raw.checksum()
            except OSError:
                return
            on_read(value)


class Opened(NamedTuple):
    """An image that is not loaded, the format of its file, the codec that reads it, and the file.

    `file` may be shorter than the one that was opened: it has no more than is read, and `notices`
    are warnings about the rest.
    """

    image: Image.Image
    row: formats.Format
    codec: Codec
    file: BinaryIO
    notices: tuple[Notice, ...]


def recognised(file: BinaryIO, given: Input, rules: Rules) -> Opened:
    """The image in `file`, which was opened for `given`. Raises PictureError in stage "open"."""
    if isinstance(given, Pixels):
        _check_size(given.image, rules)
        return Opened(given.image, given.codec.row, given.codec, file, ())
    with reading("open", rules):
        head = file.read(formats.HEAD_BYTES)
        if not head:
            raise PictureError("open", "empty", "the file is empty")
        row = formats.recognise(head, os.path.splitext(name_of(given))[1].lower())
        if row is None:
            what = formats.describe_foreign(head)
            raise PictureError(
                "open",
                "not-an-image",
                f"this is {what}, not a picture that imgbatch can open"
                if what
                else "not a picture in a format that imgbatch can open",
            )
        if not formats.available(row):
            raise PictureError("open", "no-codec", f"{row.label}: {formats.remedy(row)}")
        codec = formats.codec(row)
        if row not in formats.FORMATS:
            silence_codecs(row.codec)
        file, notices = codec.thinned(file)
        file.seek(0)
        # The limit is checked below, with a better message.
        limit = rules.max_pixels if codec.allocates else None
        with pillow_limited(limit, salvage=rules.salvage):
            image = _image_in(file, codec, preview=rules.raw_preview)
        _check_size(image, rules)
    if rules.raw_preview:
        codec = codec.inner(image)
    return Opened(image, row, codec, file, notices)


def _check_size(image: Image.Image, rules: Rules) -> None:
    width, height = image.size
    if width * height > rules.max_pixels:
        raise PictureError(
            "open",
            "too-large",
            f"{width} x {height} pixels exceed the limit of {rules.max_pixels:,}",
        )


def _image_in(file: BinaryIO, codec: Codec, *, preview: bool) -> Image.Image:
    """An image of this format, not loaded. Raises whatever Pillow does if nothing helps."""
    try:
        return codec.open_preview(file) if preview else codec.open(file)
    except Exception as error:
        image = codec.open_damaged(file)
        if image is not None:
            return image
        message = _unsupported(codec, file, opened=False)
        if message is None or isinstance(error, PictureError):
            raise
        raise PictureError("open", "no-codec", message) from None


def _unsupported(codec: Codec, file: BinaryIO, *, opened: bool) -> str | None:
    """The message for a file that seems broken, but is only of a kind that cannot be read."""
    try:
        kind = codec.unsupported(file, opened=opened)
    except Exception:
        # So it is broken.
        return None
    if kind is None:
        return None
    return f"a {codec.row.label} {kind} cannot be read: another program must convert it first"


def short_of_memory(stage: Stage) -> PictureError:
    """The error for a picture for which there is not enough memory."""
    return PictureError(stage, "memory", f"not enough memory to decode it: {MORE_MEMORY}")


class reading:  # noqa: N801
    """A context that turns whatever a codec raises into a PictureError with words for people.

    The codec of `source`, if given, is asked whether that is broken, or of a kind it cannot read.
    """

    __slots__ = ("_limited", "_quiet", "_rules", "_source", "_stage")

    def __init__(self, stage: Stage, rules: Rules, source: Opened | None = None) -> None:
        self._stage: Stage = stage
        self._rules = rules
        self._source = source
        silence = quiet()
        self._quiet = None if silence is NOTHING else silence
        self._limited = pillow_limited(rules.max_pixels, salvage=rules.salvage)

    def __enter__(self) -> None:
        if self._quiet is not None:
            self._quiet.__enter__()
        self._limited.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._limited.__exit__()
        if self._quiet is not None:
            self._quiet.__exit__(None, None, None)
        if isinstance(error, Exception) and not isinstance(error, PictureError):
            found = self._in_words(error)
            if found.failure.kind == "broken" and self._source is not None:
                _, _, codec, file, _ = self._source
                message = _unsupported(codec, file, opened=True)
                if message is not None:
                    found = PictureError(self._stage, "no-codec", message)
            raise found from error

    def _in_words(self, error: Exception) -> PictureError:
        stage = self._stage
        if is_short_of_memory(error):
            return short_of_memory(stage)
        match error:
            case Image.DecompressionBombError():
                message = f"it has more pixels than the limit of {self._rules.max_pixels:,}"
                return PictureError(stage, "too-large", message)
            case UnidentifiedImageError():
                message = "its header is broken, or of a kind that is not supported"
                return PictureError("open", "broken", message)
            case OSError() | SyntaxError() | ValueError() | EOFError() | struct.error():
                return PictureError(stage, *_explained(error))
        # Pillow's plugins raise KeyError, IndexError, TypeError and more on hostile files.
        message = f"its data are broken ({type(error).__name__}: {error})"
        return PictureError(stage, "broken", message)


# What Pillow and the codecs say about missing data.
_CUT_SHORT: Final = (
    "truncated",
    "premature",
    "not enough image data",
    "unexpected end of file",
    "buffer is not large enough",
)
# And about what is whole, but beyond them.
_UNSUPPORTED: Final = re.compile(r"unsupported|not supported|not implemented", re.IGNORECASE)


def _explained(error: BaseException) -> tuple[str, str]:
    text = str(error)
    cut_short = any(words in text.lower() for words in _CUT_SHORT)
    if cut_short or isinstance(error, EOFError):
        return "truncated", f"the file is cut short or damaged ({text or 'unexpected end'})"
    if _UNSUPPORTED.search(text):
        return "no-codec", f"a file of this kind cannot be read ({text})"
    return "broken", f"its data are broken ({text or type(error).__name__})"
