"""Recipes as files (TOML): read with every mistake reported by name, and written from settings.

name = "delivery"                 # else the file's own name

[prepare]                         # once, after decoding
profile = "srgb"
operations = ["white-balance", { name = "lut", file = "portra.cube" }]

[defaults]                        # for every output that does not say otherwise
metadata = "no-gps"

[[output]]
name = "web"
size = "2048"
path = "web/{dir}/{stem}{ext}"
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, get_args

from msgspec import Struct

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import Encoding, Intent
from imgbatch.naming import PLAIN, folded
from imgbatch.operations import Operation, plain, words_of
from imgbatch.operations.base import registered
from imgbatch.operations.geometry import Resize
from imgbatch.operations.parameters import Attachment, ColourKind
from imgbatch.operations.profile import ConvertProfile
from imgbatch.recipes.declarations import TOML_TYPES, Measure, Setting, dashed, declared
from imgbatch.recipes.filling import filled
from imgbatch.recipes.names import template_of
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.recipes.settings import (
    RESIZING,
    OutputSettings,
    OutputWords,
    PrepareWords,
    RecipeSettings,
    RecipeWords,
    profile_name,
)
from imgbatch.recipes.steps import (
    RESIZE,
    UnsuitedError,
    check_label,
    conversions,
    encoding,
    operation_of,
    option,
    steps,
)
from imgbatch.store import regular

_TOP: Final = ("name", "description", "prepare", "defaults", "output")
_PREPARE: Final = ("profile", "intent", "raw-preview", "operations")
_SETTINGS: Final = declared(OutputSettings)
_OUTPUT: Final = ("name", *(one.recipe_key for one in _SETTINGS.values()))
_COLOURS: Final = frozenset({"profile", "intent"})
_SUFFIX: Final = ".toml"
_MAX_BYTES: Final = 1_000_000


def load(
    path: str | os.PathLike[str],
    overrides: RecipeWords | None = None,
    fills: Mapping[str, Any] = MappingProxyType({}),
) -> Recipe:
    """The recipe in a file, or the preset with that name (see `presets`).

    `overrides` are settings that apply to every output, whatever the recipe says about it; `fills`
    apply where it says nothing. Files that the recipe names are relative to its folder. Raises
    UsageError with the file, the key, what was found and what was expected.
    """
    path = os.fspath(path)
    shown, text, folder = _text_of(path)
    table = _table(shown, text)
    stem = os.path.splitext(os.path.basename(path))[0]
    preset = path if shown != path else None
    return _Reader(shown, folder, overrides or {}, preset, _fills(fills, table)).recipe(table, stem)


def _table(shown: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Numbers with thousands of digits and thousands of brackets raise errors of their own.
        raise UsageError(f"{shown}: not valid TOML: {error}") from None


def stated(path: str) -> list[dict[str, Any]]:
    """What a recipe that can be loaded says itself, output by output, by the names of settings."""
    table = _table(*_text_of(path)[:2])
    prepare, defaults = table.get("prepare", {}), table.get("defaults", {})
    known = {**_SETTINGS, "raw_preview": declared(RecipeSettings)["raw_preview"]}
    for_all = {key: value for key, value in prepare.items() if key != "operations"}
    found = []
    for own in table["output"]:
        said = {**for_all, **defaults, **own}
        found.append(
            {name: said[one.recipe_key] for name, one in known.items() if one.recipe_key in said}
        )
    return found


def description(path: str) -> str:
    """What the recipe in a file says about itself, in one line; raises UsageError."""
    shown, text, _ = _text_of(path)
    return " ".join(str(_table(shown, text).get("description", "")).split())


def _fills(fills: Mapping[str, Any], table: Mapping[str, Any]) -> Mapping[str, Any]:
    """What may fill the outputs of a recipe; colours that are prepared for all are settled."""
    prepare = table.get("prepare")
    settled = _COLOURS if isinstance(prepare, dict) and "profile" in prepare else frozenset()
    return {name: value for name, value in fills.items() if name not in settled}


def of_tables(name: str, outputs: Iterable[OutputWords | Output], prepare: PrepareWords) -> Recipe:
    """The recipe that a file with these tables would have, whose keys are Python's.

    An output may be ready. Raises UsageError.
    """
    if isinstance(outputs, Mapping | str) or not isinstance(outputs, Iterable):
        raise UsageError(f"found outputs {outputs!r}, expected a list of tables")
    keys = {one.name: one.recipe_key for one in _SETTINGS.values()}
    tables: list[Any] = []
    given: Iterable[Any] = outputs
    for one in given:
        table = one
        if isinstance(one, Mapping):
            table = {keys.get(key, dashed(key)): _as_in_toml(one[key]) for key in one}
        tables.append(table)
    before = {dashed(key): _as_in_toml(value) for key, value in prepare.items()}
    reader = _Reader("outputs", "", {}, None, {})
    return reader.recipe({"name": name, "prepare": before, "output": tables}, name)


def _as_in_toml(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def presets() -> dict[str, str]:
    """The recipes that come with imgbatch, by name, each with its description."""
    return {name: tomllib.loads(preset_text(name))["description"] for name in _preset_names()}


def is_recipe(word: str) -> bool:
    """Whether a word looks like a recipe: a preset, or a name that ends in .toml."""
    return word.endswith(_SUFFIX) or word in _preset_names()


def text_of(path: str) -> str:
    """The text of a recipe file; raises UsageError."""
    return _text_of(path)[1]


def preset_text(name: str, others: Iterable[str] = ()) -> str:
    """The file of a preset; raises UsageError for one that is not even among the `others`."""
    if name not in (known := _preset_names()):
        raise UsageError(f"there is no preset {name!r}: {_nearest(name, [*others, *known])}")
    return resources.files("imgbatch.recipes.presets").joinpath(name + _SUFFIX).read_text("utf-8")


def _preset_names() -> list[str]:
    entries = (entry.name for entry in resources.files("imgbatch.recipes.presets").iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in entries if name.endswith(_SUFFIX))


def _text_of(path: str) -> tuple[str, str, str]:
    """What to call a recipe, its text, and the folder of the files that it names."""
    if not os.path.isfile(path) and not os.path.dirname(path):
        if path in (known := _preset_names()):
            return f"preset {path}", preset_text(path), os.curdir
        if not path.endswith(_SUFFIX):
            raise UsageError(f"there is no recipe file or preset {path!r}: {_nearest(path, known)}")
    data = regular.read(path, "a recipe", _MAX_BYTES)
    try:
        return path, data.decode("utf-8-sig"), os.path.dirname(path)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not valid UTF-8 (byte {error.start})") from None


def _nearest(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


class _Reader(Struct, frozen=True):
    """One reading of a file; `path` is what messages call it."""

    path: str
    folder: str
    overrides: RecipeWords
    preset: str | None
    fills: Mapping[str, Any]

    def recipe(self, table: Mapping[str, Any], stem: str) -> Recipe:
        self._check_keys("", table, _TOP)
        name = self._label("name", table.get("name", stem))
        self._of_type("description", table.get("description", ""), str)
        prepare = self._of_type("[prepare]", table.get("prepare", {}), dict)
        defaults = self._of_type("[defaults]", table.get("defaults", {}), dict)
        self._check_keys("[defaults] ", defaults, _OUTPUT)
        found = self._of_type("[[output]]", table.get("output", []), list)
        if not found:
            raise self._wrong("[[output]]", "none", "at least one")
        outputs = []
        for number, one in enumerate(found, 1):
            if isinstance(one, Output):
                outputs.append(one)
                continue
            label = one.get("name") if isinstance(one, dict) else None
            where = f"output {label!r}: " if isinstance(label, str) else f"output {number}: "
            self._of_type(where.rstrip(": "), one, dict)
            merged = {**defaults, **one}
            outputs.append(self._output(where, merged, name, len(found) > 1))
            self._check_resizing(where, one, merged)
        labels = [output.name for output in outputs]
        for twice in {label for label in labels if labels.count(label) > 1}:
            raise self._wrong("[[output]]", f"two with the name {twice!r}", "a name for each")
        self._check_names(outputs)
        steps, preview = self._prepared(prepare)
        with self._locating():
            return Recipe(name, tuple(outputs), steps, raw_preview=preview)

    def _check_names(self, outputs: Iterable[Output]) -> None:
        """Check that names stay different on a system that folds case or accents."""
        found: dict[tuple[str, str], str] = {}
        for output in outputs:
            if "output" not in output.template.fields:
                continue
            twin = found.setdefault((output.template.text, folded(output.name)), output.name)
            if twin != output.name:
                raise self._wrong(
                    "[[output]]",
                    f"the names {twin!r} and {output.name!r}",
                    "names that differ in more than case or accents: on many systems their files "
                    "would be one",
                )

    def _prepared(self, table: Mapping[str, Any]) -> tuple[tuple[Operation, ...], bool]:
        where = "[prepare] "
        self._check_keys(where, table, _PREPARE)
        profile = self._of_type(where + "profile", table.get("profile", "keep"), str)
        intent = table.get("intent", "relative")
        if intent not in get_args(Intent):
            raise self._wrong(
                where + "intent", repr(intent), f"one of {', '.join(get_args(Intent))}"
            )
        usual = self.fills.get("raw_preview", False)
        preview = self._of_type(where + "raw-preview", table.get("raw-preview", usual), bool)
        operations = self._operations(where, table.get("operations", []))
        with self._locating(where):
            convert = conversions(profile, intent, self.folder)
            return (*convert, *(operation_of(step, self.folder) for step in operations)), preview

    def _check_resizing(
        self, where: str, own: Mapping[str, Any], merged: Mapping[str, Any]
    ) -> None:
        """Check resize settings without a size: an output may keep its size in spite of defaults
        for the others, but its own settings have to mean something."""
        for key in RESIZING:
            if key in own and "size" not in merged:
                raise self._wrong(where + key, f"{own[key]!r} without a size", "size = … with it")

    def _output(self, where: str, table: Mapping[str, Any], name: str, several: bool) -> Output:
        self._check_keys(where, table, _OUTPUT)
        values = {
            one.name: self._value(where, one, table[one.recipe_key])
            for one in _SETTINGS.values()
            if one.recipe_key in table
        }
        label = self._of_type(where + "name", table.get("name", values.get("size", name)), str)
        usual = "{stem}-{output}{ext}" if several else PLAIN
        stated = {"template": usual, **values, **self.overrides}

        def build(fills: Mapping[str, Any]) -> Output:
            words: dict[str, Any] = {**fills, **stated}
            meant = OutputSettings(**words, folder=self.folder)
            made, saved = steps(meant), encoding(meant)
            path = template_of(words["template"], saved)
            return Output(check_label(label), path, made, saved)

        left_open = {
            name: value
            for name, value in self.fills.items()
            if name in _SETTINGS and name not in stated
        }
        with self._locating(where):
            try:
                return filled(build, left_open)
            except UnsuitedError as error:
                raise self._unsuited(error, values) from None

    def _value(self, where: str, one: Setting, value: Any) -> Any:
        if one.name == "operations":
            return self._operations(where, value)
        found = self._of_type(where + one.recipe_key, value, *one.kind.types)
        # 1600 is a word, too.
        return str(found) if isinstance(one.kind, Measure) else found

    def _unsuited(self, error: UnsuitedError, values: Mapping[str, Any]) -> UsageError:
        """The same error, if not the user's options but the recipe has one or both settings."""
        given = [key for key in (error.setting, error.other) if key in self.overrides]
        if len(given) == 2:
            return error
        if not given:
            return UsageError(f"{error.problem}: omit {dashed(error.setting)}")
        own = error.other if error.setting in given else error.setting
        if own not in values:
            return error
        meant = f"{dashed(own)} = {json.dumps(values[own])}"
        recipe = "the recipe"
        if self.preset is not None:
            recipe = f"a copy of it (imgbatch presets {self.preset} > FILE)"
        return UsageError(
            f"{error.problem}, and the recipe says {meant}: omit {option(given[0])}, or "
            f"take that out of {recipe}"
        )

    def _operations(self, where: str, value: Any) -> tuple[Any, ...]:
        steps = self._of_type(where + "operations", value, list)
        for step in steps:
            self._of_type(where + "operations", step, str, dict)
        return tuple(steps)

    def _label(self, where: str, value: Any) -> str:
        label: str = self._of_type(where, value, str)
        with self._locating(f"{where}: "):
            return check_label(label)

    def _check_keys(self, where: str, table: Mapping[str, Any], known: Collection[str]) -> None:
        for key in table:
            if key not in known:
                hint = _nearest(key, known)
                if not where and key in _OUTPUT:
                    hint = "it belongs in [defaults] or an [[output]]"
                raise UsageError(f"{self.path}: {where}{key}: an unknown key; {hint}")

    def _of_type(self, where: str, value: Any, *kinds: type) -> Any:
        # True is a number to Python, but not to anybody else.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            expected = " or ".join(TOML_TYPES[kind] for kind in kinds)
            raise self._wrong(where, repr(value), expected)
        return value

    def _wrong(self, where: str, found: str, expected: str) -> UsageError:
        return UsageError(f"{self.path}: {where}: found {found}, expected {expected}")

    @contextmanager
    def _locating(self, where: str = "") -> Iterator[None]:
        """Add to an error in which file it is, and `where` in it."""
        try:
            yield
        except UsageError as error:
            raise UsageError(f"{self.path}: {where}{error}") from None


# Writing


def save(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write a recipe to a new file, so that `load` gives the same one.

    Raises UsageError if the file exists with different content, or if a part of the recipe cannot
    be written in TOML.
    """
    path = os.fspath(path)
    if formats.of_suffix(os.path.splitext(path)[1].lower()) is not None:
        raise UsageError(f"the recipe {path} has a picture's name: use another, such as my.toml")
    try:
        data = written(recipe, os.path.dirname(path)).encode()
    except UnicodeEncodeError:
        raise UsageError("a recipe is UTF-8 text, and these settings are not") from None
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        if not _holds(path, data):
            raise UsageError(f"{path} exists already: give the recipe another name") from None
    except (OSError, ValueError) as error:
        trouble = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot write the recipe {path}: {trouble}") from None


def _holds(path: str, data: bytes) -> bool:
    """Whether a path is a file with exactly these bytes."""
    try:
        return regular.read(path, "a recipe", len(data)) == data
    except UsageError:
        return False


def written(recipe: Recipe, folder: str = "") -> str:
    """A recipe as TOML; paths of files are relative to `folder`."""
    import tomli_w

    table: dict[str, Any] = {"name": recipe.name}
    conversion, rest = _conversion(recipe.prepare, folder)
    prepare = conversion | ({"raw-preview": True} if recipe.raw_preview else {})
    if rest:
        prepare["operations"] = [_step(operation, folder) for operation in rest]
    if prepare:
        table["prepare"] = prepare
    table["output"] = [_output_table(output, folder) for output in recipe.outputs]
    return tomli_w.dumps(table)


def _output_table(output: Output, folder: str) -> dict[str, Any]:
    table: dict[str, Any] = {"name": output.name}
    steps: list[Any] = []
    rest: Iterable[Operation] = output.operations
    resizes = [one for one in output.operations if isinstance(one, Resize)]
    if len(resizes) > 1:
        raise UsageError(f"output {output.name!r} is resized twice, which a recipe cannot say")
    if resizes:
        place = output.operations.index(resizes[0])
        before, rest = output.operations[:place], output.operations[place + 1 :]
        table |= _sized(resizes[0])
        steps = [*(_step(operation, folder) for operation in before), RESIZE] if before else []
    conversion, rest = _conversion(rest, folder)
    table |= conversion | _encoded(output.encoding)
    if resizes and resizes[0].background != output.encoding.background:
        raise UsageError(f"output {output.name!r} has two backgrounds, which a recipe cannot say")
    steps += [_step(operation, folder) for operation in rest]
    if steps:
        table["operations"] = steps
    return table | {"path": output.template.text}


def _sized(resize: Resize) -> dict[str, Any]:
    table: dict[str, Any] = {"size": str(resize.spec)}
    for key in RESIZING:
        value = getattr(resize, key)
        if value != _SETTINGS[key].default:
            table[key] = value
    return table


def _conversion(
    operations: Iterable[Operation], folder: str
) -> tuple[dict[str, Any], tuple[Operation, ...]]:
    """The settings of a conversion that comes first, and the remaining operations."""
    first, rest = next(iter(operations), None), tuple(operations)
    if not isinstance(first, ConvertProfile):
        return {}, rest
    profile = first.path
    if profile_name(profile) is None:
        profile = os.path.relpath(profile, folder or os.curdir)
        if profile_name(profile) is not None:
            profile = os.path.join(os.curdir, profile)
    values = {"profile": profile}
    return values | ({"intent": first.intent} if first.intent != "relative" else {}), rest[1:]


def _encoded(encoding: Encoding) -> dict[str, Any]:
    usual = Encoding()
    table: dict[str, Any] = {}
    for name in encoding.__struct_fields__:
        value = getattr(encoding, name)
        if value != getattr(usual, name):
            key = dashed(name)
            table[key] = ColourKind().plain(value) if name == "background" else value
    return table


def _step(operation: Operation, folder: str) -> Any:
    if registered().get(operation.name) is not type(operation):
        raise UsageError(f"a recipe has no words for the operation {operation.name}")
    table = plain(operation)
    files = [key for key in table if isinstance(getattr(operation, key, None), Attachment)]
    for key in files:
        table[key] = os.path.relpath(table[key], folder or os.curdir)
    odd = any(isinstance(value, str) and not _PLAIN.fullmatch(value) for value in table.values())
    return table if files or odd else words_of(operation)


# Characters that need no quotes in the settings of an operation.
_PLAIN: Final = re.compile(r"[^\s,\"']([^,\"']*[^\s,\"'])?")
