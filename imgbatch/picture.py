"""A picture as programs use it: opened, changed step by step, and saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Unpack

from imgbatch.errors import UsageError
from imgbatch.imaging import decode, formats, loaded
from imgbatch.imaging.opening import Input
from imgbatch.model import Encoding
from imgbatch.naming import Template
from imgbatch.operations import Operation
from imgbatch.recipes import steps
from imgbatch.recipes.declarations import check_words
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.recipes.settings import OutputSettings, ResizeWords, SaveWords
from imgbatch.running import one_picture
from imgbatch.running.one_picture import Made
from imgbatch.running.settings import PictureWords, Settings, picture_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from imgbatch.running.one_picture import Given

Size = str | int | tuple[int | None, int | None]

_SHOWN: Literal[1000] = 1000


def open(source: Given, **words: Unpack[PictureWords]) -> Picture:  # noqa: A001
    """A picture to change and save; only its header is read now.

    `source` and `words` are as in `Recipe.apply`. Raises PictureError if it cannot be opened.
    """
    return Picture(loaded.of(source), picture_settings("open", words))


class Picture:
    """A picture, and what is to be done to it. It never changes: each method returns another.

    Work begins when it is saved or its pixels are asked for, and starts again each time, so that a
    JPEG is decoded at the size that is needed. Metadata and colours are kept as in runs. It may be
    shared between threads. `format` is that of the source.
    """

    __slots__ = ("_given", "_header", "_operations", "_settings", "_size")

    def __init__(
        self,
        given: Input,
        settings: Settings,
        header: decode.Header | None = None,
        operations: tuple[Operation, ...] = (),
    ) -> None:
        self._given = given
        self._settings = settings
        self._header = header or decode.read_header(given, settings.limits.max_pixels)
        self._operations = operations
        self._size: tuple[int, int] | None = None

    def __repr__(self) -> str:
        names = [operation.name for operation in self._operations]
        width, height = self._header.size
        return f"<imgbatch.Picture from {width} x {height} {self.format} {' '.join(names)}>"

    @property
    def format(self) -> str:
        """The name of the source's format."""
        return self._header.format

    @property
    def width(self) -> int:
        """In pixels, upright, after what is to be done."""
        return self._measured()[0]

    @property
    def height(self) -> int:
        """In pixels, upright, after what is to be done."""
        return self._measured()[1]

    def apply(self, *operations: str | Mapping[str, Any] | Operation) -> Picture:
        """With operations added, such as "sharpen:amount=0.5"; or a table, as in recipes.

        Raises UsageError for one that makes no sense.
        """
        return self._with(
            one if isinstance(one, Operation) else steps.operation_of(one) for one in operations
        )

    def resize(self, size: Size, **words: Unpack[ResizeWords]) -> Picture:
        """Resized: to 1600 (long edge), "1600x1200", (1600, 1200), (1600, None), "50%" or "2MP".

        `words` are the options for that: `fit`, `enlarge`, `gravity`, `background`, `kernel` and
        `linear`. Raises UsageError.
        """
        check_words("resize", words, ResizeWords.__annotations__)
        return self._with(steps.steps(OutputSettings(size=_size_word(size), **words)))

    def convert(self, profile: str = "srgb", intent: str = "relative") -> Picture:
        """With its colours in sRGB, or in the profile of an ICC file. Raises UsageError."""
        return self._with(steps.steps(OutputSettings(profile=profile, intent=intent)))

    def save(self, target: str | os.PathLike[str] | BinaryIO, **words: Unpack[SaveWords]) -> Made:
        """Write it to a path or to a binary file, and return what was made.

        Without `format` the suffix of a path decides; what has no suffix keeps the source's format.
        `words` are the options for that: `quality`, `metadata` and so on. A file that is there is
        replaced, as a whole and only once all is done, even if it is the source; its permissions
        stay. Raises PictureError if it cannot be made or written, UsageError for options that make
        no sense.
        """
        check_words("save", words, SaveWords.__annotations__)
        path = os.fsdecode(target) if isinstance(target, str | os.PathLike) else None
        if path is None and not callable(getattr(target, "write", None)):
            found = type(target).__name__
            raise TypeError(f"found {found}, expected a path or a binary file to write to")
        given: dict[str, Any] = {name: one for name, one in words.items() if one is not None}
        given["format"] = _format_for(path, given.get("format"), self.format)
        recipe = self._recipe(steps.encoding(OutputSettings(**given)))
        (made,) = one_picture.made_of(recipe, self._given, self._settings)
        if path is not None:
            one_picture.write(path, made.data)
        else:
            target.write(made.data)  # type: ignore[union-attr]
        return made

    def to_pillow(self) -> Image.Image:
        """A Pillow image of its own, with EXIF, XMP and profile in its `info`.

        Pillow has no colours with 16 bits: they become 8. Raises PictureError.
        """
        return loaded.image_from(self._developed())

    def to_numpy(self) -> NDArray[Any]:
        """An array of its own, (height, width[, channels]): uint8, or uint16 for more than 8 bits.

        Grey has no channels; 2 are grey and alpha, 3 RGB, 4 RGB and alpha, not premultiplied. The
        levels are those of its profile, after `convert()` those of sRGB; CMYK becomes sRGB. Raises
        PictureError.
        """
        return loaded.array_from(self._developed())

    def _repr_png_(self) -> bytes:
        """How a notebook shows it."""
        recipe = self.resize(_SHOWN)._recipe(Encoding(format="png", metadata="none"))
        return one_picture.made_of(recipe, self._given, self._settings)[0].data

    def _with(self, operations: Any) -> Picture:
        added = (*self._operations, *operations)
        return Picture(self._given, self._settings, self._header, added)

    def _output(self, encoding: Encoding) -> Output:
        return Output("picture", Template("{stem}{ext}"), self._operations, encoding)

    def _recipe(self, encoding: Encoding) -> Recipe:
        return Recipe("picture", (self._output(encoding),))

    def _developed(self) -> Any:
        return one_picture.developed(self._recipe(Encoding()), self._given, self._settings)

    def _measured(self) -> tuple[int, int]:
        if self._size is None:
            known = all(operation.sizes_known for operation in self._operations)
            output = self._output(Encoding())
            self._size = output.output_size(self._header.size) if known else self._developed().size
        return self._size


def _size_word(size: Size) -> str:
    if isinstance(size, tuple) and len(size) == 2:
        width, height = ("" if side is None else side for side in size)
        return f"{width}x{height}"
    if isinstance(size, bool) or not isinstance(size, str | int):
        raise UsageError(f"found the size {size!r}, expected 1600, (1600, 1200), '50%' or the like")
    return str(size)


def _format_for(path: str | None, word: str | None, own: str) -> str:
    """The format to write: the one given, or that of the path's suffix. Raises UsageError.

    `own` is the format of the source, which may be kept.
    """
    if path == "":
        raise UsageError("found an empty path to save to: is a variable empty?")
    suffix = os.path.splitext(path or "")[1]
    if word is None:
        return suffix or "keep"
    row = formats.BY_NAME.get(own) if word == "keep" else formats.lookup(word)
    if row is not None and row.becomes is not None:
        row = formats.BY_NAME[row.becomes]
    if row is not None and suffix and row is not formats.of_suffix(suffix.lower()):
        raise UsageError(f"found {path} for format {row.name}, expected the suffix of that format")
    return word
