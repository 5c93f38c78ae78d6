"""The settings of an operation: declared once, and read from words, recipes and Python alike."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import re
from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Struct, StructMeta

from imgbatch.errors import UsageError
from imgbatch.model import Colour
from imgbatch.store import regular


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that an operation works with, as it was when the operation was made.

    Only its bytes count for equality and digests, so a recipe and its files may move together.
    """

    path: str = field(compare=False)
    data: bytes = field(repr=False)


Point = tuple[float, float]
Value = float | int | bool | str | Colour | tuple[Point, ...] | Attachment | None
"""The values that a setting can have."""


def shortest(number: float) -> str:
    """A number in the shortest form that is read as the same: 2 for 2.0."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


class _AbstractStruct(StructMeta, ABCMeta):
    """Structs with abstract methods: a kind that lacks one cannot be made."""


class Kind(Struct, frozen=True, metaclass=_AbstractStruct):
    """A kind of values. `read` and `check` raise ValueError for what they cannot accept."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """The allowed values, in words."""

    @property
    def words(self) -> tuple[str, ...]:
        """Words that a shell may complete."""
        return ()

    @abstractmethod
    def read(self, word: str) -> Any:
        """The value of a word on the command line, still to be checked."""

    @abstractmethod
    def check(self, value: Any) -> Value:
        """The value as operations get it, from one written in Python or in a recipe."""

    def within(self, folder: str, value: Any) -> Any:
        """A value from a recipe in `folder`, as it must be from here."""
        return value

    def plain(self, value: Any) -> Any:
        """The value as it is written in a recipe."""
        return value

    def word(self, value: Any) -> str:
        """The value as a word on the command line."""
        return shortest(value) if isinstance(value, float) else f"{value}"


class Number(Kind, frozen=True):
    """A number, or with `whole` one without a fraction."""

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    whole: bool = False

    @property
    def expected(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        span = "" if math.isinf(self.low) else f" from {self.low:g} to {self.high:g}"
        return f"{kind}{span}{f' {self.unit}' if self.unit else ''}"

    def read(self, word: str) -> Any:
        return int(word) if self.whole else float(word)

    def check(self, value: Any) -> Value:
        if type(value) is int and not self.whole:
            # 1 and 1.0 are the same setting, so they are the same object and digest.
            value = float(value)
        if type(value) is not (int if self.whole else float):
            raise ValueError
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise ValueError
        number: float = value
        return number


class Truth(Kind, frozen=True):
    """Yes or no."""

    @property
    def expected(self) -> str:
        return "yes or no"

    @property
    def words(self) -> tuple[str, ...]:
        return "yes", "no"

    def read(self, word: str) -> Any:
        return {
            **dict.fromkeys(("yes", "true", "on", "1"), True),
            **dict.fromkeys(("no", "false", "off", "0"), False),
        }.get(word.lower())

    def check(self, value: Any) -> Value:
        if not isinstance(value, bool):
            raise ValueError
        return value

    def word(self, value: Any) -> str:
        return "yes" if value else "no"


class Text(Kind, frozen=True):
    """Free text, or one of `choices`, or of their `synonyms`; `what` is what it is meant to be."""

    choices: tuple[str, ...] = ()
    what: str = "text"
    synonyms: Mapping[str, str] = msgspec.field(default_factory=lambda: MappingProxyType({}))

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.choices)}" if self.choices else self.what

    @property
    def words(self) -> tuple[str, ...]:
        return self.choices

    def read(self, word: str) -> Any:
        return word

    def check(self, value: Any) -> Value:
        if not isinstance(value, str):
            raise ValueError
        meant = self.synonyms.get(value, value)
        if self.choices and meant not in self.choices:
            raise ValueError
        return meant


class ColourKind(Kind, frozen=True):
    """A CSS colour; the value is red, green, blue and alpha."""

    @property
    def expected(self) -> str:
        return "a CSS colour such as white, #1e90ff or rgb(20 20 20)"

    def read(self, word: str) -> Any:
        return word

    def check(self, value: Any) -> Value:
        if isinstance(value, str):
            from imgbatch.imaging.colour import parse_colour

            return parse_colour(re.sub(r"(?<=\d)\s+(?=\d)", ",", value))
        if not isinstance(value, tuple | list) or len(value) not in (3, 4):
            raise ValueError
        if not all(type(part) is int and 0 <= part <= 255 for part in value):
            raise ValueError
        red, green, blue, *alpha = value
        return red, green, blue, alpha[0] if alpha else 255

    def plain(self, value: Any) -> Any:
        red, green, blue, alpha = value
        return f"#{red:02x}{green:02x}{blue:02x}" + (f"{alpha:02x}" if alpha < 255 else "")

    def word(self, value: Any) -> str:
        return f"{self.plain(value)}"


class Points(Kind, frozen=True):
    """Points of a curve, at least two, from left to right: `0/0 128/140 255/255`."""

    low: float = 0.0
    high: float = 255.0

    @property
    def expected(self) -> str:
        span = f"{self.low:g} to {self.high:g}"
        return f"two or more points of levels from {span}, each further right: 0/0 128/140 255/255"

    def read(self, word: str) -> Any:
        pairs = [pair.split("/") for pair in re.split(r"[\s;]+", word.strip())]
        return [(float(across), float(up)) for across, up in pairs]

    def check(self, value: Any) -> Value:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError
        points = tuple((float(across), float(up)) for across, up in value)
        numbers = [number for point in points for number in point]
        if not all(self.low <= number <= self.high for number in numbers) or len(points) < 2:
            raise ValueError
        if any(one[0] >= other[0] for one, other in itertools.pairwise(points)):
            raise ValueError
        return points

    def plain(self, value: Any) -> Any:
        return [list(point) for point in value]

    def word(self, value: Any) -> str:
        return " ".join(f"{shortest(across)}/{shortest(up)}" for across, up in value)


_MAX_BYTES: Final = 100_000_000


class FileKind(Kind, frozen=True):
    """A file, which is read at once; `what` is what it is meant to be."""

    what: str = "a file"

    @property
    def expected(self) -> str:
        return self.what

    def read(self, word: str) -> Any:
        return word

    def check(self, value: Any) -> Value:
        if isinstance(value, Attachment):
            return value
        path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
        if not path or not isinstance(path, str):
            raise ValueError
        return Attachment(path, regular.read(path, self.what, _MAX_BYTES))

    def within(self, folder: str, value: Any) -> Any:
        return os.path.join(folder, value) if isinstance(value, str) and value else value

    def plain(self, value: Any) -> Any:
        return value.path

    def word(self, value: Any) -> str:
        return f"{value.path}"


class Parameter(Struct, frozen=True):
    """A setting of an operation: its default, the values it accepts, and its meaning.

    A default of None makes it optional.
    """

    default: Value
    kind: Kind
    help: str = ""

    @property
    def expected(self) -> str:
        """The allowed values, in words."""
        return self.kind.expected

    def read(self, where: str, word: str) -> Value:
        """The value of a word; raises UsageError naming `where` it is."""
        try:
            return self.check(where, self.kind.read(word), found=word)
        except (ValueError, TypeError, OverflowError):
            raise self._refused(where, word) from None

    def check(self, where: str, value: Any, *, found: Any = None) -> Value:
        """The value as operations get it; raises UsageError naming `where` if not allowed."""
        if value is None and self.default is None and found is None:
            return None
        try:
            return self.kind.check(value)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        except (ValueError, TypeError, OverflowError):
            raise self._refused(where, value if found is None else found) from None

    def _refused(self, where: str, found: Any) -> UsageError:
        return UsageError(f"{where}: found {found!r}, expected {self.expected}")


def parameter(
    default: Value,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    unit: str = "",
    choices: tuple[str, ...] = (),
    synonyms: Mapping[str, str] = MappingProxyType({}),
    kind: Kind | None = None,
    help: str,  # noqa: A002
) -> Any:
    """Declare a field of an operation.

    The default determines the kind of values: a number (from `low` to `high`), a whole number, yes
    or no, one of `choices`, which may have `synonyms`; anything else needs its `kind`.
    """
    text = Text(choices, synonyms=synonyms)
    declared = Parameter(default, kind or _kind(default, low, high, unit, text), help)
    return dataclasses.field(default=default, metadata={"parameter": declared})


def _kind(default: Value, low: float, high: float, unit: str, text: Text) -> Kind:
    if isinstance(default, bool):
        return Truth()
    if isinstance(default, int | float):
        return Number(low, high, unit, whole=isinstance(default, int))
    if isinstance(default, str):
        return text
    raise TypeError(f"a default of {default!r} does not determine the kind of a setting")
