"""Names of output files: `--name` templates and their fields."""

from __future__ import annotations

import difflib
import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from imgbatch.errors import UsageError

FIELDS: Final = MappingProxyType(
    {
        "stem": "the source's name without its suffix",
        "ext": "the suffix, with its dot",
        "dir": "the folders between the given PATH and the source",
        "output": "the output's name (`web` of `--size web=1600`)",
        "width": "the output's width in pixels",
        "height": "the output's height in pixels",
        "seq": "a running number, in the order of the names",
        "date": "when it was taken, or else when the file was changed; as in {date:%Y-%m-%d}",
        "camera": "the camera's model, or `unknown`",
    }
)
"""Every field and what it stands for."""

_OWN_FIELDS: Final = frozenset({"dir", "stem", "ext"})
_HEADER_FIELDS: Final = frozenset({"width", "height", "date", "camera"})
_SAMPLE: Final[Mapping[str, object]] = MappingProxyType(
    {
        **dict.fromkeys(("stem", "ext", "dir", "output", "camera"), "x"),
        **dict.fromkeys(("width", "height", "seq"), 1),
        "date": datetime(2000, 1, 1, tzinfo=UTC),
    }
)


class _FileNames(string.Formatter):
    """str.format without attributes and indexing, and with values that cannot add folders."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        return kwargs[field_name], field_name

    def format_field(self, value: object, format_spec: str) -> str:
        if isinstance(value, datetime):
            format_spec = format_spec or "%Y-%m-%d"
        text: str = super().format_field(value, format_spec)
        return text


_formatter: Final = _FileNames()


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template such as `{dir}/{stem}-{output}{ext}`."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises UsageError for an unknown field, a format that does not fit, or no name at all."""
        try:
            fields = [field for _, field, _, _ in _formatter.parse(text) if field is not None]
        except ValueError as error:
            raise UsageError(f"cannot read the name template {text!r}: {error}") from None
        if any("{" in (spec or "") for _, _, spec, _ in _formatter.parse(text)):
            raise UsageError(f"cannot read the name template {text!r}: a field inside another")
        for field in fields:
            if field not in FIELDS:
                near = difflib.get_close_matches(field, FIELDS, n=1)
                hint = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(FIELDS)}"
                raise UsageError(f"unknown field {{{field}}} in the name template: {hint}")
        try:
            sample = _formatter.vformat(text, (), _SAMPLE)
        except (ValueError, KeyError) as error:
            raise UsageError(f"cannot read the name template {text!r}: {error}") from None
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
        """The names of the fields in it."""
        return frozenset(field for _, field, _, _ in _parts(self.text) if field)

    @property
    def needs_header(self) -> bool:
        """Whether a field is only known once the file's header was read."""
        return not self.fields.isdisjoint(_HEADER_FIELDS)

    def render(self, values: Mapping[str, object]) -> str:
        """The name, with "/" between folders; text values other than dir cannot add any.

        What comes from the source's own path is taken as it is.
        """
        return "".join(
            literal if field is None else literal + _formatted(field, values[field], spec, how)
            for literal, field, spec, how in _parts(self.text)
        )


@cache
def _parts(text: str) -> tuple[tuple[str, str | None, str, str | None], ...]:
    """Literal text and the field behind it, its format and its conversion."""
    return tuple(
        (literal, field, spec or "", how) for literal, field, spec, how in _formatter.parse(text)
    )


def _formatted(field: str, value: object, spec: str, how: str | None) -> str:
    if isinstance(value, str) and field not in _OWN_FIELDS:
        value = _one_name(value)
    if isinstance(value, str) and not spec and not how:
        return value
    return _formatter.format_field(_formatter.convert_field(value, how), spec)


def _one_name(value: str) -> str:
    name = "".join("_" if c in "/\\" or ord(c) < 32 else c for c in value)
    return "__" if name == ".." else name


def shown(text: str) -> str:
    """A path or message for one line on a screen: control characters are written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or ord(c) > 0xD7FF else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
