"""`imgbatch run`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from imgbatch.cli.help import GroupedCommand
from imgbatch.cli.launch import run
from imgbatch.cli.options import given, options, overrides
from imgbatch.cli.output import tell_lines
from imgbatch.errors import UsageError
from imgbatch.recipes.settings import SIZE

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe


@click.command("run", cls=GroupedCommand)
@click.argument("recipe", metavar="RECIPE")
@options(without={SIZE, "filters", "save_recipe"}, paths_required=False)
@click.pass_context
def command(context: click.Context, /, recipe: str, **parameters: Any) -> int:
    """Run a recipe: several pictures of each source, decoded once.

    RECIPE is a file (TOML) or the name of a preset (see `imgbatch presets`). PATH is a folder, a
    file, or - for a list of files, or a picture, on standard input. Options given here apply to all
    outputs of the recipe. Pictures go into `<folder>-<recipe's name>` next to the folder; of one
    file, beside it.
    """
    from imgbatch.recipes.toml import is_recipe, load

    request = given(parameters)
    is_one = is_recipe(recipe) or os.path.isfile(recipe)
    if not is_one and (others := list(filter(is_recipe, request.run.paths))):
        raise UsageError(f"the recipe comes first: imgbatch run {others[0]} {recipe}")

    def loaded() -> Recipe:
        found = load(recipe, overrides(context))
        return replace(found, raw_preview=True) if request.recipe.raw_preview else found

    if request.invocation.explain:
        from imgbatch.cli.explained import explained

        tell_lines(explained(loaded()))
        return 0
    if not request.run.paths:
        raise UsageError("found no PATH, expected a folder or files to make pictures of")
    return run(loaded, request.run, request.invocation)
