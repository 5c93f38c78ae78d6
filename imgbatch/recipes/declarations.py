"""How a setting of an output or of a run is declared: once, as a field of a dataclass.

    quality: int | None = setting(
        None, Whole(1, 100), "Format and quality", "1 to 100.", short="-q", unset="the format's own"
    )

Command options and their help, recipe keys, the arguments of `Recipe.from_options` and
`imgbatch.run` and the page docs/cli.md are derived from it. That loads neither Pillow nor NumPy:
`--help` reads declarations, too.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypedDict, Unpack

from msgspec import Struct, field
from msgspec.structs import replace

from imgbatch.errors import UsageError
from imgbatch.recipes.units import amount, in_words, seconds, time_in_words

TOML_TYPES: Final[Mapping[type, str]] = MappingProxyType(
    {
        str: "text in quotes",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        list: "a list",
        dict: "a table",
    }
)
"""What messages call the types of values in TOML."""
_TRUTHS: Final[Mapping[str, bool]] = MappingProxyType(
    {
        **dict.fromkeys(("yes", "true", "on", "1"), True),
        **dict.fromkeys(("no", "false", "off", "0"), False),
    }
)


class Kind(Struct, frozen=True):
    """A kind of values. `types` are the types that a recipe may use for it."""

    types: ClassVar[tuple[type, ...]] = (str,)

    @property
    def allowed(self) -> str:
        """The allowed values, in words, where the type alone does not tell."""
        return ""

    @property
    def words(self) -> tuple[str, ...]:
        """Words that a shell may complete."""
        return ()

    def check(self, name: str, value: Any) -> Any:
        """The value as it is used, from the one given; raises UsageError naming the setting."""
        return value

    def read(self, word: str) -> Any:
        """The value of a word on the command line, still to be checked. Raises ValueError."""
        return word

    def word(self, value: Any) -> str:
        """A default, as it is shown."""
        return f"{value}"


class Flag(Kind, frozen=True):
    """On or off."""

    types: ClassVar[tuple[type, ...]] = (bool,)

    def read(self, word: str) -> bool:
        if (meant := _TRUTHS.get(word.strip().lower())) is None:
            raise ValueError(f"found {word!r}, expected yes or no")
        return meant

    def check(self, name: str, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        raise UsageError(f"found {name} {value!r}, expected True or False")

    def word(self, value: Any) -> str:
        return "yes" if value else ""


class Text(Kind, frozen=True):
    """Any text; one that `may_be_empty`, or one that may only be given `once`.

    `known` are words with a meaning, and with `or_file` others name files.
    """

    may_be_empty: bool = False
    once: bool = False
    known: tuple[str, ...] = ()
    or_file: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return self.known

    def check(self, name: str, value: Any) -> Any:
        if isinstance(value, self.types) and not isinstance(value, bool):
            return value
        raise UsageError(f"found {name} {value!r}, expected text")


class Measure(Text, frozen=True):
    """Text that may be just a number: a size."""

    types: ClassVar[tuple[type, ...]] = (str, int)


class Path(Kind, frozen=True):
    """A file or a folder."""


class Several(Kind, frozen=True):
    """A setting that may be given several times, in order."""

    types: ClassVar[tuple[type, ...]] = (list,)

    def word(self, value: Any) -> str:
        return ""


class Choice(Kind, frozen=True):
    """One of `choices`; `what` is what messages call it, `hints` explain other programs' words.

    `synonyms` are accepted, too. With `listed` the command line itself names them all and accepts
    no other.
    """

    choices: tuple[str, ...]
    what: str = ""
    hints: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    listed: bool = False
    synonyms: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def allowed(self) -> str:
        return ", ".join(self.choices)

    @property
    def words(self) -> tuple[str, ...]:
        return self.choices

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            raise UsageError(f"{name}: found {value!r}, expected one of {self.allowed}")
        value = self.synonyms.get(value, value)
        if value in self.choices:
            return value
        if self.listed:
            raise UsageError(f"{name}: found {value!r}, expected one of {self.allowed}")
        hint = self.hints.get(value)
        if hint is None:
            near = difflib.get_close_matches(value, self.choices, n=1)
            hint = f"did you mean {near[0]}? There are " if near else "one of "
            hint += self.allowed
        raise UsageError(f"unknown {self.what or name} {value!r}: {hint}")


class Whole(Kind, frozen=True):
    """A whole number from `low` to `high`; None is no limit.

    `refused` is the message for values outside, with a {value}. On the command line a `unit` may
    follow the number, and the word `unset` means None.
    """

    low: int = 1
    high: int | None = None
    refused: str = ""
    unit: str = ""
    unset: str | None = None
    types: ClassVar[tuple[type, ...]] = (int,)

    @property
    def allowed(self) -> str:
        return f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"

    @property
    def words(self) -> tuple[str, ...]:
        return () if self.unset is None else (self.unset,)

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise UsageError(f"found {name} {value!r}, expected a whole number")
        if self.low <= value and (self.high is None or value <= self.high):
            return value
        refused = self.refused or f"found {name} {{value}}, expected {self.allowed}"
        raise UsageError(refused.format(value=value))

    def read(self, word: str) -> int | None:
        if self.unset is not None and word == self.unset:
            return None
        try:
            return int(word.strip().removesuffix(self.unit))
        except ValueError:
            raise ValueError(f"found {word!r}, expected a whole number") from None


class Seconds(Kind, frozen=True):
    """More than 0 seconds, and at most `high`; on the command line also 2m or 1h."""

    high: int = 1_000_000
    types: ClassVar[tuple[type, ...]] = (int, float)

    def read(self, word: str) -> float:
        return seconds(word)

    def word(self, value: Any) -> str:
        return time_in_words(value)

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UsageError(f"found {name} {value!r}, expected a number of seconds")
        if 0 < value <= self.high:
            return value
        raise UsageError(
            f"found a {name} of {value:g} s, expected more than 0 and at most {self.high:,}"
        )


class Amount(Kind, frozen=True):
    """A whole number from 1, optionally with a unit: 1500000, 1.5M, 1.5MB where `unit` is B.

    `refused` is as in Whole. On the command line a number without a unit that is below `doubtful`
    is refused: the unit `likely` was probably meant.
    """

    unit: str = "B"
    refused: str = ""
    doubtful: int = 0
    likely: str = ""
    types: ClassVar[tuple[type, ...]] = (str, int)

    def read(self, word: str) -> int:
        found = amount(word, self.unit)
        if 0 < found < self.doubtful and word.strip().isdecimal():
            raise ValueError(f"found {word.strip()}: did you mean {found}{self.likely}?")
        return found

    def check(self, name: str, value: Any) -> Any:
        try:
            found = amount(str(value), self.unit)
        except ValueError:
            found = 0
        if found < 1:
            raise UsageError(self.refused.format(value=value))
        return found

    def word(self, value: Any) -> str:
        return in_words(value, self.unit)


def several(name: str, value: object) -> tuple[Any, ...]:
    """The items of a setting that may be given several times; a single one may stand alone.

    Raises UsageError.
    """
    if isinstance(value, str | int | Mapping):
        return (value,)
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise UsageError(f"found {name} {value!r}, expected text, or a list of it")
    return tuple(value)


def check_words(call: str, words: Iterable[str], known: Collection[str]) -> None:
    """Raise TypeError for an argument that a function does not have, with the nearest one."""
    for unknown in words:
        if unknown not in known:
            near = difflib.get_close_matches(unknown, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{call}() got an unexpected keyword argument {unknown!r}{hint}")


class Spelling(TypedDict, total=False):
    """What only some settings have, as in Setting."""

    short: str
    option: str
    key: str
    metavar: str
    unset: str
    more: str
    python: bool
    each_run: str


class Setting(Struct, frozen=True):
    """Everything that is declared about one setting.

    `group` is its heading in help. `option` is the long option if it is not the field's own name,
    `short` the one with a single dash, `metavar` stands for its value in help. `key` is the recipe
    key if it differs. `unset` says what happens if it is not given, where the default does not;
    `more` is what docs/cli.md says beyond `help`. One without `python` is not an argument in
    Python. `each_run` is why it is said again for each run, if so: then no file of defaults and no
    variable can set it.
    """

    name: str
    default: Any
    kind: Kind
    group: str
    help: str
    short: str = ""
    option: str = ""
    key: str = ""
    metavar: str = ""
    unset: str = ""
    more: str = ""
    python: bool = True
    each_run: str = ""

    @property
    def word(self) -> str:
        """Its long option without the dashes, which is also its key in files of defaults."""
        return self.option or dashed(self.name)

    @property
    def variable(self) -> str:
        """The environment variable that sets its default."""
        return f"IMGBATCH_{self.word.replace('-', '_').upper()}"

    @property
    def negative(self) -> str:
        """What clears it on the command line, if it is a flag that may be on otherwise."""
        may_be_on = isinstance(self.kind, Flag) and (self.default or not self.each_run)
        return f"--no-{self.word}" if may_be_on else ""

    @property
    def options(self) -> tuple[str, ...]:
        """What sets it on the command line; for a flag that is on, what clears it, too."""
        negative = (self.negative,) if self.default is True else ()
        return (*filter(None, (self.short,)), f"--{self.word}", *negative)

    @property
    def recipe_key(self) -> str:
        """Its key in recipes."""
        return self.key or dashed(self.name)

    @property
    def usual(self) -> str:
        """Its value by default, in words; empty if it has none."""
        if self.unset:
            return self.unset
        return "" if self.default is None else self.kind.word(self.default)

    def check(self, value: Any) -> Any:
        """The value as it is used; raises UsageError. None stays None."""
        return None if value is None else self.kind.check(dashed(self.name), value)


def setting(
    default: Any,
    kind: Kind,
    group: str,
    help: str,  # noqa: A002
    **spelling: Unpack[Spelling],
) -> Any:
    """Declare a field of a dataclass; see Setting."""
    return dataclasses.field(
        default=default,
        metadata={_MARK: Setting("", default, kind, group, help, **spelling)},
    )


_MARK: Final = "setting"


@cache
def declared(kind: type) -> Mapping[str, Setting]:
    """The settings that a dataclass declares, by the names of their fields."""
    return MappingProxyType(
        {
            one.name: replace(one.metadata[_MARK], name=one.name)
            for one in dataclasses.fields(kind)
            if _MARK in one.metadata
        }
    )


def dashed(name: str) -> str:
    """The name of a field as options and recipes spell it."""
    return name.replace("_", "-")
