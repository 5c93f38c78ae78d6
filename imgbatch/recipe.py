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
from imgbatch.model import WHITE, Encoding, MetadataPolicy, Size
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
        return self.operations[0].needed_size(size) if self.operations else size

    def output_size(self, size: Size) -> Size:
        """The size it comes to, of an upright picture with `size`."""
        for operation in self.operations:
            size = operation.output_size(size)
        return size


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is made of every source: operations done once, then one or more outputs.

    `name` is the word that ends the default output folder (`photos-resized`).
    """

    name: str
    outputs: tuple[Output, ...]
    prepare: tuple[Operation, ...] = ()

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
        format: str = "keep",  # noqa: A002
        quality: int | None = None,
        filters: Iterable[str] = (),
        metadata: str = "all",
        profile: str = "keep",
        template: str | None = None,
    ) -> Recipe:
        """A recipe from the command line's own words (`imgbatch resize --help` explains them).

        Without `sizes` the size stays. Each size may be named: `web=1600`. Raises UsageError for
        a word that makes no sense.
        """
        row = None if format.lower() == "keep" else formats.lookup(format)
        _check_quality(quality, row)
        encoding = Encoding(
            format=row.name if row else None,
            quality=quality,
            metadata=_one_of("metadata policy", metadata, METADATA_POLICIES),
            background=_colour(background),
        )
        after = tuple(_conversions(profile)) + tuple(parse(words) for words in filters)
        several = len(sizes) > 1
        naming = Template.parse(template or ("{stem}-{output}{ext}" if several else "{stem}{ext}"))
        if not sizes:
            return cls(name, (Output(name, naming, after, encoding),))
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
            )
            outputs.append(
                Output(_checked_label(label or spec.strip()), naming, (resize, *after), encoding)
            )
        names = [output.name for output in outputs]
        for twice in {label for label in names if names.count(label) > 1}:
            raise UsageError(
                f"two sizes are called {twice!r}: give each a name of its own, as in web=1600"
            )
        return cls(name, tuple(outputs))

    def needed_size(self, size: Size) -> Size:
        """The least size that all outputs can start from, of a picture whose file has `size`."""
        if self.prepare:
            return size
        needs = [output.needed_size(size) for output in self.outputs]
        return max(need[0] for need in needs), max(need[1] for need in needs)

    def working_bytes(
        self,
        full_size: Size,
        decoded_size: Size,
        source: str | None = None,
        *,
        plain: bool = False,
    ) -> int:
        """The peak of memory that operations and encoding take beside the decoded picture.

        `source` is the name of the format it has, for outputs that keep it; `plain` says that its
        pixels are grey or RGB of 8 bits. Without them the worst is assumed.
        """
        shared = _Working(full_size, decoded_size)
        shared.add(self.prepare, plain=plain)
        peak, finished = shared.peak, 0
        for output in self.outputs:
            working = _Working(shared.full_size, shared.size, shared.held)
            working.add(output.operations, plain=plain)
            working.encode(output.encoding.format or source, plain=plain)
            peak = max(peak, finished + working.peak)
            # The finished files wait in memory for the last: at most as large as their pixels.
            finished += 4 * working.size[0] * working.size[1]
        return peak

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that change when any field does."""
        return _digest(self)

    def digest_of(self, output: Output) -> str:
        """The same of what makes the pixels and the file of one output: all but names."""
        return _digest((self.prepare, output.operations, output.encoding))


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


def _check_quality(quality: int | None, row: formats.Format | None) -> None:
    if quality is None:
        return
    if not 1 <= quality <= 100:
        raise UsageError(f"found quality {quality}, expected 1 to 100")
    if row is not None and row.quality is None:
        raise UsageError(f"{row.label} has no quality setting: leave --quality away")


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


def _conversions(profile: str) -> Iterable[Operation]:
    if profile == "keep":
        return
    if profile == "srgb":
        yield ConvertProfile()
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
    yield ConvertProfile(icc)


def _digest(value: Any) -> str:
    plain = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Dataclasses by their class and fields, so that no list of fields is kept by hand."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
