"""Where the settings of a command come from, for `--explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click
from msgspec import Struct

from imgbatch.cli.help import every_setting
from imgbatch.cli.options import Given, found_defaults
from imgbatch.model import Encoding
from imgbatch.recipes.declarations import Setting, Several, declared
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.recipes.settings import RecipeSettings, SharedSettings

_DEFAULT: Final = "default"
_MOST_WIDE: Final = 30
_UNSIZED: Final[Mapping[str, Any]] = {"size": None}
"""An output of a recipe has no size by default; one of options alone does."""
_LEFT_ALONE: Final = frozenset({"explain", "config", "no_config", "save_recipe"})
"""What says nothing about pictures or runs."""


class _Row(Struct, frozen=True):
    """A setting's value, and where it comes from."""

    value: str
    origin: str


def origins(
    recipe: Recipe, request: Given, stated: Sequence[Mapping[str, Any]] | None
) -> Iterator[str]:
    """A line for each setting: its value, and whether an option, a variable, a file of defaults
    (with its key), the recipe or nobody says so.

    `stated` is what the file of a recipe says of each output; None for a recipe of options alone.
    """
    lines: list[tuple[str, _Row]] = []
    names = {one.name for one in click.get_current_context().command.params}
    if stated is not None:
        names |= {*declared(SharedSettings), "sizes"}
    for one in every_setting():
        if one.name in names - _LEFT_ALONE:
            lines += [(one.word, row) for row in _rows(one, recipe, request, stated)]
    words = max(len(word) for word, _ in lines)
    values = min(_MOST_WIDE, max(len(row.value) for _, row in lines))
    yield "Settings:"
    for word, row in lines:
        yield f"  {word:{words}}  {row.value:{values}}  {row.origin}"


def _rows(
    one: Setting, recipe: Recipe, request: Given, stated: Sequence[Mapping[str, Any]] | None
) -> list[_Row]:
    """One row, or several where the outputs of a recipe differ."""
    if one.name not in declared(RecipeSettings):
        return [_of_run(one)]
    by_row: dict[_Row, list[str]] = {}
    for number, output in enumerate(recipe.outputs):
        said = {**_UNSIZED, **stated[number]} if stated is not None else {}
        by_row.setdefault(_of_output(one, output, request, said), []).append(output.name)
    if len(by_row) == 1:
        return list(by_row)
    return [_Row(row.value, f"{row.origin} ({', '.join(names)})") for row, names in by_row.items()]


def _of_run(one: Setting) -> _Row:
    context = click.get_current_context()
    value = _shown(one, context.params[one.name])
    if _is_option(one):
        return _Row(value, _option(one))
    found = found_defaults().found
    is_default = context.get_parameter_source(one.name) is click.core.ParameterSource.DEFAULT
    return _Row(value, _DEFAULT if is_default else found[one.name].where)


def _of_output(one: Setting, output: Output, request: Given, said: Mapping[str, Any]) -> _Row:
    if _is_option(one):
        return _Row(_shown(one, click.get_current_context().params[one.name]), _option(one))
    key = "size" if one.name == "sizes" else "operations" if one.name == "filters" else one.name
    if said.get(key, "") is None:
        return _Row("as it is", _DEFAULT)
    if key in said:
        return _Row(_shown(one, said[key]), "recipe")
    if one.name not in request.fills:
        return _Row(_shown(one, getattr(request.recipe, one.name)), _DEFAULT)
    value, where = request.fills[one.name], found_defaults().found[one.name].where
    if one.name in Encoding.__struct_fields__ and one.name not in ("format", "background"):
        used = getattr(output.encoding, one.name)
        if used != one.check(value) and used == one.default:
            return _Row(_shown(one, used), f"{_DEFAULT} ({where} does not go with the others)")
    return _Row(_shown(one, value), where)


def _option(one: Setting) -> str:
    cleared = click.get_current_context().params[one.name] is False
    return f"option {one.negative if cleared else f'--{one.word}'}"


def _is_option(one: Setting) -> bool:
    source = click.get_current_context().get_parameter_source(one.name)
    return source is click.core.ParameterSource.COMMANDLINE


def _shown(one: Setting, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == ():
        return one.usual or "-"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value) if isinstance(value, str) or one.kind == Several() else one.kind.word(value)
