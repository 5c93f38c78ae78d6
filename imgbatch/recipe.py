"""What to make: a Recipe, from the words that users type.

Command-line options and the Python API give the same object with the same digest: there is no
second path.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import (
    WHITE,
    Compression,
    Encoding,
    Intent,
    MetadataPolicy,
    Size,
    Subsampling,
)
from imgbatch.naming import Template
from imgbatch.operations import Operation, parse
from imgbatch.operations.geometry import (
    FITS,
    GRAVITIES,
    KERNELS,
    Resize,
    SizeSpec,
)
from imgbatch.operations.profile import ConvertProfile

METADATA_POLICIES: Final[tuple[MetadataPolicy, ...]] = get_args(MetadataPolicy)


@dataclass(frozen=True, slots=True)
class Output:
    """One finished picture of each source: its name, its file's name, what is done, how saved."""

    name: str
    template: Template
    operations: tuple[Operation, ...] = ()
    encoding: Encoding = field(default_factory=Encoding)

    def needed_size(self, size: Size) -> Size:
        """The least size this output can start from, of a picture whose file has `size`."""
        return _needed(self.operations, size, self.output_size(size))

    def output_size(self, size: Size) -> Size:
        """The size it comes to, of an upright picture with `size`."""
        return _size_after(self.operations, size)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is made of every source: operations done once, then one or more outputs.

    `name` is the word that ends the default output folder (`photos-resized`). `raw_preview` takes
    the JPEG that a camera puts into its raw files instead of developing them.
    """

    name: str
    outputs: tuple[Output, ...]
    prepare: tuple[Operation, ...] = ()
    raw_preview: bool = False

    @classmethod
    def from_options(
        cls,
        name: str = "resized",
        *,
        sizes: Sequence[str] = (),
        fit: str = "inside",
        enlarge: bool = False,
        gravity: str = "center",
        background: str = "white",
        kernel: str = "lanczos",
        linear: bool = False,
        format: str = "keep",  # noqa: A002
        quality: int | None = None,
        subsampling: str | None = None,
        progressive: bool = False,
        lossless: bool = False,
        effort: int | None = None,
        compression: str | None = None,
        dither: bool = True,
        filters: Iterable[str] = (),
        metadata: str = "all",
        artist: str | None = None,
        copyright: str | None = None,  # noqa: A002
        profile: str = "keep",
        intent: str = "relative",
        raw_preview: bool = False,
        template: str | None = None,
    ) -> Recipe:
        """A recipe from the command line's own words (`imgbatch resize --help` explains them).

        Without `sizes` the size stays. Each size may be named: `web=1600`. Raises UsageError for
        a word that makes no sense.
        """
        row = None if format.lower() == "keep" else formats.lookup(format)
        _check_amount("quality", quality, 100)
        _check_amount("effort", effort, 10)
        if lossless and quality is not None:
            raise UsageError("--lossless and --quality exclude each other: leave one away")
        encoding = Encoding(
            format=row.name if row else None,
            quality=quality,
            metadata=_one_of("metadata policy", metadata, METADATA_POLICIES),
            background=_colour(background),
            intent=_one_of("intent", intent, get_args(Intent)),
            subsampling=_one_of_or_none("subsampling", subsampling, get_args(Subsampling)),
            progressive=progressive,
            lossless=lossless,
            effort=effort,
            compression=_one_of_or_none("compression", compression, get_args(Compression)),
            dither=dither,
            artist=artist or None,
            copyright=copyright or None,
        )
        _check_settings(encoding, row)
        after = (
            *_conversions(profile, encoding.intent),
            *(parse(words) for words in filters),
        )
        several = len(sizes) > 1
        naming = Template.parse(template or ("{stem}-{output}{ext}" if several else "{stem}{ext}"))
        if not sizes:
            output = Output(name, naming, after, encoding)
            return cls(name, (output,), raw_preview=raw_preview)
        outputs = []
        for word in sizes:
            label, _, spec = word.rpartition("=")
            resize = Resize(
                SizeSpec.parse(spec),
                _one_of("fit", fit, FITS, _FIT_HINTS),
                enlarge,
                _one_of("gravity", gravity, GRAVITIES),
                encoding.background,
                _one_of("kernel", kernel, KERNELS),
                linear,
            )
            outputs.append(
                Output(_checked_label(label or spec.strip()), naming, (resize, *after), encoding)
            )
        names = [output.name for output in outputs]
        for twice in {label for label in names if names.count(label) > 1}:
            raise UsageError(
                f"two sizes are called {twice!r}: give each a name of its own, as in web=1600"
            )
        return cls(name, tuple(outputs), raw_preview=raw_preview)

    def needed_size(self, size: Size) -> Size:
        """The least size that all outputs can start from, of a picture whose file has `size`."""
        prepared = _size_after(self.prepare, size)
        needs = [output.needed_size(prepared) for output in self.outputs]
        most = max(need[0] for need in needs), max(need[1] for need in needs)
        return _needed(self.prepare, size, most)

    def working_bytes(
        self,
        full_size: Size,
        decoded_size: Size,
        source: str | None = None,
        *,
        plain: bool = False,
        frames: int = 1,
    ) -> int:
        """The peak of memory that operations and encoding take beside the decoded picture.

        `source` is the name of the format it has, for outputs that keep it; `plain` says that its
        pixels are grey or RGB of 8 bits. Without them the worst is assumed. Of several `frames`
        all that are finished wait in memory, for all outputs, and then their files.
        """
        shared = _Working(full_size, decoded_size)
        shared.add(self.prepare, plain=plain)
        peak, finished, waiting = shared.peak, 0, 0
        for output in self.outputs:
            working = _Working(shared.full_size, shared.size, shared.held)
            working.add(output.operations, plain=plain)
            working.encode(output.encoding.format or source, plain=plain)
            pixels = working.size[0] * working.size[1]
            each = 4 * pixels
            peak = max(peak, finished + working.peak)
            if frames > 1:
                # The file that grows, twice for pages; and what a coder keeps of frames before.
                pages = _has_pages(output.encoding.format or source)
                # They alone can have 16 bits a channel.
                each *= 2 if pages and not plain else 1
                waiting += (frames - 1) * each
                growing = 2 * each if pages else each
                peak = max(peak, finished + working.peak + growing * frames + _CODER * pixels)
            # The finished files wait in memory for the last: at most as large as their pixels.
            finished += frames * each
        return peak + waiting

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that change when any field does."""
        return _digest(self)

    def digest_of(self, output: Output) -> str:
        """The same of what makes the pixels and the file of one output: all but names."""
        return _digest((self.prepare, self.raw_preview, output.operations, output.encoding))


def _size_after(operations: Iterable[Operation], size: Size) -> Size:
    for operation in operations:
        size = operation.output_size(size)
    return size


def _needed(operations: Sequence[Operation], size: Size, wanted: Size) -> Size:
    """What the first operation has to be given, so that the last can make `wanted` of it."""
    sizes = [size]
    for operation in operations:
        sizes.append(operation.output_size(sizes[-1]))
    for operation, before in zip(reversed(operations), reversed(sizes[:-1]), strict=True):
        wanted = operation.needed_size(before, wanted)
    return wanted


# Bytes per pixel of one frame, measured with 2 to 30 of them: GIF and AVIF take the most.
_CODER: Final = 60


def _has_pages(format: str | None) -> bool:  # noqa: A002
    return format is None or formats.BY_NAME[format].series == "pages"


@dataclass(slots=True)
class _Working:
    """The memory that a picture takes on its way beside the decoded one, 4 bytes a pixel.

    `held` are the bytes of the picture that the next operation is given.
    """

    full_size: Size
    size: Size
    held: int = 0
    peak: int = 0

    def add(self, operations: Iterable[Operation], *, plain: bool) -> None:
        for operation in operations:
            if not operation.turns:
                self._turn()
            after = operation.output_size(self.full_size)
            taken = operation.working_bytes(self.size, after, plain=plain)
            self.peak = max(self.peak, self.held + taken)
            self.full_size = self.size = after
            self.held = 4 * after[0] * after[1]

    def encode(self, format: str | None, *, plain: bool) -> None:  # noqa: A002
        self._turn()
        rows = [formats.BY_NAME[format]] if format else formats.FORMATS
        taken = max(row.encoding.of(self.size, plain=plain) for row in rows)
        self.peak = max(self.peak, self.held + taken)

    def _turn(self) -> None:
        # The decoded picture may have to be turned upright, into another.
        self.held = self.held or 4 * self.size[0] * self.size[1]


_FIT_HINTS: Final = {
    "fill": "fill means different things in different tools: choose cover (fill and crop), "
    "pad (fill up with background) or exact (ignore the ratio)",
    "contain": "contain is called inside here, or pad with background around it",
    "crop": "cropping to fill is called cover",
}


def _one_of(
    what: str, word: str, allowed: Sequence[Any], hints: dict[str, str] | None = None
) -> Any:
    if word in allowed:
        return word
    hint = (hints or {}).get(word) or f"one of {', '.join(allowed)}"
    raise UsageError(f"unknown {what} {word!r}: {hint}")


def _one_of_or_none(what: str, word: str | None, allowed: Sequence[Any]) -> Any:
    return None if word is None else _one_of(what, word, allowed)


def _check_amount(what: str, amount: int | None, most: int) -> None:
    if amount is not None and not 1 <= amount <= most:
        raise UsageError(f"found {what} {amount}, expected 1 to {most}")


def _check_settings(encoding: Encoding, row: formats.Format | None) -> None:
    """Raise UsageError for a setting that the format, if one is given, does not have."""
    if row is None:
        return
    if row.extra and not formats.available(row):
        raise UsageError(f"writing {row.name} needs: pip install 'imgbatch[{row.extra}]'")
    for setting in get_args(formats.Setting):
        asked = getattr(encoding, setting) != getattr(_PLAIN_ENCODING, setting)
        if asked and setting not in row.settings:
            word = "no-dither" if setting == "dither" else setting
            raise UsageError(f"{row.label} has no {setting} setting: leave --{word} away")
    if row.name == "tiff" and encoding.quality is not None and encoding.compression != "jpeg":
        raise UsageError("TIFF has a quality with --compression jpeg only: leave --quality away")


_PLAIN_ENCODING: Final = Encoding()


def _colour(word: str) -> tuple[int, int, int, int]:
    if word == "white":
        return WHITE
    # Pillow knows all the names of CSS; it is loaded only for somebody who gives one.
    from imgbatch.imaging.colour import parse_colour

    return parse_colour(word)


def _checked_label(label: str) -> str:
    if any(character in label for character in '/\\{}"<>|*?:') or label in (".", ".."):
        raise UsageError(f"the size name {label!r} cannot be part of a file name")
    return label


def _conversions(profile: str, intent: Intent) -> Iterable[Operation]:
    if profile == "keep":
        return
    if profile == "srgb":
        yield ConvertProfile(intent=intent)
        return
    try:
        with open(profile, "rb") as file:
            icc = file.read()
    except OSError as error:
        raise UsageError(
            f"unknown profile {profile!r}: give keep, srgb or an ICC file ({error.strerror})"
        ) from None
    if icc[36:40] != b"acsp" or icc[16:20] not in (b"RGB ", b"GRAY", b"CMYK"):
        raise UsageError(f"{profile}: this is no ICC profile of a colour, grey or CMYK space")
    yield ConvertProfile(icc, intent)


def _digest(value: Any) -> str:
    plain = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Dataclasses by their class and fields, so that no list of fields is kept by hand."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        counted = [one.name for one in dataclasses.fields(value) if one.compare]
        fields = {name: _plain(getattr(value, name)) for name in counted}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
