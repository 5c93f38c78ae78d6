"""The registry of operations with a name, and how they are written in words."""

from __future__ import annotations

import difflib
import pkgutil
import re
import sys
from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from imgbatch import entry_points
from imgbatch.errors import UsageError
from imgbatch.operations.base import Operation, parameters_of, registered
from imgbatch.operations.parameters import Parameter

ENTRY_POINTS: Final = "imgbatch.operations"
"""The group of entry points for modules with more operations."""


def names() -> MappingProxyType[str, type[Operation]]:
    """All registered operations by name, sorted: imgbatch's own, and those of other packages.

    Packages that cannot be loaded are left out: `unloadable` lists them.
    """
    _load_own()
    _load_installed()
    return MappingProxyType(dict(sorted(registered().items())))


def unloadable() -> MappingProxyType[str, str]:
    """Why the operations of other packages cannot be loaded, by entry point."""
    _load_own()
    return MappingProxyType(_load_installed())


@cache
def _load_own() -> None:
    package = sys.modules[__package__ or ""]
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")


@cache
def _load_installed() -> dict[str, str]:
    wrong = entry_points.load(ENTRY_POINTS, "operations")
    for name, kind in list(registered().items()):
        # What a module registered before it failed could not be sent to other processes.
        if kind.__module__ not in sys.modules:
            del registered()[name]
    return wrong


_SYNONYMS: Final = MappingProxyType(
    {
        **dict.fromkeys(
            ("bw", "b&w", "mono", "monochrome", "black-and-white", "greyscale", "grey", "gray"),
            "grayscale",
        ),
        "colour": "saturation",
        "color": "saturation",
        "sharpness": "sharpen",
        "temperature": "white-balance",
        "wb": "white-balance",
        "caption": "text",
        "logo": "watermark",
        "mirror": "flip",
        "negate": "invert",
        "sepia-tone": "sepia",
        "noise": "grain",
        "frame": "border",
    }
)
"""What other programs call an operation, and what it is called here."""
_OPTIONS: Final = MappingProxyType(
    {
        "resize": "the size is given by --size, or size = in a recipe",
        "profile": "colours are converted by --profile, or profile = in a recipe",
    }
)
"""What is no operation, but an option."""
_KEYS: Final = MappingProxyType({"color": "colour"})
"""Other spellings of settings, which are accepted."""


def find(name: str) -> type[Operation]:
    """The operation with this name; raises UsageError with the nearest one."""
    known = name.strip().lower()
    _load_own()
    if known not in registered():
        # Looking through all installed packages takes time, so only for unknown names.
        kinds, wrong = names(), unloadable()
        if known not in kinds:
            if known in wrong:
                raise UsageError(wrong[known])
            hint = _hint(known, kinds)
            # It may be one of these.
            more = "".join(f"; {trouble}" for trouble in wrong.values())
            raise UsageError(f"unknown operation {name!r}: {hint}{more}")
    return registered()[known]


def _hint(word: str, kinds: Mapping[str, type[Operation]]) -> str:
    """What may be meant by a word that is not the name of an operation."""
    if word in _OPTIONS:
        return _OPTIONS[word]
    if (meant := _SYNONYMS.get(word)) is not None:
        return f"did you mean {meant}?"
    name, equals, value = word.partition("=")
    if equals and name in kinds and (key := next(iter(parameters_of(kinds[name])), None)):
        return f"did you mean {name}:{key}={value}?"
    parts = [part.strip() for part in word.split(",")]
    if len(parts) > 1 and all(part.partition(":")[0] in kinds for part in parts):
        return f"give each its own: {' '.join(f'--filter {part}' for part in parts)}"
    near = difflib.get_close_matches(word, kinds, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(kinds)}"


def parse(words: str, folder: str = "") -> Operation:
    """An operation from the words users type: `NAME` or `NAME:key=value,key=value`.

    A value with a comma stands in quotes; files are looked for in `folder`. Raises UsageError
    that says what was found, what was expected, and the nearest name.
    """
    name, _, arguments = words.partition(":")
    kind = find(name)
    name = kind.name
    declared = parameters_of(kind)
    values: dict[str, Any] = {}
    before = ""
    for part in _PART.findall(arguments):
        key, equals, word = (piece.strip() for piece in part.partition("="))
        if not key and not equals:
            continue
        key = _spelled(declared, key)
        if key not in declared or not equals:
            expected = _expected(declared, key)
            if not equals and before:
                expected += f"; or does the comma belong to the text? Then: '{before},{part}\"'"
            raise UsageError(f"{name}: found {part.strip()!r}, expected {expected}")
        if key in values:
            raise UsageError(f"{name}: {key} is given twice")
        # As it would have to be typed with a comma in the value.
        before = "" if word[:1] in ("'", '"') else f'{name}:{key}="{word}'
        word = _unquoted(f"{name}: {key}", word)
        values[key] = declared[key].read(f"{name}: {key}", declared[key].kind.within(folder, word))
    return kind(**values)


def _spelled(declared: Collection[str], key: str) -> str:
    """The name of a setting, also from another spelling of it."""
    return key if key in declared else _KEYS.get(key, key)


def _unquoted(where: str, word: str) -> str:
    """A value without the quotes around it; raises UsageError if only one is there."""
    if word[:1] not in ('"', "'"):
        return word
    if len(word) == 1 or word[-1] != word[0]:
        raise UsageError(f"{where}: found {word} without a closing quote")
    return word[1:-1]


_PART: Final = re.compile(r"""(?:[^,"']|"[^"]*"|'[^']*'|["'])+""")


def build(name: str, values: Mapping[str, Any], folder: str = "") -> Operation:
    """An operation from its name and the values in a recipe; raises UsageError.

    Files are looked for in `folder`.
    """
    kind = find(name)
    declared = parameters_of(kind)
    spelled = {key: _spelled(declared, key) for key in values}
    if len(set(spelled.values())) < len(spelled):
        raise UsageError(f"{kind.name}: found {' and '.join(spelled)}, expected one of those")
    values = {spelled[key]: value for key, value in values.items()}
    for key in values:
        if key not in declared:
            expected = _expected(declared, key)
            raise UsageError(f"{kind.name}: found {key!r}, expected {expected}")
    placed = {key: declared[key].kind.within(folder, value) for key, value in values.items()}
    return kind(**placed)


def words_of(operation: Operation) -> str:
    """An operation as users type it: its name, and the settings that differ from the default."""
    settings = []
    for key, declared in parameters_of(type(operation)).items():
        value = getattr(operation, key)
        if value != declared.default and value is not None:
            word = declared.kind.word(value)
            quoted = f'"{word}"' if "," in word else word
            settings.append(f"{key}={quoted}")
    return f"{operation.name}:{','.join(settings)}" if settings else operation.name


def plain(operation: Operation) -> dict[str, Any]:
    """An operation as a recipe has it: its name, and the settings that differ from the default."""
    found: dict[str, Any] = {"name": operation.name}
    for key, declared in parameters_of(type(operation)).items():
        value = getattr(operation, key)
        if value != declared.default and value is not None:
            found[key] = declared.kind.plain(value)
    return found


def _expected(declared: dict[str, Parameter], key: str) -> str:
    if not declared:
        return "nothing: it has no settings"
    near = difflib.get_close_matches(key, declared, n=1)
    if near and near[0] != key:
        return f"{near[0]}=… (did you mean that?)"
    return " or ".join(f"{known}=…" for known in declared)
