"""The words that users say of one output, on the command line, in a recipe and in Python."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from imgbatch.errors import UsageError
from imgbatch.imaging import formats, limits
from imgbatch.model import (
    WHITE,
    Compression,
    Encoding,
    Intent,
    MetadataPolicy,
    Subsampling,
)
from imgbatch.operations import Operation, build, parse
from imgbatch.operations.geometry import (
    FITS,
    GRAVITIES,
    KERNELS,
    Fit,
    Gravity,
    Kernel,
    Resize,
    SizeSpec,
)
from imgbatch.operations.profile import ConvertProfile
from imgbatch.recipes.units import amount
from imgbatch.store import regular

METADATA_POLICIES: Final[tuple[MetadataPolicy, ...]] = get_args(MetadataPolicy)

RESIZE: Final = "resize"
"""Among the operations of an output, the place of its resize; without it that comes first."""

Step = str | Mapping[str, Any]
"""An operation: `NAME:key=value,…`, or a table with its `name` and settings."""


RESIZING: Final = ("fit", "enlarge", "gravity", "kernel", "linear")
"""The words that say how an output's size is reached, and mean nothing without one."""


class UnsuitedError(UsageError):
    """Two words that do not go with each other.

    `setting` and `other` are their fields of `Words`; `problem` is what is wrong, without a
    remedy, in the words of recipes.
    """

    def __init__(self, message: str, problem: str, setting: str, other: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.setting = setting
        self.other = other


@dataclass(frozen=True, slots=True)
class Words:
    """What was said of one output: `imgbatch resize --help` explains each.

    `operations` are in order; files that they name are looked for in `folder` first. A `size` of
    None leaves the size.
    """

    size: str | None = None
    fit: str = "inside"
    enlarge: bool = False
    gravity: str = "center"
    background: str = "white"
    kernel: str = "lanczos"
    linear: bool = False
    format: str = "keep"
    quality: int | None = None
    max_bytes: int | str | None = None
    keep_smaller: bool = False
    subsampling: str | None = None
    progressive: bool = False
    lossless: bool = False
    effort: int | None = None
    compression: str | None = None
    dither: bool = True
    metadata: str = "all"
    artist: str | None = None
    copyright: str | None = None
    profile: str = "keep"
    intent: str = "relative"
    operations: Sequence[Step] = ()
    folder: str = ""

    def encoding(self) -> Encoding:
        """How its file is written; raises UsageError for a word that makes no sense."""
        row = None if self.format.lower() == "keep" else formats.lookup(self.format)
        _check_amount("quality", self.quality, 100)
        _check_amount("effort", self.effort, 10)
        if self.lossless and self.quality is not None:
            raise _excluded("quality")
        if self.lossless and self.max_bytes is not None:
            raise _excluded("max_bytes")
        encoding = Encoding(
            format=row.name if row else None,
            quality=self.quality,
            metadata=_one_of("metadata policy", self.metadata, METADATA_POLICIES),
            background=_colour(self.background),
            intent=_one_of("intent", self.intent, get_args(Intent)),
            subsampling=_one_of_or_none("subsampling", self.subsampling, get_args(Subsampling)),
            progressive=self.progressive,
            lossless=self.lossless,
            effort=self.effort,
            compression=_one_of_or_none("compression", self.compression, get_args(Compression)),
            dither=self.dither,
            artist=self.artist or None,
            copyright=self.copyright or None,
            max_bytes=_bytes(self.max_bytes),
            keep_smaller=self.keep_smaller,
        )
        _check_settings(encoding, row)
        return encoding

    def steps(self) -> tuple[Operation, ...]:
        """What is done to the picture, in order; raises UsageError.

        Colours are converted as soon as the size is right.
        """
        intent = _one_of("intent", self.intent, get_args(Intent))
        # What is said is checked even where there is no size for it.
        _one_of("fit", self.fit, FITS, _FIT_HINTS)
        _one_of("gravity", self.gravity, GRAVITIES)
        _one_of("kernel", self.kernel, KERNELS)
        convert = conversions(self.profile, intent, self.folder)
        named = [_name_of(step) for step in self.operations]
        if self.size is None:
            if RESIZE in named:
                raise UsageError("operations: found resize, but no size is given")
            return (*convert, *map(self._step, self.operations))
        if named.count(RESIZE) > 1:
            raise UsageError("operations: found resize twice, expected one size")
        place = named.index(RESIZE) if RESIZE in named else 0
        rest = self.operations[place + 1 :] if RESIZE in named else self.operations
        before = map(self._step, self.operations[:place])
        return (*before, self._resize(), *convert, *map(self._step, rest))

    def _resize(self) -> Resize:
        return Resize(
            SizeSpec.parse(self.size or ""),
            cast(Fit, self.fit),
            self.enlarge,
            cast(Gravity, self.gravity),
            _colour(self.background),
            cast(Kernel, self.kernel),
            self.linear,
        )

    def _step(self, step: Step) -> Operation:
        return operation_of(step, self.folder)


def operation_of(step: Step, folder: str = "") -> Operation:
    """The operation that a word or a table means; its files are below `folder`."""
    if isinstance(step, str):
        return parse(step, folder)
    values = {key: value for key, value in step.items() if key != "name"}
    return build(_name_of(step), values, folder)


def _name_of(step: Step) -> str:
    name = step.partition(":")[0].strip() if isinstance(step, str) else step.get("name")
    if not isinstance(name, str):
        raise UsageError(f"operations: found {step!r}, expected a name in each, as in name = 'lut'")
    return name


def check_label(label: str) -> str:
    """The name of an output, if it may be part of a file's name; else raises UsageError."""
    odd = any(one in '/\\{}"<>|*?:' or not one.isprintable() for one in label)
    if odd or label in ("", ".", ".."):
        raise UsageError(f"the name {label!r} cannot be part of a file name")
    return label


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
    hint = (hints or {}).get(word)
    if hint is None:
        near = difflib.get_close_matches(word, allowed, n=1)
        hint = (f"did you mean {near[0]}? There are " if near else "one of ") + ", ".join(allowed)
    raise UsageError(f"unknown {what} {word!r}: {hint}")


def _one_of_or_none(what: str, word: str | None, allowed: Sequence[Any]) -> Any:
    return None if word is None else _one_of(what, word, allowed)


def _check_amount(what: str, found: int | None, most: int) -> None:
    if found is not None and not 1 <= found <= most:
        raise UsageError(f"found {what} {found}, expected 1 to {most}")


def _bytes(word: int | str | None) -> int | None:
    if word is None:
        return None
    try:
        most = amount(str(word), "B")
    except ValueError:
        most = 0
    if most < 1:
        raise UsageError(f"found max-bytes {word!r}, expected bytes, as in 500000 or '500KB'")
    return most


def option(field: str) -> str:
    """What sets a field of `Words` on the command line."""
    return "--no-dither" if field == "dither" else f"--{field.replace('_', '-')}"


def _excluded(setting: str) -> UnsuitedError:
    return UnsuitedError(
        f"--lossless and {option(setting)} exclude each other: omit one",
        f"lossless and {option(setting)[2:]} exclude each other",
        setting,
        "lossless",
    )


def _check_settings(encoding: Encoding, row: formats.Format | None) -> None:
    """Raise UnsuitedError for a setting that the format, if one is given, does not have."""
    if row is None:
        return
    if row.extra and not formats.available(row):
        raise UsageError(f"writing {row.name} needs: pip install 'imgbatch[{row.extra}]'")
    for setting in get_args(formats.Setting):
        asked = getattr(encoding, setting) != getattr(_PLAIN_ENCODING, setting)
        if asked and setting not in row.settings:
            problem = f"{row.label} has no {setting.replace('_', '-')} setting"
            remedy = f"omit {option(setting)}"
            raise UnsuitedError(f"{problem}: {remedy}", problem, setting, "format")
    if row.name == "tiff" and encoding.quality is not None and encoding.compression != "jpeg":
        raise UnsuitedError(
            "TIFF has a quality with --compression jpeg only: omit --quality",
            "TIFF has a quality with compression jpeg only",
            "quality",
            "format",
        )


_PLAIN_ENCODING: Final = Encoding()


def _colour(word: str) -> tuple[int, int, int, int]:
    if word == "white":
        return WHITE
    # Pillow knows all the names of CSS; it is loaded only for somebody who gives one.
    from imgbatch.imaging.colour import parse_colour

    return parse_colour(word)


def conversions(profile: str, intent: Intent, folder: str = "") -> Iterator[Operation]:
    """The conversion that `--profile` asks for, if any; raises UsageError."""
    if profile == "keep":
        return
    if profile == "srgb":
        yield ConvertProfile(intent=intent)
        return
    path = os.path.join(folder, profile)
    try:
        icc = regular.read(path, "an ICC profile", limits.ICC_BYTES)
    except regular.UnreadableError as error:
        raise UsageError(
            f"unknown profile {profile!r}: give keep, srgb or an ICC file ({error.cause})"
        ) from None
    if icc[36:40] != b"acsp" or icc[16:20] not in (b"RGB ", b"GRAY", b"CMYK"):
        raise UsageError(f"{profile}: this is no ICC profile of a colour, grey or CMYK space")
    yield ConvertProfile(icc, intent, path)
