"""Defaults for the settings of the command: from files, and from the environment.

The declarations of settings (`recipes/declarations.py`) say what there is, how it is read and
checked, and what is no default. Without files and variables this costs a few calls of `stat`.
"""

from __future__ import annotations

import difflib
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import click
from msgspec import Struct

from imgbatch.cli.help import every_setting
from imgbatch.errors import UsageError
from imgbatch.recipes.declarations import (
    TOML_TYPES,
    Flag,
    Kind,
    Measure,
    Setting,
    Several,
    Text,
)
from imgbatch.recipes.settings import profile_name

USERS_FILE: Final = "config.toml"
PROJECTS_FILE: Final = "imgbatch.toml"
PRESETS: Final = "presets"
_PREFIX: Final = "IMGBATCH_"
_EXCLUDED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "in_place": frozenset({"format", "flat", "subfolder"}),
        "output": frozenset({"subfolder"}),
        "subfolder": frozenset({"flat"}),
        "flat": frozenset({"subfolder"}),
    }
)
"""Defaults that cannot be followed with an option."""
_NO_SECTIONS: Final = "defaults hold for all commands, and stand outside of sections"
_SUFFIX: Final = ".toml"
_MAX_BYTES: Final = 1_000_000


class Found(Struct, frozen=True):
    """The default of a setting, and `where` it was found: a file and its key, or a variable."""

    value: Any
    where: str


class Defaults(Struct, frozen=True):
    """What was found, by the names of settings.

    `folders` have recipes that can be run by name, the most important one first, each with where
    it is named. `notices` say which files were ignored.
    """

    found: Mapping[str, Found] = MappingProxyType({})
    folders: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()

    def values(self, options: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
        """The values alone, for a command with these `options`: only those that go with them."""
        needless: set[str] = set()
        for name, others in _EXCLUDED.items():
            if options.get(name):
                needless |= others
        if {"subfolder", "flat"} <= self.found.keys() - needless:
            needless.add("flat")
        return {name: one.value for name, one in self.found.items() if name not in needless}

    def presets(self) -> dict[str, str]:
        """The paths of the user's own recipes, by name. Raises UsageError."""
        recipes: dict[str, str] = {}
        for where, folder in self.folders:
            try:
                names = sorted(os.listdir(folder))
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise UsageError(
                    f"{where}: cannot list {folder}: {why}; expected a folder with recipes"
                ) from None
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(_SUFFIX) and not name.startswith(".") and os.path.isfile(path):
                    recipes.setdefault(name.removesuffix(_SUFFIX), path)
        return recipes


def read(config: str | None, *, no_config: bool) -> Defaults:
    """The defaults that hold for a command with these options.

    The file `config` alone counts if it is given, and none with `no_config`; a variable comes
    before any file. Raises UsageError naming the file and the key, or the variable.
    """
    environment = _environment()
    if config is None and not no_config:
        config = environment.pop("config", None)
        no_config = environment.pop("no_config", False)
    environment.pop("config", None)
    environment.pop("no_config", None)
    if config is not None and no_config:
        raise UsageError("--config and --no-config exclude each other: omit one")
    notices: list[str] = []
    if no_config:
        paths = []
    elif config is not None:
        paths = [config]
    else:
        paths = [path for path in (_project(notices), _users()) if path is not None]
    found: dict[str, Found] = {
        name: Found(value, _variable(name)) for name, value in environment.items()
    }
    folders = []
    for path in paths:
        values, folder = _File(path).read()
        found = {**values, **found}
        if folder is not None:
            folders.append((f"{path}: {PRESETS}", folder))
    return Defaults(found, tuple(folders), tuple(notices))


# Files


def _users() -> str | None:
    """The user's own file, if there is one."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(given):
        folder = os.path.join(given, "imgbatch")
    elif sys.platform in ("win32", "darwin"):
        folder = click.get_app_dir("imgbatch")
    else:
        folder = os.path.expanduser("~/.config/imgbatch")
    path = os.path.join(folder, USERS_FILE)
    return path if os.path.isabs(path) and os.path.isfile(path) else None


def _project(notices: list[str]) -> str | None:
    """The nearest file in or above the working folder, up to home, if one may be believed.

    Whoever can write to a folder above could steer the runs of others: a file that is neither the
    user's nor the system's is not read.
    """
    try:
        folder = os.getcwd()
    except OSError:
        return None
    home = os.path.realpath(os.path.expanduser("~"))
    while True:
        path = os.path.join(folder, PROJECTS_FILE)
        if os.path.isfile(path):
            if (doubt := _doubt(path)) is None:
                return path
            notices.append(f"ignored {path}: {doubt}; --config {path} reads it all the same")
        above = os.path.dirname(folder)
        if folder in (home, above):
            return None
        folder = above


def _doubt(path: str) -> str | None:
    """Why a file is not believed, if so: others may have written it, or the link to it."""
    if os.name != "posix":
        return None
    trusted = {0, os.geteuid()}
    for found in (os.lstat(path), os.stat(path)):
        if found.st_uid not in trusted:
            return "it belongs to another user"
        if found.st_mode & stat.S_IWOTH and not stat.S_ISLNK(found.st_mode):
            return "everybody may change it"
    return None


class _File(Struct, frozen=True):
    """One file of defaults."""

    path: str

    def read(self) -> tuple[dict[str, Found], str | None]:
        """Its defaults, and the folder of recipes that it names. Raises UsageError."""
        found: dict[str, Found] = {}
        presets = None
        known = {one.word: one for one in every_setting()}
        for key, value in self._table().items():
            where = f"{self.path}: {key}"
            if key == PRESETS:
                presets = self._folder(where, value)
            elif (one := known.get(key) or _by_recipe_key(key)) is None:
                hint = _NO_SECTIONS if isinstance(value, dict) else _nearest(key, known)
                raise UsageError(f"{where}: an unknown key; {hint}")
            elif one.each_run:
                raise UsageError(f"{where}: {self._refusal(one, value)}")
            else:
                found[one.name] = Found(self._value(where, one, value), where)
        return found, presets

    def _table(self) -> dict[str, Any]:
        import tomllib

        from imgbatch.store import regular

        data = regular.read(self.path, "a file of defaults", _MAX_BYTES)
        try:
            return tomllib.loads(data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path}: not valid UTF-8 (byte {error.start})") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{self.path}: not valid TOML: {error}") from None

    def _refusal(self, one: Setting, value: Any) -> str:
        if one.name == "output" and isinstance(value, list):
            return "this is a recipe, not a file of defaults: give it another name"
        return f"not a default: {one.each_run}"

    def _folder(self, where: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            found = "a table" if isinstance(value, dict) else repr(value)
            raise UsageError(f"{where}: found {found}, expected the folder of your recipes")
        return _in(os.path.dirname(self.path), value)

    def _value(self, where: str, one: Setting, value: Any) -> Any:
        if isinstance(one.kind, Several):
            items = value if isinstance(value, list) else [value]
            read = tuple(_from_toml(where, Measure(), item) for item in items)
        else:
            read = _checked(where, one, _from_toml(where, one.kind, value))
        return _as_click_has_it(one, read, os.path.dirname(self.path))


def _from_toml(where: str, kind: Kind, value: Any) -> Any:
    """A value from TOML; text is read like a word of the command line."""
    if isinstance(value, str) and not isinstance(kind, Flag):
        return _from_word(where, kind, value)
    # True is a number to Python, but not to anybody else.
    wrong = isinstance(value, bool) and bool not in kind.types
    if wrong or not isinstance(value, kind.types):
        expected = " or ".join(TOML_TYPES[one] for one in kind.types)
        raise UsageError(f"{where}: found {value!r}, expected {expected}")
    return str(value) if isinstance(kind, Measure) else value


def _from_word(where: str, kind: Kind, word: str) -> Any:
    if not word and not (isinstance(kind, Text) and kind.may_be_empty):
        raise UsageError(f"{where}: found nothing, expected a value")
    try:
        return kind.read(word)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _checked(where: str, one: Setting, value: Any) -> Any:
    try:
        return one.check(value)
    except UsageError as error:
        raise UsageError(f"{where}: {str(error).removeprefix(f'{one.word}: ')}") from None


def _as_click_has_it(one: Setting, value: Any, folder: str = "") -> Any:
    """A value as the command line gives it; a profile's file may be in `folder`."""
    if one.name == "profile" and profile_name(value) is None:
        path = _in(folder, value)
        return os.path.abspath(path) if os.path.isfile(path) else value
    return (value,) if isinstance(one.kind, Text) and one.kind.once else value


def _in(folder: str, path: str) -> str:
    return os.path.join(folder, os.path.expanduser(path))


def _by_recipe_key(key: str) -> Setting | None:
    return next((one for one in every_setting() if one.recipe_key == key), None)


def _nearest(key: str, known: Mapping[str, Setting]) -> str:
    words = [PRESETS, *(word for word, one in known.items() if not one.each_run)]
    near = difflib.get_close_matches(key, words, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return "expected an option of `imgbatch resize`, without the dashes, or presets"


# The environment


def _environment() -> dict[str, Any]:
    """The values of variables, by the names of settings. Others with this prefix are ignored."""
    given = {name for name, value in os.environ.items() if name.startswith(_PREFIX) and value}
    if not given:
        return {}
    return dict(_values_of(given))


def _values_of(given: set[str]) -> Iterator[tuple[str, Any]]:
    for one in every_setting():
        choosing = one.name in ("config", "no_config")
        if one.variable not in given or (one.each_run and not choosing):
            continue
        word = os.environ[one.variable]
        if isinstance(one.kind, Several):
            yield one.name, tuple(filter(None, word.split(os.pathsep)))
            continue
        value = _checked(one.variable, one, _from_word(one.variable, one.kind, word))
        yield one.name, _as_click_has_it(one, value)


def _variable(name: str) -> str:
    return next(one.variable for one in every_setting() if one.name == name)
