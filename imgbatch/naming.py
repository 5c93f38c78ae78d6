"""Names of output files: `--name` templates and their fields."""

from __future__ import annotations

import difflib
import os
import re
import string
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from imgbatch.errors import UsageError
from imgbatch.model import Source

UNKNOWN: Final = "unknown"

PLAIN: Final = "{stem}{ext}"
"""The template by which an output is called like its source."""

FIELDS: Final = MappingProxyType(
    {
        "stem": "the source's name without its suffix",
        "ext": "the suffix, with its dot; empty if there is none",
        "dir": "the folders between the given PATH and the source; empty if there are none",
        "parent": "the name of the source's folder; `unknown` at the top of a disk",
        "output": "the output's name (`web` of `--size web=1600`)",
        "width": "the output's width in pixels; 0 if the source cannot be read",
        "height": "the output's height in pixels; 0 if the source cannot be read",
        "seq": "a running number from 1, in the order of --sort",
        "date": "when it was taken, or else when the file was modified; as in {date:%Y-%m-%d}, "
        "the default",
        "camera": "the camera's model, or `unknown`",
    }
)
"""Every field and what it stands for, also where a source does not have it."""

_OWN_FIELDS: Final = frozenset({"dir", "parent", "stem", "ext"})
_HEADER_FIELDS: Final = frozenset({"width", "height", "date", "camera"})
_CONVERSIONS: Final = frozenset({None, "l", "u"})
_DAY: Final = "%Y-%m-%d"
_SAMPLE: Final[Mapping[str, object]] = MappingProxyType(
    {
        **dict.fromkeys(("stem", "ext", "dir", "parent", "output", "camera"), "x"),
        **dict.fromkeys(("width", "height", "seq"), 1),
        "date": datetime(2000, 1, 1, tzinfo=UTC),
    }
)

# Characters that Windows and its file systems forbid in names, and names that are devices there
# (learn.microsoft.com, Naming Files, Paths, and Namespaces).
_UNSAFE: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f]|[ .](?=[ .]*\Z)')
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|\Z)", re.IGNORECASE)

_HUGE: Final = re.compile(r"\d{4}")


class Template(Struct, frozen=True):
    """A checked template such as `{dir}/{stem}-{output}{ext}`.

    A field may have a Python format (`{seq:04d}`, `{stem:.20}`, `{date:%Y/%m}`), and before it
    `!l` or `!u` for lower or upper case (`{ext!l}`).
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises UsageError for an unknown field, an invalid format, or if there is no name."""
        sample = _sample(text, "name template")
        if "\0" in text:
            raise UsageError(f"the name template {text!r} contains a NUL, which no name can")
        if not os.path.basename(sample.replace("\\", "/")):
            raise UsageError(f"the name template {text!r} ends in a folder: end it with a name")
        folders = f"{text}/{sample}".replace("\\", "/").split("/")
        if os.path.isabs(text) or os.path.isabs(sample) or ".." in folders:
            raise UsageError(
                f"the name template {text!r} leaves the output folder: "
                "use --output for another folder"
            )
        return cls(text)

    @property
    def fields(self) -> frozenset[str]:
        """The names of its fields."""
        return _fields(self.text)

    @property
    def suffix(self) -> str | None:
        """The suffix that all its names end in, in lower case; empty if they have none.

        None if the field `ext` is in them.
        """
        name, ext = "", False
        for literal, field, _, _ in _parts(self.text):
            if "/" in literal:
                name, ext = literal.rpartition("/")[2], False
            else:
                name += literal
            if field is not None:
                # Anything but a dot: what it stands for is no suffix.
                name, ext = "x", ext or field == "ext"
        return None if ext else os.path.splitext(name)[1].lower()

    @property
    def needs_header(self) -> bool:
        """Whether a field is known only after reading the file's header."""
        return not self.fields.isdisjoint(_HEADER_FIELDS)

    def render(self, values: Mapping[str, object]) -> str:
        """The name, with "/" between folders.

        What comes from the source's own path is used as is. In all other values, characters that
        some system forbids become "_"; so only `dir` adds folders, and a "/" in a date's format.
        """
        return "".join(
            literal if field is None else literal + _part(field, values[field], spec, how)
            for literal, field, spec, how in _parts(self.text)
        )


class Caption(Struct, frozen=True):
    """A checked text such as `© {date:%Y} {camera}`, meant to be read; it names no file."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Caption:
        """Raises UsageError for an unknown field, or an invalid format."""
        _sample(text, "text")
        return cls(text)

    @property
    def fields(self) -> frozenset[str]:
        """The names of its fields."""
        return _fields(self.text)

    @property
    def literal(self) -> str:
        """Its text without the fields."""
        return "".join(literal for literal, _, _, _ in _parts(self.text))

    def render(self, values: Mapping[str, object]) -> str:
        """The text with its fields filled in, whatever they contain."""
        return "".join(
            literal if field is None else literal + _formatted(values[field], spec, how)
            for literal, field, spec, how in _parts(self.text)
        )


def parent_of(source: Source) -> str:
    """The name of the folder that a source is in, even if that is the given one itself."""
    above = source.mirrored.rpartition("/")[0]
    folder = above.rpartition("/")[2] or os.path.basename(os.path.abspath(source.root))
    return folder or UNKNOWN


def _sample(text: str, what: str) -> str:
    """An example of what a template becomes; raises UsageError if it cannot become anything."""
    try:
        parts = _parts(text)
    except ValueError as error:
        raise UsageError(f"cannot read the {what} {text!r}: {error}") from None
    for _, field, spec, how in parts:
        if "{" in spec:
            raise UsageError(f"cannot read the {what} {text!r}: a field inside another")
        if field is not None and field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, n=1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(FIELDS)}"
            raise UsageError(f"unknown field {{{field}}} in the {what}: {hint}")
        if how not in _CONVERSIONS:
            raise UsageError(
                f"cannot read the {what} {text!r}: found !{how}, expected !l (lower case) or "
                "!u (upper case)"
            )
        if field != "date" and _HUGE.search(spec):
            raise UsageError(f"cannot read the {what} {text!r}: more than 999 characters")
    try:
        return Caption(text).render(_SAMPLE)
    except ValueError as error:
        raise UsageError(f"cannot read the {what} {text!r}: {error}") from None


@cache
def _parts(text: str) -> tuple[tuple[str, str | None, str, str | None], ...]:
    """Literal text and the field after it, with its format and conversion."""
    return tuple(
        (literal, field, spec or "", how)
        for literal, field, spec, how in string.Formatter().parse(text)
    )


@cache
def _fields(text: str) -> frozenset[str]:
    return frozenset(field for _, field, _, _ in _parts(text) if field)


def _part(field: str, value: object, spec: str, how: str | None) -> str:
    """The value of a field, as part of a name."""
    if field in _OWN_FIELDS:
        return _formatted(value, spec, how)
    if isinstance(value, datetime):
        # By folders: a "/" that strftime itself inserts adds none.
        levels = (spec or _DAY).split("/")
        return "/".join(_safe(_formatted(value, one, how)) if one else "" for one in levels)
    return _safe(_formatted(value, spec, how))


def _formatted(value: object, spec: str, how: str | None) -> str:
    if isinstance(value, datetime):
        spec = spec or _DAY
    text = format(value, spec)
    if how is None:
        return text
    return text.lower() if how == "l" else text.upper()


def _safe(text: str) -> str:
    """As a name, or a part of one, that every system accepts."""
    text = _UNSAFE.sub("_", text)
    return f"_{text}" if _DEVICE.match(text) else text


def date_of(text: str | None, mtime_ns: int) -> datetime:
    """When a picture was taken, from EXIF's `2024:05:31 18:20:05`, without a time zone.

    If that makes no sense, the time of the file's last change, in nanoseconds since 1970.
    """
    try:
        return datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9).astimezone()
    except (ValueError, OverflowError, OSError):
        # Some file systems know dates beyond the year 9999.
        return datetime.fromtimestamp(0, UTC)


def folded(path: str) -> str:
    """Equal for names that are one file on a system that folds case or Unicode forms."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
