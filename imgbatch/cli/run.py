"""`imgbatch run`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from imgbatch.cli.help import GroupedCommand
from imgbatch.cli.launch import explain, filled_recipe, run
from imgbatch.cli.options import found_defaults, given, options, overrides, suggesting
from imgbatch.errors import UsageError
from imgbatch.recipes.settings import SIZE

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe


@click.command("run", cls=GroupedCommand)
@click.argument("recipe", metavar="RECIPE", shell_complete=suggesting("for_recipe"))
@options(without={SIZE, "filters", "save_recipe"}, paths_required=False)
@click.pass_context
def command(context: click.Context, /, recipe: str, **parameters: Any) -> int:
    """Run a recipe: several pictures of each source, decoded once.

    RECIPE is a file (TOML) or the name of a preset (see `imgbatch presets`). PATH is a folder, a
    file, or - for a list of files, or a picture, on standard input. Options given here apply to all
    outputs of the recipe. Pictures go into `<folder>-<recipe's name>` next to the folder; of one
    file, beside it.

    \b
    imgbatch run web-gallery shoot
    imgbatch run my.toml shoot -o finished --dry-run
    """
    from imgbatch.recipes.toml import load, stated

    request = given(parameters)
    path = _path_of(recipe, request.run.paths)

    def build(fills: Mapping[str, Any]) -> Recipe:
        found = load(path, overrides(context), fills)
        return replace(found, raw_preview=True) if request.recipe.raw_preview else found

    def loaded() -> Recipe:
        return filled_recipe(build, request)

    if request.invocation.explain:
        return explain(loaded(), request, stated(path))
    if not request.run.paths:
        raise UsageError("found no PATH, expected a folder or files to make pictures of")
    return run(loaded, request.run, request.invocation)


def _path_of(recipe: str, paths: Sequence[str]) -> str:
    """The file that a recipe's name means, or the name of a preset; raises UsageError."""
    from imgbatch.recipes.toml import is_recipe

    if os.path.isfile(recipe):
        return recipe
    own = found_defaults().presets()
    if recipe in own or is_recipe(recipe):
        return own.get(recipe, recipe)
    if others := [path for path in paths if path in own or is_recipe(path)]:
        raise UsageError(f"the recipe comes first: imgbatch run {others[0]} {recipe}")
    if near := difflib.get_close_matches(recipe, own, n=1):
        raise UsageError(f"there is no recipe file or preset {recipe!r}: did you mean {near[0]}?")
    return recipe
